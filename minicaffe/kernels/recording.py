"""Record kernel calls as they run, so that the same calls can run again without Python around them.

The arguments of a compiled task are addresses and numbers. As long as these stay the same, running the list of calls
again computes the same functions of whatever the memory holds now. Code that runs
outside compiled tasks is not recorded. It must mark the recording as unusable, because running the list again would
leave that part out.

A *dry run* is a recording in which nothing is computed: it finds out how much memory kernels would borrow.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

Call = tuple[int, Any, int]  # the address of a compiled task, its block of arguments, the number of pieces
Runner = Callable[[Sequence[Call]], Callable[[], None]]  # makes one function of many calls

_here = threading.local()


class Recording:
    """Calls of compiled tasks in their order.

    calls      the recorded calls; empty if there was nothing to do
    kept       the arrays behind the addresses: they must live as long as the calls may run
    usable     False once something ran that is not among the calls
    borrowed   in a dry run, the memory that kernels would borrow, slot -> bytes; None when the calls really run
    """

    def __init__(self, borrowed: dict[str, int] | None = None) -> None:
        self.borrowed = borrowed
        self.calls: list[Call] = []
        self.kept: list[Any] = []
        self.usable = True
        self._runner: Runner | None = None

    def add(self, call: Call, kept: Any, runner: Runner) -> None:
        """Record one call. `runner` is the function with which the task's engine runs many calls."""
        self.calls.append(call)
        self.kept.append(kept)
        self._runner = runner

    def extend(self, other: Recording) -> None:
        """Append all calls of another recording."""
        self.calls += other.calls
        self.kept += other.kept
        self.usable &= other.usable
        self._runner = self._runner or other._runner

    def as_function(self) -> Callable[[], None]:
        """Return a function that runs all calls again.

        Only the thread that recorded them may call it, since borrowed memory (workspace.py) is that of one thread.
        """
        if not self.usable:
            raise ValueError("this recording is unusable: something ran that was not recorded")
        return self._runner(tuple(self.calls)) if self._runner else _nothing


def _nothing() -> None:
    """Do nothing, for a recording without calls."""


@contextmanager
def recording(dry_run: bool = False) -> Iterator[Recording]:
    """Record the compiled tasks that this thread calls inside the block.

    In a dry run none of them runs. Arrays may then be shapes without memory, and a kernel that does more than call
    compiled tasks is left out.
    """
    before, made = current(), Recording({} if dry_run else None)
    _here.recording = made
    try:
        yield made
    finally:
        _here.recording = before


def current() -> Recording | None:
    """Return the recording that this thread is making, or None."""
    return getattr(_here, "recording", None)


def mark_unusable() -> bool:
    """Mark the recording that this thread is making, if any, as unusable.

    Return True in a dry run. The caller must then compute nothing.
    """
    made = current()
    if made is not None:
        made.usable = False
    return made is not None and made.borrowed is not None
