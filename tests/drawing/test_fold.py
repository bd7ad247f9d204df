"""Blocks that repeat: which are found, and that the rest is drawn as it is."""

import pytest
from drawing_nets import googlenet, resnet
from net_tools import fully_connected, inputs, layer, make

from minicaffe.drawing.fold import Fold, folded, present
from minicaffe.drawing.graph import build, version_of_net


def items_of(text):
    graph = build("net", [version_of_net(make(text, shapes_only=True), "TRAIN")])
    return graph, folded(graph)


def shown(items):
    """The items in short: the name of a box, or (count, items) of a fold."""
    return [(item.count, shown(item.items)) if isinstance(item, Fold) else item.boxes[0].layers[0].name
            for item in items]


def folds(items):
    return [(item.count, [next(present(one))[0].layers[0].name for one in item.items]) for item in items
            if isinstance(item, Fold)]


def test_resnet_152():
    """In each stage the first block has a projection and stands alone; the others are one."""
    _, items = items_of(resnet(3, 8, 36, 3))

    assert [(n, [f"res{stage}b1_branch2a", f"res{stage}b1_branch2b", f"res{stage}b1_branch2c", f"res{stage}b1"])
            for n, stage in ((2, 2), (7, 3), (35, 4), (2, 5))] == folds(items)
    assert len(items) < 40


def test_inception_modules():
    """Modules that differ in num_output alone are one block, which begins and ends where a single blob does."""
    _, items = items_of(googlenet(4, 5, 6, 7, 8))
    (count, names), = folds(items)

    assert 5 == count
    assert [f"inception_a/{part}" for part in ("1x1", "3x3_reduce", "3x3", "5x5_reduce", "5x5", "pool", "proj",
                                               "output")] == names


def test_every_box_is_in_one_place():
    """No box is lost or drawn twice, and those that are drawn as one are in the order of the net."""
    modules = googlenet(4, 5, 6).replace('"data"', '"other"').replace('name: "Inception"', "")
    graph, items = items_of(resnet(2, 3) + modules)
    groups = [[box.index for box in boxes] for item in items for boxes in present(item)]

    assert sorted(index for group in groups for index in group) == list(range(len(graph.boxes)))
    assert all(group == sorted(group) for group in groups)
    assert any(len(group) > 2 for group in groups)


def test_equal_layers_in_a_row():
    """A block may be a single box."""
    text = inputs(x=(2, 3)) + "".join(fully_connected("x" if n == 0 else f"f{n}", f"f{n + 1}", 3) for n in range(6))

    assert ["x", (6, ["f1"])] == shown(items_of(text)[1])


def test_a_block_whose_inside_is_read_ends_a_fold():
    """Where a later layer reads a block in the middle, that block is the last of its fold."""
    text = inputs(x=(2, 3)) + "".join(fully_connected("x" if n == 0 else f"f{n}", f"f{n + 1}", 3) for n in range(9))
    text += layer("Eltwise", "f4 f9", "sum")

    assert ["x", (4, ["f1"]), (5, ["f5"]), "sum"] == shown(items_of(text)[1])


@pytest.mark.parametrize("change", ['num_output: 3 bias_term: false', 'num_output: 3 axis: -1'])
def test_other_settings_are_another_block(change):
    """A layer with another setting than num_output ends the block."""
    text = inputs(x=(2, 3)) + "".join(fully_connected("x" if n == 0 else f"f{n}", f"f{n + 1}", 3) for n in range(9))
    text = text.replace("num_output: 3", change, 5).replace(change, "num_output: 3", 4)

    assert ["x", (4, ["f1"]), "f5", (4, ["f6"])] == shown(items_of(text)[1])


def test_what_all_blocks_read():
    """Blocks that all read one blob, beside what the block before makes, repeat."""
    text = inputs(x=(2, 3), m=(2, 3)) + "".join(
        layer("Eltwise", f"{'x' if n == 0 else f'f{n}'} m", f"e{n}") + fully_connected(f"e{n}", f"f{n + 1}", 3)
        for n in range(5))

    assert ["x", "m", (5, ["e0", "f1"])] == shown(items_of(text)[1])


def test_blocks_within_blocks():
    """A block that repeats may hold a block that repeats."""
    text, bottom = inputs(x=(2, 3)), "x"
    for n in range(4):
        for k in range(5):
            text, bottom = text + fully_connected(bottom, f"f{n}{k}", 3), f"f{n}{k}"
        text, bottom = text + layer("TanH", bottom, f"t{n}"), f"t{n}"

    assert ["x", (4, [(5, ["f00"]), "t0"])] == shown(items_of(text)[1])


def test_nothing_repeats():
    """Two layers in a row are no block: to fold them saves nothing."""
    text = inputs(x=(2, 3)) + fully_connected("x", "f", 3) + fully_connected("f", "g", 3) + layer("TanH", "g", "t")

    assert ["x", "f", "g", "t"] == shown(items_of(text)[1])


def test_blocks_begin_where_names_do():
    """Two columns that the file has by turns: a block holds a layer of each, of one stage."""
    text = inputs(x=(2, 3)) + "".join(
        fully_connected("x" if n == 0 else f"stage{n - 1}_{side}", f"stage{n}_{side}", 3) for n in range(5)
        for side in "ab")

    assert ["x", "stage0_a", "stage0_b", (4, ["stage1_a", "stage1_b"])] == shown(items_of(text)[1])
