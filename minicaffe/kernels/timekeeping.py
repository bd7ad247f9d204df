"""A clock that stops while kernels are compiled.

Compiling happens once on a machine and takes up to a minute. A rate such as iterations per second should not count it.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from minicaffe.log import log

_lock = threading.Lock()
_depth = 0          # how many stops have not ended: compilations may be nested, or run on several threads
_since = 0.0        # when the first of them began
_spent = 0.0        # for how many seconds the clock has stood still before that
_announced = False


def clock() -> float:
    """Seconds since some fixed moment, except those in which an engine was loaded or its kernels were compiled."""
    with _lock:
        return (_since if _depth else time.perf_counter()) - _spent


def stop() -> None:
    """Stop the clock, because something begins that happens only once."""
    global _depth, _since
    with _lock:
        if not _depth:
            _since = time.perf_counter()
        _depth += 1


def go_on() -> None:
    """End one `stop`. The clock runs again as soon as every `stop` has ended."""
    global _depth, _spent
    with _lock:
        _depth -= 1
        if not _depth:
            _spent += time.perf_counter() - _since


@contextmanager
def standing_still() -> Iterator[None]:
    """Do not count the time spent in the block."""
    stop()
    try:
        yield
    finally:
        go_on()


def announce() -> None:
    """Log once that kernels are being compiled, so that users know why nothing happens for up to a minute."""
    global _announced
    if not _announced:
        _announced = True
        log("engines", "compiling the fast kernels, once; minicaffe warm does it ahead")
