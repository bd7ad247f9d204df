"""`--no-python`: which commands run the code that a net names, and that they refuse to where they are told."""

import re
import sys
from pathlib import Path

import numpy as np
import pytest
from extras import needs
from net_tools import fully_connected, inputs, layer

from minicaffe import Net, kernels
from minicaffe import pycaffe as caffe
from minicaffe.cli.__main__ import COMMANDS, main
from minicaffe.errors import LayerError, SolverError
from minicaffe.io import prototxt
from minicaffe.proto import SolverParameter
from minicaffe.solvers import get_solver
from minicaffe.solvers.doctor.doctor import Doctor

NET = inputs(x=(2, 3), t=(2, 3)) + fully_connected("x", "f", 3) + layer(
    "Python", "f", "p", 'python_param { module: "stranger" layer: "Same" }') + layer("EuclideanLoss", "p t", "loss")
SOLVER = 'net: "net.prototxt" base_lr: 0.1 lr_policy: "fixed" max_iter: 1 snapshot_prefix: "s"'
STRANGER = """
import os
from minicaffe.layer import Layer
from minicaffe.io import prototxt
open("it_ran", "w").close()


class Same(Layer):
    def reshape(self, bottom, top):
        top[0].reshape_like(bottom[0])

    def forward(self, bottom, top):
        top[0].data[...] = bottom[0].data

    def backward(self, top, propagate_down, bottom):
        bottom[0].diff[...] = top[0].diff
"""
RUN_CODE = {
    "train": ["--solver", "solver.prototxt"], "test": ["--model", "net.prototxt", "--weights", "w.npz",
                                                       "--iterations", "1"],
    "time": ["--model", "net.prototxt", "--iterations", "1"], "summary": ["net.prototxt"], "warm": ["net.prototxt"],
    "draw": ["net.prototxt", "net.svg"],
    "convert": ["w.npz", "w.caffemodel", "--model", "net.prototxt"], "replay": ["failure.npz"],
    "extract_features": ["w.npz", "net.prototxt", "f", "f.npz", "1"],
    "check": ["net.prototxt"],
    "deploy": ["deploy_net.prototxt", "out.prototxt", "--weights", "w.npz"],
    "classify": ["net.prototxt", "w.npz", "stranger.py"], "data": ["data_net.prototxt"],
    "trace": ["net.prototxt", "--out", "t.html"], "stub": ["Strange", "stub_net.prototxt"]}
# what makes layers
BUILDS = r"\bNet\(|summary\.read\(|get_solver|Replay\(|Classifier\(|open_layer\(|summary import made"
RUN_NONE = {"show": ["net.prototxt"], "weights": ["w.npz"], "convert": ["net.prototxt", "net.yaml"],
            "layers": ["Python"], "engines": []}


@pytest.fixture(autouse=True)
def strangers_folder(folder, monkeypatch):
    """A folder with a net that names a module beside it, weights, and a failure that was saved."""
    (folder / "stranger.py").write_text(STRANGER)
    (folder / "deploy_net.prototxt").write_text(NET.replace("Input", "DummyData").replace("input_", "dummy_data_"))
    (folder / "data_net.prototxt").write_text('\n\n\nlayer { name: "p" type: "Python" top: "x" '
                                              'python_param { module: "stranger" layer: "Same" } }')
    (folder / "stub_net.prototxt").write_text(NET + layer("Strange", "p", "q"))
    caffe.Net("net.prototxt").save("w.npz")
    solver = get_solver(prototxt.read("solver.prototxt", SolverParameter()))
    solver.net.blobs["x"].data[...] = np.nan
    doctor = Doctor(solver)
    with pytest.raises(SolverError):
        solver.step(1)
    doctor.detach()
    next(folder.glob("*_failure.npz")).rename("failure.npz")
    sys.modules.pop("stranger")
    (folder / "it_ran").unlink()
    yield folder
    sys.modules.pop("stranger", None)


