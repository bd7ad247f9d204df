"""Scratch memory: arrays that a layer keeps from its forward pass to its backward pass."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np


class Scratch:
    """Gives a layer arrays that are taken once and used again while shapes stay.

    awaits_scratch    the Net does not know `runs_backward` yet, so `scratch` gives no memory; it will call `Reshape`
                      again when it does
    """

    dtype: Any
    shapes_only: bool
    awaits_scratch: bool
    _scratch: list[np.ndarray]  # bytes, one array for each call of `scratch` in a reshape
    _scratch_used: int          # how many of them this reshape has asked for; `Reshape` sets it to 0

    def scratch(self, shape: Sequence[int], dtype: Any = None) -> np.ndarray:
        """Return an uninitialised array to keep from forward to backward. Call it in `reshape` alone.

        The n-th call in each reshape gets the same memory again as long as it is large enough, so no memory is taken
        while shapes stay. Where `runs_backward` is False, the next layers overwrite it: no backward pass reads it.
        """
        wanted, index = np.dtype(dtype or self.dtype), self._scratch_used
        self._scratch_used += 1
        size, without_memory = math.prod(shape) * wanted.itemsize, self.shapes_only or self.awaits_scratch
        if index == len(self._scratch) or self._scratch[index].nbytes < size:
            # An array without memory is one number that is seen as often as the shape says. It has the size of the
            # real one, so that a forecast of the memory can add up the sizes.
            made = np.broadcast_to(np.uint8(0), size) if without_memory else np.empty(size, np.uint8)
            self._scratch[index:index + 1] = [made]
        if without_memory:
            return np.broadcast_to(np.zeros((), wanted), shape)
        return self._scratch[index][:size].view(wanted).reshape(shape)

    def take_scratch(self, memory: list[np.ndarray]) -> None:
        """From the next Reshape on, take the arrays from this list. Layers that never run backward may share one."""
        self.awaits_scratch, self._scratch = False, memory

    @property
    def scratch_arrays(self) -> list[np.ndarray]:
        """The memory that `scratch` holds; layers that share it hold the same arrays."""
        return self._scratch
