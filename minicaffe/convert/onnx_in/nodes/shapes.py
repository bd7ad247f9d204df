"""Operators that only pass numbers on, or see them in another shape."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from minicaffe.convert.onnx_in.given import Given, reads
from minicaffe.convert.onnx_in.moving import shuffle_channels, transpose


@reads("Identity", "Dropout")
def identity(g: Given) -> None:
    """Nothing: the next layer reads the blob before it."""
    g.refuse_if(len(g.y) > 1 and g.y[1] and (g.graph.readers(g.y[1]) or g.y[1] in g.graph.outputs),
                "has a second output that is read, its mask")
    g.refuse_if(g.is_constant(2) and bool(g.constant(2).any()), "is exported for training (training_mode)",
                "call model.eval() before the export")
    g.give(g.blob_of(0))


@reads("Cast")
def cast(g: Given) -> None:
    """Nothing, where it gives float32: a whole number that a layer has made is one in float32, too."""
    before, after = g.graph.kinds.get(g.x[0]), g.graph.kinds.get(g.y[0])
    g.refuse_if(before != after and after != np.float32,
                f"turns {before} into {after}, and Caffe computes in float32 alone")
    g.give(g.blob_of(0))


@reads("Reshape", "Flatten", "Squeeze", "Unsqueeze")
def reshape(g: Given) -> None:
    """Reshape, in which the size of the batch stays open where it can; Flatten where that is what it does."""
    old, new = g.shape(), g.y_shape()
    if len(old) > 2 and list(new) == [old[0], int(np.prod(old[1:]))]:
        g.give(g.layer("Flatten", g.blob_of(0)))
    else:
        g.give(g.reshape(g.blob_of(0), old, new))


@reads("Transpose")
def turned(g: Given) -> None:
    """Reshape where only axes of the size 1 move. Otherwise Slice, Reshape and Concat, which cut along one axis and
    join the parts along another. `--dialect` writes Permute or Transpose.
    """
    shape = g.shape()
    g.give(transpose(g, g.bottom(), shape, g.ints("perm") or list(range(len(shape)))[::-1]))


@reads("ChannelShuffle")
def channel_shuffle(g: Given) -> None:
    """Slice, Reshape and Concat for the Reshape, Transpose and Reshape that mix the channels of groups. `--dialect`
    writes ShuffleChannel.
    """
    g.give(shuffle_channels(g, g.bottom(), g.shape(), g.attribute("group")))


@reads("Concat")
def concat(g: Given) -> None:
    """Concat."""
    axis = g.attribute("axis") % len(g.y_shape())
    g.give(g.concat([g.bottom(k) for k in range(len(g.x)) if 0 not in g.shape(k)], axis))


@reads("Split")
def split(g: Given) -> None:
    """Slice."""
    axis = g.axis(g.attribute("axis", 0))
    sizes = [g.y_shape(t)[axis] for t in range(len(g.y))]
    g.refuse_if(0 in sizes, f"makes parts of the sizes {sizes}, and Caffe has no empty parts")
    if len(sizes) == 1:
        g.give(g.bottom())
        return
    points = [int(n) for n in np.cumsum(sizes)[:-1]]
    for t, part in enumerate(g.layers("Slice", g.bottom(), len(sizes),
                                      slice_param={"axis": axis, "slice_point": points})):
        g.give(part, t)


@reads("Slice")
def cut_out(g: Given) -> None:
    """Slice, and for a step above 1 a Pooling with a window of one pixel and that stride."""
    starts, ends = g.ints("starts", 1) or [], g.ints("ends", 2) or []
    axes = g.ints("axes", 3) or list(range(len(starts)))
    steps = g.ints("steps", 4) or [1] * len(starts)
    x, shape = g.bottom(), list(g.shape())
    for axis, start, end, step in zip(axes, starts, ends, steps, strict=True):
        axis %= len(shape)
        first, stop, _ = slice(start, end, step).indices(shape[axis])
        count = len(range(first, stop, step))
        if step == -1 and count == shape[axis]:
            g.refuse_without("Reverse", f"reads the axis {axis} backwards")
            x = g.layer("Reverse", x, reverse_param={"axis": axis})
            continue
        g.refuse_if(step < 0, f"reads a part of axis {axis} backwards")
        g.refuse_if(not count, "keeps nothing, and Caffe has no empty blobs")
        x = g.cut(x, axis, first, first + (count - 1) * step + 1, shape[axis])
        shape[axis] = (count - 1) * step + 1
        if step > 1:
            x = every(g, x, shape, axis, step)
            shape[axis] = count
    g.give(x)


def every(g: Given, x: str, shape: list[int], axis: int, step: int) -> str:
    """Return each step-th part of x along an axis, the first and the last one among them."""
    g.refuse_if(axis == 0, "takes single samples of the batch")
    sizes = [shape[0], int(np.prod(shape[1:axis])), shape[axis], int(np.prod(shape[axis + 1:]))]
    y = g.layer("Pooling", g.reshape(x, shape, sizes), pooling_param={
        "pool": "MAX", "kernel_size": 1, "stride_h": step, "stride_w": 1})
    count = (shape[axis] - 1) // step + 1
    return g.reshape(y, [*sizes[:2], count, sizes[3]], [*shape[:axis], count, *shape[axis + 1:]])


@reads("Gather")
def gather(g: Given) -> None:
    """Slice, for constant indices; several that are not neighbours are put together by Concat."""
    shape, axis = g.shape(), g.axis(g.attribute("axis", 0))
    indices = [int(i) % shape[axis] for i in np.ravel(g.constant(1, "indices"))]
    y = picked(g, g.bottom(), axis, shape[axis], indices)
    g.give(g.reshape(y, [*shape[:axis], len(indices), *shape[axis + 1:]], g.y_shape()))


def picked(g: Given, x: str, axis: int, size: int, indices: Iterable[int]) -> str:
    """Return the parts of x at these indices along an axis of this size. Neighbours stay together."""
    runs: list[list[int]] = []
    for i in indices:
        if runs and i == runs[-1][1]:
            runs[-1][1] += 1
        else:
            runs.append([i, i + 1])
    points = sorted({int(p) for run in runs for p in run} - {0, size})
    parts = g.layers("Slice", x, len(points) + 1, slice_param={"axis": axis, "slice_point": points}) if points else [x]
    pieces = [part for first, stop in runs for part, at in zip(parts, [0, *points], strict=True) if first <= at < stop]
    return g.concat(pieces, axis)


@reads("Expand", "Tile")
def expand(g: Given) -> None:
    """Tile, for each axis that is repeated."""
    if g.op == "Expand":
        g.give(g.expand(g.bottom(), g.shape(), g.y_shape()))
        return
    x = g.bottom()
    for axis, tiles in enumerate(g.ints("repeats", 1) or []):
        x = g.tile(x, axis, tiles)
    g.give(x)


@reads("DepthToSpace")
def depth_to_space(g: Given) -> None:
    """Deconvolution with a filter that puts each channel at its place in the block."""
    _move(g, "Deconvolution", g.y_shape()[1])


@reads("SpaceToDepth")
def space_to_depth(g: Given) -> None:
    """Convolution with a filter that takes each channel from its place in the block."""
    _move(g, "Convolution", g.shape()[1])


def _move(g: Given, type: str, channels: int) -> None:
    """Add a layer between `channels` channels and as many for each place in a block of pixels.

    In the mode CRD the places follow each other among the many channels, and in DCR the channels do.
    """
    block, by_columns = g.attribute("blocksize"), g.attribute("mode", "DCR") == "CRD"
    w = np.zeros((channels * block * block, 1 if by_columns else channels, block, block))
    for k in range(len(w)):
        place, c = (k % block ** 2, 0) if by_columns else (k // channels, k % channels)
        w[k, c, place // block, place % block] = 1
    g.give(g.layer(type, g.bottom(), [w], convolution_param={
        "num_output": channels if type == "Deconvolution" else len(w), "kernel_size": [block], "stride": [block],
        "bias_term": False, **({"group": channels} if by_columns and channels > 1 else {})}))
