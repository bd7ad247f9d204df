"""`minicaffe convert NET WEIGHTS OUT.py`: what is said and written, the proof, and the ways to get it wrong."""

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from extras import needs_torch
from net_tools import convolution, fully_connected, inputs, layer

from minicaffe import TEST, Net
from minicaffe.cli.__main__ import main
from minicaffe.convert.torch_out import proof
from minicaffe.errors import DataError
from minicaffe.io import weights
from minicaffe.testing.random_numbers import random_weights

DEPLOYED = inputs(x=(5, 3)) + fully_connected("x", "f", 4) + layer("Softmax", "f", "prob")
TRAINED = layer("Data", "", "x label", 'data_param { source: "away" batch_size: 6 backend: LMDB } transform_param { '
                "crop_size: 4 scale: 0.5 mean_value: 7 mean_value: 8 mean_value: 9 }", name="d") + convolution(
    "x", "c", 2, 3) + layer("ReLU", "c", "c", name="r") + fully_connected("c", "f", 5) + layer(
    "Accuracy", "f label", "accuracy") + layer("SoftmaxWithLoss", "f label", "loss")


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """Each test has a folder of its own."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def save(text, sized=""):
    """Write a net to net.prototxt, and random weights for it, or for the net `sized`, to w.npz."""
    Path("net.prototxt").write_text(text)
    Path("sized.prototxt").write_text(sized or text)
    net = Net("sized.prototxt", TEST)
    random_weights(net, np.random.default_rng(3))
    weights.save("w.npz", net)


def convert(*flags):
    return main(["convert", "net.prototxt", "w.npz", "out.py", *flags])


def hide_torch(monkeypatch):
    """Let `import torch` find no package."""
    monkeypatch.setitem(sys.modules, "torch", None)
    monkeypatch.delitem(sys.modules, "minicaffe.convert.torch_out.helpers", raising=False)


def test_the_module_runs_with_torch_alone(capsys):
    """A program that imports the file gets the net's numbers."""
    needs_torch()
    save(DEPLOYED)
    assert convert() == 0
    said = capsys.readouterr().out
    assert re.search(r"proved in PyTorch .*:\n'prob': the largest difference is .* of the range", said)
    assert "the gradients of 2 tensors in one step of training" in said
    assert said.endswith("wrote out.py and out.safetensors\n")
    code = "import out, torch; net = out.load(); print(net(torch.ones(7, 3)).sum().item(), net.training)"
    found = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    total, training = found.stdout.split()
    assert (round(float(total), 4), training) == (7.0, "False")


def test_a_net_that_was_trained_has_its_loss(capsys):
    """The data layers of both phases become arguments."""
    needs_torch()
    images = inputs(x=(6, 3, 4, 4)) + TRAINED[TRAINED.index(convolution("x", "c", 2, 3)):TRAINED.index(
        layer("Accuracy", "f label", "accuracy"))]
    save(TRAINED, images)
    assert convert() == 0
    said = capsys.readouterr().out
    assert "the loss in one step of training: the largest difference" in said
    text = Path("out.py").read_text()
    assert "def loss(self, x, label):" in text
    assert "It takes x (N × 3 × 4 × 4) and returns prob." in text
    assert "Made from net.prototxt and w.npz." in text


def test_without_pytorch_nothing_is_proved(capsys, monkeypatch):
    """The files are written, and it is said that nothing was proved."""
    hide_torch(monkeypatch)
    save(DEPLOYED)
    assert convert() == 0
    assert "nothing was proved, because PyTorch is not installed: pip install torch" in capsys.readouterr().out
    assert Path("out.py").exists()
    assert Path("out.safetensors").exists()


def test_a_pytorch_that_is_broken_proves_nothing(capsys, monkeypatch):
    """It is there, but importing it raises an error, which is printed."""
    def broken():
        raise OSError("a library is missing")

    monkeypatch.setattr(proof, "load_torch", broken)
    save(DEPLOYED)
    assert convert() == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "nothing was proved, because PyTorch cannot be imported: a library is missing" in said
    assert Path("out.py").exists()


def test_a_full_folder_for_temporary_files(capsys, monkeypatch):
    """The error says what is written there, and nothing is written."""
    needs_torch()
    save(DEPLOYED)

    def full(path, written):
        raise DataError(f"cannot write {path}: No space left on device")

    monkeypatch.setattr(proof, "save", full)
    assert convert() == 1
    said = " ".join(capsys.readouterr().err.split())
    assert "No space left on device" in said
    assert "TMPDIR names another one" in said
    assert not Path("out.py").exists()


def test_weights_that_are_read_are_not_written_over(capsys):
    """The tensors of the module have the same suffix as weights may have."""
    save(DEPLOYED)
    weights.save("out.safetensors", Net("net.prototxt", TEST, weights="w.npz"))
    before = Path("out.safetensors").read_bytes()
    assert main(["convert", "net.prototxt", "out.safetensors", "out.py"]) == 1
    said = " ".join(capsys.readouterr().err.split())
    assert "the weights beside out.py would be written over out.safetensors, which is read" in said
    assert Path("out.safetensors").read_bytes() == before


def test_names_of_the_file(capsys, monkeypatch):
    """One that hides a module which the file imports is refused; of one that no program can import it is said."""
    hide_torch(monkeypatch)
    save(DEPLOYED)
    assert main(["convert", "net.prototxt", "w.npz", "torch.py"]) == 1
    assert "torch.py would hide the module 'torch', which it imports itself" in capsys.readouterr().err
    for name in ("my-net", "class", "good"):
        assert main(["convert", "net.prototxt", "w.npz", f"{name}.py"]) == 0
        assert (f"no program can say `import {name}`" in capsys.readouterr().out) == (name != "good")


def test_a_module_that_differs_is_not_written(capsys, monkeypatch):
    """The error says what differs, and files that were there stay."""
    needs_torch()
    save(DEPLOYED)
    Path("out.py").write_text("mine")
    monkeypatch.setattr(proof, "forward_of", lambda module, inputs: lambda arrays: [arrays["x"][:, [0, 1, 2, 0]]])
    assert convert() == 1
    said = capsys.readouterr().err
    assert "in PyTorch the module gives other numbers than the net: 'prob': the largest difference is" in said
    assert "nothing was written" in said
    assert Path("out.py").read_text() == "mine"
    assert not Path("out.safetensors").exists()


def test_a_layer_without_a_form_is_named(capsys):
    """With its line, and with the flag that cuts the net before it."""
    save(inputs(x=(2, 3, 7, 9), roi=(4, 5)) + convolution("x", "c", 2, 3) + layer(
        "ROIPooling", "c roi", "p", "roi_pooling_param { pooled_h: 2 pooled_w: 3 }"))
    assert convert() == 1
    said = capsys.readouterr().err
    assert re.search(r"net\.prototxt:\d+: layer 'p' \(ROIPooling\) has no form in PyTorch", said)
    assert "--outputs c ends the net before it" in said
    assert not Path("out.py").exists()


def test_outputs_leave_the_loss_out(capsys, monkeypatch):
    """A net that ends before its losses has no method for them, which is said."""
    hide_torch(monkeypatch)
    images = inputs(x=(6, 3, 4, 4)) + convolution("x", "c", 2, 3)
    save(TRAINED, images)
    assert convert("--outputs", "c") == 0
    assert "no method loss is written, because --outputs ends the net before its losses" in capsys.readouterr().out
    assert "def loss" not in Path("out.py").read_text()
