"""Rules decide which layers take part; blobs with several readers are split."""

import pytest

from minicaffe import passes
from minicaffe.errors import NetError
from minicaffe.passes.filter import filter_layers, warn_of_state
from minicaffe.passes.insert_splits import insert_splits
from minicaffe.proto import RUN, TEST, TRAIN, NetParameter
from minicaffe.proto import text as proto_text


def net(text, phase=TRAIN, level=0, stages=()):
    made = proto_text.parse(text, NetParameter())
    made.state.phase, made.state.level = phase, level
    made.state.stage.extend(stages)
    return made


def kept(rules, **state):
    return [layer.name for layer in filter_layers(net(f'layer {{ name: "a" type: "ReLU" {rules} }}', **state)).layer]


@pytest.mark.parametrize(("rules", "state", "stays"), [
    ("", {}, True),
    ("include { phase: TRAIN }", {"phase": TRAIN}, True),
    ("include { phase: TRAIN }", {"phase": TEST}, False),
    ("exclude { phase: TEST }", {"phase": TEST}, False),
    ("exclude { phase: TEST }", {"phase": TRAIN}, True),
    ("include { min_level: 2 }", {"level": 1}, False),
    ("include { min_level: 2 }", {"level": 2}, True),
    ("include { max_level: 2 }", {"level": 3}, False),
    ("include { max_level: 2 }", {"level": 2}, True),
    ('include { stage: "s" stage: "t" }', {"stages": ["s"]}, False),
    ('include { stage: "s" stage: "t" }', {"stages": ["t", "s", "u"]}, True),
    ('include { not_stage: "s" }', {"stages": ["s"]}, False),
    ('include { not_stage: "s" }', {"stages": ["t"]}, True),
    ('include { phase: TEST } include { stage: "s" }', {"phase": TRAIN, "stages": ["s"]}, True),
    ('exclude { phase: TEST } exclude { stage: "s" }', {"phase": TRAIN, "stages": ["s"]}, False),
])
def test_rules(rules, state, stays):
    """A layer stays where one include rule is met, or where no exclude rule is."""
    assert (["a"] if stays else []) == kept(rules, **state)


def test_the_phase_of_forks():
    """A rule may name RUN, which no net here is in; a net that says that it is in RUN is refused."""
    assert [] == kept("include { phase: RUN }", phase=TEST)
    assert ["a"] == kept("exclude { phase: RUN }", phase=TRAIN)
    with pytest.raises(NetError, match="state.phase is RUN, but a net is in TRAIN or in TEST"):
        warn_of_state(net("", phase=RUN))


def test_include_and_exclude_together_are_refused():
    """A layer with both kinds of rules is an error that names it."""
    with pytest.raises(NetError, match="layer 'a' .ReLU. has both include and exclude"):
        kept("include { phase: TRAIN } exclude { phase: TEST }")


TWO_READERS = """
layer { name: "in" type: "Input" top: "x" top: "y" }
layer { name: "a" type: "ReLU" bottom: "x" top: "x" }
layer { name: "b" type: "TanH" bottom: "x" top: "b" }
layer { name: "c" type: "TanH" bottom: "x" top: "c" }
"""


def test_split_between_two_readers():
    """The blob is split after the in-place layer that last wrote it, with Caffe's names."""
    split = insert_splits(net(TWO_READERS))

    assert ["in", "a", "x_a_0_split", "b", "c"] == [layer.name for layer in split.layer]
    assert ["x_a_0_split_0", "x_a_0_split_1"] == list(split.layer[2].top)
    assert ["x_a_0_split_0"] == list(split.layer[3].bottom)
    assert ["x_a_0_split_1"] == list(split.layer[4].bottom)


def test_splitting_twice_changes_nothing():
    """A net with its splits in place gets no more."""
    once = insert_splits(net(TWO_READERS))

    assert once == insert_splits(once)


def test_loss_weight_counts_as_a_reader():
    """A top that is a loss and is read gets a split whose first top carries the weight."""
    split = insert_splits(net("""
        layer { name: "in" type: "Input" top: "x" }
        layer { name: "p" type: "Power" bottom: "x" top: "p" loss_weight: 3 }
        layer { name: "s" type: "TanH" bottom: "p" top: "s" }"""))

    assert [3, 0] == list(split.layer[2].loss_weight)
    assert [0] == list(split.layer[1].loss_weight)
    assert ["p_p_0_split_1"] == list(split.layer[3].bottom)


def test_unknown_bottom_names_the_layer_and_near_blobs():
    """A misspelt bottom is an error with the layer, the bottom and the near name."""
    with pytest.raises(NetError, match=r"layer 'r' .ReLU.: unknown bottom blob 'dta' .*\n  hint: did you mean 'data'"):
        insert_splits(net('layer { name: "in" type: "Input" top: "data" } '
                          'layer { name: "r" type: "ReLU" bottom: "dta" top: "r" }'))


def test_bottom_made_by_a_later_layer():
    """A layer standing before its bottom's maker is told to move."""
    with pytest.raises(NetError, match="layer 'in' makes it, but stands after"):
        insert_splits(net('layer { name: "r" type: "ReLU" bottom: "data" top: "r" } '
                          'layer { name: "in" type: "Input" top: "data" }'))


def test_apply_stops_after_a_pass():
    """`apply` runs the passes in order up to the one named, and knows no other."""
    assert 4 == len(passes.apply(net(TWO_READERS), after="filter").layer)
    assert 5 == len(passes.apply(net(TWO_READERS)).layer)
    with pytest.raises(NetError, match=r"no pass 'fliter'.*\n.*'filter'"):
        passes.apply(net(TWO_READERS), after="fliter")
