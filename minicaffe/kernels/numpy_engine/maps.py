"""Functions of one number, shared by threads. Each step writes into `out`, so that no step needs memory of its own."""

from __future__ import annotations

import numpy as np

from minicaffe.kernels.definitions import maps as definitions


@definitions.sigmoid.implementation("numpy", over_images=True)
def sigmoid(x: np.ndarray, out: np.ndarray) -> None:
    """σ(x) = (1 + tanh(x / 2)) / 2."""
    np.multiply(x, 0.5, out=out)
    np.tanh(out, out=out)
    out *= 0.5
    out += 0.5


@definitions.elu.implementation("numpy", over_images=True)
def elu(x: np.ndarray, alpha: float, out: np.ndarray) -> None:
    """The part below 0 in memory of its own, for `out` may be `x`; then the part above is added to it."""
    below = np.minimum(x, 0, out=np.empty_like(x))
    np.expm1(below, out=below)
    below *= alpha
    np.maximum(x, 0, out=out)
    out += below


@definitions.linear.implementation("numpy", over_images=True)
def linear(x: np.ndarray, s: float, b: float, out: np.ndarray) -> None:
    """The product, then the sum."""
    np.multiply(x, s, out=out)
    out += b


@definitions.exponential.implementation("numpy", over_images=True)
def exponential(x: np.ndarray, s: float, b: float, out: np.ndarray) -> None:
    """The exponent, then its power."""
    np.multiply(x, s, out=out)
    out += b
    np.exp(out, out=out)


@definitions.clip.implementation("numpy", over_images=True)
def clip(x: np.ndarray, a: float, b: float, out: np.ndarray) -> None:
    """Cut off above, then below."""
    np.minimum(x, b, out=out)
    np.maximum(out, a, out=out)
