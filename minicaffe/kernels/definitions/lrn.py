"""Local response normalization, and the sums over a sliding window that it needs.

Derived in docs/maths/normalization.md#lrn
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from minicaffe.kernels.registry import kernel


@kernel
def lrn(x: np.ndarray, axes: Sequence[int], size: int, alpha: float, k: float, beta: float, s: np.ndarray | None,
        out: np.ndarray) -> None:
    """s = k + α · Σ x², out = x · s^−β, the sum over windows of `size` along `axes`.

    alpha is what the layer's formulas call α / m: already divided by the number of places of a window.
    All arrays have one shape (N, …). Windows do not run along the first axis. s is None if not needed. out may be x.
    """
    if s is None:
        s = np.empty_like(x)
    s[...] = k + alpha * window_sums(x * x, size, axes)
    out[...] = x * s ** -beta


@kernel
def lrn_grad(x: np.ndarray, s: np.ndarray, dy: np.ndarray, axes: Sequence[int], size: int, alpha: float, beta: float,
             out: np.ndarray) -> None:
    """out[i] = dy[i] · s[i]^−β − 2αβ · x[i] · t[i], t[i] = Σ dy[j] · y[j] / s[j] over the window around i.

    Here y = x · s^−β, what `lrn` gave; it is computed again, for the layer may have lost it: a later layer may write
    over it. As in `lrn`, alpha is the layer's α / m. All arrays of one shape (N, …); out may be dy.
    """
    y = x * s ** -beta
    t = window_sums(dy * y / s, size, axes)
    out[...] = dy * s ** -beta - 2 * alpha * beta * x * t


@kernel
def window_sum(x: np.ndarray, size: int, axis: int, out: np.ndarray) -> np.ndarray:
    """out[i] = Σ x[j] over |j − i| ≤ (size − 1) / 2 along `axis`, x being 0 outside; size is odd.

    The matrix of this map is symmetric, so the gradient of a window sum is a window sum.
    """
    values, sums, half = np.moveaxis(x, axis, 0), np.moveaxis(out, axis, 0), size // 2
    for i in range(len(values)):
        sums[i] = values[max(0, i - half):i + half + 1].sum(axis=0)
    return out


@kernel
def negative_power(s: np.ndarray, beta: float, out: np.ndarray) -> None:
    """out = s^−β for positive s."""
    out[...] = s ** -beta


def window_sums(x: np.ndarray, size: int, axes: Sequence[int]) -> np.ndarray:
    """Σ x over windows of `size` along all axes: a sum along one axis after the other."""
    for axis in axes:
        # the definition below, called as a plain function: `window_sum(...)` would run the engine's version
        x = window_sum.definition(x, size, axis, np.empty_like(x))
    return x
