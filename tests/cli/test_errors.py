"""What a user's mistake looks like: one message with place and cure, status 1, and never a traceback."""

import contextlib
import errno
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import threading
import time
import warnings
import weakref

import pytest
from extras import needs
from points import NET

from minicaffe.cli.__main__ import main
from minicaffe.data.lmdb import write_lmdb
from minicaffe.errors import MinicaffeError
from minicaffe.proto import Datum

SOLVER = """\
net: "net.prototxt"
base_lr: 0.05
lr_policy: "fixed"
max_iter: 2
snapshot_prefix: "run"
"""
IMAGES = """\
layer { name: "images" type: "Data" top: "data" top: "label"
        data_param { source: "db" batch_size: 4 backend: LMDB } }
layer { name: "ip" type: "InnerProduct" bottom: "data" top: "ip"
        inner_product_param { num_output: 3 weight_filler { type: "xavier" } } }
layer { name: "loss" type: "SoftmaxWithLoss" bottom: "ip" bottom: "label" top: "loss" }
"""


@pytest.fixture
def fail(capsys):
    """A function that runs a command, sees it fail with status 1, and gives the message without the log before it."""

    def run(*argv):
        try:
            status = main(list(argv))
        except SystemExit as stop:  # argparse
            status = stop.code
        errors = capsys.readouterr().err
        assert 1 == status, errors
        assert 1 == errors.count("error: "), errors
        return errors[errors.index("minicaffe"):] if errors.startswith("minicaffe") else (
            errors[errors.index("minicaffe: error: "):])

    return run


def an_lmdb(folder, bad_label=1):
    """Records a0, a1, … of images (1, 5, 3); the label of a5 is `bad_label`."""
    needs("lmdb")
    write_lmdb(folder / "db", [(f"a{i}", Datum(channels=1, height=5, width=3, data=bytes(15),
                                               label=bad_label if i == 5 else i % 3)) for i in range(7)])


# --- a typo -------------------------------------------------------------------------------------------------

TYPOS = {
    "net": ("net.prototxt", 'bottom: "x"', 'botom: "x"', """net.prototxt:5:41: LayerParameter has no field 'botom'
    layer { name: "ip" type: "InnerProduct" botom: "x" top: "ip"
                                            ^
  hint: did you mean 'bottom'?
"""),
    "solver": ("solver.prototxt", "base_lr", "base_rl", """solver.prototxt:2:1: SolverParameter has no field 'base_rl'
    base_rl: 0.05
    ^
  hint: did you mean 'base_lr'?
"""),
    "value": ("solver.prototxt", "max_iter: 2", "max_iter: two", """solver.prototxt:4:11: expects an integer, got two
    max_iter: two
              ^
"""),
    "negative": ("net.prototxt", "num_output: 2", "num_output: -2", """net.prototxt:6:43: value out of range: -2
            inner_product_param { num_output: -2 weight_filler { type: "xavier" } } }
                                              ^
  hint: a size or count is never negative
"""),
    "byte order mark": ("net.prototxt", 'name: "points"', '\ufeffnme: "points"',
                        """net.prototxt:1:1: NetParameter has no field 'nme'
    nme: "points"
    ^
  hint: did you mean 'name'?
"""),
}


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
@pytest.mark.parametrize("kind", TYPOS)
def test_a_typo_is_shown_in_its_line(folder, fail, kind, newline):
    """The message has file, line and column, the line itself with a caret below it, and the nearest known name."""
    file, right, wrong, message = TYPOS[kind]
    (folder / file).write_text((folder / file).read_text().replace(right, wrong), encoding="utf-8", newline=newline)

    assert f"minicaffe: error: {message}" == fail("train", "--solver", "solver.prototxt")


@pytest.mark.parametrize(("file", "right", "wrong", "message"), [
    ("net", "num_output", "num_outputs", """net.yaml:18:5: InnerProductParameter has no field 'num_outputs'
        num_outputs: 2
        ^
  hint: did you mean 'num_output'?
"""),
    ("solver", "lr_policy", "lr_polcy", """solver.yaml:3:1: SolverParameter has no field 'lr_polcy'
    lr_polcy: fixed
    ^
  hint: did you mean 'lr_policy'?
"""),
    ("solver", "max_iter: 2", "max_iter: [2", "solver.yaml:3:10: this is not YAML: "),
    ("solver", "max_iter: 2", "max_iter: two", "solver.yaml:2:11: expects an integer, got 'two'")])
def test_a_typo_in_yaml_too(folder, fail, capsys, file, right, wrong, message):
    """The same definitions as YAML get the same messages."""
    for name in ("net", "solver"):
        assert 0 == main(["convert", f"{name}.prototxt", f"{name}.yaml"])
    (folder / "solver.yaml").write_text((folder / "solver.yaml").read_text().replace("net.prototxt", "net.yaml"))
    (folder / f"{file}.yaml").write_text((folder / f"{file}.yaml").read_text().replace(right, wrong))
    capsys.readouterr()

    found = fail("train", "--solver", "solver.yaml")
    assert found.startswith(f"minicaffe: error: {message}"), found


