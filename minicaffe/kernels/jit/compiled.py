"""How twins are compiled: once a machine, without the interpreter's lock, with C's arithmetic."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import llvmlite.binding as llvm
from numba import config, njit

if "NUMBA_CPU_FEATURES" not in os.environ:
    # LLVM keeps to half of a vector register for fear of older processors that slow down; a fifth is lost by that
    features = llvm.get_host_cpu_features()
    if features.get("avx512f"):
        features["prefer-256-bit"] = False
        config.CPU_FEATURES = features.flatten()  # type: ignore[attr-defined]


def compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """Decorator: make machine code of a function on its first call."""
    # nogil lets the pieces of a kernel run at the same time; 0 / 0 is NaN as in numpy, not an error
    return njit(cache=True, nogil=True, error_model="numpy")(function)
