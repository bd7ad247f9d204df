"""The rules about one net: for each a net in which it finds something, and the nearest net in which it does not."""

import pytest
from net_tools import convolution, fully_connected, inputs, layer

from minicaffe import lint

DATA = ('layer { name: "d" type: "DummyData" top: "x" top: "label" dummy_data_param { shape { dim: 2 dim: 3 } '
        'shape { dim: 2 } data_filler { type: "gaussian" } data_filler { type: "constant" } } }\n')
IMAGES = DATA.replace("dim: 2 dim: 3", "dim: 2 dim: 3 dim: 9 dim: 7")
F = fully_connected("x", "f", 4)
LOSS = layer("SoftmaxWithLoss", "f label", "loss")
SCALE = layer("Scale", "n", "s", "scale_param { bias_term: true }")
RELU = layer("ReLU", "n", "r")
ENDS = {"r": fully_connected("r", "f", 4) + LOSS, "s": fully_connected("s", "f", 4) + LOSS,
        "n": fully_connected("n", "f", 4) + LOSS}
BARE = layer("InnerProduct", "x", "g", "inner_product_param { num_output: 5 }") \
    + layer("InnerProduct", "g", "f", "inner_product_param { num_output: 4 }")
SIGMOID = fully_connected("x", "g", 5) + layer("Sigmoid", "g", "h")
SOURCE = layer("Data", "", "x label", 'data_param { source: "%s" batch_size: 2 backend: LMDB } '
               "transform_param { crop_size: 9 }", name="d")
PAIRED = 'layer { name: "d" type: "DummyData" top: "x" top: "t" dummy_data_param { shape { dim: 2 dim: 3 dim: 4 } ' \
    'shape { dim: 2 %s } data_filler { type: "gaussian" } } }\n'
ONE_PHASE = DATA.replace('top: "label"', 'top: "label" include { phase: TRAIN }') \
    + layer("Input", "", "x", "include { phase: TEST } input_param { shape { dim: 2 dim: 3 } }", name="in")


def batch_norm(more=""):
    return layer("BatchNorm", "x", "n", more)


