"""Softmax: a row, or some columns, stay in a core's first cache for all three passes over them.

The passes are: find the largest number, sum the exponentials, divide by the sum.
"""

from __future__ import annotations

import math

import numpy as np

from minicaffe.kernels.definitions import softmax as definitions
from minicaffe.kernels.numba_engine.compiled import compiled
from minicaffe.kernels.numba_engine.exponential import bits_of, exp, number_of
from minicaffe.kernels.numba_engine.pieces import copy, floats_of, part, pieces, sum_of, unless_same
from minicaffe.kernels.numba_engine.task import task
from minicaffe.kernels.numba_engine.words import values
from minicaffe.kernels.workspace import borrow

WIDTH = 512  # columns that are computed at a time: their maxima and sums stay in the first cache
COST = 4     # an exponential takes as long as to copy so many numbers


@definitions.softmax.implementation("numba", recordable=True)
def softmax(x: np.ndarray, axis: int, out: np.ndarray) -> np.ndarray:
    """Row by row where the axis is the last, else WIDTH columns at a time."""
    outer, C, inner = math.prod(x.shape[:axis]), x.shape[axis], math.prod(x.shape[axis + 1:])
    if inner == 1:
        count = pieces(COST * x.size, outer)
        _softmax_rows(count, unless_same(x, out), out, outer, C, count)
    else:
        count = pieces(COST * x.size, outer * -(-inner // WIDTH))
        buffer = borrow("softmax", (count, 2, WIDTH), np.float32)
        _softmax_columns(count, unless_same(x, out), out, buffer, outer, C, inner, count)
    return out


@task
def _softmax_rows(block, piece):
    """y[n, c] = exp(x[n, c] − m) / Σ exp(x[n, j] − m), for some rows n."""
    x, out, outer, C, count = values(block, 5)
    first, end = part(outer, piece, count)
    for n in range(first, end):
        y = floats_of(out, n * C, (n + 1) * C)
        if x:
            copy(floats_of(x, n * C, (n + 1) * C), y)
        most = _largest(y)
        for c in range(C):
            y[c] = exp(y[c] - most)
        total = sum_of(y)
        for c in range(C):
            y[c] /= total


@task
def _softmax_columns(block, piece):
    """Compute the softmax of x (outer, C, inner) along C, WIDTH columns at a time."""
    x, y, buffer, outer, C, inner, count = values(block, 7)
    chunks = (inner + WIDTH - 1) // WIDTH
    first, end = part(outer * chunks, piece, count)
    most = floats_of(buffer, 2 * piece * WIDTH, (2 * piece + 1) * WIDTH)
    total = floats_of(buffer, (2 * piece + 1) * WIDTH, (2 * piece + 2) * WIDTH)
    for chunk in range(first, end):
        start = chunk % chunks * WIDTH
        width, at = min(WIDTH, inner - start), chunk // chunks * C * inner + start
        _normalize_columns(x, y, at, C, inner, most[:width], total[:width])


@compiled
def _normalize_columns(x, y, at, C, inner, most, total):
    """Softmax down some columns, the first of which begins at number `at`; x is address 0 to work in place."""
    width = most.size
    most[:] = -np.inf
    total[:] = 0
    for c in range(C):
        row = floats_of(x if x else y, at + c * inner, at + c * inner + width)
        for i in range(width):
            most[i] = row[i] if row[i] > most[i] else most[i]
    for c in range(C):
        row = floats_of(y, at + c * inner, at + c * inner + width)
        if x:
            copy(floats_of(x, at + c * inner, at + c * inner + width), row)
        for i in range(width):
            row[i] = exp(row[i] - most[i])
            total[i] += row[i]
    for c in range(C):
        row = floats_of(y, at + c * inner, at + c * inner + width)
        for i in range(width):
            row[i] /= total[i]


@compiled
def _largest(x):
    """Return the maximum of x, and NaN if x has a NaN whose sign is +.

    The bits of the numbers are compared as integers: LLVM computes a maximum of integers with vectors, but because of
    NaN not one of floats. Where the sign is −, all other bits are flipped, so that the bits sort like the floats.
    """
    most = np.int32(-1 << 31)
    for i in range(x.size):
        bits = bits_of(x[i])
        most = max(most, bits ^ ((bits >> np.int32(31)) & np.int32(0x7fffffff)))
    return number_of(most ^ ((most >> np.int32(31)) & np.int32(0x7fffffff)))