def test_files_of_any_editor_and_language(folder):
    """A byte order mark, Windows' line ends and names that are not ASCII are no mistakes."""
    net = NET.replace('"ip"', '"été 層"').replace('"x"', '"größe"')
    (folder / "nätü.prototxt").write_text("\ufeff" + net, encoding="utf-8", newline="\r\n")
    solver = "\ufeff" + SOLVER.replace("net.prototxt", "nätü.prototxt").replace('"run"', '"läuf"')
    (folder / "solver.prototxt").write_text(solver, encoding="utf-8", newline="\r\n")

    assert 0 == main(["train", "--solver", "solver.prototxt"])
    assert 0 == main(["weights", "läuf_iter_2.caffemodel"])


@pytest.mark.parametrize(("data", "message"), [
    ("name: 'é'".encode("latin-1"), "other.prototxt:1: this text is not UTF-8"),
    ("name: 'é'".encode("utf-16"), "other.prototxt: this text is UTF-16\n  hint: save it as UTF-8")])
def test_text_of_another_encoding(folder, fail, data, message):
    """The message says which encoding is expected."""
    (folder / "other.prototxt").write_bytes(data)
    assert message in fail("show", "other.prototxt")


@pytest.mark.parametrize(("right", "wrong", "begin", "end"), [
    ('"ip" type', '"{}" type: "ReLU" typ', "net.prototxt:5:", "LayerParameter has no field 'typ'"),
    ('"InnerProduct"', '"{}"', "net.prototxt:5: layer 'ip' has the unknown type 'nnn", "nnn'"),
    ("num_output", "{}", "net.prototxt:6:31: InnerProductParameter has no field 'nnn", "nnn'"),
    ('bottom: "x"', 'bottom: "{}"', "net.prototxt:5: layer 'ip' (InnerProduct): unknown bottom blob 'nnn",
     "(bottom 0)"),
    ('"xavier"', '"{}"', "net.prototxt:5: layer 'ip' (InnerProduct): "
     "inner_product_param.weight_filler.type must be one of", "xavier"),
    ("num_output: 2", "num_output: 2{}", "net.prototxt:6:", "")])
def test_names_of_a_million_letters(folder, fail, right, wrong, begin, end):
    """The message shows their beginning and end, at once."""
    (folder / "net.prototxt").write_text(NET.replace(right, wrong.format("n" * 1_000_000)))
    message = fail("time", "--model", "net.prototxt")

    assert message.startswith(f"minicaffe: error: {begin}")
    assert end in message
    assert len(message) < 6000


# --- layers that do not fit ---------------------------------------------------------------------------------

@pytest.mark.parametrize(("right", "wrong", "message"), [
    ('"InnerProduct"', '"InerProduct"', "net.prototxt:5: layer 'ip' has the unknown type 'InerProduct'\n"
     "  hint: did you mean 'InnerProduct' or 'Input'?"),
    ('bottom: "t"', 'bottom: "tt"', "net.prototxt:7: layer 'loss' (EuclideanLoss): unknown bottom blob 'tt' "
     "(bottom 1)\n  hint: did you mean 't'?"),
    ("dim: 6 dim: 2", "dim: 6 dim: 5", "net.prototxt:7: layer 'loss' (EuclideanLoss): bottom[0] (6, 2) has 12 values, "
     "but bottom[1] (6, 5) has 30"),
    ("dim: 6 dim: 3", "dim: -6 dim: 3", "net.prototxt:2: layer 'data' (DummyData): dummy_data_param.shape.dim has a "
     "negative size in the shape [-6, 3]"),
    ('"xavier"', '"xaver"', "net.prototxt:5: layer 'ip' (InnerProduct): inner_product_param.weight_filler.type must "
     "be one of bilinear, constant, gaussian, msra, positive_unitball, uniform, xavier, got 'xaver'\n  hint: did you "
     "mean 'xavier'?"),
    ("dim: 6 dim: 3", "dim: 6000000000 dim: 3000000000", "net.prototxt:2: layer 'data' (DummyData): a blob holds at "
     "most 281474976710656 numbers, got 18000000000000000000: (6000000000, 3000000000)"),
    ("num_output: 2", "num_output: 2000000000000000", "net.prototxt:6:43: value out of range: 2000000000000000"),
    ("dim: 6 dim: 3", "dim: 6 dim: 40000000000000",
     "net.prototxt:5: layer 'ip' (InnerProduct): there is not enough memory: Unable to allocate"),
])
@pytest.mark.parametrize("command", ["train", "time"])
def test_layers_that_do_not_fit(folder, fail, right, wrong, message, command):
    """The message names the layer, its file and line, and the numbers that do not fit."""
    (folder / "net.prototxt").write_text(NET.replace(right, wrong))

    flags = ["--solver", "solver.prototxt"] if command == "train" else ["--model", "net.prototxt"]
    assert fail(command, *flags).startswith(f"minicaffe: error: {message}")


