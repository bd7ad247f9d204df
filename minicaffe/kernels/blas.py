"""The matrix library behind numpy: held to one thread, so that only minicaffe's own threads share out work.

Two levels of threads fight for the cores, a BLAS that waits for its next product burns one, and how it cuts a
product depends on its threads, and the bits with it.
"""

from __future__ import annotations

import ctypes
import functools
from pathlib import Path

import numpy as np

SETTERS = ("scipy_openblas_set_num_threads64_", "scipy_openblas_set_num_threads", "openblas_set_num_threads64_",
           "openblas_set_num_threads")


@functools.lru_cache(maxsize=1)
def hold_to_one_thread() -> bool:
    """Give every BLAS of this process one thread, from now on; False where none can be told to."""
    try:
        from threadpoolctl import ThreadpoolController
    except ImportError:
        return any([_set_one(path) for path in _bundled()])
    libraries = ThreadpoolController().select(user_api="blas").lib_controllers
    for library in libraries:
        library.set_num_threads(1)
    return bool(libraries)


def _bundled() -> list[Path]:
    """The OpenBLAS that numpy's own packages bring along, for machines without threadpoolctl."""
    package = Path(np.__file__).parent
    return [path for folder in (package.parent / "numpy.libs", package / ".dylibs") if folder.is_dir()
            for path in folder.iterdir() if "openblas" in path.name]


def _set_one(path: Path) -> bool:
    try:
        library = ctypes.CDLL(str(path))  # the one that numpy has loaded already
    except OSError:
        return False
    for name in SETTERS:
        if hasattr(library, name):
            getattr(library, name)(1)
            return True
    return False
