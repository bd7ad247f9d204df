"""Memory that kernels borrow for the length of one call."""

from __future__ import annotations

import math
import threading
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

_here = threading.local()


def borrow(slot: str, shape: Sequence[int], dtype: DTypeLike) -> np.ndarray:
    """An uninitialised array of this thread's, shared by all kernels that name the same slot.

    It is valid until the same thread borrows the slot again, so it must not outlive the kernel's call.
    """
    buffers: dict[Any, np.ndarray] = _here.__dict__
    key, count = (slot, np.dtype(dtype)), math.prod(shape)
    if key not in buffers or buffers[key].size < count:
        buffers[key] = np.empty(count, dtype)
    return buffers[key][:count].reshape(shape)
