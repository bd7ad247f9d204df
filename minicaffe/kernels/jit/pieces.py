"""What entries on flat arrays share: into how many pieces their work falls, and which numbers are a piece's."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import carray as array_at  # type: ignore[attr-defined]
from numba import types

from minicaffe.kernels.jit import words
from minicaffe.kernels.jit.words import helper, intrinsic

PIECE = 1 << 15  # numbers that are worth a piece: some 10 µs of reading and writing
MOST_PIECES = 16


def pieces(numbers: int, units: int | None = None) -> int:
    """How many pieces work on so many numbers is cut into, where `units` cannot be cut; at least 1."""
    return max(1, min(MOST_PIECES, numbers // PIECE, numbers if units is None else units))


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
def floats_of(address, first, end):
    """Numbers `first` to `end` of the float32 array at an address."""
    return words.floats(address + 4 * first, end - first)


@helper
def indices_of(address, first, end):
    """Numbers `first` to `end` of the int32 array at an address."""
    return array_at(_index_pointer(address + 4 * first), end - first)


@helper
def flags_of(address, first, end):
    """Numbers `first` to `end` of the array of bytes (or bool) at an address."""
    return array_at(_byte_pointer(address + first), end - first)


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


def _pointer_to(kind: Any) -> Any:
    @intrinsic
    def pointer(typing: Any, address: Any) -> Any:
        def make(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            return builder.inttoptr(args[0], context.get_value_type(signature.return_type))
        return types.CPointer(kind)(types.int64), make
    return pointer


_index_pointer, _byte_pointer = _pointer_to(types.int32), _pointer_to(types.uint8)
