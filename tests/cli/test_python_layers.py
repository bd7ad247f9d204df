"""Python layers written for pycaffe, whose files say `import caffe`, in every command that makes a net."""

import sys

import numpy as np
import pytest
from net_tools import layer
from user_types import forgotten

from minicaffe import Net, kernels, pycaffe
from minicaffe.cli import warm
from minicaffe.cli.__main__ import main
from minicaffe.errors import LayerError
from minicaffe.pycaffe import alias

SCRIPT = '''
import caffe
import caffe.io
from caffe import layers as L, params as P
from caffe.proto import caffe_pb2


class Twice(caffe.Layer):
    """Multiply by a learned number, which begins with 2."""

    def setup(self, bottom, top):
        self.tops = caffe_pb2.NetParameter(name=str(L.ReLU))
        self.name = self.blobs.add_blob(1)
        self.blobs[0].data[...] = float(self.param_str)

    def reshape(self, bottom, top):
        top[0].reshape(*bottom[0].data.shape)

    def forward(self, bottom, top):
        import caffe as again
        assert again is caffe
        top[0].data[...] = self.blobs[0].data * bottom[0].data

    def backward(self, top, propagate_down, bottom):
        self.blobs[0].diff[...] += (top[0].diff * bottom[0].data).sum()
        if propagate_down[0]:
            bottom[0].diff[...] = self.blobs[0].data * top[0].diff
'''
NUMBERS = 'dummy_data_param { shape { dim: 2 dim: 3 } data_filler { type: "constant" value: 1 } }'
TWICE = 'python_param { module: "of_a_script" layer: "Twice" param_str: "2" }'
NET = layer("DummyData", "", "x", NUMBERS) + layer("DummyData", "", "t", NUMBERS) \
    + layer("Python", "x", "h", TWICE) + layer("EuclideanLoss", "h t", "loss")
SOLVER = 'net: "net.prototxt" base_lr: 0.1 lr_policy: "fixed" max_iter: 2 snapshot_prefix: "s" test_iter: 1 ' \
         'test_interval: 1'
COMMAND_LINES = {
    "train": ["--solver", "solver.prototxt"], "time": ["--model", "net.prototxt", "--iterations", "1"],
    "test": ["--model", "net.prototxt", "--weights", "w.npz", "--iterations", "1"], "summary": ["net.prototxt"],
    "convert": ["w.npz", "w.caffemodel", "--model", "net.prototxt"], "warm": ["net.prototxt"],
    "extract_features": ["w.npz", "net.prototxt", "h", "f.npz", "1"], "lint": ["net.prototxt"],
    "check": ["net.prototxt"], "draw": ["net.prototxt", "net.svg"], "deploy": ["net.prototxt", "out.prototxt"],
    "trace": ["net.prototxt", "--out", "t.html"]}


@pytest.fixture(autouse=True)
def script(folder):
    """A folder with a layer's file that no command has read yet, and weights of the net."""
    (folder / "of_a_script.py").write_text(SCRIPT)
    np.savez(folder / "w.npz", **{"h/0": np.array([5], np.float32)})
    yield folder
    sys.modules.pop("of_a_script", None)


@pytest.mark.parametrize("command", list(COMMAND_LINES))
def test_each_command_runs_the_layer(script, command, monkeypatch):
    """The file's `import caffe` gives minicaffe's while the command runs, and not afterwards."""
    monkeypatch.setattr(warm, "compile_all", lambda engine: None)  # takes a minute where nothing is in the cache
    if command == "warm" and kernels.engine() == "numpy":
        pytest.skip("the engine numpy has nothing to warm")

    assert main([command, *COMMAND_LINES[command]]) == 0
    assert ("of_a_script" in sys.modules) == (command != "deploy")
    assert "caffe" not in sys.modules


def test_training_learns_the_blob(script):
    """Two steps of gradient descent on (a − 1)²·3/2 of a = 2, and the snapshot holds the result."""
    assert main(["train", "--solver", "solver.prototxt"]) == 0

    a = 2 - 0.1 * 3 * (2 - 1)
    a -= 0.1 * 3 * (a - 1)
    with alias.installed():
        net = Net("net.prototxt", weights="s_iter_2.caffemodel")
    np.testing.assert_allclose(net.params["h"][0].data, [a], rtol=1e-6)


