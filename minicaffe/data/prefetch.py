"""A thread that makes the next batches while the net computes."""

from __future__ import annotations

import contextlib
import queue
import threading
import weakref
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")
LONGEST_CLOSE = 3.0  # seconds that `close` waits for a source that does not answer


class Prefetcher(Generic[T]):
    """Calls `make` in a thread, up to `depth` items ahead, and gives out the items in their order.

    An error in `make` ends the thread. The `peek` or `take` that would have returned the item raises it, and so does
    each one after that.
    The thread also ends with `close`, when nobody refers to the prefetcher any more, and before the interpreter exits.
    For the second of these, `make` must not refer to the prefetcher or to its owner.
    `make` may never return, from a pipe that nobody writes to or a network drive that is gone. Then the thread is left
    alone after LONGEST_CLOSE seconds.
    """

    def __init__(self, make: Callable[[], T], depth: int) -> None:
        items: queue.Queue[tuple[T | None, BaseException | None]] = queue.Queue(depth)
        stop = threading.Event()
        thread = threading.Thread(target=_run, args=(make, items, stop), name="prefetch", daemon=True)
        self._items, self._thread, self._stop = items, thread, stop
        self._front: tuple[T | None, BaseException | None] | None = None
        self._end = weakref.finalize(self, _end_unasked, thread, items, stop)
        thread.start()

    def close(self) -> bool:
        """End the thread; False where it does not come back from `make`, so that it may still be at work there."""
        if (ending := self._end.detach()) is not None:
            _end(*ending[2])
        return not self._thread.is_alive()

    def peek(self) -> T:
        """The item that the next `take` returns; waits until it is there."""
        if self._front is None:
            self._front = self._wait()
        item, error = self._front
        if error is not None:
            raise error
        return item  # type: ignore[return-value]

    def take(self) -> T:
        """The next item; waits until it is there."""
        item = self.peek()
        self._front = None
        return item

    def _wait(self) -> tuple[T | None, BaseException | None]:
        while not self._stop.is_set():
            with contextlib.suppress(queue.Empty):
                return self._items.get(timeout=1)  # with a limit: in an endless wait Windows ignores Ctrl-C
        raise RuntimeError("the prefetcher is closed")


def _run(make: Callable[[], object], items: queue.Queue, stop: threading.Event) -> None:
    """What the thread does: make items until `stop` is set, or until one cannot be made."""
    while not stop.is_set():
        try:
            items.put((make(), None))  # waits while `depth` items are there
        except BaseException as error:  # SystemExit too: it must end the program, not this thread alone
            items.put((None, error))
            return


def _end(thread: threading.Thread, items: queue.Queue, stop: threading.Event) -> None:
    """Tell the thread to end, and wait for that, but not for ever."""
    stop.set()
    _drain(items)  # it may be waiting in `put` for room
    if thread is not threading.current_thread():  # the garbage collector may run in the thread itself
        thread.join(LONGEST_CLOSE)
        _drain(items)


def _end_unasked(thread: threading.Thread, items: queue.Queue, stop: threading.Event) -> None:
    """End the thread of a prefetcher that nobody refers to any more."""
    with contextlib.suppress(KeyboardInterrupt):  # nobody could catch it here: Python would print it and go on
        _end(thread, items, stop)


def _drain(items: queue.Queue) -> None:
    while not items.empty():
        items.get_nowait()
