"""Functions of one number, laid on every number of an array. `out` may be `x`."""

from __future__ import annotations

import numpy as np

from minicaffe.kernels.definitions import maps as definitions


@definitions.sigmoid.implementation("numpy", over_images=True)
def sigmoid(x: np.ndarray, out: np.ndarray) -> None:
    """out = 1 / (1 + e^−x)."""
    # tanh saturates at ±1 where e^−x would overflow:  σ(x) = tanh(x / 2) / 2 + 1 / 2
    np.multiply(x, 0.5, out=out)
    np.tanh(out, out=out)
    out *= 0.5
    out += 0.5


@definitions.tanh.implementation("numpy", over_images=True)
def tanh(x: np.ndarray, out: np.ndarray) -> None:
    """out = (e^x − e^−x) / (e^x + e^−x)."""
    np.tanh(x, out=out)


@definitions.elu.implementation("numpy", over_images=True)
def elu(x: np.ndarray, alpha: float, out: np.ndarray) -> None:
    """out = x where x > 0, else α · (e^x − 1)."""
    below = np.minimum(x, 0, out=np.empty_like(x))
    np.expm1(below, out=below)
    below *= alpha
    np.maximum(x, 0, out=out)
    out += below


@definitions.linear.implementation("numpy", over_images=True)
def linear(x: np.ndarray, s: float, b: float, out: np.ndarray) -> None:
    """out = s · x + b."""
    np.multiply(x, s, out=out)
    out += b


@definitions.exponential.implementation("numpy", over_images=True)
def exponential(x: np.ndarray, s: float, b: float, out: np.ndarray) -> None:
    """out = e^(s · x + b)."""
    np.multiply(x, s, out=out)
    out += b
    np.exp(out, out=out)


@definitions.clip.implementation("numpy", over_images=True)
def clip(x: np.ndarray, a: float, b: float, out: np.ndarray) -> None:
    """out = max(a, min(x, b)): a, where it lies above b."""
    np.minimum(x, b, out=out)
    np.maximum(out, a, out=out)


@definitions.absolute.implementation("numpy", over_images=True)
def absolute(x: np.ndarray, out: np.ndarray) -> None:
    """out = |x|."""
    np.abs(x, out=out)
