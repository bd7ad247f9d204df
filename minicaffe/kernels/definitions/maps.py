"""Functions of one number, laid on every number of an array. `out` may be `x`."""

from __future__ import annotations

import numpy as np

from minicaffe.kernels.registry import kernel


@kernel
def sigmoid(x: np.ndarray, out: np.ndarray) -> None:
    """out = 1 / (1 + e^−x)."""
    # the same function, written without e^−x, which overflows:  σ(x) = (1 + tanh(x / 2)) / 2
    out[...] = 0.5 * np.tanh(0.5 * x) + 0.5


@kernel
def tanh(x: np.ndarray, out: np.ndarray) -> None:
    """out = (e^x − e^−x) / (e^x + e^−x)."""
    np.tanh(x, out=out)


@kernel
def elu(x: np.ndarray, alpha: float, out: np.ndarray) -> None:
    """out = x where x > 0, else α · (e^x − 1)."""
    # of the two terms, one is 0: so e^x is asked for no positive x, for which it might overflow
    out[...] = np.maximum(x, 0) + alpha * np.expm1(np.minimum(x, 0))


@kernel
def linear(x: np.ndarray, s: float, b: float, out: np.ndarray) -> None:
    """out = s · x + b."""
    out[...] = s * x + b


@kernel
def exponential(x: np.ndarray, s: float, b: float, out: np.ndarray) -> None:
    """out = e^(s · x + b)."""
    out[...] = np.exp(s * x + b)


@kernel
def clip(x: np.ndarray, a: float, b: float, out: np.ndarray) -> None:
    """out = max(a, min(x, b)), so out is a where a > b."""
    out[...] = np.maximum(a, np.minimum(x, b))


@kernel
def absolute(x: np.ndarray, out: np.ndarray) -> None:
    """out = |x|."""
    np.abs(x, out=out)
