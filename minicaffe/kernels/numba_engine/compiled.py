"""How functions are compiled: once a machine, without the interpreter's lock, and with C's arithmetic.

This engine uses parts of numba that numba does not promise to keep. pyproject.toml therefore bounds numba from above,
and docs/performance.md says which releases were tested. The parts are:

  numba.core.event           here: when numba compiles, so that no rate counts that time. The two kinds of events
  numba.core.cgutils         tiles.py, registers.py: memory on the stack, declarations of LLVM's functions
  dispatcher._cache          here: saving machine code, which must not fail where a disk is full
  dispatcher.stats           here, cli/warm.py: the folder of the cache, and what was found in it
  *.nbi                      here: the names of the index files of that cache
  cfunc(...).cache_hits      task.py: whether a task was compiled or loaded
  context, builder           words.py, vectors.py, tiles.py, ...: what an intrinsic's code generator gets, with their
                             methods get_value_type, get_dummy_value and make_tuple
  NUMBA_CPU_FEATURES         here: read once, when numba is imported
  config.CPU_FEATURES        registers.py: that setting, with config.CPU_NAME
"""

from __future__ import annotations

import contextlib
import functools
import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import llvmlite.binding as llvm

from minicaffe.kernels import timekeeping

# On processors with AVX-512, LLVM uses only half of each vector register, because early ones slowed down otherwise.
# That costs a fifth of the speed. Numba reads this setting once, when it is first imported. Where a program has
# imported it before us, nothing changes.
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
    """Stop the clock while numba holds its compiler lock, and announce the first compilation (timekeeping.py).

    Numba holds the lock also while it loads machine code from its cache. The event "run_pass" happens only when it
    compiles.
    """

    def on_start(self, event: Any) -> None:
        """Numba calls this when an event begins."""
        if event.kind == "numba:compiler_lock":
            timekeeping.stop()
        else:
            timekeeping.announce()

    def on_end(self, event: Any) -> None:
        """Numba calls this when an event ends."""
        if event.kind == "numba:compiler_lock":
            timekeeping.go_on()


for _kind in ("numba:compiler_lock", "numba:run_pass"):
    event.register(_kind, _Watch())

HERE = Path(__file__).parent
SUMS_IN_ANY_ORDER = {"reassoc", "contract", "nsz"}  # LLVM's flags: add in any order, fuse a product with its addition

functions: list[Any] = []  # everything that the decorators below have made, for `minicaffe warm`


def compiled(function: Callable[..., Any]) -> Any:
    """Decorator: compile a function on its first call."""
    return _compiled(function)


def compiled_sums(function: Callable[..., Any]) -> Any:
    """Decorator: as `compiled`, for loops that sum. They may add in any order, and need not round a product first.

    Without this LLVM keeps the order of the source, and then cannot use vector registers for the sum.
    """
    return _compiled(function, fastmath=SUMS_IN_ANY_ORDER)


def _compiled(function: Callable[..., Any], **more: Any) -> Any:
    # nogil: several threads may run the function at the same time. error_model: 0 / 0 is NaN as in numpy, not an error.
    made = cached(njit, nogil=True, error_model="numpy", **more)(function)
    if made.stats.cache_path:
        drop_outdated(made.stats.cache_path)
    kept: Any = getattr(made, "_cache", None)
    if hasattr(kept, "save_overload"):  # a full disk is no reason to stop: the code can run, and only is not kept
        kept.save_overload = _forgiving(kept.save_overload)
    functions.append(made)
    return made


@functools.cache
def drop_outdated(place: str) -> None:
    """Delete the index files of a cache folder if any source file of this engine has changed since it was filled.

    Numba itself compares only the file that a function stands in. But its machine code includes helpers from others.
    """
    with contextlib.suppress(OSError):
        now, seen = stamp(HERE.glob("*.py")), Path(place) / "minicaffe-sources"
        if not seen.exists() or seen.read_text() != now:
            for index in Path(place).glob("*.nbi"):
                index.unlink(missing_ok=True)
            seen.write_text(now)


def stamp(sources: Iterable[Path]) -> str:
    """Names, times and sizes of files: a text that changes when one of them does."""
    lines = []
    for source in sorted(sources):
        with contextlib.suppress(OSError):  # in an archive, or gone
            found = source.stat()
            lines.append(f"{source.name} {found.st_mtime_ns} {found.st_size}\n")
    return "".join(lines)


SOURCES = stamp(HERE.glob("*.py"))  # as they were when this process began


def _forgiving(save: Callable[..., None]) -> Callable[..., None]:
    def save_if_possible(*arguments: Any) -> None:
        with contextlib.suppress(OSError):
            save(*arguments)

    return save_if_possible


def cached(decorator: Callable[..., Any], *arguments: Any, **options: Any) -> Callable[..., Any]:
    """Numba's decorator with these options, and with its cache on the disk if a folder can be written to."""

    def decorate(function: Callable[..., Any]) -> Any:
        try:
            return decorator(*arguments, cache=True, **options)(function)
        except (RuntimeError, OSError):  # no folder may be written to, or the disk is full: then nothing is kept
            return decorator(*arguments, **options)(function)

    return decorate