def test_a_window_larger_than_the_image(folder, fail):
    """The message has both sizes."""
    (folder / "net.prototxt").write_text("""
        layer { name: "in" type: "Input" top: "x" input_param { shape { dim: 2 dim: 3 dim: 5 dim: 4 } } }
        layer { name: "conv" type: "Convolution" bottom: "x" top: "y"
                convolution_param { num_output: 2 kernel_size: 9 } }""")

    assert ("net.prototxt:3: layer 'conv' (Convolution): the window of (9, 9) pixels does not fit bottom[0] "
            "(2, 3, 5, 4), padded by (0, 0)" in fail("time", "--model", "net.prototxt"))


@pytest.mark.parametrize("argv", [["train", "--solver", "solver.prototxt"], ["time", "--model", "net.prototxt"],
                                  ["test", "--model", "net.prototxt", "--weights", "run_iter_2.caffemodel"],
                                  ["summary", "net.prototxt"]])
def test_what_a_layer_does_not_read(folder, fail, capsys, argv):
    """A parameter that a layer does not read is refused by name; --permissive makes it a warning."""
    assert 0 == main(["train", "--solver", "solver.prototxt"])
    (folder / "net.prototxt").write_text(NET.replace('top: "ip"', 'top: "ip" relu_param { negative_slope: 1 }'))
    capsys.readouterr()

    assert ("net.prototxt:5: layer 'ip' (InnerProduct): relu_param is set, but this layer does not read it\n"
            "  hint: remove the field, or pass --permissive to go on without it" in fail(*argv))
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        assert 0 == main([*argv, "--permissive"])
    assert ("minicaffe: warning: layer 'ip' (InnerProduct): relu_param is set, but this layer does not read it"
            in capsys.readouterr().err)


# --- data ---------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("kind", ["SoftmaxWithLoss", "HingeLoss", "MultinomialLogisticLoss", "Accuracy"])
def test_a_bad_label_names_its_record(folder, fail, kind):
    """The message says which database record holds the wrong label, also with two layers in between."""
    an_lmdb(folder, bad_label=7)
    (folder / "net.prototxt").write_text(IMAGES.replace("SoftmaxWithLoss", kind) +
                                         'layer { name: "s" type: "Silence" bottom: "label" }')

    assert (f"minicaffe: error: net.prototxt:5: layer 'loss' ({kind}): the label 7 at index (1,) of bottom[1] (4,) is "
            "none of the 3 classes 0 to 2 (record 'a5' of data layer 'images')\n  hint: classes are counted from 0"
            in fail("time", "--model", "net.prototxt", "--iterations", "2"))


def test_a_bad_label_names_its_record_while_training(folder, fail):
    """A training says so too, at the iteration that meets the label."""
    an_lmdb(folder, bad_label=-1)
    (folder / "net.prototxt").write_text(IMAGES)

    assert "the label -1 at index (1,) of bottom[1] (4,) is none of the 3 classes 0 to 2 (record 'a5' of data layer " \
           "'images')" in fail("train", "--solver", "solver.prototxt")


def test_a_bad_index_of_embed_names_its_record(folder, fail):
    """An index beyond the table of Embed is reported with its database record."""
    an_lmdb(folder, bad_label=9)
    (folder / "net.prototxt").write_text(IMAGES[:IMAGES.index("layer { name: \"ip")] + """
        layer { name: "embed" type: "Embed" bottom: "label" top: "e" embed_param { input_dim: 3 num_output: 2 } }
        layer { name: "s" type: "Silence" bottom: "data" bottom: "e" }""")

    assert ("layer 'embed' (Embed): bottom[0] must hold indices from 0 to 2 (input_dim 3), but value 1 of 4 is 9 "
            "(record 'a5' of data layer 'images')" in fail("time", "--model", "net.prototxt", "--iterations", "2"))


@pytest.mark.parametrize(("bytes_left", "message"), [
    (None, "there is no LMDB db"), (0, "db/data.mdb is empty"),
    (100, "db/data.mdb is truncated: it has only 100 bytes"),
    (8192, "db/data.mdb is truncated: it has 8192 bytes, but its records fill 12288"),
    ("noise", "db/data.mdb is not an LMDB file")])
def test_a_database_that_is_none(folder, fail, bytes_left, message):
    """A missing LMDB, an empty one, two truncated ones and a file that is not one each get their message."""
    an_lmdb(folder)
    (folder / "net.prototxt").write_text(IMAGES)
    if bytes_left is None:
        shutil.rmtree(folder / "db")
    else:
        data = (folder / "db/data.mdb").read_bytes()
        (folder / "db/data.mdb").write_bytes(b"no database " * 900 if bytes_left == "noise" else data[:bytes_left])

    assert fail("train", "--solver", "solver.prototxt").startswith(
        f"minicaffe: error: net.prototxt:1: layer 'images' (Data): {message}")


def test_a_source_that_is_not_named(folder, fail):
    """An empty name is shown as one, and not as a gap in the message."""
    (folder / "net.prototxt").write_text(IMAGES.replace('source: "db"', ""))
    assert "data_param.source must name a database, got nothing" in fail("train", "--solver", "solver.prototxt")


