"""Kernel calls written down as they run, so that the same ones can run again without the Python around them.

What a compiled kernel is called with are addresses and numbers. While these stay, playing the list again computes the
same functions of whatever now lies in memory. A call that leaves no such trace spoils the tape.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

Call = tuple[int, Any, int]  # an entry's address, its block of arguments, the number of pieces

_here = threading.local()


class Tape:
    """Calls in their order.

    calls      what to call; none is the tape of something that has nothing to do
    kept       what must live as long as the addresses are used
    spoiled    something ran that is not among the calls: the tape stands for nothing
    borrowed   in a rehearsal, where nothing runs: the memory that kernels would borrow, slot -> bytes; else None
    """

    def __init__(self, borrowed: dict[str, int] | None = None) -> None:
        self.borrowed = borrowed
        self.calls: list[Call] = []
        self.kept: list[Any] = []
        self.spoiled = False
        self._player: Callable[[Sequence[Call]], Callable[[], None]] | None = None

    def add(self, call: Call, kept: Any, player: Callable[[Sequence[Call]], Callable[[], None]]) -> None:
        """Write down one call. `player` makes of many calls a function that runs them."""
        self.calls.append(call)
        self.kept.append(kept)
        self._player = player

    def extend(self, other: Tape) -> None:
        """Write down all calls of another tape."""
        self.calls += other.calls
        self.kept += other.kept
        self.spoiled |= other.spoiled
        self._player = self._player or other._player

    def player(self) -> Callable[[], None]:
        """A function that runs all calls again, in the thread whose tape this is."""
        if self.spoiled:
            raise ValueError("a spoiled tape cannot be played")
        return self._player(tuple(self.calls)) if self._player else _nothing


def _nothing() -> None:
    """What a tape without calls plays."""


@contextmanager
def recording(rehearsal: bool = False) -> Iterator[Tape]:
    """Write down what this thread's kernels call; in a `rehearsal`, run none of it.

    In a rehearsal arrays may be shapes without memory, and a kernel that is more than entries is passed over.
    """
    before, tape = getattr(_here, "tape", None), Tape({} if rehearsal else None)
    _here.tape = tape
    try:
        yield tape
    finally:
        _here.tape = before


def current() -> Tape | None:
    """The tape of this thread, if it records."""
    return getattr(_here, "tape", None)


def spoil() -> bool:
    """Say that something is to run which no tape can hold; whether it may not, for this is a rehearsal."""
    tape = current()
    if tape is not None:
        tape.spoiled = True
    return tape is not None and tape.borrowed is not None
