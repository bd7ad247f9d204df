"""Sums, means and largest numbers along axes."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from minicaffe.convert.onnx_in.given import Given, reads
from minicaffe.convert.onnx_in.graph import Shape

REDUCTIONS = {"ReduceMean": "MEAN", "ReduceSum": "SUM", "ReduceL1": "ASUM", "ReduceSumSquare": "SUMSQ",
              "ReduceL2": "SUMSQ"}


@reads("ReduceMean", "ReduceSum", "ReduceL1", "ReduceL2", "ReduceSumSquare", "ReduceMax", "ReduceMin",
       "ReduceLogSumExp")
def reduce(g: Given) -> None:
    """Global Pooling along height and width, Reduction along the last axes. Otherwise Pooling with a window as high as
    the axes are long, between two Reshapes that put these into the height of an image.
    """
    shape = g.shape()
    given = g.ints("axes", 1)
    if not given and g.attribute("noop_with_empty_axes", 0):
        g.give(g.bottom())
        return
    axes = sorted(axis % len(shape) for axis in given or range(len(shape)))
    x = g.bottom()
    if g.op == "ReduceMin":
        x = g.power(x, scale=-1)
    elif g.op == "ReduceLogSumExp":
        x = g.layer("Exp", x)
    y, made = _reduced(g, x, shape, axes)
    if g.op == "ReduceMin":
        y = g.power(y, scale=-1)
    elif g.op == "ReduceLogSumExp":
        y = g.layer("Log", y)
    elif g.op == "ReduceL2":
        y = g.power(y, power=0.5)
    g.give(g.reshape(y, made, g.y_shape()))


def _reduced(g: Given, x: str, shape: Shape, axes: Sequence[int]) -> tuple[str, Sequence[int]]:
    """Return the sums, means or largest numbers, and their shape: with size 1 along the axes, or without these."""
    last = list(range(axes[0], len(shape))) == list(axes)
    kept = [1 if axis in axes else size for axis, size in enumerate(shape)]
    written = g.graph.ours and not g.attribute("keepdims", 1)  # as minicaffe writes a Reduction
    if g.op in ("ReduceMean", "ReduceMax", "ReduceMin") and len(shape) == 4 and list(axes) == [2, 3] and not written:
        method = "AVE" if g.op == "ReduceMean" else "MAX"
        return g.layer("Pooling", x, pooling_param={"pool": method, "global_pooling": True}), kept
    if last and g.op in REDUCTIONS:
        coeff = g.attribute("coeff", 1)
        y = g.layer("Reduction", x, reduction_param={"operation": REDUCTIONS[g.op], "axis": axes[0],
                                                     **({"coeff": coeff} if coeff != 1 else {})})
        return y, shape[:axes[0]]
    g.refuse_if(0 in axes, "reduces the axis of the batch, which Caffe can do only together with all others")
    x = {"ReduceL1": lambda: g.layer("AbsVal", x), "ReduceL2": lambda: g.power(x, power=2),
         "ReduceSumSquare": lambda: g.power(x, power=2)}.get(g.op, lambda: x)()
    largest = g.op in ("ReduceMax", "ReduceMin")
    sizes = list(shape)
    for first, stop in _runs(axes):
        x = along(g, x, sizes, first, stop, "MAX" if largest else "AVE")
        sizes[first:stop] = [1] * (stop - first)
    count = int(np.prod([shape[axis] for axis in axes]))
    factor = 1 if largest or g.op == "ReduceMean" else count
    return g.power(x, scale=factor * g.attribute("coeff", 1)), kept


def _runs(axes: Sequence[int]) -> list[tuple[int, int]]:
    """Return the runs of neighbouring axes, each as its first axis and the one behind its last."""
    cuts = [0, *[i + 1 for i, (a, b) in enumerate(pairwise(axes)) if b != a + 1], len(axes)]
    return [(axes[a], axes[b - 1] + 1) for a, b in pairwise(cuts)]


def along(g: Given, x: str, shape: Sequence[int], first: int, stop: int, method: str) -> str:
    """Return the mean or the largest number of x along neighbouring axes other than 0, whose sizes become 1."""
    length = int(np.prod(shape[first:stop]))
    image = as_image(shape, first, stop)
    y = g.layer("Pooling", g.reshape(x, shape, image),
                pooling_param={"pool": method, "kernel_h": length, "kernel_w": 1})
    return g.reshape(y, [*image[:2], 1, image[3]], [*shape[:first], *[1] * (stop - first), *shape[stop:]])


def as_image(shape: Sequence[int], first: int, stop: int) -> list[int]:
    """Return the four axes in which the axes from `first` to `stop` are the height of an image."""
    return [shape[0], int(np.prod(shape[1:first])), int(np.prod(shape[first:stop])), int(np.prod(shape[stop:]))]


@reads("ArgMax", "ArgMin")
def arg_max(g: Given) -> None:
    """ArgMax; for ArgMin behind a Power that turns the sign. Of equal numbers Caffe takes the last, and ONNX the first
    if `select_last_index` is not set.
    """
    shape, axis, k = g.shape(), g.axis(g.attribute("axis", 0)), g.attribute("top_k", 1)
    x = g.power(g.bottom(), scale=-1) if g.op == "ArgMin" else g.bottom()
    several = {"top_k": k} if k != 1 else {}
    if g.attribute("whole", 0):
        values = {"out_max_val": True} if g.attribute("out_max_val", 0) else {}
        g.give(g.layer("ArgMax", x, argmax_param={**several, **values} or None))
        return
    y = g.layer("ArgMax", x, argmax_param={"axis": axis, **several})
    g.give(g.reshape(y, [*shape[:axis], k, *shape[axis + 1:]], g.y_shape()))