@pytest.mark.parametrize("layer", [
    "type: 'Data' top: 'x' data_param { source: 'a\\0b' batch_size: 2 backend: LMDB }",
    "type: 'Data' top: 'x' data_param { source: 'db' batch_size: 2 backend: LMDB } "
    "transform_param { mean_file: 'a\\0b' }",
    "type: 'HDF5Data' top: 'x' hdf5_data_param { source: 'a\\0b' batch_size: 2 }",
    "type: 'ImageData' top: 'x' top: 'y' image_data_param { source: 'a\\0b' batch_size: 2 }",
    "type: 'WindowData' top: 'x' top: 'y' window_data_param { source: 'a\\0b' batch_size: 2 } "
    "transform_param { crop_size: 3 }",
    "type: 'HDF5Output' bottom: 'x' bottom: 'x' hdf5_output_param { file_name: 'a\\0b' }",
    "type: 'InfogainLoss' bottom: 'x' bottom: 'y' top: 'z' infogain_loss_param { source: 'a\\0b' }"])
def test_a_name_with_a_nul(folder, fail, layer):
    """No system opens such a file; the layer is named."""
    needs("h5py")
    an_lmdb(folder)
    given = "layer { name: 'in' type: 'Input' top: 'x' top: 'y' input_param { shape { dim: 2 dim: 3 } } }\n"
    given = given if "bottom" in layer else "\n"
    (folder / "net.prototxt").write_text(f"{given}layer {{ name: 'n' {layer} }}")

    assert fail("time", "--model", "net.prototxt", "--iterations", "1").startswith(
        "minicaffe: error: net.prototxt:2: layer 'n'")


NEWCOMERS = [  # in the net of points: right, wrong, message
    ("lr_mult", "", 'top: "ip"', 'top: "ip" lr_mult: 1', "has no field 'lr_mult'", "it belongs inside param { }"),
    ("blobs_lr", "", 'top: "ip"', 'top: "ip" blobs_lr: 1', "has no field 'blobs_lr'",
     "a field of old `layers`; in a `layer` it is param { lr_mult: 1 }"),
    ("comma", "", "std: 0,1", "std: 0,1", "FillerParameter has no field '1'", "a decimal is written with a point: 0.1"),
    ("brackets", "", "dim: 6 dim: 3", "dim: (6, 3)", "expects an integer, got (",
     "several values stand in brackets: [3, 3]"),
    ("equals", "", 'name: "ip"', 'name="ip"', "expects ':' here", "a field is written NAME: VALUE")]


@pytest.mark.parametrize(("right", "wrong", "message", "hint"), [row[2:] for row in NEWCOMERS],
                         ids=[row[0] for row in NEWCOMERS])
def test_what_newcomers_write(folder, fail, right, wrong, message, hint):
    """Each mistake comes with its cure."""
    net = NET.replace('type: "xavier"', 'type: "gaussian" std: 0,1') if right == wrong else NET
    (folder / "net.prototxt").write_text(net.replace(right, wrong))
    found = fail("show", "net.prototxt")

    assert message in found
    assert found.endswith(f"  hint: {hint}\n")


@pytest.mark.parametrize(("source", "message"), [
    ("source: 'list.txt' root_folder: 'imgs/'", "there is no file imgs/a.png, which the list list.txt names"),
    ("source: 'list.txt'", "\n  hint: did you mean 'aa.png'?"),
    ("source: 'sub'", "the folder sub has no images in folders, one folder for each class\n"
     "  hint: put each image into the folder of its class, or give a list of the images with labels")])
def test_images_that_are_not_there(folder, fail, source, message):
    """A list that names files elsewhere, and a folder in place of a list."""
    needs("cv2")
    (folder / "list.txt").write_text("a.png 0\n")
    (folder / "aa.png").touch()
    (folder / "sub").mkdir()
    (folder / "net.prototxt").write_text(
        f"layer {{ name: 'd' type: 'ImageData' top: 'x' top: 'y' image_data_param {{ {source} batch_size: 1 }} }}")

    assert message in fail("time", "--model", "net.prototxt")


@pytest.mark.skipif(not os.path.exists("/dev/zero"), reason="needs /dev/zero")
@pytest.mark.parametrize("layer", [
    "type: 'Data' top: 'x' data_param { source: 'db' batch_size: 2 backend: LMDB } "
    "transform_param { mean_file: '/dev/zero' }",
    "type: 'HDF5Data' top: 'x' hdf5_data_param { source: '/dev/zero' batch_size: 2 }",
    "type: 'ImageData' top: 'x' top: 'y' image_data_param { source: '/dev/zero' batch_size: 2 }",
    "type: 'ImageData' top: 'x' top: 'y' image_data_param { source: 'list.txt' batch_size: 2 }",
    "type: 'WindowData' top: 'x' top: 'y' window_data_param { source: '/dev/zero' batch_size: 2 } "
    "transform_param { crop_size: 3 }"])
def test_a_source_that_never_ends(folder, fail, layer):
    """A device in place of a file would fill the memory: no definition may read one."""
    needs("h5py")
    needs("cv2")
    an_lmdb(folder)
    (folder / "list.txt").write_text("/dev/zero 0\n")
    (folder / "net.prototxt").write_text(f"layer {{ name: 'n' {layer} }}")

    said = fail("time", "--model", "net.prototxt", "--iterations", "1")
    assert "/dev/zero" in said
    assert "it is a pipe or a device, not an ordinary file" in said


