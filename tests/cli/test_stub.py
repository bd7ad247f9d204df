"""`minicaffe stub`: the layer that it writes runs at once, with the shapes that the net needs."""

import pytest
from user_types import forgotten

from minicaffe import TEST, Net
from minicaffe.cli.__main__ import main
from minicaffe.cli.user_code import import_one

NET = """input: "x" input_shape { dim: [2, 3, 8, 9] }
layer { name: "c" type: "Convolution" bottom: "x" top: "c" convolution_param { num_output: 4 kernel_size: 3 } }
layer { name: "w" type: "FlowWarp" bottom: "c" bottom: "x" top: "w" }
layer { name: "m" type: "Resample" bottom: "w" top: "m" }
layer { name: "sum" type: "Eltwise" bottom: "x" bottom: "m" top: "sum" }
"""
SOLVER = ""


@pytest.fixture
def net(folder):
    """A folder with a net that has two unknown types; what a test imports is forgotten after it."""
    (folder / "net.prototxt").write_text(NET)
    with forgotten():
        yield folder


def test_the_stubs_run(net, capsys):
    """With a file for each unknown type the net runs: the shapes are those of a bottom, or of what is added."""
    assert 0 == main(["stub", "FlowWarp", "net.prototxt"])
    assert 0 == main(["stub", "Resample", "net.prototxt"])
    for name in ("flow_warp.py", "resample.py"):
        import_one(name)
    made = Net("net.prototxt", TEST)
    made.blobs["x"].data[...] = 5
    made.forward()

    assert [(2, 4, 6, 7), (2, 3, 8, 9)] == [made.blobs[name].shape for name in ("w", "m")]
    assert 5 == made.blobs["sum"].data.min() == made.blobs["sum"].data.max()
    assert "assumed" in (net / "flow_warp.py").read_text()
    assert "which layer 'sum' reads beside it" in (net / "resample.py").read_text()


def test_a_given_shape_comes_first(net):
    """--shape says another one, also to what reads the top."""
    assert 0 == main(["stub", "FlowWarp", "net.prototxt", "--shape", "w=2x5x3x4", "--output", "own.py"])

    assert "'w': [(2, 5, 3, 4)]" in (net / "own.py").read_text()


@pytest.mark.parametrize(("arguments", "says"), [
    (["ReLU"], "minicaffe has the layer type 'ReLU'"), (["FlowWrap"], "did you mean 'FlowWarp'?"),
    (["Flow-Warp"], "cannot be the name of a Python class"), (["Mean"], "does not have: FlowWarp, Resample"),
    (["FlowWarp", "--shape", "w=x"], "--shape must be TOP=SHAPE")])
def test_mistakes(net, capsys, arguments, says):
    """Each is one message, and no file is written."""
    assert 1 == main(["stub", arguments[0], "net.prototxt", *arguments[1:]])

    assert says in capsys.readouterr().err
    assert [] == list(net.glob("*.py"))


def test_a_file_is_kept(net, capsys):
    """What the user has filled in is only replaced with --force."""
    (net / "flow_warp.py").write_text("mine")
    assert 1 == main(["stub", "FlowWarp", "net.prototxt"])
    assert "is there already" in capsys.readouterr().err
    assert "mine" == (net / "flow_warp.py").read_text()

    assert 0 == main(["stub", "FlowWarp", "net.prototxt", "--force"])
    assert "class FlowWarpLayer" in (net / "flow_warp.py").read_text()