CASES = [  # (rule, severity, line, a net with the mistake, the nearest net without it)
    ("unreadable", "error", 1, 'layer { nmae: "a" }', 'layer { name: "a" type: "Input" top: "a" }'),
    ("broken-net", "error", 2, DATA + F.replace("num_output: 4", "num_output: 0") + LOSS, DATA + F + LOSS),
    ("broken-net", "error", 2, DATA + layer("InnerPorduct", "x", "f") + LOSS, DATA + F + LOSS),
    ("unread-field", "error", 2, DATA + F.replace("inner_product_param", "lrn_param { } inner_product_param") + LOSS,
     DATA + F + LOSS),
    ("no-effect", "warning", 2, DATA + F.replace("num_output: 4", "num_output: 4 bias_term: false") + LOSS,
     DATA + F + LOSS),
    ("unknown-bottom", "error", 3, DATA + F + layer("SoftmaxWithLoss", "f labels", "loss"), DATA + F + LOSS),
    ("unknown-bottom", "error", 3, ONE_PHASE + layer("SoftmaxWithLoss", "x label", "loss"),
     ONE_PHASE + layer("SoftmaxWithLoss", "x label", "loss", "include { phase: TRAIN }")),
    ("unused-top", "warning", 1, DATA + F + layer("EuclideanLoss", "f f", "loss"),
     DATA + F + layer("EuclideanLoss", "f f", "loss") + layer("Silence", "label", "", name="quiet")),
    ("dead-branch", "warning", 2, DATA + fully_connected("x", "g", 5) + F + LOSS,
     DATA + fully_connected("x", "g", 5) + fully_connected("g", "f", 4) + LOSS),
    ("in-place", "warning", 4, DATA + SIGMOID + layer("Power", "h", "h", "power_param { scale: 2 }", name="p")
     + fully_connected("h", "f", 4) + LOSS,
     DATA + SIGMOID + layer("Power", "h", "p", "power_param { scale: 2 }") + fully_connected("p", "f", 4) + LOSS),
    ("in-place", "warning", 4, DATA + SIGMOID + layer("Power", "h", "h", "power_param { scale: 2 }", name="p")
     + fully_connected("h", "f", 4) + LOSS,
     DATA + SIGMOID.replace("Sigmoid", "BNLL") + layer("Power", "h", "h", "power_param { scale: 2 }", name="p")
     + fully_connected("h", "f", 4) + LOSS),
    ("duplicate-name", "warning", 3, DATA + fully_connected("x", "g", 5, name="fc")
     + fully_connected("g", "f", 4, name="fc") + LOSS,
     DATA + fully_connected("x", "g", 5, name="fc") + layer("ReLU", "g", "g", name="fc")
     + fully_connected("g", "f", 4) + LOSS),
    ("batch-norm-scale", "warning", 2, DATA + batch_norm() + RELU + ENDS["r"], DATA + batch_norm() + SCALE + ENDS["s"]),
    ("batch-norm-scale", "warning", 2, DATA + batch_norm() + RELU + ENDS["r"], DATA + batch_norm() + ENDS["n"]),
    ("batch-norm-lr", "error", 2, DATA + batch_norm("param { lr_mult: 1 }") + ENDS["n"],
     DATA + batch_norm("param { lr_mult: 0 }") + ENDS["n"]),
    ("batch-norm-phase", "warning", 2, DATA + batch_norm("batch_norm_param { use_global_stats: true }") + ENDS["n"],
     DATA + batch_norm("include { phase: TRAIN }")
     + batch_norm("include { phase: TEST } batch_norm_param { use_global_stats: true }") + ENDS["n"]),
    ("batch-norm-phase", "warning", 2, DATA + batch_norm("batch_norm_param { use_global_stats: false }") + ENDS["n"],
     DATA + batch_norm() + ENDS["n"]),
    ("batch-norm-one", "warning", 2, DATA.replace("dim: 2", "dim: 1") + batch_norm() + ENDS["n"],
     DATA + batch_norm() + ENDS["n"]),
    ("window-beyond-image", "warning", 2, IMAGES + convolution("x", "g", 5, 9) + fully_connected("g", "f", 4) + LOSS,
     IMAGES + convolution("x", "g", 5, 7) + fully_connected("g", "f", 4) + LOSS),
    ("one-class", "error", 3, DATA + fully_connected("x", "f", 1) + LOSS, DATA + fully_connected("x", "f", 2) + LOSS),
    ("loss-shapes", "warning", 2, PAIRED % "dim: 4 dim: 3" + layer("EuclideanLoss", "x t", "loss"),
     PAIRED % "dim: 3 dim: 1 dim: 4" + layer("EuclideanLoss", "x t", "loss")),
    ("scores-as-probabilities", "warning", 3, DATA + F + layer("MultinomialLogisticLoss", "f label", "loss"),
     DATA + F + layer("Softmax", "f", "p") + layer("MultinomialLogisticLoss", "p label", "loss")),
    ("no-weight-filler", "note", 2, DATA + BARE + LOSS,
     DATA + BARE.replace("num_output: 5", 'num_output: 5 weight_filler { type: "xavier" }') + LOSS),
    ("mirror-in-test", "warning", 2, SOURCE.replace('name: "d"', 'name: "d" include { phase: TRAIN }') % "away/a"
     + SOURCE.replace("crop_size", "mirror: true crop_size").replace('name: "d"', 'name: "d" include { phase: TEST }')
     % "away/b" + F + LOSS,
     SOURCE.replace("crop_size", "mirror: true crop_size").replace('name: "d"', 'name: "d" include { phase: TRAIN }')
     % "away/a" + SOURCE.replace('name: "d"', 'name: "d" include { phase: TEST }') % "away/b" + F + LOSS),
    ("mirror-in-test", "warning", 2, SOURCE.replace('name: "d"', 'name: "d" include { phase: TRAIN }') % "away/a"
     + SOURCE.replace("crop_size", "mirror: true crop_size").replace('name: "d"', 'name: "d" include { phase: TEST }')
     % "away/b" + F + LOSS,
     SOURCE.replace("crop_size", "mirror: true crop_size") % "away/a" + F + LOSS),
    ("missing-path", "note", 1, SOURCE % "away/a" + F + LOSS, DATA + F + LOSS),
    ("missing-path", "error", 1, SOURCE % "here/a" + F + LOSS, DATA + F + LOSS),
]


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """Each test has a folder of its own, with an empty folder `here` in it."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "here").mkdir()
    return tmp_path


def examine(text, name="net.prototxt", **options):
    with open(name, "w") as file:
        file.write(text)
    return lint.examine([name], **options).findings


@pytest.mark.parametrize(("rule", "severity", "line", "bad", "good"), CASES, ids=[case[0] for case in CASES])
def test_a_rule_and_the_nearest_net_without_a_finding(rule, severity, line, bad, good):
    """The rule finds the mistake in its line, and finds nothing in a net that differs in the mistake alone."""
    found = [one for one in examine(bad) if one.rule == rule]

    assert [(severity, line, "net.prototxt")] == [(one.severity, one.line, one.file) for one in found]
    assert all(one.message and one.cure for one in found)
    assert [] == [one for one in examine(good) if one.rule == rule]
    assert [] == [one for one in examine(bad, silence=[rule]) if one.rule == rule]


@pytest.mark.parametrize(("source", "severity", "cure"), [
    ("hree", "error", "did you mean 'here'?"),
    (r"here\\db", "error", "write / instead of \\"),
    (r"C:\\here\\db", "note", "start minicaffe in the folder from which the paths count"),
])
def test_the_cure_for_a_path(folder, source, severity, cure):
    """A similar name beside the net is proposed, and a path with the slashes of Windows is told from one of Windows."""
    (folder / "here" / "db").mkdir()
    one, = [one for one in examine(SOURCE % source + F + LOSS) if one.rule == "missing-path"]

    assert (severity, cure) == (one.severity, one.cure)


@pytest.mark.parametrize("good", {case[4] for case in CASES if case[0] not in ("unreadable", "missing-path")})
def test_the_nearest_nets_have_no_error(good):
    """The nets without the mistake are nets that can be made: else they would prove nothing."""
    found = [one for one in examine(good) if one.severity == "error"]

    assert [] == found


def test_every_rule_about_one_net_has_a_case():
    """A rule without a net that it finds something in could be one that finds nothing."""
    elsewhere = {"label-range", "target-range", "unreadable-sample", "turned-picture", "odd-source",  # test_data.py
                 "deploy-with-loss"}
    rules = {*lint.rules(lint.DEFINITION), *lint.rules(lint.FILE)}

    assert rules == {case[0] for case in CASES} | elsewhere


def test_an_unknown_bottom_names_the_phase_that_has_it():
    """The reason says which layer makes the blob, and in which phase its rules leave it out."""
    found, = [one for one in examine(CASES[6][3]) if one.rule == "unknown-bottom"]

    assert "reads 'label', which no layer before it makes in the phase TEST: layer 'd' makes it" in found.message
    assert "same include rule" in found.cure


def test_a_deploy_net_with_a_loss():
    """The name of the file says that a net is to be deployed; its loss and its database are then mistakes."""
    text = inputs(x=(2, 3), label=(2,)) + F + LOSS + layer("Accuracy", "f label", "a")

    assert {("deploy-with-loss", 4), ("deploy-with-loss", 5)} == {
        (one.rule, one.line) for one in examine(text, "deploy.prototxt") if one.rule == "deploy-with-loss"}
    assert [] == [one for one in examine(text) if one.rule == "deploy-with-loss"]
    assert [] == examine(inputs(x=(2, 3)) + F + layer("Softmax", "f", "p"), "my_deploy.prototxt")


def test_a_loss_in_a_net_to_deploy_is_sent_to_the_command():
    """The label that a deploy net lacks is the mistake that minicaffe deploy takes away."""
    found, = examine(inputs(x=(2, 3)) + F + LOSS)

    assert "unknown-bottom" == found.rule
    assert "minicaffe deploy TRAIN_NET OUT" in found.cure


def test_paths_of_a_net_from_elsewhere_are_one_note(folder):
    """Where no path of a file is there, one note names some of them; where one of them is, the others are errors."""
    text = SOURCE.replace('name: "d"', 'name: "d" include { phase: TRAIN }') % "away/a" \
        + SOURCE.replace("crop_size", 'mean_file: "away/mean" crop_size').replace(
            'name: "d"', 'name: "d" include { phase: TEST }') % "away/b" + F + LOSS
    note, = [one for one in examine(text) if one.rule == "missing-path"]

    assert ("note", 1) == (note.severity, note.line)
    assert "'away/a', 'away/mean', 'away/b' are not there" in note.message
    (folder / "away").mkdir()
    assert ["error"] * 3 == [one.severity for one in examine(text) if one.rule == "missing-path"]


def test_one_wrong_path_makes_the_others_errors(folder):
    """Where one path is certainly wrong, the net is not from elsewhere, so a mean that is not there is wrong too."""
    (folder / "here" / "train_lmdb").mkdir()
    text = SOURCE.replace("crop_size", 'mean_file: "elsewhere/mean" crop_size') % "here/trian_lmdb" + F + LOSS
    found = [one for one in examine(text) if one.rule == "missing-path"]

    assert [("error", "'elsewhere/mean'"), ("error", "'here/trian_lmdb'")] == sorted(
        (one.severity, one.message.split()[4]) for one in found)


def test_a_path_with_a_typing_error_is_corrected(folder):
    """The cure for a path in a folder that is there is the nearest name in it."""
    (folder / "here" / "train_lmdb").mkdir()
    found, = [one for one in examine(SOURCE % "here/trian_lmdb" + F + LOSS) if one.rule == "missing-path"]

    assert "did you mean 'train_lmdb'?" in found.cure


def test_a_net_without_its_data_is_examined():
    """Where a source is not there, rules that need no sizes find what they would find with it."""
    text = SOURCE.replace("transform_param { crop_size: 9 }", "") % "away/a"
    found = examine(text + F + layer("Softmax", "f", "p") + layer("SoftmaxWithLoss", "p label", "loss"))

    assert ["softmax-twice", "missing-path"] == [one.rule for one in found]


def test_a_size_that_is_only_assumed_is_no_reason_for_an_error():
    """With an assumed number of channels, a layer that does not fit it may fit the real data."""
    text = SOURCE % "away/a" + F.replace('bottom: "x"', 'bottom: "r"') + LOSS
    reshape = layer("Reshape", "x", "r", "reshape_param { shape { dim: 2 dim: 81 } }")  # one channel, not three

    assert ["missing-path"] == [one.rule for one in examine(text.replace("\n", "\n" + reshape, 1))]


def test_an_old_net_is_examined_as_it_is():
    """Files of the older formats are upgraded first, and findings name the lines of the file."""
    text = """layers { name: "d" type: DUMMY_DATA top: "x" top: "label"
  dummy_data_param { shape { dim: 2 dim: 3 } shape { dim: 2 } } }
