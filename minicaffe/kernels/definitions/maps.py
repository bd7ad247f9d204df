"""Functions of one number, laid on every number of an array. `out` may be `x`."""

from __future__ import annotations

import numpy as np

from minicaffe.kernels.registry import kernel


@kernel
def sigmoid(x: np.ndarray, out: np.ndarray) -> None:
    """out = 1 / (1 + e^−x)."""
    raise NotImplementedError


@kernel
def tanh(x: np.ndarray, out: np.ndarray) -> None:
    """out = (e^x − e^−x) / (e^x + e^−x)."""
    raise NotImplementedError


@kernel
def elu(x: np.ndarray, alpha: float, out: np.ndarray) -> None:
    """out = x where x > 0, else α · (e^x − 1)."""
    raise NotImplementedError


@kernel
def linear(x: np.ndarray, s: float, b: float, out: np.ndarray) -> None:
    """out = s · x + b."""
    raise NotImplementedError


@kernel
def exponential(x: np.ndarray, s: float, b: float, out: np.ndarray) -> None:
    """out = e^(s · x + b)."""
    raise NotImplementedError


@kernel
def clip(x: np.ndarray, a: float, b: float, out: np.ndarray) -> None:
    """out = max(a, min(x, b)): a, where it lies above b."""
    raise NotImplementedError


@kernel
def absolute(x: np.ndarray, out: np.ndarray) -> None:
    """out = |x|."""
    raise NotImplementedError
