"""A thread that makes the next batches of a data layer while the net computes."""

from __future__ import annotations

import contextlib
import os
import queue
import threading
import weakref
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")
LONGEST_CLOSE = 3.0  # seconds for which `close` waits, where the source does not answer


class Prefetcher(Generic[T]):
    """Calls `make` in a thread, up to `depth` items in advance, and gives out the items in their order.

    An error in `make` ends the thread. The `peek` or `take` that would have returned the item raises the error, and so
    does each one after that.

    The thread also ends with `close`, and when the prefetcher is garbage collected, and before the interpreter exits.
    It keeps `make` alive, so `make` must not refer to the prefetcher or to its owner: these could then never be
    collected.

    `make` may never return, when it reads a pipe that no process writes to or a network drive that is gone. Then
    `close` leaves the thread alone after LONGEST_CLOSE seconds.
    """

    def __init__(self, make: Callable[[], T], depth: int) -> None:
        items: queue.Queue[tuple[T | None, BaseException | None]] = queue.Queue(depth)
        stop = threading.Event()
        thread = threading.Thread(target=_run, args=(make, items, stop), name="prefetch", daemon=True)
        self._items, self._thread, self._stop, self._process = items, thread, stop, os.getpid()
        self._front: tuple[T | None, BaseException | None] | None = None
        self._end = weakref.finalize(self, _end_unasked, thread, items, stop)
        thread.start()

    @property
    def is_forked(self) -> bool:
        """Whether this is a copy in a forked process, which has no thread: items that were being made are lost."""
        return os.getpid() != self._process

    def close(self) -> bool:
        """End the thread. Return False where `make` does not return, so that the thread may still be running it."""
        # `detach` returns what it held only once, so a second `close` does not wait again
        if (ending := self._end.detach()) is not None:
            _end(*ending[2])
        return not self._thread.is_alive()

    def peek(self) -> T:
        """Return the item that the next `take` returns; wait until it is there."""
        if self._front is None:
            self._front = self._wait()
        item, error = self._front
        if error is not None:
            raise error
        return item  # type: ignore[return-value]

    def take(self) -> T:
        """Return the next item; wait until it is there."""
        item = self.peek()
        self._front = None
        return item

    def _wait(self) -> tuple[T | None, BaseException | None]:
        while not self._stop.is_set():
            with contextlib.suppress(queue.Empty):
                return self._items.get(timeout=1)  # not for ever: on Windows, Ctrl-C cannot end an endless wait
        raise RuntimeError("the prefetcher is closed")


def _run(make: Callable[[], object], items: queue.Queue, stop: threading.Event) -> None:
    """Make items until `stop` is set, or until one cannot be made. This is what the thread runs."""
    while not stop.is_set():
        try:
            items.put((make(), None))  # waits while `depth` items are there
        except BaseException as error:  # SystemExit too: raised again in `peek`, it ends the program and not the thread
            items.put((None, error))
            return


def _end(thread: threading.Thread, items: queue.Queue, stop: threading.Event) -> None:
    """Tell the thread to end, and wait for that, but not for ever."""
    stop.set()
    if not thread.is_alive():  # in a forked process the queue's lock may be one that the thread held, for ever
        return
    _drain(items)  # the thread may be waiting in `put` for a free place
    if thread is not threading.current_thread():  # the garbage collector may run in the thread itself
        thread.join(LONGEST_CLOSE)
        _drain(items)  # of the item that the thread may have put there in the meantime


def _end_unasked(thread: threading.Thread, items: queue.Queue, stop: threading.Event) -> None:
    """End the thread of a prefetcher that is garbage collected."""
    with contextlib.suppress(KeyboardInterrupt):  # no code could catch it here: Python would print it and go on
        _end(thread, items, stop)


def _drain(items: queue.Queue) -> None:
    """Empty the queue."""
    while not items.empty():
        items.get_nowait()
