"""`minicaffe check`: a table of all gradients, and the first wrong layer with its file and line."""

import json
import os
import signal
import subprocess
import sys
from itertools import pairwise

import pytest
from net_tools import fully_connected, inputs, layer

from minicaffe import pycaffe as caffe
from minicaffe.cli.__main__ import main

NET = """# two layers and a loss
layer { name: "data" type: "DummyData" top: "x" top: "t" dummy_data_param {
  shape { dim: 5 dim: 3 } shape { dim: 5 } data_filler { type: "gaussian" } data_filler { value: 1 } } }
layer { name: "f" type: "InnerProduct" bottom: "x" top: "f"
  inner_product_param { num_output: 4 weight_filler { type: "xavier" } } }
layer { name: "half" type: "Python" bottom: "f" top: "h" python_param { module: "halves" layer: "Half" } }
layer { name: "y" type: "InnerProduct" bottom: "h" top: "y"
  inner_product_param { num_output: 2 weight_filler { type: "xavier" } } }
layer { name: "loss" type: "SoftmaxWithLoss" bottom: "y" bottom: "t" top: "loss" }
layer { name: "accuracy" type: "Accuracy" bottom: "y" bottom: "t" top: "accuracy" }
"""
SOLVER = 'net: "net.prototxt" base_lr: 0.1 lr_policy: "fixed" max_iter: 1'
HALF = """
from minicaffe.layer import Layer


class Half(Layer):
    def reshape(self, bottom, top):
        top[0].reshape_like(bottom[0])

    def forward(self, bottom, top):
        top[0].data[...] = bottom[0].data / 2

    def backward(self, top, propagate_down, bottom):
        bottom[0].diff[...] = {}
"""


@pytest.fixture(autouse=True)
def halves(folder):
    """A folder with a user's Python layer, which is right."""
    (folder / "halves.py").write_text(HALF.format("top[0].diff / 2"))
    yield folder
    sys.modules.pop("halves", None)


def run(*args, capsys):
    """The exit status of minicaffe check with these arguments, and what it prints on stdout."""
    status = main(["check", *args])
    return status, capsys.readouterr().out


def test_a_right_net(capsys):
    """Every gradient has a row with both slopes; layers without a gradient are there as such."""
    status, out = run("net.prototxt", capsys=capsys)
    rows = [line.split() for line in out.split("\n\n")[0].split("\n")[1:]]

    assert status == 0
    assert [row[:3] for row in rows if row[-1] == "right"] == [
        ["loss", "(SoftmaxWithLoss)", "bottom[0]"], ["y_y_0_split", "(Split)", "bottom[0]"],
        ["y", "(InnerProduct)", "bottom[0]"], ["y", "(InnerProduct)", "blobs[0]"], ["y", "(InnerProduct)", "blobs[1]"],
        ["half", "(Python)", "bottom[0]"], ["f", "(InnerProduct)", "blobs[0]"], ["f", "(InnerProduct)", "blobs[1]"]]
    assert all(abs(float(row[-4]) - float(row[-3])) < 1e-5 * abs(float(row[-4])) for row in rows if row[-1] == "right")
    assert "no gradient: the type computes none" in out
    assert "8 of 8 gradients right, with errors up to " in out


def test_a_wrong_python_layer(folder, capsys):
    """The last lines name the layer, its file and line, the numbers and the kind of the mistake; the status is 1."""
    (folder / "halves.py").write_text(HALF.format("top[0].diff / 4"))
    status, out = run("net.prototxt", capsys=capsys)

    assert status == 1
    last = out.strip().split("\n")[-1]
    assert last.startswith("net.prototxt:6: the first layer that is wrong: layer 'half' (Python): the gradient of "
                           "bottom[0] f (2, 4) is wrong in 8 of 8 places")
    assert "it is 0.5 times the right one" in last
    assert [line.split()[-1] for line in out.split("\n") if line.startswith("f (InnerProduct)")] == ["follows"] * 2
    assert '"follows" means: the layer was given a wrong gradient' in out


