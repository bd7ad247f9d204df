"""MaxPool, AveragePool and the poolings of whole images."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from minicaffe.convert.onnx_in.dialects import ROUND_MODE
from minicaffe.convert.onnx_in.given import Given, reads
from minicaffe.convert.onnx_in.nodes._windows import paddings, pair
from minicaffe.convert.onnx_in.nodes.padding import repeated, with_numbers


class Axis(NamedTuple):
    """How Caffe pools along one axis so that the windows of ONNX are among its own.

    pad     the padding on both sides
    first   which of Caffe's windows is the first of ONNX's
    made    how many windows Caffe has
    """

    pad: int
    first: int
    made: int


@reads("MaxPool")
def max_pool(g: Given) -> None:
    """Pooling with MAX. Caffe rounds the number of windows up: what is too much is cut off by a Slice, or not made
    with `round_mode: FLOOR` (`--dialect bvlc`).
    """
    g.refuse_if(g.is_read(1) and not g.attribute("mask", 0),
                "has a second output, the places of the largest numbers, counted in another way than Caffe counts them")
    g.refuse_if(set(g.ints("dilations") or [1]) != {1}, "has windows with dilation, which Caffe's Pooling has not")
    _pool(g, "MAX")


@reads("AveragePool")
def average_pool(g: Given) -> None:
    """Pooling with AVE. Where ONNX divides by another number than Caffe, which counts the padding too, a Scale with
    a number for each place follows. A Mul behind it that makes Caffe's divisors of ONNX's is no layer.
    """
    g.refuse_if(set(g.ints("dilations") or [1]) != {1}, "has windows with dilation, which Caffe's Pooling has not")
    _pool(g, "AVE")


@reads("StochasticPool")
def stochastic_pool(g: Given) -> None:
    """Pooling with STOCHASTIC, for two AveragePools, Div and Where that give what it gives in the phase TEST."""
    _pool(g, "STOCHASTIC")


@reads("SPP")
def spp(g: Given) -> None:
    """SPP, for the MaxPools or AveragePools of its levels, a Flatten for each, and Concat."""
    fields = {"pyramid_height": g.attribute("levels"), "pool": g.attribute("method")}
    g.give(g.layer("SPP", g.bottom(), spp_param=fields))


@reads("GlobalAveragePool", "GlobalMaxPool")
def global_pool(g: Given) -> None:
    """Pooling with `global_pooling`, AVE or MAX."""
    method = "AVE" if g.op == "GlobalAveragePool" else "MAX"
    x = g.reshape(g.bottom(), g.shape(), _as_image(g, g.shape()))
    y = g.layer("Pooling", x, pooling_param={"pool": method, "global_pooling": True})
    g.give(g.reshape(y, _as_image(g, g.y_shape()), g.y_shape()))


def _as_image(g: Given, shape: Sequence[int]) -> list[int]:
    """Return the shape with the four axes that Caffe pools: a row of numbers is an image of one row."""
    g.refuse_if(len(shape) not in (3, 4), f"pools along {len(shape) - 2} axes, and Caffe along 1 or 2")
    return [*shape[:2], 1, shape[2]] if len(shape) == 3 else list(shape)


def _pool(g: Given, method: str) -> None:
    shape, wanted = _as_image(g, g.shape()), _as_image(g, g.y_shape())
    given = g.ints("kernel_shape") or []
    strides = g.ints("strides") or [1] * len(given)
    begins, ends = paddings(g, given, strides, [1] * len(given))
    row = [0] * (2 - len(given))  # the axis that an image of one row has more
    kernel, stride = [1] * len(row) + given, [1] * len(row) + strides
    begins, ends = row + begins, row + ends
    x = g.reshape(g.bottom(), g.shape(), shape)
    sizes = list(shape[2:])
    for i, (n, k, s, begin, want) in enumerate(zip(shape[2:], kernel, stride, begins, wanted[2:], strict=True)):
        reach = (want - 1) * s + k - begin  # one more than the last pixel of the last window
        axis = _axis(n, k, s, begin, want, floor=False)
        if axis.pad >= k:  # windows at the end that Caffe does not make unless the image is larger
            x = _longer(g, x, [*shape[:2], *sizes], i, reach - n, method)
            sizes[i] = reach
        elif (axis.made - 1) * s - axis.pad >= n:  # Caffe would make a window in which there is no pixel
            x = g.cut(x, i + 2, 0, min(reach, n), n)
            sizes[i] = min(reach, n)
    axes = [_axis(n, k, s, begin, want, floor=False)
            for n, k, s, begin, want in zip(sizes, kernel, stride, begins, wanted[2:], strict=True)]
    mode = {}
    if g.may_write(ROUND_MODE) and any(axis.made != want for axis, want in zip(axes, wanted[2:], strict=True)):
        floored = [_axis(n, k, s, begin, want, floor=True)
                   for n, k, s, begin, want in zip(sizes, kernel, stride, begins, wanted[2:], strict=True)]
        if all(axis.made == want for axis, want in zip(floored, wanted[2:], strict=True)):
            axes, mode = floored, {"round_mode": "FLOOR"}
    pads = [axis.pad for axis in axes]
    y, *mask = g.layers("Pooling", x, 1 + g.is_read(1), pooling_param={
        "pool": method, **pair("kernel_size", kernel, 0), **pair("stride", stride, 1), **pair("pad", pads, 0), **mode})
    if mask:
        g.refuse_if(list(wanted) != [*shape[:2], *(axis.made for axis in axes)] or sizes != list(shape[2:]),
                    "has a mask, and windows that Caffe cannot make without cutting")
        g.give(mask[0], 1)
    for i, (axis, want) in enumerate(zip(axes, wanted[2:], strict=True)):
        y = g.cut(y, i + 2, axis.first, axis.first + want, axis.made)
    if method == "AVE":
        y = _divide_as_onnx(g, y, shape[2:], sizes, wanted[2:], kernel, stride, begins, ends, axes)
    g.give(g.reshape(y, wanted, g.y_shape()))


def _axis(n: int, k: int, s: int, begin: int, want: int, floor: bool) -> Axis:
    """Return how Caffe pools along an axis of n pixels: the smallest padding with which it has all windows."""
    first = 0
    while True:
        pad = begin + first * s
        made = _windows(n, k, s, pad, floor)
        if made >= first + want or pad >= k:
            return Axis(pad, first, made)
        first += 1


def _windows(n: int, k: int, s: int, pad: int, floor: bool) -> int:
    """Return how many windows Caffe has."""
    made = (n + 2 * pad - k) / s
    count = (math.floor(made) if floor else math.ceil(made)) + 1
    return count - 1 if pad and (count - 1) * s >= n + pad else count


def _longer(g: Given, x: str, shape: Sequence[int], i: int, more: int, method: str) -> str:
    """Return x with more pixels at the end of its height (i = 0) or width.

    For MAX they repeat the last pixel, which is in each window that reaches beyond it. For AVE they are 0.
    """
    if method == "MAX":
        return repeated(g, x, i + 2, shape[i + 2], 0, more, "edge")
    ends = [0, 0, 0, 0]
    ends[i + 2] = more
    return with_numbers(g, x, list(shape), [0, 0, 0, 0], ends, 0)


def _divide_as_onnx(g: Given, y: str, sizes: Sequence[int], caffe_sizes: Sequence[int], wanted: Sequence[int],
                    kernel: Sequence[int], stride: Sequence[int], begins: Sequence[int], ends: Sequence[int],
                    axes: Sequence[Axis]) -> str:
    """Multiply by Caffe's divisor over ONNX's, where they differ anywhere."""
    ratios = []
    for n, given, want, k, s, begin, end, axis in zip(
            sizes, caffe_sizes, wanted, kernel, stride, begins, ends, axes, strict=True):
        starts = np.arange(want) * s - begin
        caffe = np.minimum(starts + k, given + axis.pad) - starts
        if g.attribute("count_include_pad", 0):
            # With ceil_mode a window may reach beyond the padding, and what is there does not count.
            onnx = np.minimum(starts + k, n + end) - np.maximum(starts, -begin)
        else:
            onnx = np.minimum(starts + k, n) - np.maximum(starts, 0)
        ratios.append(caffe / onnx)
    w = np.outer(*ratios) * g.attribute("share", 1)
    if np.allclose(w, 1, atol=1e-6, rtol=0):
        return y
    if np.ptp(w) == 0:
        return g.power(y, scale=float(w.flat[0]))
    return g.layer("Scale", y, [w], scale_param={"axis": 2, "num_axes": 2})
