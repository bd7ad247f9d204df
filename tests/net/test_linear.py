"""The work to set a net up grows as its number of layers does, counted in calls of functions, not in seconds."""

import contextlib
import io
import sys

import pytest
from net_tools import inputs, layer

from minicaffe import Net
from minicaffe.cli.__main__ import main
from minicaffe.records import glog

FEW, TIMES = 50, 4
IP = "inner_product_param { num_output: 3 }"
NETS = {
    "a chain": lambda n: "".join(layer("ReLU", f"b{i}", f"b{i + 1}") for i in range(n)),
    "in place": lambda n: "".join(layer("ReLU", "b0", "b0", name=f"r{i}") for i in range(n)),
    "splits": lambda n: "".join(layer("ReLU", f"b{i}", f"c{i}") + layer("Eltwise", f"b{i} c{i}", f"b{i + 1}")
                                for i in range(n // 2)),
    "parameters": lambda n: "".join(layer("InnerProduct", f"b{i}", f"b{i + 1}", IP) for i in range(n)),
    "shared parameters": lambda n: "".join(
        layer("InnerProduct", f"b{i}", f"b{i + 1}", f'param {{ name: "w" }} {IP}') for i in range(n)),
    "shared memory": lambda n: "".join(layer("Flatten", f"b{i}", f"b{i + 1}") for i in range(n)),
    "one blob for all": lambda n: "".join(layer("ReLU", "b0", f"c{i}") for i in range(n)) + layer(
        "Concat", " ".join(f"c{i}" for i in range(n)), "all"),
    "losses": lambda n: inputs(t=(2, 3)) + "".join(layer("EuclideanLoss", "b0 t", f"c{i}") for i in range(n)),
    "inputs": lambda n: "".join(inputs(**{f"x{i}": (2, 3)}) + layer("Softmax", f"x{i}", f"y{i}")
                                for i in range(n // 2)),
}


def build(path):
    """Net(...), with a listener to all that it logs."""
    with glog.writing():
        Net(path)


WORK = {"Net": build, "summary": lambda path: main(["summary", path]), "show": lambda path: main(["show", path])}


def calls(work, path):
    """How many functions were called, and how many characters came out."""
    count = 0

    def note(frame, event, arg):
        nonlocal count
        count += event in ("call", "c_call")

    said = io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        sys.setprofile(note)
        try:
            work(path)
        finally:
            sys.setprofile(None)
    return count, len(said.getvalue())


@pytest.mark.parametrize("work", list(WORK))
@pytest.mark.parametrize("net", list(NETS))
def test_four_times_the_layers_are_four_times_the_work(tmp_path, net, work):
    """Neither the work nor the output grows faster than the net."""
    counts = []
    for n in (FEW, FEW, TIMES * FEW):  # the first pass imports and remembers things once
        path = tmp_path / f"{n}.prototxt"
        path.write_text(inputs(b0=(2, 3)) + NETS[net](n))
        counts.append(calls(WORK[work], str(path)))
    (few, short), (many, long) = counts[1:]

    assert few > FEW
    assert many <= 1.1 * TIMES * few
    assert long <= 1.2 * TIMES * short
