"""Kernels that work number by number on arrays of one shape: the rectifier, and ways to combine several arrays."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from minicaffe.kernels.registry import kernel


@kernel
def relu(x: np.ndarray, alpha: float, positive: np.ndarray | None, out: np.ndarray) -> None:
    """out = max(x, 0) + α · min(x, 0). Where `positive` is given, positive = (x > 0), for backward. out may be x."""
    if positive is not None:
        positive[...] = x > 0
    below = alpha * np.minimum(x, 0) if alpha else 0  # 0 · −∞ would not be a number
    out[...] = np.maximum(x, 0) + below


@kernel
def relu_grad(dy: np.ndarray, alpha: float, positive: np.ndarray, out: np.ndarray) -> None:
    """out = dy where `positive`, else α · dy. out may be dy."""
    out[...] = np.where(positive, dy, alpha * dy)


@kernel
def tanh_grad(dy: np.ndarray, y: np.ndarray, out: np.ndarray) -> None:
    """out = dy · (1 − y²), the gradient of y = tanh(x). out may be dy."""
    out[...] = dy * (1 - y * y)


@kernel
def add_all(x: Sequence[np.ndarray], out: np.ndarray) -> None:
    """out = x[0] + x[1] + …, in this order. out is none of them."""
    out[...] = sum(x)


@kernel
def weighted_sum(x: Sequence[np.ndarray], c: Sequence[float], out: np.ndarray) -> None:
    """out = c[0] · x[0] + c[1] · x[1] + …, in this order, of at least two arrays. out may be x[0]."""
    out[...] = sum(c_i * x_i for c_i, x_i in zip(c, x, strict=True))


@kernel
def multiply(a: np.ndarray, b: np.ndarray, out: np.ndarray) -> None:
    """out = a · b, number by number. out may be a."""
    np.multiply(a, b, out=out)


@kernel
def maximum(a: np.ndarray, b: np.ndarray, out: np.ndarray) -> None:
    """out = max(a, b), number by number; NaN where either is NaN. out may be a."""
    np.maximum(a, b, out=out)
