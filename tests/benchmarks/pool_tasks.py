"""One small task three times, for pool.py: as a compiled task, and as numba's own loop, parallel and not."""

from __future__ import annotations

import numpy as np
from numba import njit, prange

from minicaffe.kernels.numba_engine import words
from minicaffe.kernels.numba_engine.pieces import floats_of, part
from minicaffe.kernels.numba_engine.task import task


@task
def add_scaled(block, piece):
    """y += factor · x over a piece of them."""
    x, y, size, count, bits = words.values(block, 5)
    first, end = part(size, piece, count)
    factor, source, target = np.float32(words.number(bits)), floats_of(x, first, end), floats_of(y, first, end)
    for i in range(target.size):
        target[i] += factor * source[i]


@njit(parallel=True, nogil=True, error_model="numpy", cache=True)
def add_parallel(x, y, factor, pieces):
    """The same, cut the same way, with numba's threads."""
    for piece in prange(pieces):
        first, end = piece * x.size // pieces, (piece + 1) * x.size // pieces
        source, target = x[first:end], y[first:end]
        for i in range(target.size):
            target[i] += factor * source[i]


@njit(nogil=True, error_model="numpy", cache=True)
def add_serial(x, y, factor):
    """The same, by the calling thread alone."""
    for i in range(y.size):
        y[i] += factor * x[i]
