"""Kernels that treat every channel of an array with numbers of its own, such as a bias.

Normalization is derived in docs/maths/normalization.md#batchnorm
"""

from __future__ import annotations

import numpy as np

from minicaffe.kernels.registry import kernel


def laid_along(b: np.ndarray, axis: int, x: np.ndarray) -> np.ndarray:
    """Repeat b over x by numpy's rules. The first axis of b is `axis` of x, and its others are the axes after it."""
    return b.reshape(b.shape + (1,) * (x.ndim - axis - b.ndim))


@kernel
def add_bias(x: np.ndarray, b: np.ndarray, axis: int, out: np.ndarray) -> None:
    """out = x + b, where the axes of b lie along those of x from `axis` on. out may be x.

    A bias per channel is x (N, C, …), b (C,) and axis 1. A b of no axes is one number for all.
    """
    out[...] = x + laid_along(b, axis, x)


@kernel
def scale_channels(x: np.ndarray, w: np.ndarray, b: np.ndarray | None, axis: int, out: np.ndarray) -> None:
    """out = x · w + b, or x · w where b is None; w and b lie along the axes of x from `axis` on. out may be x.

    w and b are of one shape, as for `add_bias`.
    """
    y = x * laid_along(w, axis, x)
    if b is not None:
        y += laid_along(b, axis, x)
    out[...] = y


@kernel
def normalize_channels(x: np.ndarray, mu: np.ndarray, inverse_std: np.ndarray, out: np.ndarray) -> None:
    """out[n, c] = (x[n, c] − μ[c]) · inverse_std[c]. x and out (N, C, …), μ and inverse_std (C,). out may be x."""
    out[...] = (x - laid_along(mu, 1, x)) * laid_along(inverse_std, 1, x)


@kernel
def global_stats(mean: np.ndarray, variance: np.ndarray, factor: np.ndarray, eps: float, mu: np.ndarray,
                 inverse_std: np.ndarray) -> None:
    """μ = mean / factor and inverse_std = 1 / √(variance / factor + ε), all of them (C,) but factor, which is (1,).

    mean and variance are sums over many batches, factor is the sum of the batches' weights. With factor 0 nothing has
    been summed yet, and both quotients count as 0.
    """
    reciprocal = 1 / factor if factor[0] else factor  # factor is 0 there, and makes both products 0
    mu[...] = mean * reciprocal
    inverse_std[...] = 1 / np.sqrt(variance * reciprocal + eps)


@kernel
def divide_by_std(w: np.ndarray | None, variance: np.ndarray, eps: float, out: np.ndarray) -> None:
    """out = w / √(variance + ε), or 1 / √(variance + ε) where w is None; all of one shape."""
    out[...] = (1 if w is None else w) / np.sqrt(variance + eps)


@kernel
def scale_around(x: np.ndarray, mu: np.ndarray, w: np.ndarray, b: np.ndarray | None, out: np.ndarray) -> None:
    """out[n, c] = (x[n, c] − μ[c]) · w[c] + b[c], without b where it is None. x and out (N, C, …), the others (C,).

    out may be x.
    """
    y = (x - laid_along(mu, 1, x)) * laid_along(w, 1, x)
    if b is not None:
        y += laid_along(b, 1, x)
    out[...] = y


@kernel
def prelu(x: np.ndarray, a: np.ndarray, out: np.ndarray) -> None:
    """out[n, c] = max(x, 0) + a[c] · min(x, 0). x and out (N, C, …); a (C,), or one number for all. out may be x."""
    out[...] = np.maximum(x, 0) + laid_along(a.reshape(-1), 1, x) * np.minimum(x, 0)
