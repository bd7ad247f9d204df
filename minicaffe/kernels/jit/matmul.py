"""Twin of the matrix product: by tiles, where rows lie one after the other."""

from __future__ import annotations

import functools

import numpy as np

from minicaffe.kernels.jit import tiles, words
from minicaffe.kernels.jit.entry import entry
from minicaffe.kernels.jit.tiles import MASKS, ROWS, SLOPES_A_TILE, TAPS_A_TILE, WIDTH
from minicaffe.kernels.reference import matmul as reference

MOST_PIECES = 16
PIECE_WORK = 1 << 18  # multiplications that are worth a piece of their own
DEEP = 256            # rows of b from which all rows of out are summed before the next columns of b are read
LARGE = 1 << 20       # numbers of b from which short stretches of many rows are read too slowly
ZEROS = np.zeros(ROWS, np.float32)
DOTS = 2048           # numbers of a row that are multiplied at a time: a tile's rows of b stay in the first cache


@reference.matmul.twin("numba", entries=True)
def matmul(a: np.ndarray, b: np.ndarray, out: np.ndarray, *, add: bool = False) -> None:
    """See the reference."""
    (M, N), D = out.shape, a.shape[1]
    if not MASKS or out.dtype != np.float32 or not out.flags.c_contiguous or not out.size or not D:
        reference.matmul.reference(a, b, out, add=add)
    elif a.flags.c_contiguous and b.T.flags.c_contiguous:
        length = -(-N // TAPS_A_TILE)
        pieces = _pieces(M * N * D, length)
        _dot_rows(pieces, a, b, out, _steps(D, N), M, N, D, pieces, add)
    elif b.flags.c_contiguous and (D <= DEEP or b.size < LARGE) and (a.flags.c_contiguous or a.T.flags.c_contiguous):
        length = -(-N // WIDTH)
        pieces = _pieces(M * N * D, length)
        stride, deep = (D, 1) if a.flags.c_contiguous else (1, M)
        _add_rows(pieces, a, b, out, _steps(N, D), _steps(N, M), ZEROS, M, N, D, stride, deep, pieces, add)
    else:
        reference.matmul.reference(a, b, out, add=add)


def _pieces(work: int, length: int) -> int:
    return max(1, min(MOST_PIECES, work // PIECE_WORK, length))


@functools.lru_cache(maxsize=128)
def _steps(step: int, count: int) -> np.ndarray:
    """Where rows begin."""
    return np.arange(count, dtype=np.int64) * step


_dots = tiles.dot_tile(SLOPES_A_TILE, TAPS_A_TILE)


@entry
def _dot_rows(block, piece):
    """out[m, n] = Σ a[m, d] · bᵀ[n, d]: both rows are read as they lie."""
    a, b, out, offsets = block[0], block[1], block[2], block[3]
    M, N, D, pieces, add = block[4], block[5], block[6], block[7], block[8]
    steps = (N + TAPS_A_TILE - 1) // TAPS_A_TILE
    first, end = piece * steps // pieces * TAPS_A_TILE, min(N, (piece + 1) * steps // pieces * TAPS_A_TILE)
    if not add:
        result = words.floats(out, M * N)
        for m in range(M):
            for n in range(first, end):
                result[m * N + n] = 0
    for n in range(first, end, TAPS_A_TILE):
        for d in range(0, D, DOTS):
            for m in range(0, M, SLOPES_A_TILE):
                _dots(a + 4 * (m * D + d), D, min(SLOPES_A_TILE, M - m), 0, b + 4 * d, 0, offsets + 8 * n,
                      min(TAPS_A_TILE, N - n), min(DOTS, D - d), 1, out + 4 * (m * N + n), N)


@entry
def _add_rows(block, piece):
    """out[m] = Σ a[m, d] · b[d]: so many columns of b's rows at a time."""
    a, b, out, offsets, ends, zeros = block[0], block[1], block[2], block[3], block[4], block[5]
    M, N, D, stride, deep, pieces, add = block[6], block[7], block[8], block[9], block[10], block[11], block[12]
    steps = (N + WIDTH - 1) // WIDTH
    first, end = piece * steps // pieces * WIDTH, min(N, (piece + 1) * steps // pieces * WIDTH)
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
                    tiles.multiply(left, stride, have, deep, right, offsets, D, columns, zeros, out + 4 * (m * N + n),
                                   N)
