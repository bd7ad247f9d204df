"""Layers that move numbers to other places without changing them, of those that BVLC's Caffe has."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from minicaffe.convert.onnx_in.given import Given

MOST_PARTS = 128  # tops of one Slice; a net with more is no longer readable, nor quick


def transpose(g: Given, x: str, shape: Sequence[int], order: Sequence[int]) -> str:
    """Put the axes of x in another order: y's axis k is axis order[k] of x. Return the blob.

    BVLC's Caffe has no layer for this. A Permute or Transpose of the forks is written where the dialect has it. Else
    two neighbouring axes change places by a Slice along one of them, and a Concat of the parts along the other.
    """
    new = [shape[axis] for axis in order]
    if order[0] == 0:
        runs = runs_of(shape, order)
        if sorted(runs) == runs:
            return x if list(shape) == new else sized(g, x, new)
    if g.may_write("Permute"):
        return g.layer("Permute", x, permute_param={"order": list(order)})
    if g.may_write("Transpose"):
        return g.layer("Transpose", x, transpose_param={"dim": list(order)})
    return _by_slices(g, x, shape, order) if order[0] == 0 else _first_moved(g, x, shape, order)


def sized(g: Given, x: str, sizes: Sequence[int]) -> str:
    """Give x other sizes, the first of which is whatever the others leave, so that any batch fits."""
    return g.layer("Reshape", x, reshape_param={"shape": {"dim": [-1, *sizes[1:]]}})


def runs_of(shape: Sequence[int], order: Sequence[int]) -> list[list[int]]:
    """Return the axes of x but the first in their new order, as lists of those that stay side by side.

    An axis of size 1 has no place of its own, and is left out. Axis 0, the batch, may have that size by chance.
    """
    rest = [axis for axis in range(1, len(shape)) if shape[axis] != 1]
    runs: list[list[int]] = []
    for axis in (axis for axis in order if axis in rest):
        if runs and rest.index(axis) == rest.index(runs[-1][-1]) + 1:
            runs[-1].append(axis)
        else:
            runs.append([axis])
    return runs


def _by_slices(g: Given, x: str, shape: Sequence[int], order: Sequence[int]) -> str:
    """Bring the runs of axes to their places, from the first one on."""
    wanted = runs_of(shape, order)
    now = sorted(wanted)

    def size(runs: Sequence[Sequence[int]]) -> int:
        return math.prod(shape[axis] for run in runs for axis in run)

    while now != wanted:
        k = next(k for k in range(len(now)) if now[k] != wanted[k])
        m = now.index(wanted[k])
        stop = m + 1
        while stop < len(now) and wanted[k:k + stop - m + 1] == now[m:stop + 1]:
            stop += 1
        x = _swap(g, x, size(now[k:m]), size(now[m:stop]), size(now[stop:]))
        now = now[:k] + now[m:stop] + now[k:m] + now[stop:]
    return sized(g, x, [shape[axis] for axis in order])


def _swap(g: Given, x: str, a: int, b: int, inner: int) -> str:
    """Give x, seen as (…, a, b, inner), the shape (…, b, a, inner)."""
    check_parts(g, min(a, b), f"gives {a} x {b} numbers another order")
    x = sized(g, x, [-1, a, b, inner])
    if a <= b:
        parts = g.layers("Slice", x, a, slice_param={"axis": 1})
        return g.layer("Concat", [sized(g, part, [-1, b, 1, inner]) for part in parts], concat_param={"axis": 2})
    parts = g.layers("Slice", x, b, slice_param={"axis": 2})
    return g.layer("Concat", [sized(g, part, [-1, 1, a, inner]) for part in parts], concat_param={"axis": 1})


def _first_moved(g: Given, x: str, shape: Sequence[int], order: Sequence[int]) -> str:
    """Let the first two axes change places, as sequences and batches do before and after an LSTM."""
    if list(order) != [1, 0, *range(2, len(shape))]:
        g.refuse_without("Permute", "moves the axis of the batch behind others")
    inner, batch = list(shape[2:]), g.graph.shapes[g.graph.inputs[0]][0]
    batch_first = shape[0] == batch and (shape[1] != batch or shape[0] == 1)
    check_parts(g, shape[1 if batch_first else 0], "lets the batch and the sequence change places")
    if batch_first:
        parts = g.layers("Slice", x, shape[1], slice_param={"axis": 1})
        parts = [g.layer("Reshape", part, reshape_param={"shape": {"dim": [1, -1, *inner]}}) for part in parts]
        return g.layer("Concat", parts, concat_param={"axis": 0})
    parts = g.layers("Slice", x, shape[0], slice_param={"axis": 0})
    return g.layer("Concat", [sized(g, part, [-1, 1, *inner]) for part in parts], concat_param={"axis": 1})


def check_parts(g: Given, parts: int, what: str) -> None:
    """Refuse a node for which a Slice would need too many tops. A Permute does it, where the dialect has it."""
    if parts > MOST_PARTS:
        g.refuse_without("Permute", f"{what}, for which {parts} layers would be needed")


def shuffle_channels(g: Given, x: str, shape: Sequence[int], groups: int) -> str:
    """Read the channels of x, as a table with a row for each group, column by column."""
    if g.may_write("ShuffleChannel"):
        return g.layer("ShuffleChannel", x, shuffle_channel_param={"group": groups})
    return sized(g, _swap(g, x, groups, shape[1] // groups, math.prod(shape[2:])), shape)


def map_axis(g: Given, x: str, shape: Sequence[int], axis: int, matrix: np.ndarray) -> str:
    """Multiply along one axis, not the first: each new number is a sum of the old ones, as a row of the matrix says.

    The last axis is an InnerProduct. Another one is taken for the channels of a 1 x 1 Convolution.
    """
    new, n = matrix.shape
    if np.array_equal(matrix, np.eye(n)):
        return x
    if axis == len(shape) - 1:
        return g.layer("InnerProduct", x, [matrix], inner_product_param={
            "num_output": new, "axis": axis, "bias_term": False})
    x = sized(g, x, [-1, n, math.prod(shape[axis + 1:]), 1])
    x = g.layer("Convolution", x, [matrix.reshape(new, n, 1, 1)], convolution_param={
        "num_output": new, "kernel_size": [1], "bias_term": False})
    return sized(g, x, [*shape[:axis], new, *shape[axis + 1:]])
