"""Two compiled tasks for the tests, in a module that numba can import: one counts its pieces, one computes."""

from __future__ import annotations

import numpy as np

from minicaffe.kernels.numba_engine import words
from minicaffe.kernels.numba_engine.task import task


@task
def count_piece(block, piece):
    """Add 1 to the piece's word, after some work that takes longer for some pieces."""
    seen, pieces, work = words.ints(block[0], block[1]), block[1], block[2]
    total = 0
    for i in range(work * (1 + piece % 3)):
        total += i * piece
    seen[piece] += 1 + (total == -pieces)


@task
def scale_add(block, piece):
    """y += factor · x over the piece's share; x may be missing: then it is 1."""
    n, pieces, factor = block[2], block[3], np.float32(words.number(block[4]))
    y = words.floats(block[1], n)
    for i in range(piece * n // pieces, (piece + 1) * n // pieces):
        y[i] += factor * (words.floats(block[0], n)[i] if block[0] else np.float32(1))


def ran(pieces: int, work: int = 0) -> list[int]:
    """How often each piece ran in one call."""
    seen = np.zeros(pieces, np.int64)
    count_piece(pieces, seen, pieces, work)
    return seen.tolist()


@task
def fail_piece(block, piece):
    """Count the piece, and raise in the second."""
    words.ints(block[0], block[1])[piece] += 1
    if piece == 1:
        raise ValueError("the second piece")
