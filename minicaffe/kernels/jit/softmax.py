"""The twin of softmax, with an exponential that runs on vector registers."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types

from minicaffe.kernels.jit.compiled import compiled, compiled_sums
from minicaffe.kernels.jit.entry import entry
from minicaffe.kernels.jit.pieces import floats_of, part, pieces, unless_same
from minicaffe.kernels.jit.words import helper, intrinsic
from minicaffe.kernels.reference import softmax as reference
from minicaffe.kernels.workspace import borrow

WIDTH = 512  # columns whose largest numbers and sums are kept at a time
DEAR = 4     # an exponential takes the time of so many numbers that are only read and written


@reference.softmax.twin("numba", entries=True)
def softmax(x: np.ndarray, axis: int, out: np.ndarray) -> np.ndarray:
    """See the reference."""
    if x.dtype != np.float32:
        return reference.softmax.reference(x, axis, out)
    outer, C, inner = math.prod(x.shape[:axis]), x.shape[axis], math.prod(x.shape[axis + 1:])
    if inner == 1:
        count = pieces(DEAR * x.size, outer)
        _softmax_rows(count, unless_same(x, out), out, outer, C, count)
    else:
        count = pieces(DEAR * x.size, outer * -(-inner // WIDTH))
        room = borrow("softmax", (count, 2, WIDTH), np.float32)
        _softmax_columns(count, unless_same(x, out), out, room, outer, C, inner, count)
    return out


@entry
def _softmax_rows(block, piece):
    outer, C = block[2], block[3]
    first, end = part(outer, piece, block[4])
    for n in range(first, end):
        y = floats_of(block[1], n * C, (n + 1) * C)
        if block[0]:
            y[:] = floats_of(block[0], n * C, (n + 1) * C)
        most = _largest(y)
        for c in range(C):
            y[c] = exp(y[c] - most)
        total = _sum(y)
        for c in range(C):
            y[c] /= total


@entry
def _softmax_columns(block, piece):
    outer, C, inner = block[3], block[4], block[5]
    chunks = (inner + WIDTH - 1) // WIDTH
    first, end = part(outer * chunks, piece, block[6])
    most = floats_of(block[2], 2 * piece * WIDTH, (2 * piece + 1) * WIDTH)
    total = floats_of(block[2], (2 * piece + 1) * WIDTH, (2 * piece + 2) * WIDTH)
    for chunk in range(first, end):
        start = chunk % chunks * WIDTH
        width, at = min(WIDTH, inner - start), chunk // chunks * C * inner + start
        _normalize_columns(block[0], block[1], at, C, inner, most[:width], total[:width])


@compiled
def _normalize_columns(x, y, at, C, inner, most, total):
    """Softmax down some columns, whose first number is number `at`; x may be address 0, for in place."""
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
            row[:] = floats_of(x, at + c * inner, at + c * inner + width)
        for i in range(width):
            row[i] = exp(row[i] - most[i])
            total[i] += row[i]
    for c in range(C):
        row = floats_of(y, at + c * inner, at + c * inner + width)
        for i in range(width):
            row[i] /= total[i]


@compiled
def _largest(x):
    """max x, NaN if one of them is +NaN. Numbers' bits, with a negative one's turned over, ascend as they do."""
    most = np.int32(-1 << 31)
    for i in range(x.size):
        bits = _bits_of(x[i])
        most = max(most, bits ^ ((bits >> np.int32(31)) & np.int32(0x7fffffff)))
    return _number_of(most ^ ((most >> np.int32(31)) & np.int32(0x7fffffff)))


@compiled_sums
def _sum(x):
    total = np.float32(0)
    for i in range(x.size):
        total += x[i]
    return total


# --- the exponential ---------------------------------------------------------------------------------------

LOG2_E = np.float32(1 / math.log(2))
LN_2 = np.float32(0.693359375)                       # so few bits that n · LN_2 is exact
LN_2_REST = np.float32(math.log(2) - 0.693359375)
ROUNDER = np.float32(3 << 22)                        # added to a small number, it leaves no place for a fraction
ROUNDER_BITS = np.int32(np.float32(3 << 22).view(np.int32))
SERIES = tuple(np.float32(1 / math.factorial(k)) for k in range(8))
SERIES_7, SERIES_6, SERIES_5, SERIES_4, SERIES_3, SERIES_2 = SERIES[:1:-1]


@helper
def exp(x):
    """e^x, to one unit in the last place: e^x = 2^n · e^r with |r| ≤ ln 2 / 2, and e^r by its series.

    The series to r⁷ lacks less than 6e-9. 2^n comes in two factors, for n reaches from -150 to 129.
    """
    v = np.float32(-104) if x < np.float32(-104) else x  # what is not a number remains so
    v = np.float32(89) if v > np.float32(89) else v
    shifted = v * LOG2_E + ROUNDER
    n = _bits_of(shifted) - ROUNDER_BITS
    rounded = shifted - ROUNDER
    r = (v - rounded * LN_2) - rounded * LN_2_REST
    tail = ((((SERIES_7 * r + SERIES_6) * r + SERIES_5) * r + SERIES_4) * r + SERIES_3) * r + SERIES_2
    half = n >> np.int32(1)
    return (tail * r * r + r + np.float32(1)) * _two_to_the(half) * _two_to_the(n - half)


@helper
def _two_to_the(n):
    return _number_of((n + np.int32(127)) << np.int32(23))


def _bitcast(source: Any, target: Any, kind: Any) -> Any:
    @intrinsic
    def cast(typing: Any, value: Any) -> Any:
        def make(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            return builder.bitcast(args[0], kind)
        return target(source), make
    return cast


_bits_of = _bitcast(types.float32, types.int32, ir.IntType(32))
_number_of = _bitcast(types.int32, types.float32, ir.FloatType())
