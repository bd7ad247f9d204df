"""Memory that kernels borrow for the length of one call.

Asking the system for fresh memory costs more than many kernels take, because each page is cleared when it is first
written. So each thread stores this memory under a name, the slot, and hands it out again.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.lib.stride_tricks import as_strided

from minicaffe.kernels import recording

if TYPE_CHECKING:
    from numpy.typing import DTypeLike

LINE = 64  # bytes of a cache line

_here = threading.local()


def borrow(slot: str, shape: Sequence[int], dtype: DTypeLike) -> np.ndarray:
    """Return an uninitialised array of this thread, which starts on a cache line.

    All kernels that name the same slot get the same memory. The array is valid until the same thread borrows the slot
    again, so a kernel must not keep it after its call.
    """
    recorder = recording.current()
    if recorder is not None and recorder.borrowed is not None:  # a dry run only counts
        size = int(math.prod(shape)) * np.dtype(dtype).itemsize
        recorder.borrowed[slot] = max(size, recorder.borrowed.get(slot, 0))
        return without_memory(shape, dtype)
    buffers: dict[Any, np.ndarray] = _here.__dict__
    key, count = (slot, np.dtype(dtype)), math.prod(shape)
    if key not in buffers or buffers[key].size < count:
        buffers[key] = _aligned(count, np.dtype(dtype))
    return buffers[key][:count].reshape(shape)


def held() -> int:
    """Return the number of bytes that this thread keeps for its kernels."""
    return sum(buffer.nbytes for buffer in _here.__dict__.values())


def without_memory(shape: Sequence[int], dtype: DTypeLike) -> np.ndarray:
    """An array of this shape in which every element is the same number in memory: for dry runs (recording.py)."""
    return as_strided(np.zeros(1, dtype), tuple(shape), (0,) * len(shape))


def _aligned(count: int, dtype: np.dtype) -> np.ndarray:
    """An array of `count` elements that starts on a cache line, since a vector across two lines takes two reads.

    Behind it there is another cache line of memory, so that a vector may be read that begins at the last element.
    """
    memory = np.empty(count * dtype.itemsize + 2 * LINE, np.uint8)
    start = -memory.ctypes.data % LINE
    return memory[start:start + count * dtype.itemsize].view(dtype)
