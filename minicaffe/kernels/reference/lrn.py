"""Sums over a window that slides along one axis, as local response normalization needs them."""

from __future__ import annotations

import numpy as np

from minicaffe.kernels.registry import kernel


@kernel
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


@kernel
def negative_power(s: np.ndarray, beta: float, out: np.ndarray) -> None:
    """out = s^−β for positive s."""
    if beta == 0.75:  # what nearly every net asks for: two roots cost an eighth of a logarithm and its way back
        root = np.sqrt(s)
        np.sqrt(root, out=out)
        out *= root
        np.divide(1, out, out=out)
    else:
        np.power(s, -beta, out=out)
