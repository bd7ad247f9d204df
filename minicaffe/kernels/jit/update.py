"""Twins of the updates that every step makes: one pass over a stretch instead of one for each operation."""

from __future__ import annotations

import numpy as np

from minicaffe.kernels.jit.compiled import compiled
from minicaffe.kernels.reference import update as reference


@reference.add_l2_decay.twin("numba")
def add_l2_decay(dw: np.ndarray, w: np.ndarray, decay: float) -> None:
    """See the reference."""
    _add_l2_decay(dw.reshape(-1), w.reshape(-1), dw.dtype.type(decay))


@reference.sgd_update.twin("numba")
def sgd_update(dw: np.ndarray, h: np.ndarray, rate: float, momentum: float) -> None:
    """See the reference."""
    _sgd_update(dw.reshape(-1), h.reshape(-1), dw.dtype.type(rate), dw.dtype.type(momentum))


@compiled
def _add_l2_decay(dw, w, decay):
    for i in range(dw.size):
        dw[i] += decay * w[i]


@compiled
def _sgd_update(dw, h, rate, momentum):
    for i in range(dw.size):
        step = momentum * h[i] + rate * dw[i]
        h[i] = step
        dw[i] = step
