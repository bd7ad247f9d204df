"""The matrix product by tiles (tiles.py), which read both factors as they lie in memory.

BLAS first copies its factors into an order of its own. That pays for large and deep products alone, and those are left
to it.
"""

from __future__ import annotations

import numpy as np

from minicaffe.kernels.definitions import matmul as definitions
from minicaffe.kernels.numba_engine import tiles, words
from minicaffe.kernels.numba_engine.pieces import floats_of, part_in_steps, pieces
from minicaffe.kernels.numba_engine.registers import MASKS, REGISTERS
from minicaffe.kernels.numba_engine.task import task
from minicaffe.kernels.numba_engine.tiles import DOT_ROWS, DOT_TAPS, ROWS, WIDTH, starts, zeros
from minicaffe.kernels.numba_engine.words import values

PIECE_WORK = 1 << 18  # multiplications that are worth a piece of their own
ROW_WORK = 1 << 15    # the same for a single row: each number of b is used once, so that reading it takes the time
LONG_TILE = 12 if REGISTERS == 32 else 8  # rows of bᵀ that a single row is multiplied with at a time
DEEP = 256            # rows of b from which all rows of out are summed before the next columns of b are read
LARGE = 1 << 20       # numbers of b from which short parts of many rows are read too slowly
THICK = 256           # rows, columns and terms from which on it pays that BLAS copies its factors first
DOTS = 2048           # numbers of a row that are multiplied at a time: a tile's rows of b stay in the first cache


@definitions.matmul.implementation("numba", recordable=True)
def matmul(a: np.ndarray, b: np.ndarray, out: np.ndarray, *, add: bool = False) -> None:
    """Run the task that fits the memory order of a and b. BLAS computes the rest, such as large deep products."""
    if out.strides[0] < out.strides[1]:  # a transposed view: write it in the order of its memory, outᵀ = bᵀ · aᵀ
        a, b, out = b.T, a.T, out.T
    if out.shape[1] == 1:  # a column is computed as a row: its numbers then lie side by side in a register
        a, b, out = b.T, a.T, out.T
    (M, N), D = out.shape, a.shape[1]
    # where D is 1, both orders of b are equal in memory. A dot product would have a single term, so b's row is added.
    dots = b.T.flags.c_contiguous and D > 1
    rows, columns = a.flags.c_contiguous, a.T.flags.c_contiguous  # in which order a's numbers lie
    if not MASKS or not out.flags.c_contiguous or not out.size or not D or min(M, N, D) >= THICK:
        definitions.matmul.on("numpy")(a, b, out, add=add)
    elif rows and dots and M == 1:  # tiles are longer, since there is no other row to share b's numbers with
        count = pieces(N * D, -(-N // LONG_TILE), ROW_WORK)
        _dot_row(count, a, b.T, out, starts(D, N), N, D, count, add)
    elif rows and dots:
        count = pieces(M * N * D, -(-N // DOT_TAPS), PIECE_WORK)
        _dot_rows(count, a, b.T, out, starts(D, N), M, N, D, count, add)
    elif (rows or columns) and b.flags.c_contiguous and (D <= DEEP or b.size < LARGE):
        count = pieces(M * N * D, -(-N // WIDTH), PIECE_WORK)
        stride, deep = (D, 1) if rows else (1, M)
        _add_rows(count, a if rows else a.T, b, out, starts(N, D), starts(N, M), zeros(ROWS), M, N, D, stride, deep,
                  count, add)
    else:
        definitions.matmul.on("numpy")(a, b, out, add=add)


_dots = tiles.dot_tile(DOT_ROWS, DOT_TAPS)
_dots_of_one = tiles.dot_tile(1, LONG_TILE)


@task
def _dot_row(block, piece):
    """out[n] = Σ a[d] · bᵀ[n, d], for some n: the product of a single image is reading b."""
    a, b, out, offsets, N, D, count, add = values(block, 8)
    first, end = part_in_steps(N, LONG_TILE, piece, count)
    if not add:
        floats_of(out, first, end)[:] = 0
    for n in range(first, end, LONG_TILE):
        _dots_of_one(a, D, 1, 0, b, 0, offsets + 8 * n, min(LONG_TILE, end - n), D, 1, out + 4 * n, N)


@task
def _dot_rows(block, piece):
    """out[m, n] = Σ a[m, d] · bᵀ[n, d], for some n: both rows are read as they lie."""
    a, b, out, offsets, M, N, D, count, add = values(block, 9)
    first, end = part_in_steps(N, DOT_TAPS, piece, count)
    if not add:
        result = words.floats(out, M * N)
        for m in range(M):
            for n in range(first, end):
                result[m * N + n] = 0
    for n in range(first, end, DOT_TAPS):
        for d in range(0, D, DOTS):
            for m in range(0, M, DOT_ROWS):
                _dots(a + 4 * (m * D + d), D, min(DOT_ROWS, M - m), 0, b + 4 * d, 0, offsets + 8 * n,
                      min(DOT_TAPS, N - n), min(DOTS, D - d), 1, out + 4 * (m * N + n), N)


@task
def _add_rows(block, piece):
    """out[m, n] = Σ a[m, d] · b[d, n], for some n: so many columns of b's rows at a time."""
    a, b, out, offsets, ends, nothing, M, N, D, stride, deep, count, add = values(block, 13)
    first, end = part_in_steps(N, WIDTH, piece, count)
    band = M if D > DEEP else ROWS
    for top in range(0, M, band):
        for n in range(first, end, WIDTH):
            right, columns = b + 4 * n, min(WIDTH, end - n)
            for m in range(top, min(M, top + band), ROWS):
                left, have = a + 4 * m * stride, min(ROWS, M - m)
                if add:
                    tiles.multiply_and_add(left, stride, have, deep, right, offsets, D, columns, ends + 8 * m,
                                           out + 4 * n)
                else:
                    tiles.multiply(left, stride, have, deep, right, offsets, D, columns, nothing,
                                   out + 4 * (m * N + n), N)