# --- files of another kind ----------------------------------------------------------------------------------

WRONG_FILES = {
    "--weights": [
        ("run_iter_2.solverstate", "this is a solver state, not weights (a caffemodel)\n"
                                   "  hint: did you mean run_iter_2.caffemodel?"),
        ("net.prototxt", "this is a prototxt, not weights"), ("empty", "this is an empty file, not weights"),
        ("cut.caffemodel", "this caffemodel is damaged: "), ("noise", "this is a file of an unknown kind, not weights"),
        ("sub", "this is a folder, not weights"), ("none.caffemodel", "no such file: none.caffemodel")],
    "--snapshot": [
        ("run_iter_2.caffemodel", "this is weights (a caffemodel), not a solver state\n"
                                  "  hint: did you mean run_iter_2.solverstate?"),
        ("solver.prototxt", "this is a prototxt, not a solver state"), ("empty", "this is an empty file, not a solver"),
        ("noise", "this is a file of an unknown kind, not a solver state"), ("sub", "this is a folder, not a solver")],
    "--solver": [
        ("run_iter_2.caffemodel", "this is weights (a caffemodel), not a prototxt"), ("sub", "sub is a folder"),
        ("empty", "this is an empty file, not a prototxt"), ("no/such.prototxt", "there is no folder 'no'"),
        ("net.prototxt", "it is a net's field: was the other file meant?")],
    "--model": [
        ("solver.prototxt", "it is a solver's field: was the other file meant?"), ("sub", "sub is a folder"),
        ("empty", "this is an empty file, not a prototxt"),
        ("run_iter_2.solverstate", "this is a solver state, not a prototxt")],
}


@pytest.mark.parametrize(("flag", "file", "message"), [(flag, *pair) for flag in WRONG_FILES
                                                       for pair in WRONG_FILES[flag]])