@pytest.mark.parametrize("command", [name for name in RUN_CODE if name != "stub"])
def test_no_python_refuses_before_the_code_has_run(strangers_folder, capsys, command):
    """A command that builds the net runs its Python layer; with --no-python it says which, and where, and runs none."""
    if command == "warm" and kernels.engine() == "numpy":
        needs("numba")
        pytest.skip("the engine numpy has nothing to warm")
    assert main([command, *RUN_CODE[command], "--no-python"]) == 1

    error = capsys.readouterr().err
    assert "layer 'p' (Python) would run the code of module 'stranger', class 'Same'" in error
    assert command == "replay" or "net.prototxt:4: layer 'p'" in error
    assert not (strangers_folder / "it_ran").exists()


@pytest.mark.parametrize(("files", "reason"), [
    (["net.prototxt", "w.npz", "out.onnx"], "onnx"), (["net.prototxt", "w.npz", "w.caffemodel"], "")])
def test_no_python_refuses_a_net_that_is_converted(strangers_folder, capsys, files, reason):
    """In the form with three files as well, in which the net stands first."""
    if reason:
        needs(reason)
    assert main(["convert", *files, "--no-python"]) == 1

    error = capsys.readouterr().err
    assert "net.prototxt:4: layer 'p' (Python) would run the code of module 'stranger', class 'Same'" in error
    assert not (strangers_folder / "it_ran").exists()


def test_no_python_passes_over_the_code_for_a_stub(strangers_folder, capsys):
    """`stub` wants shapes alone: with --no-python the top of a Python layer has an assumed one, and no code runs."""
    assert main(["stub", *RUN_CODE["stub"], "--no-python"]) == 0

    assert "assumed" in (strangers_folder / "strange.py").read_text()
    assert not (strangers_folder / "it_ran").exists()


@pytest.mark.parametrize("command", [name for name in RUN_CODE if name != "warm"])
def test_without_the_flag_the_code_runs(strangers_folder, capsys, command):
    """What the refusal is tested with would have run."""
    main([command, *RUN_CODE[command]])

    assert (strangers_folder / "it_ran").exists()


@pytest.mark.parametrize("command", list(RUN_NONE))
def test_other_commands_run_no_code(strangers_folder, capsys, command):
    """The commands that `minicaffe --help` calls harmless read the same net and run nothing of it."""
    assert main([command, *RUN_NONE[command]]) == 0

    assert not (strangers_folder / "it_ran").exists()


def test_help_names_the_commands_that_run_code(capsys):
    """`minicaffe --help` says which commands run code, and each of them has the flag."""
    main(["--help"])
    said = capsys.readouterr().out.rsplit("\n\n", 1)[1]
    for command in RUN_CODE:
        assert command in said
        with pytest.raises(SystemExit):
            main([command, "--help"])
        assert "--no-python" in capsys.readouterr().out


def test_every_command_that_builds_a_net_has_the_flag():
    """A command that is added later, and builds a net, must have it too; `demo` has a net of its own."""
    sources = {name: Path(sys.modules["minicaffe.cli.__main__"].__file__).with_name(f"{module}.py").read_text()
               for name, (module, _) in COMMANDS.items()}

    # `stub` makes its layers in stub_shapes.py
    assert set(RUN_CODE) - {"stub"} == {name for name, text in sources.items() if re.search(BUILDS, text)
                             and name != "demo"}


def test_from_python(strangers_folder):
    """allow_python=False does the same for a Net, and a net without Python layers does not mind."""
    with pytest.raises(LayerError, match=r"net\.prototxt:4: layer 'p' \(Python\) would run the code"):
        Net("net.prototxt", allow_python=False)
    (strangers_folder / "plain.prototxt").write_text(inputs(x=(2, 3)) + layer("ReLU", "x", "y"))

    assert Net("plain.prototxt", allow_python=False).outputs == ["y"]
