"""Nodes that several layer types need."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from minicaffe.convert.onnx_out.given import ONE_BATCH, Given

FLOAT, INT64, BOOL = 1, 7, 9  # the numbers that ONNX gives to types of numbers
CUT = "end the model before it, by --outputs with the blobs that it reads, and compute the rest outside"

Step = tuple[str, str, float | None]  # an operator, the name of its constant, and this constant


def chain(g: Given, steps: Iterable[Step], x: str | None = None) -> None:
    """Let a value (bottom 0 unless given) go through one node after the other. The last one makes top 0."""
    value, steps = g.x[0] if x is None else x, list(steps)
    for k, (op, hint, constant) in enumerate(steps):
        inputs = [value] if constant is None else [value, g.floats(hint, constant)]
        value = g.node(op, inputs, g.y if k == len(steps) - 1 else 1)
    if not steps:
        g.pass_on(0, value)


def linear(s: float, b: float = 0.0) -> list[Step]:
    """Return the steps of s · x + b, without those that change nothing."""
    return [*([("Mul", "scale", s)] if s != 1 else []), *([("Add", "shift", b)] if b else [])]


def fold(g: Given, op: str, values: Sequence[str]) -> None:
    """Combine two values or more into top 0, one after the other, by an operator that takes two."""
    result, last = values[0], len(values) - 1
    for k, value in enumerate(values[1:], 1):
        result = g.node(op, [result, value], g.y if k == last else 1)


def reshaped(g: Given) -> None:
    """Give bottom 0 the shape of top 0, into which it is only seen otherwise.

    A size of 0 in ONNX's Reshape keeps the axis, and one −1 takes what is left.
    """
    (x, y), (x_open, y_open) = (g.x_shapes[0], g.y_shapes[0]), (g.x_open[0], g.y_open[0])
    if x == y and x_open == y_open:
        g.pass_on()
        return
    same = 0  # how many axes at the front stay as they are
    while same < min(len(x), len(y)) and x[same] == y[same] and (same in x_open) == (same in y_open):
        same += 1
    if len(y_open - set(range(same))) > 1:
        g.sizes()  # refuses the layer
    sizes = [size if axis not in y_open else 0 if axis < same else -1 for axis, size in enumerate(y)]
    g.node("Reshape", [g.x[0], g.ints("shape", sizes)], g.y)


def size_of(g: Given, x: str, axis: int) -> str:
    """Return a value that holds one size of another value, for a size that is known only when the model runs."""
    return g.node("Shape", [x], start=axis, end=axis + 1)


def reversed_along(g: Given, x: str, axis: int, outputs: int | Sequence[str] = 1) -> str:
    """Turn an axis around."""
    ends = g.ints("ends", [np.iinfo(np.int64).min])  # beyond the first place, for any size
    return g.node("Slice", [x, g.ints("last", [-1]), ends, g.ints("axes", [axis]), g.ints("steps", [-1])], outputs)


def repeated(g: Given, values: np.ndarray, t: int = 0) -> None:
    """Make top t the same in every sample: `values`, whose size is 1 along the open axis if there is one.

    The number of samples is that of the model's input.
    """
    constant = g.floats("values", values)
    if not g.y_open[t]:
        g.pass_on(t, constant)
        return
    axis, batch = min(g.y_open[t]), g.graph.batch
    g.refuse_if(len(g.y_open[t]) > 1 or batch is None or batch.size != g.y_shapes[t][axis],
                f"makes {g.y[t]!r}, which grows with the batch in another way than the input does", ONE_BATCH)
    assert batch is not None
    sizes, behind = size_of(g, batch.input, batch.axis), len(g.y_shapes[t]) - axis - 1
    if behind:  # an axis of size 1 takes the size of the constant
        sizes = g.node("Concat", [sizes, g.ints("ones", [1] * behind)], axis=0)
    g.node("Expand", [constant, sizes], [g.y[t]])


def needs_fixed(g: Given, axes: Iterable[int], j: int = 0) -> None:
    """Refuse the layer where one of these axes of bottom j grows with the batch, because its nodes hold that size."""
    for axis in axes:
        g.refuse_if(g.is_open(j, axis), f"needs a fixed size along axis {axis} of bottom[{j}] {g.x_shapes[j]}, which "
                                        "grows with the batch", ONE_BATCH)


def refuse_open(g: Given, axes: Iterable[int], what: str, j: int = 0) -> None:
    """Refuse the layer where the size of one of these axes of bottom j is open, though `what` belongs to the axis."""
    g.refuse_if(g.x_open[j] & set(axes),
                f"has {what} for each place of an axis of {g.x[j]!r} that grows with the batch", ONE_BATCH)
