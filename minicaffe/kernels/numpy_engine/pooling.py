"""Pooling over windows of images, and its gradients.

x and dx are (N, C, H, W), y, dy and index (N, C, oh, ow); kernel, stride and pad are (height, width).
A window may reach over any edge; only the pixels inside count, but for the divisor of the average.
index holds which pixel of its image plane, h·W + w, a window chose; −1 for none.
"""

from __future__ import annotations

import functools

import numpy as np

from minicaffe.kernels.definitions import pooling as definitions
from minicaffe.kernels.definitions.pooling import LOWEST, Pair
from minicaffe.kernels.numpy_engine.windows import Slices, reach_all


@definitions.max_pool.implementation("numpy", over_images=True)
def max_pool(x: np.ndarray, kernel: Pair, stride: Pair, pad: Pair, y: np.ndarray,
             index: np.ndarray | None) -> None:
    """The largest pixel of each window, and which it was, unless index is None: the first one where some are equal."""
    # Caffe: a window without a pixel above the lowest float32 gives that number and no index; so does NaN
    y.fill(LOWEST)
    if index is None:
        for at, seen in _taps(x, kernel, stride, pad, y):
            np.fmax(y[at], x[seen], out=y[at])
        return
    width, (oh, ow) = x.shape[3], y.shape[2:]
    # which pixel each window chose: its number in the plane, counted from 1 at the window's corner; 0 for none
    chosen = np.zeros(y.shape, np.min_scalar_type((kernel[0] - 1) * width + kernel[1]))
    for (i, j), (at, seen) in zip(np.ndindex(*kernel), _taps(x, kernel, stride, pad, y), strict=True):
        pixels = np.ascontiguousarray(x[seen])  # three passes over neighbours are quicker than over every other one
        larger = (pixels > y[at]) * chosen.dtype.type(i * width + j + 1)
        np.maximum(chosen[at], larger, out=chosen[at])  # the numbers ascend: the last that was larger stays
        np.fmax(y[at], pixels, out=y[at])
    corners = np.add.outer((np.arange(oh) * stride[0] - pad[0]) * width, np.arange(ow) * stride[1] - pad[1])
    np.add(chosen, (corners - 1).astype(index.dtype), out=index, casting="unsafe")
    index[chosen == 0] = -1


@definitions.max_pool_grad.implementation("numpy", over_images=True)
def max_pool_grad(dy: np.ndarray, index: np.ndarray, dx: np.ndarray) -> None:
    """Each window's gradient goes to the pixel that it chose."""
    dx.fill(0)
    planes = np.arange(dx.shape[0] * dx.shape[1]).reshape(*dx.shape[:2], 1, 1) * (dx.shape[2] * dx.shape[3])
    pixels, slopes = (planes + index).reshape(-1), dy.reshape(-1)
    chosen = index.reshape(-1) >= 0
    if not chosen.all():
        pixels, slopes = pixels[chosen], slopes[chosen]
    np.add.at(dx.reshape(-1), pixels, slopes)


@definitions.ave_pool.implementation("numpy", over_images=True)
def ave_pool(x: np.ndarray, kernel: Pair, stride: Pair, pad: Pair, y: np.ndarray) -> None:
    """The sum of each window's pixels over the size of the window, padding included."""
    y.fill(0)
    for at, seen in _taps(x, kernel, stride, pad, y):
        y[at] += x[seen]
    with np.errstate(divide="ignore", invalid="ignore"):  # 0 / 0 for a window outside the image, which no layer has
        y /= _window_sizes(x, kernel, stride, pad, y)


@definitions.ave_pool_grad.implementation("numpy", over_images=True)
def ave_pool_grad(dy: np.ndarray, kernel: Pair, stride: Pair, pad: Pair, dx: np.ndarray) -> None:
    """Each pixel gets its share of the gradients of the windows it is in."""
    dx.fill(0)
    with np.errstate(divide="ignore", invalid="ignore"):
        share = dy / _window_sizes(dx, kernel, stride, pad, dy)
    for at, seen in reversed(_taps(dx, kernel, stride, pad, dy)):  # so that windows add in ascending order
        dx[seen] += share[at]


