"""Local response normalization, and the sums over a sliding window that it needs."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from minicaffe.kernels import shards
from minicaffe.kernels.definitions import lrn as definitions


@definitions.lrn.implementation("numpy")
def lrn(x: np.ndarray, axes: Sequence[int], size: int, alpha: float, k: float, beta: float, s: np.ndarray | None,
        out: np.ndarray) -> None:
    """s = k + α · Σ x², out = x · s^−β, the sum over windows of `size` along `axes`.

    All arrays of one shape (N, …), no axis of the windows the first; s None where nobody needs it; out may be x.
    """
    def images(x: np.ndarray, out: np.ndarray, s: np.ndarray | None = None) -> None:
        values = x * x
        s = _window_sums(values, axes, size, np.empty_like(x) if s is None else s)
        s *= alpha
        s += k
        negative_power(s, beta, values)
        np.multiply(x, values, out=out)

    shards.for_images(images, x, out, *([] if s is None else [s]))


@definitions.lrn_grad.implementation("numpy")
def lrn_grad(x: np.ndarray, s: np.ndarray, dy: np.ndarray, axes: Sequence[int], size: int, alpha: float, beta: float,
             out: np.ndarray) -> None:
    """out[i] = dy · s^−β − 2αβ · x[i] · Σ dy · x · s^−β / s, the sum over the window around i; out may be dy."""
    def images(x: np.ndarray, s: np.ndarray, dy: np.ndarray, out: np.ndarray) -> None:
        damped = np.empty_like(x)
        negative_power(s, beta, damped)
        damped *= dy
        t = damped * x
        t /= s
        t = _window_sums(t, axes, size, np.empty_like(x))
        t *= x
        t *= 2 * alpha * beta
        np.subtract(damped, t, out=out)

    shards.for_images(images, x, s, dy, out)


def _window_sums(values: np.ndarray, axes: Sequence[int], size: int, out: np.ndarray) -> np.ndarray:
    for axis in axes[:-1]:
        values = window_sum(values, size, axis, np.empty_like(values))
    return window_sum(values, size, axes[-1], out)


@definitions.window_sum.implementation("numpy")
def window_sum(x: np.ndarray, size: int, axis: int, out: np.ndarray) -> np.ndarray:
    """out[i] = Σ x[j] over |j − i| ≤ (size − 1) / 2 along `axis`, x being 0 outside; size is odd.

    The matrix of this map is symmetric, so the gradient of a window sum is a window sum.
    """
    out[...] = x
    from_x, to = np.moveaxis(x, axis, 0), np.moveaxis(out, axis, 0)
    # one addition a shift: a running sum would subtract what it added, and lose digits where values differ much
    for shift in range(1, min(size // 2, len(to) - 1) + 1):
        to[shift:] += from_x[:-shift]
        to[:-shift] += from_x[shift:]
    return out


@definitions.negative_power.implementation("numpy")
def negative_power(s: np.ndarray, beta: float, out: np.ndarray) -> None:
    """out = s^−β for positive s."""
    if beta == 0.75:  # what nearly every net asks for: two roots cost an eighth of a logarithm and its way back
        root = np.sqrt(s)
        np.sqrt(root, out=out)
        out *= root
        np.divide(1, out, out=out)
    else:
        np.power(s, -beta, out=out)
