"""How twins are compiled: once a machine, without the interpreter's lock, with C's arithmetic."""

from __future__ import annotations

import contextlib
import functools
import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import llvmlite.binding as llvm

from minicaffe.kernels import timekeeping

# LLVM keeps to half of a vector register for fear of older processors that slow down, and loses a fifth by it. numba
# reads its settings once, when it is first imported; where somebody has imported it before, nothing changes.
_setting, _features = "NUMBA_CPU_FEATURES", llvm.get_host_cpu_features()
_ours = _setting not in os.environ and bool(_features.get("avx512f"))
if _ours:
    _features["prefer-256-bit"] = False
    os.environ[_setting] = _features.flatten()

try:
    from numba import config, njit
    from numba.core import event
finally:
    if _ours:
        del os.environ[_setting]

if getattr(config, "DISABLE_JIT", 0):
    raise ImportError("NUMBA_DISABLE_JIT is set, so it compiles nothing")


class _Watch(event.Listener):
    """Stops the clock of all rates while numba has its lock, and says so when it compiles rather than loads."""

    def on_start(self, event: Any) -> None:
        """Called before numba does something."""
        if event.kind == "numba:compiler_lock":
            timekeeping.stop()
        else:
            timekeeping.announce()

    def on_end(self, event: Any) -> None:
        """Called after numba has done it."""
        if event.kind == "numba:compiler_lock":
            timekeeping.go_on()


for _kind in ("numba:compiler_lock", "numba:run_pass"):
    event.register(_kind, _Watch())

HERE = Path(__file__).parent
functions: list[Any] = []  # all that are compiled by the decorators below, for `minicaffe warm`


def compiled(function: Callable[..., Any]) -> Any:
    """Decorator: make machine code of a function on its first call."""
    return _compiled(function)


def compiled_sums(function: Callable[..., Any]) -> Any:
    """As `compiled`, for loops that add up: in any order, and products kept unrounded until they are added."""
    return _compiled(function, fastmath={"reassoc", "contract", "nsz"})


def _compiled(function: Callable[..., Any], **more: Any) -> Any:
    # nogil lets the pieces of a kernel run at the same time; 0 / 0 is NaN as in numpy, not an error
    made = cached(njit, nogil=True, error_model="numpy", **more)(function)
    if made.stats.cache_path:
        drop_outdated(made.stats.cache_path)
    kept: Any = getattr(made, "_cache", None)
    if hasattr(kept, "save_overload"):  # a full disk is no reason to stop: the code is there, if not for the next time
        kept.save_overload = _forgiving(kept.save_overload)
    functions.append(made)
    return made


@functools.cache
def drop_outdated(place: str) -> None:
    """Forget the machine code in a folder if any source here has changed since it was made.

    numba compares the file that a function stands in; but its machine code holds that of helpers from others.
    """
    with contextlib.suppress(OSError):
        now, seen = stamp(HERE.glob("*.py")), Path(place) / "minicaffe-sources"
        if not seen.exists() or seen.read_text() != now:
            for index in Path(place).glob("*.nbi"):
                index.unlink(missing_ok=True)
            seen.write_text(now)


def stamp(sources: Iterable[Path]) -> str:
    """What changes when one of these files does."""
    lines = []
    for source in sorted(sources):
        with contextlib.suppress(OSError):  # in an archive, or gone
            found = source.stat()
            lines.append(f"{source.name} {found.st_mtime_ns} {found.st_size}\n")
    return "".join(lines)


SOURCES = stamp(HERE.glob("*.py"))  # when this process began


def _forgiving(save: Callable[..., None]) -> Callable[..., None]:
    def save_if_possible(*arguments: Any) -> None:
        with contextlib.suppress(OSError):
            save(*arguments)

    return save_if_possible


def cached(decorator: Callable[..., Any], *arguments: Any, **options: Any) -> Callable[..., Any]:
    """numba's decorator with these options, which keeps the machine code on the disk where there is a place."""

    def decorate(function: Callable[..., Any]) -> Any:
        try:
            return decorator(*arguments, cache=True, **options)(function)
        except (RuntimeError, OSError):  # no folder that may be written to, or a full disk: nothing is kept
            return decorator(*arguments, **options)(function)

    return decorate
