"""trace, the function that writes a page for a net or a solver that a program has made."""

import json
import re

import numpy as np
import pytest
from net_tools import TRAINABLE, make

from minicaffe import DataError, NetError
from minicaffe.proto import NetParameter, SolverParameter
from minicaffe.proto import text as proto_text
from minicaffe.solvers import get_solver
from minicaffe.trace import trace


def held(path):
    """The data that a page holds."""
    return json.loads(re.search(r'<script type="application/json"[^>]*>(.*?)</script>', path.read_text(), re.S)[1])


def test_a_net_as_it_is(tmp_path):
    """The page shows the pass that the net has then run, on the numbers that were in its inputs."""
    net = make(TRAINABLE, dtype=np.float32)
    trace(net, tmp_path / "net.html", proofs=0)
    page = held(tmp_path / "net.html")

    assert page["solver"] is None
    assert {moment["pass"] for moment in page["moments"]} == {"forward", "backward"}


def test_updates_of_a_solver(tmp_path):
    """The solver has made the updates then, and what it does at a NaN is as before."""
    param = SolverParameter(base_lr=0.1, lr_policy="fixed", max_iter=9, random_seed=1)
    param.net_param.CopyFrom(proto_text.parse(TRAINABLE, NetParameter()))
    solver = get_solver(param)
    solver.on_nan = "stop"
    trace(solver, str(tmp_path / "updates.html"), iterations=2, proofs=0)

    assert (solver.iter, solver.on_nan) == (2, "stop")
    assert held(tmp_path / "updates.html")["solver"]["iterations"] == 2


def test_a_training_that_is_stopped_in_a_trace(tmp_path):
    """What the solver does at a NaN is as before, and no page is written."""
    param = SolverParameter(base_lr=0.1, lr_policy="fixed", max_iter=9, random_seed=1)
    param.net_param.CopyFrom(proto_text.parse(TRAINABLE, NetParameter()))
    solver = get_solver(param)
    solver.on_nan = "stop"
    solver.on_gradients_ready.append(interrupt)
    with pytest.raises(KeyboardInterrupt):
        trace(solver, tmp_path / "t.html", proofs=0)

    assert "stop" == solver.on_nan
    assert [] == list(tmp_path.iterdir())


def interrupt():
    raise KeyboardInterrupt


@pytest.mark.parametrize(("dtype", "name", "iterations", "words"), [
    (np.float64, "t.html", 1, "a page shows a net of float32, and this one has float64"),
    (np.float32, "t.html", 2, "iterations counts updates"),
    (np.float32, "no/t.html", 1, "no' is not a folder")])
def test_what_is_refused(tmp_path, dtype, name, iterations, words):
    """Before anything is run."""
    net = make(TRAINABLE, dtype=dtype)
    with pytest.raises((NetError, DataError), match=words):
        trace(net, tmp_path / name, iterations=iterations)
    assert list(tmp_path.iterdir()) == []
