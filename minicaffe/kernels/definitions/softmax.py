"""Softmax along one axis, for the Softmax layer and the losses that begin with it.

Derived in docs/maths/loss.md#softmax
"""

from __future__ import annotations

import numpy as np

from minicaffe.kernels.registry import kernel


@kernel
def softmax(x: np.ndarray, axis: int, out: np.ndarray) -> np.ndarray:
    """out[c] = exp(x[c] − m) / Σ exp(x[j] − m) along `axis`, where m = max x[j]; out may be x.

    Taking m away changes nothing, for exp(−m) cancels, and leaves no exponent above 0 to overflow.
    """
    np.exp(x - x.max(axis=axis, keepdims=True), out=out)
    out /= out.sum(axis=axis, keepdims=True)
    return out


@kernel
def softmax_grad(y: np.ndarray, dy: np.ndarray, axis: int, out: np.ndarray) -> np.ndarray:
    """out[c] = y[c] · (dy[c] − Σ dy[j] · y[j]) along `axis`, for y = softmax(x); out may be dy."""
    out[...] = y * (dy - np.sum(dy * y, axis=axis, keepdims=True))
    return out
