"""Layers over time as ONNX nodes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from minicaffe.convert.onnx_out.given import ONE_BATCH, Given, writes
from minicaffe.convert.onnx_out.nodes import refuse_open, repeated, size_of

STATES = {"LSTM": 2, "RNN": 1}  # how many states the operators hand from step to step: h, and c for an LSTM
KEEP = "write the layer as an LSTM or RNN with expose_hidden: true, which makes its states inputs and outputs"


@writes("LSTM")
def lstm(g: Given) -> None:
    """LSTM, where cont is known to begin every sequence at the first step. Else an LSTM for each step, behind Muls of
    its states by cont. Each run of the model begins with states of 0, as Caffe's first pass does, or with those given
    to it with expose_hidden.
    """
    y, last = _recurrent(g, "LSTM")
    g.pass_on(0, y)
    _expose(g, last)


@writes("RNN")
def rnn(g: Given) -> None:
    """RNN for the states, in the way of the LSTM, then MatMul, Add and Tanh for the output."""
    h, last = _recurrent(g, "RNN")
    o = g.node("MatMul", [h, g.floats("w_o", g.numbers(-2).T)])
    g.node("Tanh", [g.node("Add", [o, g.floats("b_o", g.numbers(-1))])], g.y[:1])
    _expose(g, last)


@writes("Lstm")
def lstm_of_forks(g: Given) -> None:
    """LSTM, as that of the type LSTM. Rows (T · N, ...) are reshaped to (T, N, ...) before it, and back after it."""
    layer, by_rows = g.layer, g.layer.by_rows
    T, features = layer.T, layer.blobs[0].shape[1]
    refuse_open(g, range(1 if by_rows else 2, len(g.x_shapes[0])), "weights")
    if by_rows:
        steps = [-1 if g.is_open(0, 0) else T, g.param.batch_size, features]
        x = g.node("Reshape", [g.x[0], g.ints("steps", steps)])
    else:
        x = _features_as_one(g)
    cont: str | np.ndarray = layer.cont
    if len(g.x) == 2:
        _refuse_open_time(g)
        cont = _cont(g, T)
        if isinstance(cont, str) and g.x_shapes[1] != layer.cont.shape:
            cont = g.node("Reshape", [cont, g.ints("cont by steps", [T, -1])])
        _refuse_lost_states(g, cont)
    y, _ = _steps(g, "LSTM", (g.numbers(0), g.numbers(1), g.numbers(2)), x, cont, T, [])
    if by_rows:
        g.node("Reshape", [y, g.ints("rows", [-1, layer.D])], g.y)
    else:
        g.pass_on(0, y)


@writes("LSTMUnit")
def lstm_unit(g: Given) -> None:
    """Split, Sigmoid and Tanh of the gates, and Mul and Add for the cells."""
    D = g.x_shapes[0][2]
    x = g.new_names("gate", 4)
    g.node("Split", [g.x[1], g.ints("sizes", [D] * 4)], x, axis=2)
    i, f, o = (g.node("Sigmoid", [gate]) for gate in x[:3])
    delta = g.node("Unsqueeze", [g.x[2], g.ints("axes", [2])])
    kept = g.node("Mul", [g.node("Mul", [f, delta]), g.x[0]])
    g.node("Add", [kept, g.node("Mul", [i, g.node("Tanh", x[3:])])], g.y[:1])
    g.node("Mul", [o, g.node("Tanh", g.y[:1])], g.y[1:])


@writes("ContinuationIndicator")
def continuation_indicator(g: Given) -> None:
    """A constant, which Expand repeats for each sequence where the batch size is free."""
    T, N = g.y_shapes[0]
    streams = 1 if g.y_open[0] else N
    y = np.ones((T, streams), np.float32)
    y[0] = 0
    if g.x and g.y_open[0]:  # the number of sequences is a size of the bottom
        g.node("Expand", [g.floats("values", y), size_of(g, g.x[0], g.param.axis % len(g.x_shapes[0]))], g.y)
    else:
        repeated(g, y)


def _recurrent(g: Given, op: str) -> tuple[str, list[str]]:
    """Write an LSTM or RNN of BVLC's. Return its h_t in all steps (T, N, D), and the states after the last one."""
    layer = g.layer
    _refuse_open_time(g)
    refuse_open(g, range(2, len(g.x_shapes[0])), "weights")
    x, w, b, r = _features_as_one(g), g.numbers(0), g.numbers(1), g.numbers(3 if layer.has_static else 2)
    if layer.has_static:  # the same numbers behind those of x in every step
        refuse_open(g, range(1, len(g.x_shapes[2])), "weights", 2)
        static = g.node("Unsqueeze", [_flat(g, 2), g.ints("time", [0])])
        repeats = g.ints("every step", [layer.T, 1, 1])
        x = g.node("Concat", [x, g.node("Tile", [static, repeats])], axis=2)
        w = np.concatenate([w, g.numbers(2)], axis=1)
    cont, first = _cont(g, layer.T), g.x[len(g.x) - layer.exposed:]
    if not layer.exposed:
        _refuse_lost_states(g, cont)
    return _steps(g, op, (w, r, b), x, cont, layer.T, first)


