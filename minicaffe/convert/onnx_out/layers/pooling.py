"""Poolings as ONNX nodes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from minicaffe.convert.onnx_out.given import Given, Shape, writes
from minicaffe.convert.onnx_out.nodes import FLOAT, needs_fixed


@writes("Pooling")
def pooling(g: Given) -> None:
    """MaxPool or AveragePool with the pads at the end written out, or GlobalMaxPool or GlobalAveragePool.

    With padding, Caffe divides by the places of a window up to the edge of the padded image, so that a Mul may follow
    AveragePool. STOCHASTIC becomes two AveragePools and a Div. The mask is made from the Indices of MaxPool, by Mod.
    """
    p, layer = g.param, g.layer
    whole = {p.MAX: "GlobalMaxPool", p.AVE: "GlobalAveragePool"}.get(p.pool)
    if p.global_pooling and whole and len(g.y) == 1:
        g.node(whole, g.x, g.y)
        return
    window = layer.kernel, layer.stride, layer.pad, g.y_shapes[0][2:]
    if len(g.y) == 1:
        pool(g, *window, g.y)
        return
    indices, = g.new_names("Indices", 1)
    pool(g, *window, [g.y[0], indices])
    # ONNX counts the places through all planes of all images, Caffe through one plane
    H, W = g.x_shapes[0][2:]
    place = g.node("Mod", [indices, g.ints("plane", H * W)])
    g.node("Cast", [place], [g.y[1]], to=FLOAT)


@writes("SPP")
def spp(g: Given) -> None:
    """A MaxPool or AveragePool for each level, each with a Flatten, and Concat."""
    if len(g.layer.levels) == 1:
        level, = g.layer.levels
        pool(g, level.kernel, level.kernel, level.pad, level.y.shape[2:], g.y)
        return
    pooled = [pool(g, level.kernel, level.kernel, level.pad, level.y.shape[2:], 1) for level in g.layer.levels]
    g.node("Concat", [g.node("Flatten", [y], axis=1) for y in pooled], g.y, axis=1)


def pool(g: Given, kernel: Shape, stride: Shape, pad: Shape, made: Shape, y: int | Sequence[str]) -> str:
    """Pool bottom 0 with the method that the layer names, and return the name of what is made.

    made    how many windows there are along the height and the width
    y       names for what is made, or how many new names are wanted
    """
    needs_fixed(g, (2, 3))
    p, size = g.param, g.x_shapes[0][2:]
    # How many windows there are follows from the pad at the end. ceil_mode says it too, but with padding it counts one
    # window more than Caffe does, and onnxruntime was wrong there until 2026.
    after = [max(0, (o - 1) * s + k - n - a) for o, s, k, n, a in zip(made, stride, kernel, size, pad, strict=True)]
    window: dict[str, Any] = {"kernel_shape": kernel, "strides": stride, "pads": [*pad, *after]}
    if p.pool == p.MAX:
        return g.node("MaxPool", g.x, y, **window)
    if p.pool == p.STOCHASTIC:
        return _expected(g, window, y)
    if not any(pad):  # then Caffe counts the pixels of the image alone
        return g.node("AveragePool", g.x, y, count_include_pad=0, **window)
    # Caffe: the padding counts, up to the padded image's edge and no further; ONNX counts all places of a window
    sides = [np.minimum(np.arange(o) * s + k, n + 2 * a) - np.arange(o) * s
             for k, s, a, n, o in zip(kernel, stride, pad, size, made, strict=True)]
    share = np.multiply.outer(kernel[0] / sides[0], kernel[1] / sides[1])
    if (share == 1).all():
        return g.node("AveragePool", g.x, y, count_include_pad=1, **window)
    mean = g.node("AveragePool", g.x, count_include_pad=1, **window)
    return g.node("Mul", [mean, g.floats("share", share[None, None])], y)


def _expected(g: Given, window: dict[str, Any], y: int | Sequence[str]) -> str:
    """Add nodes for Σ x² / Σ x of each window, or 0 where Σ x is not positive."""
    squares = g.node("Mul", [g.x[0], g.x[0]])
    mean, of_squares = (g.node("AveragePool", [x], count_include_pad=1, **window) for x in (g.x[0], squares))
    zero = g.floats("zero", 0)
    quotient = g.node("Div", [of_squares, mean])
    return g.node("Where", [g.node("Greater", [mean, zero]), quotient, zero], y)