layers { name: "f" type: INNER_PRODUCT bottom: "x" top: "f" inner_product_param { num_output: 1
  weight_filler { type: "xavier" } } }
layers { name: "loss" type: SOFTMAX_LOSS bottom: "f" bottom: "label" top: "loss" }
"""
    assert [("one-class", 5)] == [(one.rule, one.line) for one in examine(text)]


def test_placeholders_are_no_images():
    """An Input of one pixel, as nets for images of any size have, is filled with larger images."""
    assert [] == examine(inputs(x=(1, 3, 1, 1)) + convolution("x", "g", 5, 3))
    found, = examine(inputs(x=(1, 3, 2, 4)) + convolution("x", "g", 5, 3))
    assert "window-beyond-image" == found.rule


def test_later_windows_are_counted_in_the_first_finding():
    """Layers behind the first window that is too large are said in its finding."""
    text = inputs(x=(1, 3, 2, 4)) + convolution("x", "g", 5, 3) + convolution("g", "h", 6, 5)
    found, = examine(text)

    assert "'g' (Convolution) slides a window of 3×3 over 2×4 pixels" in found.message
    assert "(1 more" in found.message


def test_the_receptive_field():
    """The finding says how many pixels a number depends on: 3×3 behind 2×2 pooling with stride 2 is 6×6 and more."""
    text = inputs(x=(1, 3, 4, 2)) + convolution("x", "g", 5, 3) \
        + layer("Pooling", "g", "p", "pooling_param { kernel_size: 2 stride: 2 }") + convolution("p", "h", 6, 3)
    found, = examine(text.replace("dim: 4 dim: 2", "dim: 4 dim: 6"))

    assert "'h' (Convolution) slides a window of 3×3 over 2×3 pixels" in found.message
    assert "depends on 8×8 pixels of the image" in found.message  # 2 + 2 · 2 through the pooling, 2 more before it


def test_a_deconvolution_is_wider_than_its_bottom():
    """The window of a Deconvolution slides over its top, so it may well be larger than the bottom."""
    text = inputs(x=(1, 3, 2, 4)) + layer("Deconvolution", "x", "y", "convolution_param { num_output: 5 kernel_size: 8 "
                                          "stride: 4 }")
    assert [] == examine(text)


def test_what_is_said_of_many_layers_is_one_finding():
    """A field without effect in many layers is one finding, and in a net to deploy a filler is none."""
    std = 'weight_filler { type: "xavier" std: 0.1 }'
    layers = layer("InnerProduct", "x", "g", f"inner_product_param {{ num_output: 5 {std} }}") \
        + layer("InnerProduct", "g", "f", f"inner_product_param {{ num_output: 4 {std} }}")
    found, = examine(DATA + layers + LOSS)

    assert ("no-effect", 2) == (found.rule, found.line)
    assert "std has no effect: the xavier filler does not read it (and so for 1 more layers)" in found.message
    assert [] == examine(inputs(x=(2, 3)) + layers)
