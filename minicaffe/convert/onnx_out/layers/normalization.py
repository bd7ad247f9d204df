"""Layers that rescale by statistics, as ONNX nodes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from minicaffe.convert.onnx_out.given import Given, writes
from minicaffe.convert.onnx_out.nodes import needs_fixed


@writes("BatchNorm")
def batch_norm(g: Given) -> None:
    """BatchNormalization; where use_global_stats is false, ReduceMean, Sub, Sqrt and Div, and Mul and Add for a scale.
    """
    layer, shape = g.layer, g.x_shapes[0]
    needs_fixed(g, [1] if len(shape) > 1 else [])
    w, b = (*(g.numbers(k) for k in range(3, len(layer.blobs))), None, None)[:2]
    if not layer.use_global_stats:
        x, *_ = _by_batch(g, 1, g.y if w is None else 1)
        if w is not None:
            _scale(g, x, w, b, 1)
        return
    mean, variance, factor = (g.numbers(k) for k in range(3))
    if not layer.of_nvidia:
        # Caffe: with factor = 0, as at the start, both statistics are 0
        reciprocal = 1 / factor if factor[0] else factor
        mean, variance = mean * reciprocal, variance * reciprocal
    _by_stored(g, w, b, mean, variance)


@writes("BN")
def bn(g: Given) -> None:
    """BatchNormalization; with axis 2, Sub, Mul and Add; with bn_mode INFERENCE, Mul and Add.

    Where the batch is measured, ReduceMean, Sub, Sqrt, Div, Mul and Add.
    """
    layer, shape = g.layer, g.x_shapes[0]
    needs_fixed(g, [layer.axis])
    w, b, *stored = (g.numbers(k).reshape(-1) for k in range(len(layer.blobs)))
    if layer.uses_batch:
        x, *measured = _by_batch(g, layer.axis)
        for y, values in zip(g.y[1:], measured, strict=False):
            g.node("Reshape", [values, g.ints("statistics", (1, -1, 1, 1))], [y])
        _scale(g, x, w, b, layer.axis)
    elif not layer.stored:
        _scale(g, g.x[0], w, b, layer.axis)
    elif layer.axis == 1:
        _by_stored(g, w, b, *stored)
    else:
        mean, variance = stored
        x = g.node("Sub", [g.x[0], g.floats("mean", _along(mean, layer.axis, len(shape)))])
        _scale(g, x, w / np.sqrt(variance + np.float32(layer.eps)), b, layer.axis)


@writes("LRN")
def lrn(g: Given) -> None:
    """LRN; with WITHIN_CHANNEL, AveragePool of the squares, Mul, Add, Pow and Div.

    So it is also across channels where onnxruntime's LRN will not do: it wants a positive alpha and beta, and its
    rounding shows where k is less than 1.
    """
    p, n = g.param, g.layer.n
    across = p.norm_region == p.ACROSS_CHANNELS
    if across and min(p.alpha, p.beta) > 0 and p.k >= 1:
        g.node("LRN", g.x, g.y, alpha=p.alpha, beta=p.beta, bias=p.k, size=n)
        return
    x = _square(g, g.x[0])
    half = [n // 2, 0, 0] if across else [n // 2] * 2
    if across:  # a pooling runs over the axes after the first two, so the channels become the third
        x = g.node("Unsqueeze", [x, g.ints("axis", [1])])
    # Caffe: the divisor counts the places beyond the border, too
    mean = g.node("AveragePool", [x], kernel_shape=[2 * a + 1 for a in half], strides=[1] * len(half),
                  pads=half * 2, count_include_pad=1)
    if across:
        mean = g.node("Squeeze", [mean, g.ints("axis", [1])])
    s = g.node("Add", [g.node("Mul", [mean, g.floats("alpha", p.alpha)]), g.floats("k", g.layer.k)])
    g.node("Div", [g.x[0], g.node("Pow", [s, g.floats("beta", p.beta)])], g.y)


@writes("MVN")
def mvn(g: Given) -> None:
    """ReduceMean and Sub; with normalize_variance also Sqrt, Add for eps, and Div.

    A Reshape gives a bottom with fewer axes the four that Caffe's top has.
    """
    p, axes = g.param, len(g.x_shapes[0])
    over = [1, 2, 3] if p.across_channels else [2, 3]
    in_place = len(g.y_shapes[0]) < 4  # then the top keeps the axes of the bottom
    last: int | Sequence[str] = 1 if in_place else g.y
    x = _with_four_axes(g, g.x[0], axes)
    y = g.node("Sub", [x, _mean(g, x, over)], 1 if p.normalize_variance else last)
    if p.normalize_variance:
        # Caffe: ε is added to the standard deviation, not to the variance as in BatchNorm
        deviation = g.node("Sqrt", [_mean(g, _square(g, y), over)])
        y = g.node("Div", [y, g.node("Add", [deviation, g.floats("eps", p.eps)])], last)
    if in_place:
        g.node("Reshape", [y, g.ints("shape", [0] * axes)], g.y)


@writes("Normalize")
def normalize(g: Given) -> None:
    """Mul, ReduceSum, Add, Sqrt, Div and Mul; with normalize_type L1, Abs, ReduceSum, Add and Div."""
    layer, axes = g.layer, len(g.x_shapes[0])
    x, r = g.x[0], g.y[1:] or 1
    if layer.for_faces:
        x, axes = _with_four_axes(g, x, axes), 4
    over = g.ints("axes", range(1, axes) if layer.across_spatial else [1])
    total = g.node("ReduceSum", [g.node("Abs", [x]) if layer.by_sum else _square(g, x), over])
    eps = g.floats("eps", layer.eps)
    length = g.node("Add", [total, eps], r) if layer.by_sum else g.node("Sqrt", [g.node("Add", [total, eps])], r)
    if layer.for_faces:
        g.node("Div", [x, length], g.y[:1])
    else:
        w = g.numbers(0)
        g.node("Mul", [g.node("Div", [x, length]), g.floats("w", _along(w, 1, axes) if w.size > 1 else w)], g.y)


def _by_stored(g: Given, w: np.ndarray | None, b: np.ndarray | None, mean: np.ndarray, variance: np.ndarray) -> None:
    """Normalize bottom 0 by statistics that are known, each (C,), and scale and shift it."""
    numbers = [np.ones_like(mean) if w is None else w, np.zeros_like(mean) if b is None else b, mean, variance]
    constants = [g.floats(name, values) for name, values in zip(("w", "b", "mean", "variance"), numbers, strict=True)]
    if len(g.x_shapes[0]) > 1:
        g.node("BatchNormalization", [*g.x, *constants], g.y, epsilon=g.layer.eps)
        return
    x = g.node("Reshape", [g.x[0], g.ints("one channel", (0, 1))])
    y = g.node("BatchNormalization", [x, *constants], epsilon=g.layer.eps)
    g.node("Reshape", [y, g.ints("shape", [0])], g.y)


def _by_batch(g: Given, axis: int, y: int | Sequence[str] = 1) -> tuple[str, str, str]:
    """Normalize bottom 0 by the mean and the variance of each channel; return the names of the result and of both.

    axis    that of the channels
    """
    mean = _channel_mean(g, g.x[0], axis)
    difference = g.node("Sub", [g.x[0], mean])
    variance = _channel_mean(g, _square(g, difference), axis)
    deviation = g.node("Sqrt", [g.node("Add", [variance, g.floats("eps", g.layer.eps)])])
    return g.node("Div", [difference, deviation], y), mean, variance


def _channel_mean(g: Given, x: str, axis: int) -> str:
    """Add the mean of each channel of a value that has the axes of bottom 0."""
    # in two steps, because OpenCV 5 finds wrong means over axes that are not neighbours
    if later := range(axis + 1, len(g.x_shapes[0])):
        x = _mean(g, x, later)
    return _mean(g, x, range(min(axis, len(g.x_shapes[0]))))


def _scale(g: Given, x: str, w: np.ndarray, b: np.ndarray | None, axis: int) -> None:
    """Make the top of a value: multiply it by w and add b, each (C,) and along an axis. b may be None."""
    axes = len(g.x_shapes[0])
    y = g.node("Mul", [x, g.floats("w", _along(w, axis, axes))], g.y[:1] if b is None else 1)
    if b is not None:
        g.node("Add", [y, g.floats("b", _along(b, axis, axes))], g.y[:1])


def _mean(g: Given, x: str, axes: Sequence[int]) -> str:
    """Add the mean over some axes, each of which becomes 1."""
    return g.node("ReduceMean", [x, g.ints("axes", axes)])


def _square(g: Given, x: str) -> str:
    return g.node("Mul", [x, x])


def _with_four_axes(g: Given, x: str, axes: int) -> str:
    """Return a value of up to four axes with axes of 1 behind them, until there are four."""
    return x if axes == 4 else g.node("Reshape", [x, g.ints("four axes", [0] * axes + [1] * (4 - axes))])


def _along(values: np.ndarray, axis: int, axes: int) -> np.ndarray:
    """Return numbers (C,) in a shape that lies along one of several axes, such as (C, 1, 1) for axis 1 of four."""
    return values.reshape(-1, *[1] * (axes - axis - 1))
