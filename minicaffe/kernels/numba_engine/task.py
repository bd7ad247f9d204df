"""Compiled tasks: functions of machine code that are called by address, one piece of their work at a time.

A task is written as a Python function of two arguments. `block` is an array of 64-bit words that holds the arguments
of the call: addresses of arrays, sizes, the bits of floats. `piece` is the number of the piece to do. Numba compiles
the function to a C function, so a call needs neither the Python interpreter nor its lock. Therefore any thread can
run a piece (pool.py), and a call can be recorded and run again later (recording.py).
"""

from __future__ import annotations

import operator
import struct
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numba import cfunc, types

from minicaffe.kernels import recording
from minicaffe.kernels.numba_engine import pool, words
from minicaffe.kernels.numba_engine.compiled import HERE, SOURCES, SUMS_IN_ANY_ORDER, cached, stamp

SIGNATURE = types.void(types.CPointer(types.int64), types.int64)

tasks: list[Task] = []  # all of them, for `minicaffe warm`


class Task:
    """A function that is compiled when it is first needed, and that runs all pieces of its work when it is called."""

    def __init__(self, function: Callable[..., None], options: dict[str, Any]) -> None:
        self.name, self._function, self._options = function.__name__, function, options
        self._source = stamp([_file(function)])
        self._compiled: Any = None
        tasks.append(self)

    @property
    def compiled(self) -> Any:
        """The compiled function. On first use it is compiled, or loaded from numba's cache."""
        if self._compiled is None:
            # A developer may edit a source file while this process runs. Numba's cache then belongs to the new source,
            # and its machine code may take other arguments than this process gives. So it is neither read nor written.
            same = stamp([_file(self._function)]) == self._source and stamp(HERE.glob("*.py")) == SOURCES
            decorate = (cached(cfunc, SIGNATURE, **self._options) if same else cfunc(SIGNATURE, **self._options))
            self._compiled = decorate(self._function)
        return self._compiled

    @property
    def is_compiled(self) -> bool:
        """True if the function has been compiled or loaded already."""
        return self._compiled is not None

    def __call__(self, pieces: int, *arguments: Any) -> None:
        """Run all pieces with these arguments, each an array, None (which arrives as address 0), an int or a float."""
        if not _is_dry_run():
            _run([(self.compiled.address, _block(arguments), pieces)], arguments)

    def in_turns(self, turns: int, pieces: int, *arguments: Any) -> None:
        """Run all pieces for turn 0, then all for turn 1, and so on; no piece begins before the turn before is done.

        In front of the arguments the task gets the first turn that it must do, and the first that it must not do.
        Where there is one piece, it does all turns in one call.
        """
        if _is_dry_run():
            return
        block = _block((0, turns, *arguments))
        blocks = block[np.newaxis] if pieces == 1 else np.repeat(block[np.newaxis], turns, axis=0)
        if pieces > 1:
            blocks[:, 0], blocks[:, 1] = np.arange(turns), np.arange(1, turns + 1)
        _run([(self.compiled.address, one, pieces) for one in blocks], arguments)


def _is_dry_run() -> bool:
    recorder = recording.current()
    return recorder is not None and recorder.borrowed is not None


def _block(arguments: Iterable[Any]) -> np.ndarray:
    """Return the words that hold the arguments of a call."""
    return np.array([_word(a) for a in arguments], np.int64)


def _run(calls: Sequence[recording.Call], arguments: Sequence[Any]) -> None:
    """Run calls one after the other, and record them if a recording is being made."""
    recorder = recording.current()
    if recorder is not None:
        for call in calls:  # the arguments are kept too: the block holds only their addresses
            recorder.add(call, arguments, pool.as_function)
    pool.as_function(calls)()


def _file(function: Callable[..., None]) -> Path:
    return Path(function.__code__.co_filename)


def task(function: Callable[..., None] | None = None, *, sums: bool = False) -> Any:
    """Decorator: make a Task of a function of (block, piece). With `sums`, it may add numbers up in any order."""
    options: dict[str, Any] = {"error_model": "numpy"}
    if sums:
        options["fastmath"] = SUMS_IN_ANY_ORDER

    def keep(function: Callable[..., None]) -> Task:
        return Task(function, options)

    return keep if function is None else keep(function)


def compile_all() -> None:
    """Compile every task, and the thread pool that runs them."""
    for one in tasks:
        _ = one.compiled
    pool.compile_all()


def origins() -> tuple[int, int]:
    """Return the numbers of tasks that this process has compiled, and that it has loaded from numba's cache."""
    hits = [bool(one.compiled.cache_hits) for one in tasks if one.is_compiled]
    return hits.count(False), hits.count(True)


def _word(argument: Any) -> int:
    """Return an argument as 64 bits: the address of an array, 0 for None, the bits of a float64, or a whole number."""
    if isinstance(argument, np.ndarray):
        return words.address_of(argument)
    # Not isinstance: np.float64 is a kind of float. But numpy makes such a scalar of an array without axes, and where a
    # task expects the array, the scalar's bits would be taken for its address. Kernels convert numbers by float().
    if type(argument) is float:
        return int(struct.unpack("q", struct.pack("d", argument))[0])
    try:  # index() takes whole numbers alone, where int() would cut the fraction off a np.float32
        return 0 if argument is None else operator.index(argument)
    except TypeError:
        raise TypeError("a compiled task takes arrays, None, int and float, "
                        f"got {argument!r} of the type {type(argument).__name__}") from None
