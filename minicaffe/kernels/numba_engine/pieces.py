"""Helpers of all compiled tasks: into how many pieces their work is cut, and which numbers belong to a piece."""

from __future__ import annotations

import numpy as np

from minicaffe.kernels.numba_engine import words
from minicaffe.kernels.numba_engine.compiled import compiled_sums
from minicaffe.kernels.numba_engine.words import array_at, helper

PIECE = 1 << 15   # a piece has at least so many numbers: to read and write them takes some 10 µs
MOST_PIECES = 16  # of one call. If it depended on the number of threads, so would the bits of sums


def pieces(work: int, units: int | None = None, worth: int = PIECE) -> int:
    """Return the number of pieces for this much work, at least 1.

    The work consists of `units` that cannot be cut, such as rows. A piece has at least one of them, and at least
    `worth` of the work.
    """
    return max(1, min(MOST_PIECES, work // worth, work if units is None else units))


def unless_same(x: np.ndarray, out: np.ndarray) -> np.ndarray | None:
    """Return the source to give to a compiled task: x, or None where x and `out` are the same array.

    LLVM uses no vector registers for a loop over two arrays that may overlap. So each task has a second loop, over the
    target alone, for work in place. It chooses that loop by an address 0. Comparing the two addresses would not do,
    since LLVM then sees two arrays again.
    """
    return None if x.__array_interface__["data"] == out.__array_interface__["data"] else x


@helper
def part(count, piece, of):
    """Return the first of `count` units that the piece computes, and the first after them."""
    return piece * count // of, (piece + 1) * count // of


@helper
def part_in_steps(count, step, piece, of):
    """Do the same as `part` where a piece may begin only at a multiple of `step`."""
    first, end = part((count + step - 1) // step, piece, of)
    return first * step, min(count, end * step)


@helper
def floats_of(address, first, end):
    """Numbers `first` to `end` of the float32 array at an address."""
    return words.floats(address + 4 * first, end - first)


@helper
def indices_of(address, first, end):
    """Numbers `first` to `end` of the int32 array at an address."""
    return array_at(words.index_pointer(address + 4 * first), end - first)


@helper
def flags_of(address, first, end):
    """Numbers `first` to `end` of the array of bytes (or bool) at an address."""
    return array_at(words.byte_pointer(address + first), end - first)


@helper
def copy(x, y):
    """y = x. A plain loop is quicker than numba's y[:] = x, which first checks overlap and strides."""
    for i in range(y.size):
        y[i] = x[i]


@helper
def add(x, y):
    """y += x."""
    for i in range(y.size):
        y[i] += x[i]


@compiled_sums
def sum_of(x):
    """Σ x, added up in any order, so that vector registers can hold partial sums."""
    summed = np.float32(0)
    for i in range(x.size):
        summed += x[i]
    return summed
