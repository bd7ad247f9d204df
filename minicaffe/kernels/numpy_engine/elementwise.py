"""Number by number on numpy: no copy of an array is made that need not be, and threads share large arrays."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from minicaffe.kernels import shards
from minicaffe.kernels.definitions import elementwise as definitions
from minicaffe.kernels.registry import shared_out


@definitions.relu.implementation("numpy")
def relu(x: np.ndarray, alpha: float, positive: np.ndarray | None, out: np.ndarray) -> None:
    """Without copies where α is 0, and on flat arrays, so that threads can share even a single large image."""
    _relu(x.reshape(-1), alpha, None if positive is None else positive.reshape(-1), out.reshape(-1))


@shared_out
def _relu(x: np.ndarray, alpha: float, positive: np.ndarray | None, out: np.ndarray) -> None:
    if positive is not None:
        np.greater(x, 0, out=positive)
    if alpha == 0:  # the usual case; and 0 · −∞ would be NaN
        np.maximum(x, 0, out=out)
        return
    below = np.minimum(x, 0)
    below *= alpha
    np.maximum(x, 0, out=out)
    out += below


@definitions.relu_grad.implementation("numpy")
def relu_grad(dy: np.ndarray, alpha: float, positive: np.ndarray, out: np.ndarray) -> None:
    """Without a branch for each number, and on flat arrays as for relu."""
    _relu_grad(dy.reshape(-1), alpha, positive.reshape(-1), out.reshape(-1))


@shared_out
def _relu_grad(dy: np.ndarray, alpha: float, positive: np.ndarray, out: np.ndarray) -> None:
    if alpha == 0:
        np.multiply(dy, positive, out=out)
        return
    # A look-up takes half the time of np.where or where=, which branch for each number: a processor guesses where a
    # branch leads, and cannot guess signs.
    slope = np.take(np.array([alpha, 1], dy.dtype), positive.view(np.uint8))
    np.multiply(dy, slope, out=out)


@definitions.add_all.implementation("numpy")
def add_all(x: Sequence[np.ndarray], out: np.ndarray) -> None:
    """Add chunks that stay in cache, so that each sum is written to main memory once, and not once for each array."""
    def chunk(total: np.ndarray, first: np.ndarray, *others: np.ndarray) -> None:
        total[...] = first
        for part in others:
            total += part

    shards.for_blocks([out, *x], chunk)


@definitions.weighted_sum.implementation("numpy")
def weighted_sum(x: Sequence[np.ndarray], c: Sequence[float], out: np.ndarray) -> None:
    """Two arrays at a time, without the products by 1."""
    total, p = x[0], c[0]  # the sum so far, and the factor that it must still be multiplied by
    for x_i, q in zip(x[1:], c[1:], strict=True):
        left = total if p == 1 else np.multiply(total, p, out=out)
        np.add(left, x_i if q == 1 else x_i * q, out=out)
        total, p = out, 1
