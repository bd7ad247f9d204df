"""Local response normalization, and the sums over a sliding window that it needs."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from minicaffe.kernels.registry import kernel


@kernel
def lrn(x: np.ndarray, axes: Sequence[int], size: int, alpha: float, k: float, beta: float, s: np.ndarray | None,
        out: np.ndarray) -> None:
    """s = k + α · Σ x², out = x · s^−β, the sum over windows of `size` along `axes`.

    All arrays of one shape (N, …), no axis of the windows the first; s None where nobody needs it; out may be x.
    """
    raise NotImplementedError


@kernel
def lrn_grad(x: np.ndarray, s: np.ndarray, dy: np.ndarray, axes: Sequence[int], size: int, alpha: float, beta: float,
             out: np.ndarray) -> None:
    """out[i] = dy · s^−β − 2αβ · x[i] · Σ dy · x · s^−β / s, the sum over the window around i; out may be dy."""
    raise NotImplementedError


@kernel
def window_sum(x: np.ndarray, size: int, axis: int, out: np.ndarray) -> np.ndarray:
    """out[i] = Σ x[j] over |j − i| ≤ (size − 1) / 2 along `axis`, x being 0 outside; size is odd.

    The matrix of this map is symmetric, so the gradient of a window sum is a window sum.
    """
    raise NotImplementedError


@kernel
def negative_power(s: np.ndarray, beta: float, out: np.ndarray) -> None:
    """out = s^−β for positive s."""
    raise NotImplementedError
