"""Pooling over windows of images, and its gradients.

x and dx are (N, C, H, W), y, dy and index (N, C, oh, ow); kernel, stride and pad are (height, width).
A window may reach over any edge. Only the pixels inside count, but for the divisor of the average.
index holds the pixel of its image plane that a window chose, as h·W + w, or −1 for none.
Derived in docs/maths/vision.md#pooling
"""

from __future__ import annotations

import numpy as np

from minicaffe.kernels.definitions.im2col import Index, window_pixels
from minicaffe.kernels.registry import kernel

Pair = tuple[int, int]
LOWEST = float(np.finfo(np.float32).min)


@kernel
def max_pool(x: np.ndarray, kernel: Pair, stride: Pair, pad: Pair, y: np.ndarray,
             index: np.ndarray | None) -> None:
    """y[o] = x[m], m the first of the window's largest pixels; index[o] = m, unless index is None."""
    # Caffe: the search begins with the lowest float32. Where no pixel is larger (NaN never is), y keeps that number and
    # index −1
    y.fill(LOWEST)
    chosen, plane = np.full(y.shape, -1), pixel_numbers(x)
    for o, q in pixels(x, kernel, stride, pad, y):
        larger = x[q] > y[o]
        y[o] = np.where(larger, x[q], y[o])
        chosen[o] = np.where(larger, plane[q], chosen[o])
    if index is not None:
        index[...] = chosen


@kernel
def max_pool_grad(dy: np.ndarray, index: np.ndarray, dx: np.ndarray) -> None:
    """dx[m] = Σ dy[o] over the windows with index[o] = m."""
    dx.fill(0)
    for n, c in np.ndindex(*dx.shape[:2]):
        chose = index[n, c] >= 0
        np.add.at(dx[n, c].reshape(-1), index[n, c][chose], dy[n, c][chose])


@kernel
def ave_pool(x: np.ndarray, kernel: Pair, stride: Pair, pad: Pair, y: np.ndarray) -> None:
    """y[o] = Σ x[q] / a[o] over the window's pixels q; a[o] is the size of the window, padding included."""
    y.fill(0)
    for o, q in pixels(x, kernel, stride, pad, y):
        y[o] += x[q]
    y /= window_sizes(x, kernel, stride, pad, y)


@kernel
def ave_pool_grad(dy: np.ndarray, kernel: Pair, stride: Pair, pad: Pair, dx: np.ndarray) -> None:
    """dx[q] = Σ dy[o] / a[o] over the windows with q in them."""
    share = dy / window_sizes(dx, kernel, stride, pad, dy)
    dx.fill(0)
    # Caffe: a pixel adds up its windows row by row. It is the last place of the first of these
    # windows, and the first place of the last window. So the places are taken from the last to the first
    for o, q in reversed(pixels(dx, kernel, stride, pad, dy)):
        dx[q] += share[o]


@kernel
def stochastic_pool(x: np.ndarray, u: np.ndarray, kernel: Pair, stride: Pair, y: np.ndarray,
                    index: np.ndarray) -> None:
    """y[o] = x[m], m drawn with probability x[m] / Σ x[q]; index[o] = m.

    u (the shape of y) is uniform in (0, 1], and m the first pixel at which the running sum is ≥ u · Σ x[q]. So u is
    never 0: with u = 0 a first pixel of 0 would be chosen, whose probability is 0. Where negative pixels keep every
    running sum below, the last is taken.
    """
    threshold = u * sums(x, kernel, stride, y)
    running, drawn = np.zeros_like(y), np.zeros(y.shape, bool)
    y.fill(0)
    index.fill(-1)
    plane = pixel_numbers(x).astype(index.dtype)
    for o, q in pixels(x, kernel, stride, (0, 0), y):
        np.copyto(y[o], x[q], where=~drawn[o])
        np.copyto(index[o], plane[q], where=~drawn[o])
        running[o] += x[q]
        drawn[o] |= running[o] >= threshold[o]


@kernel
def expected_pool(x: np.ndarray, kernel: Pair, stride: Pair, y: np.ndarray) -> None:
    """y[o] = Σ x[q]² / Σ x[q], which stochastic pooling gives on average; 0 where Σ x[q] is not positive."""
    total, squares = sums(x, kernel, stride, y), sums(x * x, kernel, stride, y)
    y.fill(0)
    np.divide(squares, total, out=y, where=total > 0)


@kernel
def expected_pool_grad(x: np.ndarray, dy: np.ndarray, kernel: Pair, stride: Pair, dx: np.ndarray) -> None:
    """dx[q] = Σ dy[o] · (2 · x[q] − y[o]) / S[o] over the windows with q in them whose S[o] = Σ x[q] is positive."""
    total, squares = sums(x, kernel, stride, dy), sums(x * x, kernel, stride, dy)
    S = np.where(total > 0, total, np.inf)  # dividing by ∞ gives 0: such a window has no gradient
    share, y = dy / S, squares / S
    dx.fill(0)
    for o, q in pixels(x, kernel, stride, (0, 0), dy):
        dx[q] += share[o] * (2 * x[q] - y[o])


def pixels(x: np.ndarray, kernel: Pair, stride: Pair, pad: Pair, y: np.ndarray) -> list[tuple[Index, Index]]:
    """Return a pair (o, q) for each place in the window, row by row, as `window_pixels` has them.

    o selects all windows in which this place is on a pixel, and q selects these pixels, one of each window.
    """
    return [(o, q) for _, o, q in window_pixels(kernel, stride, pad, (1, 1), y.shape[2:], x.shape[2:])]


def pixel_numbers(x: np.ndarray) -> np.ndarray:
    """Return the number h·W + w of each pixel of an image plane, (H, W)."""
    return np.arange(x.shape[2] * x.shape[3]).reshape(x.shape[2:])


def window_sizes(x: np.ndarray, kernel: Pair, stride: Pair, pad: Pair, y: np.ndarray) -> np.ndarray:
    """a (oh, ow): how many places each window has."""
    # Caffe: the padding counts, up to the padded image's edge and no further
    sides = []
    for k, s, p, inputs, outputs in zip(kernel, stride, pad, x.shape[2:], y.shape[2:], strict=True):
        start = np.arange(outputs) * s - p
        sides.append(np.minimum(start + k, inputs + p) - start)
    return np.multiply.outer(*sides).astype(y.dtype)


def sums(x: np.ndarray, kernel: Pair, stride: Pair, y: np.ndarray) -> np.ndarray:
    """Σ x[q] over the pixels q of each window."""
    total = np.zeros_like(y)
    for o, q in pixels(x, kernel, stride, (0, 0), y):
        total[o] += x[q]
    return total