@definitions.stochastic_pool.implementation("numpy", over_images=True)
def stochastic_pool(x: np.ndarray, u: np.ndarray, kernel: Pair, stride: Pair, y: np.ndarray,
                    index: np.ndarray) -> None:
    """One pixel of each window, drawn with probability pixel / sum: the first at which the running sum is ≥ u · sum.

    u (the shape of y) is uniform in [0, 1). Where negative pixels keep every running sum below, the last is taken.
    """
    total, running = np.zeros_like(y), np.zeros_like(y)
    for at, seen in _taps(x, kernel, stride, (0, 0), y):
        total[at] += x[seen]
    y.fill(0)
    index.fill(-1)
    plane = np.arange(x.shape[2] * x.shape[3], dtype=index.dtype).reshape(x.shape[2:])
    drawn, threshold = np.zeros(y.shape, bool), u * total
    for at, seen in _taps(x, kernel, stride, (0, 0), y):
        running[at] += x[seen]
        np.copyto(y[at], x[seen], where=~drawn[at])
        np.copyto(index[at], plane[seen[2:]], where=~drawn[at])
        drawn[at] |= running[at] >= threshold[at]


@definitions.expected_pool.implementation("numpy", over_images=True)
def expected_pool(x: np.ndarray, kernel: Pair, stride: Pair, y: np.ndarray) -> None:
    """What stochastic pooling gives on average, Σ pixel² / Σ pixel; 0 where the sum is not positive."""
    total, squares = _sums(x, kernel, stride, y)
    y.fill(0)
    np.divide(squares, total, out=y, where=total > 0)


@definitions.expected_pool_grad.implementation("numpy", over_images=True)
def expected_pool_grad(x: np.ndarray, dy: np.ndarray, kernel: Pair, stride: Pair, dx: np.ndarray) -> None:
    """dx = Σ dy · (2 · pixel − y) / Σ pixel over the windows with a positive sum."""
    total, squares = _sums(x, kernel, stride, dy)
    total = np.where(total > 0, total, np.inf)
    share, y = dy / total, squares / total
    dx.fill(0)
    for at, seen in _taps(x, kernel, stride, (0, 0), dy):
        dx[seen] += share[at] * (2 * x[seen] - y[at])


def _taps(x: np.ndarray, kernel: Pair, stride: Pair, pad: Pair, y: np.ndarray) -> list[tuple[Slices, Slices]]:
    """For each place in the window, in reading order, the windows where it is a pixel, and those pixels."""
    return _taps_of(x.shape[2:], kernel, stride, pad, y.shape[2:])


@functools.lru_cache(maxsize=256)
def _taps_of(inputs: Pair, kernel: Pair, stride: Pair, pad: Pair, outputs: Pair) -> list[tuple[Slices, Slices]]:
    every, taps = slice(None), []
    for i, j in np.ndindex(*kernel):
        at, seen = reach_all((i - pad[0], j - pad[1]), inputs, outputs, stride)
        taps.append(((every, every, *at), (every, every, *seen)))
    return taps


def _window_sizes(x: np.ndarray, kernel: Pair, stride: Pair, pad: Pair, y: np.ndarray) -> np.ndarray:
    """The number of places of each window, (oh, ow)."""
    # Caffe: the divisor counts padding, up to the padded image's edge and no further
    sides = []
    for k, s, p, inputs, outputs in zip(kernel, stride, pad, x.shape[2:], y.shape[2:], strict=True):
        start = np.arange(outputs) * s - p
        sides.append(np.minimum(start + k, inputs + p) - start)
    return np.multiply.outer(*sides).astype(y.dtype)


def _sums(x: np.ndarray, kernel: Pair, stride: Pair, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Σ pixel and Σ pixel² of each window."""
    total, squares = np.zeros_like(y), np.zeros_like(y)
    for at, seen in _taps(x, kernel, stride, (0, 0), y):
        total[at] += x[seen]
        squares[at] += x[seen] * x[seen]
    return total, squares