def test_a_second_wrong_layer(folder, capsys):
    """It is told from those that only compute with what the first one gave them."""
    (folder / "halves.py").write_text(HALF.format("top[0].diff / 4"))
    (folder / "twice.prototxt").write_text(
        inputs(x=(2, 3)) + "".join(layer("Python", bottom, top, 'python_param { module: "halves" layer: "Half" }')
                                   + layer("TanH", top, top, name=f"tanh_{top}") for bottom, top in ("xa", "ab")))
    status, out = run("twice.prototxt", capsys=capsys)

    assert status == 1
    assert "Looked at alone, these layers are wrong too: a.\n" in out
    assert "the first layer that is wrong: layer 'b' (Python)" in out


def test_json(folder, capsys):
    """Programs get the same rows and the same verdict."""
    (folder / "halves.py").write_text(HALF.format("-top[0].diff / 2"))
    status, out = run("net.prototxt", "--json", capsys=capsys)
    report = json.loads(out)

    assert status == 1
    assert report["first_wrong"]["layer"] == "half"
    assert report["first_wrong"]["where"] == "net.prototxt:6"
    assert "the sign is wrong" in report["first_wrong"]["message"]
    assert len([row for row in report["gradients"] if row["verdict"] == "right"]) == 5


def test_batch(folder, capsys):
    """Without --batch the net has 2 samples, where it can be made so; with it as many as are asked for."""
    assert "2×4" in run("net.prototxt", capsys=capsys)[1]
    assert "3×4" in run("net.prototxt", "--batch", "3", capsys=capsys)[1]
    (folder / "fixed.prototxt").write_text(inputs(x=(6, 4)) + layer(
        "Reshape", "x", "r", "reshape_param { shape { dim: 3 dim: 8 } }") + fully_connected("r", "y", 5))
    assert "3×8" in run("fixed.prototxt", capsys=capsys)[1]


def test_weights(folder, capsys):
    """The net is checked at given weights; a file of another net is refused."""
    net = caffe.Net("net.prototxt")
    net.params["f"][0].data[...] *= 100
    net.save("w.npz")
    first, second = (run("net.prototxt", *args, capsys=capsys)[1] for args in ([], ["--weights", "w.npz"]))

    assert first.split("\n")[1] != second.split("\n")[1]
    (folder / "other.prototxt").write_text(NET.replace('name: "f"', 'name: "ff"').replace('name: "y"', 'name: "yy"'))
    assert main(["check", "other.prototxt", "--weights", "w.npz"]) == 1
    assert "no layer of other.prototxt is in the weights w.npz" in capsys.readouterr().err


def test_a_source_that_is_not_there(folder, capsys):
    """Random images and labels take its place, where the size of the images is known."""
    (folder / "train.prototxt").write_text(
        'layer { name: "data" type: "Data" top: "x" top: "t" data_param { source: "nowhere" backend: LMDB '
        'batch_size: 64 } }\n' + fully_connected("x", "y", 3) + layer("SoftmaxWithLoss", "y t", "loss"))
    assert main(["check", "train.prototxt"]) == 1
    assert "give it: --size HxW" in capsys.readouterr().err
    status, out = run("train.prototxt", "--size", "1x4x5", capsys=capsys)

    assert status == 0
    assert "Layer 'data' is counted as a Data layer that puts out 2×1×4×5; its source was not read." in out


@pytest.mark.parametrize(("args", "says"), [
    (["nett.prototxt"], "nett.prototxt"), (["net.prototxt", "--batch", "0"], "expects a whole number, 1 or more"),
    (["net.prototxt", "--wieghts", "w"], "did you mean '--weights'?"), ([], "required: NET"),
    (["net.prototxt", "--weights", "w.npz"], "w.npz"), (["net.prototxt", "--json", "no/where.json"], "no/where.json")])
