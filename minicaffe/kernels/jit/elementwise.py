"""Twins of maps of single numbers: one pass over memory, on vector registers."""

from __future__ import annotations

import numpy as np

from minicaffe.kernels.jit.compiled import compiled
from minicaffe.kernels.reference import elementwise as reference

# Where a layer runs in place, source and target are one array. A loop over two arrays that may overlap is not put on
# vector registers, so such a call goes to a loop that knows of one array only.


@reference.relu.twin("numba")
def relu(x: np.ndarray, alpha: float, positive: np.ndarray, out: np.ndarray) -> None:
    """See the reference."""
    slope, y = x.dtype.type(alpha), out.reshape(-1)
    if _same(x, out):
        _relu_in_place(slope, positive.reshape(-1), y)
    else:
        _relu(x.reshape(-1), slope, positive.reshape(-1), y)


@reference.relu_grad.twin("numba")
def relu_grad(dy: np.ndarray, alpha: float, positive: np.ndarray, out: np.ndarray) -> None:
    """See the reference."""
    slope, dx = dy.dtype.type(alpha), out.reshape(-1)
    if _same(dy, out):
        _relu_grad_in_place(slope, positive.reshape(-1), dx)
    else:
        _relu_grad(dy.reshape(-1), slope, positive.reshape(-1), dx)


@reference.affine_rows.twin("numba")
def affine_rows(x: np.ndarray, before: np.ndarray, scale: np.ndarray, after: np.ndarray, out: np.ndarray) -> None:
    """See the reference."""
    if _same(x, out):
        _affine_rows_in_place(before, scale, after, out)
    else:
        _affine_rows(x, before, scale, after, out)


def _same(x: np.ndarray, y: np.ndarray) -> bool:
    return x.__array_interface__["data"] == y.__array_interface__["data"]


@compiled
def _relu(x, alpha, positive, out):
    zero = x.dtype.type(0)
    for i in range(x.size):
        v = x[i]
        positive[i] = v > zero
        below = zero if alpha == zero else alpha * v  # −∞ is not to become NaN, NaN is to stay
        out[i] = below if v <= zero else v


@compiled
def _relu_in_place(alpha, positive, y):
    zero = y.dtype.type(0)
    for i in range(y.size):
        v = y[i]
        positive[i] = v > zero
        below = zero if alpha == zero else alpha * v
        y[i] = below if v <= zero else v


@compiled
def _relu_grad(dy, alpha, positive, out):
    for i in range(dy.size):
        d = dy[i]
        out[i] = d if positive[i] else alpha * d


@compiled
def _relu_grad_in_place(alpha, positive, dx):
    for i in range(dx.size):
        d = dx[i]
        dx[i] = d if positive[i] else alpha * d


@compiled
def _affine_rows(x, before, scale, after, out):
    for r in range(x.shape[0]):
        m, s, b, source, target = before[r], scale[r], after[r], x[r], out[r]
        for i in range(x.shape[1]):
            target[i] = (source[i] - m) * s + b


@compiled
def _affine_rows_in_place(before, scale, after, y):
    for r in range(y.shape[0]):
        m, s, b, row = before[r], scale[r], after[r], y[r]
        for i in range(y.shape[1]):
            row[i] = (row[i] - m) * s + b