def test_a_file_of_another_kind(folder, fail, capsys, flag, file, message):
    """The message says what the file is, what is expected there, and where that file is."""
    assert 0 == main(["train", "--solver", "solver.prototxt"])
    weights = (folder / "run_iter_2.caffemodel").read_bytes()
    (folder / "cut.caffemodel").write_bytes(weights[:len(weights) // 2])
    (folder / "empty").touch()
    (folder / "noise").write_bytes(bytes(range(256)) * 5)
    (folder / "sub").mkdir()
    capsys.readouterr()

    commands = {"--solver": ["train"], "--model": ["test", "--weights", "run_iter_2.caffemodel"]}
    found = fail(*commands.get(flag, ["train", "--solver", "solver.prototxt"]), flag, file)
    assert message in found
    assert "Traceback" not in found


@pytest.mark.parametrize(("right", "wrong", "message"), [
    ("net.prototxt", "nett.prototxt", "solver.prototxt: no such file: nett.prototxt\n"
     "  hint: did you mean 'net.prototxt' or"),
    ('net: "net.prototxt"', "", "solver.prototxt: a solver names its train net in exactly one of"),
    ("max_iter: 2", "", "solver.prototxt: max_iter is missing, the number of updates to make"),
    ("max_iter: 2", "max_iter: -2", "solver.prototxt:4: max_iter must be at least 0, got -2"),
    ('lr_policy: "fixed"', "", "solver.prototxt: lr_policy is missing; known are fixed, step"),
    ('"fixed"', '"fixt"', "solver.prototxt:3: lr_policy is 'fixt'; known are fixed, step"),
    ('"run"', '"no/such/run"', "solver.prototxt: cannot write snapshots to 'no/such/run': 'no/such' is no folder that "
                               "may be written to\n  hint: mkdir -p no/such"),
    ('"run"', '"net.prototxt/run"', "cannot write snapshots to 'net.prototxt/run': 'net.prototxt' is no folder"),
    ('"run"', '"no/such/run" snapshot: 1', "cannot write snapshots to 'no/such/run'"),
    ('"run"', '"no/such/run" snapshot_after_train: false', "cannot write the run folder of this training, no/such/run"),
])
def test_a_solver_that_cannot_begin(folder, fail, right, wrong, message):
    """The error comes before the first update."""
    (folder / "solver.prototxt").write_text(SOLVER.replace(right, wrong))

    assert message in fail("train", "--solver", "solver.prototxt")
    assert [] == list(folder.glob("run_iter*"))


def test_a_net_beside_a_solver_elsewhere(folder, fail, monkeypatch):
    """A path starts from the current folder; the message says where a file of this name is instead."""
    (folder / "elsewhere").mkdir()
    monkeypatch.chdir(folder / "elsewhere")

    assert ("../solver.prototxt: no such file: net.prototxt\n  hint: paths in a solver start from the folder you are "
            "in; net.prototxt stands in .." in fail("train", "--solver", "../solver.prototxt"))


def test_a_missing_rate_is_warned_of(folder, capsys):
    """A training that learns nothing says so."""
    (folder / "solver.prototxt").write_text(SOLVER.replace("base_lr: 0.05", ""))

    assert 0 == main(["train", "--solver", "solver.prototxt"])
    assert "solver.prototxt: base_lr is missing, so it is 0 and nothing is learned" in capsys.readouterr().err


# --- flags --------------------------------------------------------------------------------------------------

@pytest.mark.parametrize(("argv", "message"), [
    (["trian"], "there is no command 'trian'\n  hint: did you mean 'train' or 'trace'?"),
    (["train"], "the following arguments are required: --solver"),
    (["train", "-solvr=solver.prototxt"], "unrecognized arguments: --solvr=solver.prototxt\n  hint: did you mean "
                                          "'--solver'?"),
    (["train", "--solver", "solver.prototxt", "--wieghts", "a"], "--wieghts\n  hint: did you mean '--weights'"),
    (["train", "--solver", "solver.prototxt", "--iterations", "x"], "argument --iterations: expects a whole "
     "number from -2147483648 to 2147483647, got 'x'"),
    (["train", "--solver", "solver.prototxt", "--iterations", "-3"], "max_iter must be at least 0, got -3"),
    (["test", "--model", "net.prototxt", "--weights", ""], "--weights: expects names of files, separated by commas, "
     "got ''"),
    (["test", "--model", "net.prototxt", "--weights", "a.npz,"], "separated by commas, got 'a.npz,'"),
    *[(["train", "--solver", "solver.prototxt", flag, ""], f"argument {flag}: expects ") for flag in (
        "--weights", "--snapshot", "--resume", "--keep", "--early-stop", "--silence", "--tensorboard")],
    (["train", "solver.prototxt"], "required: --solver\n  hint: did you mean --solver solver.prototxt?"),
    (["time", "net.prototxt"], "required: --model\n  hint: did you mean --model net.prototxt?"),
    (["train", "--model", "net.prototxt"], "unrecognized arguments: --model\n  minicaffe train --help"),
    (["caffe", "train", "--solver", "s"], "no command 'caffe'\n  hint: the command comes first: minicaffe train ..."),
    (["-solver", "s", "train"], "no command '-solver'\n  hint: the command comes first: minicaffe train ..."),
    (["device_query", "-gpu", "0"], "hint: minicaffe computes on the CPU; minicaffe engines says with what"),
    (["show", "net.prototxt", "--after", "filtr"], "there is no pass 'filtr'"),
    (["show", "net.prototxt", "--phase", "TESTS"], "argument --phase: invalid choice: 'TESTS'"),
    (["layers", "Convolutoin"], "there is no layer type 'Convolutoin'\n  hint: did you mean 'Convolution'"),
    (["convert", "net.prototxt", "net.png"], "net.prototxt is a definition, which cannot be written as net.png"),
])
def test_flags(folder, fail, argv, message):
    """A misspelt command, flag or choice is named, with the one that was probably meant."""
    assert message in fail(*argv)


FLAGS_OF_NUMBERS = [["train", "--solver", "solver.prototxt", "--iterations"],
                    ["train", "--solver", "solver.prototxt", "--level"],
                    ["train", "--solver", "solver.prototxt", "--threads"],
                    ["test", "--model", "net.prototxt", "--weights", "w", "--iterations"],
                    ["test", "--model", "net.prototxt", "--weights", "w", "--level"],
                    ["time", "--model", "net.prototxt", "--iterations"], ["show", "net.prototxt", "--level"],
                    ["summary", "net.prototxt", "--batch"], ["demo", "--iterations"]]


@pytest.mark.parametrize("value", ["", "abc", "1e9", "1.5", "nan", "2147483648", "-2147483649", "9" * 20, "9" * 5000])
@pytest.mark.parametrize("argv", FLAGS_OF_NUMBERS, ids=lambda argv: f"{argv[0]} {argv[-1]}")
def test_numbers_beyond_32_bits(folder, fail, argv, value):
    """Every flag that takes a number says which numbers it takes."""
    assert (f"argument {argv[-1]}: expects a whole number from -2147483648 to 2147483647, got {value!r}"
            in fail(*argv[:-1], f"{argv[-1]}={value}"))


@pytest.mark.parametrize(("argv", "least"), [
    (["test", "--model", "net.prototxt", "--weights", "w", "--top"], 1),
    (["deploy", "net.prototxt", "out", "--batch"], 1),
    (["classify", "net.prototxt", "w", "a.png", "--top"], 1), (["classify", "net.prototxt", "w", "--prove"], 1),
    (["classify", "net.prototxt", "w", "a.png", "--resize-shorter"], 1), (["data", "db", "--samples"], 1),
    (["classify", "net.prototxt", "w", "a.png", "--crop"], 0), (["lint", "net.prototxt", "--samples"], 0),
    (["convert_csv", "a.csv", "a.h5", "--seed"], 0), (["convert_imageset", "a/", "list.txt", "db", "--seed"], 0)])
def test_numbers_that_are_too_small(folder, fail, argv, least):
    """Each flag says from which number on it takes one."""
    assert (f"argument {argv[-1]}: expects a whole number, {least} or more, got '{least - 1}'"
            in fail(*argv[:-1], f"{argv[-1]}={least - 1}"))


@pytest.mark.parametrize("flag", ["--iterations", "--level", "--stage", "--override", "--solver", "--threads"])
def test_two_dashes_for_a_value(folder, fail, flag):
    """The library takes such a value for an empty list."""
    assert f"argument {flag}: expects a value, got '--'" in fail("train", "--solver=solver.prototxt", f"{flag}=--")


@pytest.mark.parametrize("flag", ["--stage", "--gpu", "--weights", "--override"])
def test_a_flag_that_is_not_utf8(folder, fail, flag):
    """What goes into a definition or the run folder must be UTF-8; paths of files that are only read need not be."""
    assert f"argument {flag}: expects UTF-8, got '\\udcff'" in fail(
        "train", "--solver", "solver.prototxt", f"{flag}=\udcff")


# --- the system ---------------------------------------------------------------------------------------------

def minicaffe(*argv, shell="", engine="numpy", **more):
    """Run the command line as a process; its result. Numpy starts sooner, and compiles nothing."""
    command = f"{sys.executable} -m minicaffe.cli {' '.join(argv)} {shell}"
    env = {**os.environ, "MINICAFFE_ENGINE": engine}
    return subprocess.run(["bash", "-c", command], capture_output=True, text=True, timeout=120, env=env, **more)


def at_most(size):
    """A function that lets files grow to `size` bytes, as a full disk does."""
    return lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))