def test_errors(capsys, args, says):
    """What a user mistypes is one clean message, with the exit status 1."""
    try:
        assert main(["check", *args]) == 1
    except SystemExit as ended:
        assert ended.code == 1  # noqa: PT017
    assert says in capsys.readouterr().err


def test_an_error_in_a_users_layer(folder, capsys):
    """It is shown with the user's own line, as in a training."""
    (folder / "halves.py").write_text(HALF.format("top[0].dif / 2"))

    assert main(["check", "net.prototxt"]) == 1
    assert "net.prototxt:6: layer 'half'" in (said := capsys.readouterr().err)
    assert "Half.backward raised AttributeError" in said


def test_a_net_without_gradients(folder, capsys):
    """It is no success and no failure: there is nothing to check."""
    (folder / "measure.prototxt").write_text(inputs(x=(2, 4)) + layer("ArgMax", "x", "y"))

    status, out = run("measure.prototxt", capsys=capsys)

    assert status == 0
    assert [line.split("  ")[0] for line in out.split("\n") if "no gradient: " in line] == ["y (ArgMax)", "x (Input)"]
    assert out.endswith("There is no gradient to check in this net.\n")


def test_a_net_of_which_nothing_could_be_checked(folder, capsys):
    """It must not look like a success: the last line says that nothing is known, and the status is 1."""
    (folder / "flat.prototxt").write_text(
        inputs(x=(2, 4)) + fully_connected("x", "a", 3) + layer("Power", "a", "y", "power_param { scale: 0 shift: 1 }"))

    status, out = run("flat.prototxt", capsys=capsys)

    assert status == 1
    assert " right" not in out.split("Nothing was checked")[0]
    assert "Nothing was checked: of 4 gradients none could be compared, " in " ".join(out.split())


def test_what_got_random_numbers(capsys):
    """The blobs are named one by one: the weights beside a bias of zeros stay as the filler drew them."""
    out = run("net.prototxt", capsys=capsys)[1]

    assert "Blobs of layers whose numbers were all equal got random ones: f blobs[1], y blobs[1]." in out


def test_on_a_layer_alone(folder, capsys):
    """What the words in the table mean stands below it, and only where they occur."""
    weights = 'inner_product_param { num_output: 9 bias_term: false weight_filler { type: "gaussian" std: 0.05 } }'
    names = ["x", *(f"h{k}" for k in range(12))]
    (folder / "deep.prototxt").write_text(inputs(x=(2, 9), t=(2, 9)) + "".join(
        layer("InnerProduct", below, above, weights) + layer("TanH", above, above, name=f"tanh_{above}")
        for below, above in pairwise(names)) + layer("EuclideanLoss", "h11 t", "loss"))
    deep, usual = (run(net, capsys=capsys)[1] for net in ("deep.prototxt", "net.prototxt"))

    assert "right: on this layer alone" in deep
    assert '"on this layer alone" means: ' in deep
    assert "on this layer alone" not in usual


@pytest.mark.parametrize("columns", [40, 80])
def test_a_narrow_terminal(capsys, monkeypatch, columns):
    """Every line fits, but for a word that is longer than the terminal is wide."""
    monkeypatch.setenv("COLUMNS", str(columns))
    out = run("net.prototxt", capsys=capsys)[1]

    assert [] == [line for line in out.split("\n") if len(line) > columns and " " in line.strip()]


def test_ctrl_c(folder):
    """It ends the check at once, without a traceback."""
    (folder / "halves.py").write_text("import time\n" + HALF.format("top[0].diff / 2; print('here', flush=True); "
                                                                    "time.sleep(600)"))
    process = subprocess.Popen([sys.executable, "-m", "minicaffe.cli", "check", "net.prototxt"], text=True,
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE, env={**os.environ})
    assert process.stdout.readline() == "here\n"
    process.send_signal(signal.SIGINT)
    try:
        error = process.communicate(timeout=120)[1]
    finally:
        process.kill()

    assert process.returncode != 0
    assert "Traceback" not in error
