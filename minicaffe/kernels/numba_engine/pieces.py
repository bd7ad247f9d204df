"""What entries share: into how many pieces their work falls, and which numbers are a piece's."""

from __future__ import annotations

import numpy as np

from minicaffe.kernels.numba_engine import words
from minicaffe.kernels.numba_engine.compiled import compiled_sums
from minicaffe.kernels.numba_engine.words import array_at, helper

PIECE = 1 << 15   # numbers that are worth a piece: some 10 µs of reading and writing
MOST_PIECES = 16  # of one call: enough for any number of threads to share them evenly


def pieces(work: int, units: int | None = None, worth: int = PIECE) -> int:
    """How many pieces so much work is cut into: each is `worth` it, none has less than a unit; at least 1."""
    return max(1, min(MOST_PIECES, work // worth, work if units is None else units))


def unless_same(x: np.ndarray, out: np.ndarray) -> np.ndarray | None:
    """What an entry gets for its source: nothing where source and target are one array.

    A loop over two arrays that may overlap is not put on vector registers; so in place it gets the target alone, and
    must not see that two addresses are equal, for LLVM would take it for two arrays again.
    """
    return None if x.__array_interface__["data"] == out.__array_interface__["data"] else x


@helper
def part(count, piece, of):
    """The first of the piece's units, and the first beyond."""
    return piece * count // of, (piece + 1) * count // of


@helper
def part_in_steps(count, step, piece, of):
    """The same of units that are cut only between so many."""
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
    """y = x, by a plain loop: numba's y[:] = x asks first whether they overlap, and how their numbers are spaced."""
    for i in range(y.size):
        y[i] = x[i]


@helper
def add(x, y):
    """y += x."""
    for i in range(y.size):
        y[i] += x[i]


@compiled_sums
def sum_of(x):
    """Σ x, in any order."""
    summed = np.float32(0)
    for i in range(x.size):
        summed += x[i]
    return summed
