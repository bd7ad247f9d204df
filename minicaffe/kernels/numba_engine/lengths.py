"""Lengths of vectors, WIDTH vectors at a time: their sums stay in a core's first cache."""

from __future__ import annotations

import numpy as np

from minicaffe.kernels.definitions import lengths as definitions
from minicaffe.kernels.numba_engine.compiled import compiled_sums
from minicaffe.kernels.numba_engine.pieces import floats_of, part, pieces
from minicaffe.kernels.numba_engine.task import task
from minicaffe.kernels.numba_engine.words import number, values

WIDTH = 512


@definitions.vector_length.implementation("numba", recordable=True)
def vector_length(x: np.ndarray, eps: float, r: np.ndarray) -> None:
    """Add the squares of WIDTH vectors channel by channel; a single vector for an image is a plain sum."""
    N, C, P = x.shape
    count = pieces(x.size, N * -(-P // WIDTH))
    _vector_length(count, x, float(np.float32(eps)), r, N, C, P, count)


@definitions.divide_vectors.implementation("numba", recordable=True)
def divide_vectors(x: np.ndarray, r: np.ndarray, w: np.ndarray | None, out: np.ndarray) -> None:
    """Row by row: the numbers of a channel lie side by side."""
    N, C, P = x.shape
    scales = 0 if w is None else w.size
    count = pieces(x.size, N * C)
    _divide_vectors(count, x, r, w, out, N * C, C, P, r.shape[1], scales, count)


@task
def _vector_length(block, piece):
    """r = √(Σ x² + ε), for some blocks of WIDTH vectors."""
    x, eps_bits, r_at, N, C, P, count = values(block, 7)
    eps, chunks = np.float32(number(eps_bits)), (P + WIDTH - 1) // WIDTH
    first, end = part(N * chunks, piece, count)
    for chunk in range(first, end):
        n, start = chunk // chunks, chunk % chunks * WIDTH
        width = min(WIDTH, P - start)
        r = floats_of(r_at, n * P + start, n * P + start + width)
        if P == 1:
            r[0] = _squares(floats_of(x, n * C, (n + 1) * C))
        else:
            r[:] = 0
            for c in range(C):
                at = (n * C + c) * P + start
                row = floats_of(x, at, at + width)
                for i in range(width):
                    r[i] += row[i] * row[i]
        for i in range(width):
            r[i] = np.sqrt(r[i] + eps)


@compiled_sums
def _squares(x):
    """Σ x², added up in any order, so that vector registers can hold partial sums."""
    total = np.float32(0)
    for i in range(x.size):
        total += x[i] * x[i]
    return total


@task
def _divide_vectors(block, piece):
    """y = w · x / r, for some rows: a row has the numbers of one channel of an image. x may be y."""
    x_at, r_at, w_at, y_at, rows, C, P, lengths, scales, count = values(block, 10)
    first, end = part(rows, piece, count)
    for row in range(first, end):
        n = row // C
        x, y = floats_of(x_at, row * P, (row + 1) * P), floats_of(y_at, row * P, (row + 1) * P)
        r = floats_of(r_at, n * lengths, (n + 1) * lengths)
        w = np.float32(1)
        if scales:
            w = floats_of(w_at, 0, scales)[row % C if scales > 1 else 0]
        if lengths == 1:
            for i in range(P):
                y[i] = x[i] / r[0] * w
        else:
            for i in range(P):
                y[i] = x[i] / r[i] * w
