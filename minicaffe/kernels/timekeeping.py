"""A clock that stands still while kernels are compiled: that happens once a machine, and belongs to no rate."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from minicaffe.log import log

_lock = threading.Lock()
_depth = 0          # how often the clock is stopped: one preparation may stand in another, or run beside it
_since = 0.0        # when the first of them began
_spent = 0.0        # seconds of those that are over
_announced = False


def clock() -> float:
    """Seconds since a fixed moment, without those in which an engine was loaded or its kernels were compiled."""
    with _lock:
        return (_since if _depth else time.perf_counter()) - _spent


def stop() -> None:
    """Stop the clock: something begins that happens only once."""
    global _depth, _since
    with _lock:
        if not _depth:
            _since = time.perf_counter()
        _depth += 1


def go_on() -> None:
    """Let the clock run on, if nothing else has stopped it too."""
    global _depth, _spent
    with _lock:
        _depth -= 1
        if not _depth:
            _spent += time.perf_counter() - _since


@contextmanager
def standing_still() -> Iterator[None]:
    """Time spent in the block is not counted."""
    stop()
    try:
        yield
    finally:
        go_on()


def announce() -> None:
    """Say, the first time, why nothing else happens for up to a minute."""
    global _announced
    if not _announced:
        _announced = True
        log("engines", "compiling the fast kernels, once; minicaffe warm does it ahead")
