"""The matrix library behind numpy (BLAS), held to one thread.

minicaffe shares work among threads of its own (shards.py). If BLAS did so too, both kinds of threads would compete for
the cores. The results would also depend on the number of threads, since BLAS cuts a product by it and sums the parts.

The package threadpoolctl does this for every BLAS, and the extra `fast` installs it. It is not required, so the
OpenBLAS inside numpy's own wheels is also set directly: otherwise a plain `pip install minicaffe` would run pieces with
matrix products one after the other, and give other bits on a machine with more cores.
"""

from __future__ import annotations

import ctypes
import functools
from pathlib import Path

import numpy as np

SETTERS = ("scipy_openblas_set_num_threads64_", "scipy_openblas_set_num_threads", "openblas_set_num_threads64_",
           "openblas_set_num_threads")  # the names of one function, from the newest wheels to the oldest

CORES = tuple(name.replace("set_num_threads", "get_corename") for name in SETTERS)


@functools.cache
def hold_to_one_thread() -> bool:
    """Give every BLAS of this process one thread from now on. Return whether that was possible."""
    try:
        from threadpoolctl import ThreadpoolController
    except ImportError:
        return any([_set_one(path) for path in _bundled()])  # a list, so that every library is set
    libraries = ThreadpoolController().select(user_api="blas").lib_controllers
    for library in libraries:
        library.set_num_threads(1)
    return bool(libraries)


def in_words() -> str:
    """Return which BLAS computes here, and for which kind of processor: another one may round otherwise."""
    try:
        from threadpoolctl import ThreadpoolController
    except ImportError:
        return ", ".join(filter(None, map(_core_of, _bundled()))) or "unknown"
    libraries = ThreadpoolController().select(user_api="blas").info()
    return ", ".join(f"{library['internal_api']} {library['version']} for {library.get('architecture', 'any')}"
                     for library in libraries) or "unknown"


def _core_of(path: Path) -> str:
    """Return for which kind of processor this OpenBLAS computes; "" where it does not say."""
    try:
        library = ctypes.CDLL(str(path))
    except OSError:
        return ""
    getter = next((getattr(library, name) for name in CORES if hasattr(library, name)), None)
    if getter is None:
        return ""
    getter.restype = ctypes.c_char_p
    return f"openblas for {getter().decode()}"


def _bundled() -> list[Path]:
    """Return the files of the OpenBLAS inside numpy's wheel: in a folder beside the package, or on macOS inside it."""
    package = Path(np.__file__).parent
    return [*(package.parent / "numpy.libs").glob("*openblas*"), *(package / ".dylibs").glob("*openblas*")]


def _set_one(path: Path) -> bool:
    """Give this OpenBLAS one thread. Return whether that was possible."""
    try:
        library = ctypes.CDLL(str(path))  # numpy has loaded it: this finds the same one again
    except OSError:
        return False
    setter = next((getattr(library, name) for name in SETTERS if hasattr(library, name)), None)
    if setter is not None:
        setter(1)
    return setter is not None