def test_a_trace_shows_the_users_lines(script):
    """The page has the lines of the script's class, and not those by which minicaffe calls it."""
    assert main(["trace", "net.prototxt", "--out", "t.html"]) == 0
    page = (script / "t.html").read_text()

    assert "top[0].data[...] = self.blobs[0].data * bottom[0].data" in page
    assert "utility/python.py" not in page
    assert "_users_code.py" not in page


def test_imported_modules_too(script):
    """A module of --import may say `import caffe`, and so may the module that it imports."""
    (script / "imports_it.py").write_text("import caffe.io\nimport of_a_script\nassert caffe is of_a_script.caffe\n")
    with forgotten():
        assert main(["summary", "net.prototxt", "--import", "imports_it"]) == 0
        assert sys.modules["imports_it"].caffe is pycaffe


def test_ours_wins_over_an_installed_caffe(script, monkeypatch):
    """A Caffe along sys.path that nobody has imported yet is not looked at."""
    (script / "caffe").mkdir()
    (script / "caffe" / "__init__.py").write_text("raise ImportError('a real Caffe')\n")
    monkeypatch.syspath_prepend(str(script))

    assert main(["summary", "net.prototxt"]) == 0


def test_without_leave_nothing_runs(script, capsys):
    """--no-python refuses the net before the layer's module is imported."""
    assert main(["summary", "net.prototxt", "--no-python"]) == 1
    assert "Python layers are not allowed here" in capsys.readouterr().err
    assert "of_a_script" not in sys.modules


@pytest.mark.parametrize(("old", "new", "says"), [
    ("2 * bottom", "2 * bottom", ""),
    ("self.blobs[0].data * bottom", "self.factor * bottom", "Twice.forward raised AttributeError: 'Twice' object has "
     "no attribute 'factor'\n  File \"DIR/of_a_script.py\", line 22, in forward\n"),
    ("from caffe.proto", "from caffe.prototxt", "importing of_a_script raised ModuleNotFoundError: No module named "
     "'caffe.prototxt'"),
    ("import caffe.io", "import skimage.nothing", "importing of_a_script raised ModuleNotFoundError: No module named "
     "'skimage")])
def test_errors_are_one_message(script, capsys, old, new, says):
    """What the user's code raises is one message with the user's line, and no traceback of ours."""
    (script / "of_a_script.py").write_text(SCRIPT.replace(old, new))
    assert main(["time", "--model", "net.prototxt", "--iterations", "1"]) == (1 if says else 0)
    said = capsys.readouterr().err.rpartition("minicaffe: error: ")[2].replace(str(script), "DIR")

    assert said.startswith(f"net.prototxt:3: layer 'h' (Python): {says}" if says else "")
    assert "minicaffe/layers" not in said


@pytest.mark.parametrize("command", ["summary net.prototxt", "layers --import of_a_script"])
def test_a_file_in_python_2(script, capsys, command):
    """The message has the line and the cure."""
    (script / "of_a_script.py").write_text(SCRIPT + "\nprint 'loaded'\n")
    assert main(command.split()) == 1
    said = capsys.readouterr().err

    assert "Missing parentheses in call to 'print'" in said
    assert f"hint: of_a_script.py:{SCRIPT.count(chr(10)) + 2}: this is Python 2: print is a function now" in said


@pytest.mark.parametrize(("line", "cure"), [("xrange(3)", "write range"), ("{}.iteritems()", "write d.items()")])
def test_names_of_python_2(script, capsys, line, cure):
    """They are found only when the line runs; the cure is known all the same."""
    (script / "of_a_script.py").write_text(SCRIPT.replace("        import caffe as again", f"        {line}\n"
                                                          "        import caffe as again"))
    assert main(["time", "--model", "net.prototxt", "--iterations", "1"]) == 1
    assert cure in capsys.readouterr().err


def test_a_program_without_the_alias(script):
    """In a program of the user's own, the core's Net leaves `import caffe` alone, and the error has the cure."""
    with pytest.raises(LayerError, match=r"(?s)No module named 'caffe'.*python -m minicaffe\.pycaffe PROGRAM\.py"):
        Net("net.prototxt")

    with alias.installed():
        assert Net("net.prototxt").forward() == 1.5
