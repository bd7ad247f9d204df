"""LSTM."""

from __future__ import annotations

import numpy as np

from minicaffe.convert.onnx_in.given import Given, reads
from minicaffe.convert.onnx_in.nodes.shapes import picked

GATES = [0, 2, 1, 3]  # ONNX has i, o, f, c, and Caffe i, f, o, g


@reads("LSTM")
def lstm(g: Given) -> None:
    """LSTM, which begins anew at the first step of each batch. For the direction reverse or bidirectional Slice and
    Concat turn the sequence round, step by step. `--dialect ctpn` writes Reverse.
    """
    _check(g, ["Sigmoid", "Tanh", "Tanh"])
    steps = g.shape()[0]
    x, cont = g.bottom(), _continues(g)
    made = []
    for k, direction in enumerate({"bidirectional": ("forward", "reverse")}.get(
            g.attribute("direction", "forward"), (g.attribute("direction", "forward"),))):
        backwards = direction == "reverse"
        given = _turned(g, x, steps) if backwards else x
        tops = _run(g, k, given, cont)
        last = g.cut(tops[0], 0, steps - 1, steps, steps) if g.is_read(1) else ""
        y = _turned(g, tops[0], steps) if backwards and g.is_read(0) else tops[0]
        made.append([y, last, tops[-1]])
    if g.attribute("squeezed", 0):
        g.give(made[0][0])
    elif g.is_read(0):
        each = [g.layer("Reshape", y[0], reshape_param={"shape": {"dim": [1]}, "axis": 1, "num_axes": 0}) for y in made]
        g.give(g.concat(each, 1), 0)
    for t in (1, 2):
        if g.is_read(t):
            g.give(g.concat([y[t] for y in made], 0), t)


@reads("LSTM by steps")
def lstm_by_steps(g: Given) -> None:
    """LSTM, for an LSTM for each step, whose states are multiplied by numbers that say where a sequence continues."""
    w, r, both = (g.constant(k, "weights")[0] for k in (2, 3, 4))
    blobs = [_in_our_order(values) for values in (w, _one_bias(both), r)]
    _give_all(g, "LSTM", blobs, [g.bottom(0), g.blob_of(1)])


@reads("RNN by steps with output", "RNN with output")
def rnn(g: Given) -> None:
    """RNN, for RNN and, behind it, MatMul, Add and Tanh, which make the output of Caffe's RNN."""
    by_steps = g.op == "RNN by steps with output"
    if not by_steps:
        _check(g, ["Tanh"])
        g.refuse_if(g.attribute("direction", "forward") != "forward", f"has the direction {g.attribute('direction')}",
                    "turn the sequence round by Slice and Concat before the node")
    first = 2 if by_steps else 1
    w, r = (g.constant(first + k, "weights")[0] for k in range(2))
    both = g.constant(first + 2, "a bias")[0] if g.has(first + 2) else np.zeros(2 * len(w))
    out, bias = (g.graph.constants[g.attribute(name)] for name in ("weights", "bias"))
    cont = g.blob_of(1) if by_steps else _continues(g)
    _give_all(g, "RNN", [w, _one_bias(both), r, out.T, bias], [g.bottom(0), cont])


def _give_all(g: Given, type: str, blobs: list[np.ndarray], bottoms: list[str]) -> None:
    """Add a layer whose states are those of the node: inputs after the weights, and outputs after the first."""
    size = blobs[2].shape[1]
    count = len(g.y) - 1
    if not _has_states(g):
        g.give(g.layer(type, bottoms, blobs, recurrent_param={"num_output": size}))
        return
    states = [g.bottom(5 + s) if g.has(5 + s) else g.parameter(np.zeros((1, g.shape()[1], size)), "state")
              for s in range(count)]
    tops = g.layers(type, [*bottoms, *states], 1 + count, blobs,
                    recurrent_param={"num_output": size, "expose_hidden": True})
    for t, top in enumerate(tops):
        g.give(top, t)


def _one_bias(both: np.ndarray) -> np.ndarray:
    """Return the sum of the two biases that ONNX has: of the input, and of the state."""
    return both[:len(both) // 2] + both[len(both) // 2:]


def _turned(g: Given, x: str, steps: int) -> str:
    """Return a sequence from its end to its beginning."""
    if g.may_write("Reverse"):
        return g.layer("Reverse", x, reverse_param={"axis": 0})
    return picked(g, x, 0, steps, range(steps - 1, -1, -1))


def _check(g: Given, usual: list[str]) -> None:
    """Refuse what Caffe's LSTM and RNN cannot do, which have the activations `usual`."""
    g.refuse_if(g.attribute("layout", 0), "has the batch as its first axis (layout)", "export the model with layout 0")
    g.refuse_if(g.attribute("activations", usual) not in (usual, usual * 2),
                f"has the activations {g.attribute('activations')}, and Caffe's layer {usual}")
    g.refuse_if(g.attribute("clip", 0), "has clip, and Caffe's layer has not")
    g.refuse_if(g.attribute("input_forget", 0), "has input_forget, and Caffe's layer has not")
    g.refuse_if(g.has(7) and np.any(g.constant(7, "peepholes")), "has peepholes, and Caffe's layer has not")
    shorter = g.has(4) and np.any(g.constant(4, "the lengths of sequences") != g.shape()[0])
    g.refuse_if(shorter, "has sequences of several lengths")


def _continues(g: Given) -> str:
    """Return the blob (T, N) that says where a sequence continues: 0 for the first step, 1 for the others.

    It is made of x, so that it has the right shape for every batch size.
    """
    zeros = g.layer("Reduction", g.bottom(), suffix="zeros", reduction_param={"axis": 2, "coeff": 0})
    first = np.ones(g.shape()[0])
    first[0] = 1 if _has_states(g) else 0
    return g.layer("Bias", zeros, [first], suffix="cont", bias_param={"axis": 0})


def _has_states(g: Given) -> bool:
    """Return whether the states before the first step are given, or those after the last one are read."""
    given = any(g.has(k) and not (g.is_constant(k) and not g.constant(k).any()) for k in (5, 6))
    return given or g.is_read(2) or (g.op != "LSTM" and g.is_read(1))  # the last h of an LSTM can be cut out of all


def _run(g: Given, k: int, x: str, cont: str) -> list[str]:
    """Add the LSTM of direction k. Return the blob of all outputs and, where they are exposed, those of the states."""
    w, r = g.constant(1, "weights")[k], g.constant(2, "weights")[k]
    size = r.shape[1]
    both = g.constant(3, "a bias")[k] if g.has(3) else np.zeros(8 * size)
    blobs = [_in_our_order(w), _in_our_order(_one_bias(both)), _in_our_order(r)]
    param = {"num_output": size}
    if not _has_states(g):
        return g.layers("LSTM", [x, cont], 1, blobs, recurrent_param=param)
    states = [_state(g, j, k, size) for j in (5, 6)]
    return g.layers("LSTM", [x, cont, *states], 3, blobs, recurrent_param={**param, "expose_hidden": True})


def _state(g: Given, j: int, k: int, size: int) -> str:
    """Return the blob (1, N, D) with the state of direction k before the first step."""
    if not g.has(j):
        return g.parameter(np.zeros((1, g.shape()[1], size)), "state")
    directions = g.shape(j)[0]
    return g.cut(g.bottom(j), 0, k, k + 1, directions) if directions > 1 else g.bottom(j)


def _in_our_order(w: np.ndarray) -> np.ndarray:
    """Return weights with the gates in Caffe's order."""
    return w.reshape(4, -1, *w.shape[1:])[GATES].reshape(w.shape)