def _expose(g: Given, last: Sequence[str]) -> None:
    """Let the tops after the first be the states after the last step."""
    for t, state in zip(range(1, len(g.y)), last, strict=False):
        g.pass_on(t, state)


def _steps(g: Given, op: str, weights: tuple[np.ndarray, np.ndarray, np.ndarray], x: str, cont: str | np.ndarray,
           T: int, first: Sequence[str]) -> tuple[str, list[str]]:
    """Write all time steps. Return h_t in all of them (T, N, D), and the states after the last one.

    weights     those of the input and of the state, and the bias, with Caffe's gates i, f, o, g
    x           (T, N, features)
    cont        (T, N), or the numbers that it is known to hold
    first       the states before the first step; none where they are 0
    """
    w, r, b = (_onnx_gates(values) if op == "LSTM" else values for values in weights)
    D = r.shape[1]
    constants = [g.floats("W", w[np.newaxis]), g.floats("R", r[np.newaxis]),
                 g.floats("B", np.concatenate([b, np.zeros_like(b)])[np.newaxis]), ""]  # "": all steps count
    if isinstance(cont, np.ndarray) and (cont[1:] == 1).all() and np.ptp(cont[0]) == 0 and cont[0, 0] in (0, 1):
        y, *last = g.new_names(op, 1 + STATES[op])
        states = first if first and cont[0, 0] else _zero_states(g, op, x, D)
        g.node(op, [x, *constants, *states], [y, *last], hidden_size=D)
        return g.node("Squeeze", [y, g.ints("direction", [1])]), last
    delta = g.node("Unsqueeze", [g.floats("cont", cont) if isinstance(cont, np.ndarray) else cont,
                                 g.ints("units", [2])])
    states, shown = list(first), []
    for x_t, delta_t in zip(_each_step(g, x, T), _each_step(g, delta, T), strict=True):
        states = [g.node("Mul", [state, delta_t]) for state in states] or _zero_states(g, op, x, D)
        after = g.new_names(op, STATES[op])
        g.node(op, [x_t, *constants, *states], ["", *after], hidden_size=D)
        states = after
        shown.append(states[0])
    return g.node("Concat", shown, axis=0), states


def _zero_states(g: Given, op: str, x: str, D: int) -> list[str]:
    """Return states of 0 for x (T, N, features). They may be left out in ONNX, but OpenCV wants them."""
    free = g.is_open(0, 1)
    zeros = g.floats("zeros", np.zeros((1, 1 if free else g.layer.states[0].shape[1], D)))
    if free:
        zeros = g.node("Expand", [zeros, g.node("Concat", [size_of(g, x, 1), g.ints("units", [1])], axis=0)])
    return [zeros] * STATES[op]


def _onnx_gates(values: np.ndarray) -> np.ndarray:
    """Put the rows of the gates i, f, o, g into ONNX's order i, o, f, g."""
    i, f, o, g = np.split(values, 4)
    return np.concatenate([i, o, f, g])


def _each_step(g: Given, x: str, T: int) -> list[str]:
    """Cut a value into its T time steps."""
    if T == 1:
        return [x]
    steps = g.new_names("step", T)
    g.node("Split", [x, g.ints("one each", [1] * T)], steps, axis=0)
    return steps


def _features_as_one(g: Given) -> str:
    """Return bottom 0 as (T, N, features)."""
    if len(g.x_shapes[0]) == 3:
        return g.x[0]
    return g.node("Reshape", [g.x[0], g.ints("features", [0, 0, g.layer.blobs[0].shape[1]])])


def _flat(g: Given, j: int) -> str:
    """Return bottom j as (N, features)."""
    return g.x[j] if len(g.x_shapes[j]) == 2 else g.node("Flatten", [g.x[j]], axis=1)


def _cont(g: Given, T: int) -> str | np.ndarray:
    """Return cont: its numbers (T, N) or (T, 1) where it is a constant, else the name of the value."""
    value, graph = g.x[1], g.graph
    if value in graph.constants:
        return graph.constants[value].reshape(T, -1)
    made = next((node for node in graph.nodes if value in node.output), None)
    if made is not None and made.op_type == "Expand":  # one that is repeated for each sequence
        known = graph.constants.get(made.input[0])
        if known is not None and known.shape == (T, 1):
            return known
    return value


def _refuse_open_time(g: Given) -> None:
    g.refuse_if(g.is_open(0, 0), f"reads {g.x[0]!r}, in which the number of time steps grows with the batch", ONE_BATCH)


def _refuse_lost_states(g: Given, cont: str | np.ndarray) -> None:
    """Refuse a layer that goes on where the run before has ended."""
    goes_on = cont[0].any() if isinstance(cont, np.ndarray) else g.layer.T == 1
    g.refuse_if(goes_on, "goes on in each run with the states of the run before, and a model keeps nothing between two "
                "runs", KEEP)