@pytest.mark.parametrize(("flags", "size", "message"), [
    ([], 0, "minicaffe: error: cannot write run.run/run.yaml: File too large"),
    ([], 2700, "minicaffe: error: cannot write the run folder of this training, run.run: File too large\n"
               "  hint: choose another snapshot_prefix, or pass --no-record"),
    (["--no-record"], 100, "minicaffe: error: cannot write run_iter_2.caffemodel: File too large")])
def test_a_full_disk(folder, flags, size, message):
    """It is one error that names the file, and no file is left half-written."""
    run = minicaffe("train", "--solver", "solver.prototxt", *flags, preexec_fn=at_most(size))

    assert 1 == run.returncode
    assert run.stderr.endswith(message + "\n")
    assert "Traceback" not in run.stderr
    assert [] == [*folder.glob("run_iter*"), *folder.glob(".run*")]


@pytest.mark.parametrize(("function", "error"), [
    *((name, OSError(errno.ENOMEM, "Cannot allocate memory")) for name in (
        "pathlib.Path.mkdir", "os.open", "os.fsync", "os.replace", "minicaffe.records.recorder._append")),
    ("minicaffe.cli.train.get_solver", RuntimeError("can't start new thread")),  # Python's words: no room for its stack
    ("minicaffe.cli.train.get_solver", MemoryError())])
def test_memory_that_is_not_there_is_called_that(folder, fail, monkeypatch, function, error):
    """Whatever the system refuses for want of memory, the message says memory, and gives no other cure."""
    def refuse(*args, **more):
        raise error

    with monkeypatch.context() as patch:
        patch.setattr(function, refuse)
        said = fail("train", "--solver", "solver.prototxt")
    assert said.startswith("minicaffe: error: there is not enough memory")
    assert "hint" not in said


@pytest.mark.parametrize("words", ["Unable to allocate 29.3 MiB for an array", ""])
@pytest.mark.parametrize("method", ["setup", "reshape", "forward"])
def test_a_layer_without_memory_is_named_and_the_memory_too(folder, fail, monkeypatch, method, words):
    """numpy's words tell a size and no reason; the message says the reason, the layer, and what may help."""
    an_lmdb(folder, bad_label=0)

    def refuse(*args, **more):
        raise MemoryError(words)

    monkeypatch.setattr(f"minicaffe.layers.common.inner_product.InnerProductLayer.{method}", refuse)
    said = fail("train", "--solver", "solver.prototxt")
    assert re.search(r"error: net\.prototxt:\d+: layer 'ip' \(InnerProduct\): there is not enough memory"
                     rf"{f': {words}' if words else ''}\n  hint: smaller batches", said), said


@pytest.mark.slow
def test_a_full_disk_for_compiled_code(folder, monkeypatch):
    """A training goes on where its machine code does not fit on the disk."""
    needs("numba")
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(folder / "cache"))
    run = minicaffe("train", "--solver", "solver.prototxt", "--no-record", engine="numba", preexec_fn=at_most(20000))

    assert 0 == run.returncode, run.stderr
    assert [] == [path for path in (folder / "cache").rglob("*.nbc") if path.stat().st_size > 20000]


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
@pytest.mark.parametrize("argv", [["show", "net.prototxt"], ["layers"], ["--version"], ["--help"]])
def test_an_output_that_takes_nothing(folder, argv):
    """It is an error if stdout cannot be written, whether that is noticed at once or at the end."""
    run = minicaffe(*argv, shell="> /dev/full")
    assert (1, "minicaffe: error: No space left on device\n") == (run.returncode, run.stderr)


@pytest.mark.parametrize("argv", [["layers"], ["layers", "Convolution"], ["show", "net.prototxt"], ["--help"]])
def test_a_reader_that_leaves(folder, argv):
    """`| head` prints its lines and nothing else."""
    run = minicaffe(*argv, shell="| (read -r line; echo $line)")

    assert "" == run.stderr
    assert 1 == len(run.stdout.splitlines())


