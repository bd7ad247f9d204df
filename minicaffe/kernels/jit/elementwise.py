"""Twins of maps of single numbers: one pass over memory, on vector registers."""

from __future__ import annotations

import numpy as np

from minicaffe.kernels.jit.compiled import compiled
from minicaffe.kernels.reference import elementwise as reference


@reference.relu.twin("numba")
def relu(x: np.ndarray, alpha: float, positive: np.ndarray, out: np.ndarray) -> None:
    """See the reference."""
    _relu(x.reshape(-1), x.dtype.type(alpha), positive.reshape(-1), out.reshape(-1))


@reference.relu_grad.twin("numba")
def relu_grad(dy: np.ndarray, alpha: float, positive: np.ndarray, out: np.ndarray) -> None:
    """See the reference."""
    _relu_grad(dy.reshape(-1), dy.dtype.type(alpha), positive.reshape(-1), out.reshape(-1))


@reference.affine_rows.twin("numba")
@compiled
def affine_rows(x, before, scale, after, out):
    """See the reference."""
    for r in range(x.shape[0]):
        m, s, b, source, target = before[r], scale[r], after[r], x[r], out[r]
        for i in range(x.shape[1]):
            target[i] = (source[i] - m) * s + b


@compiled
def _relu(x, alpha, positive, out):
    zero = x.dtype.type(0)
    for i in range(x.size):
        v = x[i]
        positive[i] = v > zero
        below = zero if alpha == zero else alpha * v  # −∞ is not to become NaN, NaN is to stay
        out[i] = below if v <= zero else v


@compiled
def _relu_grad(dy, alpha, positive, out):
    for i in range(dy.size):
        d = dy[i]
        out[i] = d if positive[i] else alpha * d
