"""Softmax and its gradient, step by step in `out`, so that no step needs memory of its own."""

from __future__ import annotations

import numpy as np

from minicaffe.kernels.definitions import softmax as definitions


@definitions.softmax.implementation("numpy")
def softmax(x: np.ndarray, axis: int, out: np.ndarray) -> np.ndarray:
    """Without memory for the exponents. (Of (16, 21, 64, 64) numbers: 3.6 to 3.0 ms.)"""
    np.subtract(x, x.max(axis=axis, keepdims=True), out=out)
    np.exp(out, out=out)
    out /= out.sum(axis=axis, keepdims=True)
    return out


@definitions.softmax_grad.implementation("numpy")
def softmax_grad(y: np.ndarray, dy: np.ndarray, axis: int, out: np.ndarray) -> np.ndarray:
    """With memory for one product. The mean is computed first, for `out` may be `dy`."""
    mean = np.multiply(dy, y).sum(axis=axis, keepdims=True)
    np.subtract(dy, mean, out=out)
    out *= y
    return out