@pytest.mark.parametrize("closed", [">&-", "2>&-", ">&- 2>&-"])
def test_closed_outputs(folder, closed):
    """A training also runs while stdout and stderr are closed."""
    assert 0 == minicaffe("train", "--solver", "solver.prototxt", shell=closed).returncode
    assert (folder / "run_iter_2.caffemodel").exists()


def test_the_command_line_starts_without_numpy():
    """Nothing slow is imported before errors and Ctrl-C are handled."""
    code = "import sys, minicaffe.cli.__main__; print([m for m in ('numpy', 'google.protobuf') if m in sys.modules])"
    assert "[]\n" == subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60).stdout


@pytest.mark.parametrize("argv", [["test", "--weights", "run_iter_2.caffemodel"], ["time"]])
def test_ctrl_c_is_no_error(folder, argv):
    """A command with nothing to save stops at once, with one line and the status that shells expect."""
    assert 0 == main(["train", "--solver", "solver.prototxt"])
    run = subprocess.Popen([sys.executable, "-m", "minicaffe.cli", *argv, "--model", "net.prototxt", "--iterations",
                            "100000000"], stderr=subprocess.PIPE, text=True)
    try:
        for line in run.stderr:
            if "Batch 3" in line or "Iteration: 3" in line:
                break
        run.send_signal(signal.SIGINT)
        rest = run.communicate(timeout=60)[1]
    finally:
        run.kill()
        run.wait()

    assert 130 == run.returncode
    assert "minicaffe: stopped" == rest.splitlines()[-1]
    assert "Traceback" not in rest


@pytest.mark.parametrize("raised", [ImportError, KeyboardInterrupt, MinicaffeError])
def test_ctrl_c_while_something_is_imported(monkeypatch, capsys, raised):
    """What an interrupted import ends in, another error often, counts as the stop that it is."""
    from minicaffe.cli import __main__ as cli

    def interrupted(args):
        with contextlib.suppress(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
        raise raised("numpy")

    monkeypatch.setattr(cli, "run_command", interrupted)
    before = signal.getsignal(signal.SIGINT)
    assert 130 == cli.main([])
    assert "minicaffe: stopped\n" == capsys.readouterr().err
    assert before == signal.getsignal(signal.SIGINT)


def test_ctrl_c_in_a_callback_is_not_lost(monkeypatch, capsys):
    """Python drops an exception in a callback, such as that of a weak reference. The command still stops."""
    from minicaffe.cli import __main__ as cli

    dropped = []

    def interrupted(args):
        weakref.finalize(thing := threading.Event(), signal.raise_signal, signal.SIGINT)
        del thing
        threading.Event().wait(20)
        return 0

    monkeypatch.setattr(cli, "run_command", interrupted)
    monkeypatch.setattr(sys, "unraisablehook", dropped.append)
    before = sys.unraisablehook
    assert 130 == main(["data"])
    assert "minicaffe: stopped\n" == capsys.readouterr().err
    assert [] == dropped
    assert before is sys.unraisablehook


def test_ctrl_c_in_a_test_of_a_training(folder):
    """The test ends at once, and the training ends with a snapshot."""
    (folder / "solver.prototxt").write_text(SOLVER + "test_iter: 100000000 test_interval: 1")
    run = subprocess.Popen([sys.executable, "-m", "minicaffe.cli", "train", "--solver", "solver.prototxt"],
                           stderr=subprocess.PIPE, text=True)
    try:
        for line in run.stderr:
            if "Testing net (#0)" in line:
                break
        time.sleep(0.05)
        run.send_signal(signal.SIGINT)
        rest = run.communicate(timeout=60)[1]
    finally:
        run.kill()
        run.wait()

    assert 0 == run.returncode, rest
    assert (folder / "run_iter_0.solverstate").exists()


@pytest.fixture
def nobody():
    """Act as a user without rights, where the tests run as root."""
    if os.geteuid() != 0:
        yield
        return
    os.setegid(65534)
    os.seteuid(65534)
    yield
    os.seteuid(0)
    os.setegid(0)


def test_no_permission(folder, fail, capsys, request):
    """The message names the file that may not be read or written."""
    assert 0 == main(["train", "--solver", "solver.prototxt"])
    assert 0 == main(["weights", "run_iter_2.caffemodel"])
    for name in ("net.prototxt", "run_iter_2.caffemodel"):
        shutil.copy(folder / name, folder / f"secret.{name}")
        (folder / f"secret.{name}").chmod(0)
    capsys.readouterr()
    folder.chmod(0o555)
    for above in list(folder.parents)[:4]:
        if above.name.startswith(("pytest-", "popen-")):
            above.chmod(0o755)
    request.getfixturevalue("nobody")

    assert "cannot read secret.net.prototxt: Permission denied" in fail("show", "secret.net.prototxt")
    assert "cannot read secret.run_iter_2.caffemodel: Permission denied" in fail(
        "weights", "secret.run_iter_2.caffemodel")
    assert "cannot write new.yaml: Permission denied" in fail("convert", "net.prototxt", "new.yaml")
