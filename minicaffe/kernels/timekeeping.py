"""A clock that stands still while an engine gets ready: what is done once a machine belongs to no rate."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from minicaffe.log import log

_lock = threading.Lock()
_depth = 0          # how many preparations are under way, one within the other or side by side
_since = 0.0        # when the first of them began
_spent = 0.0        # seconds of those that are over
_announced = False


def clock() -> float:
    """Seconds since some moment, without those in which an engine was loaded or its kernels compiled."""
    with _lock:
        return (_since if _depth else time.perf_counter()) - _spent


def stop() -> None:
    """Something begins that happens once."""
    global _depth, _since
    with _lock:
        if not _depth:
            _since = time.perf_counter()
        _depth += 1


def go_on() -> None:
    """It is over."""
    global _depth, _spent
    with _lock:
        _depth -= 1
        if not _depth:
            _spent += time.perf_counter() - _since


@contextmanager
def standing_still() -> Iterator[None]:
    """Not to be counted is what the block does."""
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
