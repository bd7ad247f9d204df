"""Kernel calls written down as they run, so that the same ones can run again without the Python around them.

What a compiled kernel is called with are addresses and numbers. While these stay, playing the list again computes the
same functions of whatever now lies in memory. A call that leaves no such trace spoils the tape.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

_here = threading.local()


class Tape:
    """Calls in their order. `player` plays them; it is None while there are none or one of them cannot be played."""

    def __init__(self) -> None:
        self.calls: list[tuple[int, Any, int]] = []  # an entry's address, its argument block, the number of pieces
        self.kept: list[Any] = []                    # what must live as long as the addresses are used
        self.spoiled = False
        self.player: Callable[[Tape], None] | None = None


@contextmanager
def recording() -> Iterator[Tape]:
    """Write down what this thread's kernels call."""
    before, tape = getattr(_here, "tape", None), Tape()
    _here.tape = tape
    try:
        yield tape
    finally:
        _here.tape = before


def current() -> Tape | None:
    """The tape of this thread, if it records."""
    return getattr(_here, "tape", None)


def spoil() -> None:
    """Say that something runs which no tape can hold."""
    tape = current()
    if tape is not None:
        tape.spoiled = True
