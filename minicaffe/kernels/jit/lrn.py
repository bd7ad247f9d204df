"""Twins of what local response normalization needs: sums of a few channels while their rows are in cache."""

from __future__ import annotations

import math

import numpy as np

from minicaffe.kernels.jit.compiled import compiled
from minicaffe.kernels.reference import lrn as reference


@reference.window_sum.twin("numba")
def window_sum(x: np.ndarray, size: int, axis: int, out: np.ndarray) -> np.ndarray:
    """See the reference."""
    inner = math.prod(x.shape[axis:][1:])
    if inner < 16:  # too short a row for what each costs
        return reference.window_sum.reference(x, size, axis, out)
    rows = (-1, x.shape[axis], inner)
    _window_sum(x.reshape(rows), size // 2, out.reshape(rows))
    return out


@reference.negative_power.twin("numba")
def negative_power(s: np.ndarray, beta: float, out: np.ndarray) -> None:
    """See the reference."""
    if beta == 0.75:
        _inverse_three_quarters(s.reshape(-1), out.reshape(-1))
    else:
        reference.negative_power.reference(s, beta, out)


@compiled
def _window_sum(x, reach, out):
    outer, C, inner = x.shape
    for n in range(outer):
        for c in range(C):
            total = out[n, c]
            for i in range(inner):
                total[i] = x[n, c, i]
            for shift in range(1, reach + 1):  # the reference's order, so that the bits are the same
                if c >= shift:
                    row = x[n, c - shift]
                    for i in range(inner):
                        total[i] += row[i]
                if c + shift < C:
                    row = x[n, c + shift]
                    for i in range(inner):
                        total[i] += row[i]


@compiled
def _inverse_three_quarters(s, out):
    one = s.dtype.type(1)
    for i in range(s.size):
        root = np.sqrt(s[i])
        out[i] = one / (np.sqrt(root) * root)

