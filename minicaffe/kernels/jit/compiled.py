"""How twins are compiled: once a machine, without the interpreter's lock, with C's arithmetic."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from numba import njit


def compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """Decorator: make machine code of a function on its first call."""
    # nogil lets the pieces of a kernel run at the same time; 0 / 0 is NaN as in numpy, not an error
    return njit(cache=True, nogil=True, error_model="numpy")(function)
