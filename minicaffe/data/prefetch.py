"""A thread that makes the next batches while the net computes."""

from __future__ import annotations

import queue
import threading
import weakref
from collections.abc import Callable
from typing import Any, Generic, TypeVar

T = TypeVar("T")


class Prefetcher(Generic[T]):
    """Calls `make` in a thread, up to `depth` items ahead, and hands the items out in order.

    What `make` raises is raised by the `peek` or `take` that would have returned the item, and by each one
    after it. The thread ends with `close`, when nobody refers to the prefetcher any more, and before the
    interpreter exits. So `make` must not refer to the prefetcher or to its owner.
    """

    def __init__(self, make: Callable[[], T], depth: int) -> None:
        items: queue.Queue[tuple[T | None, BaseException | None]] = queue.Queue(depth)
        stop = threading.Event()
        thread = threading.Thread(target=_run, args=(make, items, stop), name="prefetch", daemon=True)
        self._items, self._thread = items, thread
        self._front: tuple[T | None, BaseException | None] | None = None
        self.close: Callable[[], Any] = weakref.finalize(self, _stop, thread, items, stop)
        thread.start()

    def peek(self) -> T:
        """The item that the next `take` returns; waits until it is there."""
        if self._front is None:
            if self._items.empty() and not self._thread.is_alive():
                raise RuntimeError("the prefetcher is closed")
            self._front = self._items.get()
        item, error = self._front
        if error is not None:
            raise error
        return item  # type: ignore[return-value]

    def take(self) -> T:
        """The next item; waits until it is there."""
        item = self.peek()
        self._front = None
        return item


def _run(make: Callable[[], Any], items: queue.Queue, stop: threading.Event) -> None:
    """The thread: make items until told to stop, or until making one fails."""
    while not stop.is_set():
        try:
            items.put((make(), None))
        except BaseException as error:
            items.put((None, error))
            return


def _stop(thread: threading.Thread, items: queue.Queue, stop: threading.Event) -> None:
    """Tell the thread to end, make room for the item it may be waiting to put, and wait for it."""
    stop.set()
    _drain(items)
    if thread is not threading.current_thread():  # the garbage collector may run in the thread itself
        thread.join()
        _drain(items)


def _drain(items: queue.Queue) -> None:
    while not items.empty():
        items.get_nowait()
