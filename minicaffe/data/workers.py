"""Threads that read and transform the samples of a batch side by side."""

from __future__ import annotations

import itertools
import os
import threading
import time
import weakref
from collections.abc import Callable, Sequence
from queue import SimpleQueue
from typing import Any, TypeVar

X = TypeVar("X")
Y = TypeVar("Y")
LONGEST_CLOSE = 1.0  # seconds for which `close` waits, where a drive does not answer


class Workers:
    """A thread pool of `count` threads, the calling one included. The others start when they are first needed.

    They end with `close`, and when the pool is garbage collected. A thread that waits for a drive which never answers
    keeps nobody from ending the process, because all are daemon threads.
    """

    def __init__(self, count: int) -> None:
        self.count, self._process = count, os.getpid()
        self._inbox: SimpleQueue[_Job | None] = SimpleQueue()
        self._threads: list[threading.Thread] = []
        self._ahead: _Job | None = None  # the items of the next `map`, with which the threads have begun
        self._end = weakref.finalize(self, _end_all, self._inbox, count)

    def map(self, work: Callable[[X], Y], items: Sequence[X], then: Sequence[X] = ()) -> list[Y]:
        """Return the result of `work` for each item, in their order. Of several errors, the first item's is raised.

        The calling thread works, too. After `close` it works alone.

        then    the items of the next `map`, if they are known: the other threads begin with them as soon as none of
                `items` is left, and do not wait for that call
        """
        if self._end.alive and os.getpid() != self._process:  # this process was forked, and the threads stayed behind
            self._end.detach()
            self.__setstate__(self.__getstate__())
        helpers = min(self.count, len(items)) - 1 if self._end.alive else 0
        if helpers < 1:
            return [work(item) for item in items]
        while len(self._threads) < helpers:
            thread = threading.Thread(target=_run, args=(self._inbox,), name="data", daemon=True)
            self._threads.append(thread)
            thread.start()
        job, self._ahead = self._ahead, None
        if job is None or not job.does(work, items):
            if job is not None:
                job.drop()
            job = self._begin(work, items, helpers)
        if then:
            self._ahead = self._begin(work, then, helpers)
        job.work()
        job.done.wait()
        for error in job.errors:
            if error is not None:
                raise error
        return job.results

    def close(self) -> None:
        """End the threads, each after the item on which it works.

        One that works on an item keeps the images' source open, so `close` waits for it, but not for ever.
        """
        if self._ahead is not None:
            self._ahead.drop()
            self._ahead = None
        self._end()
        deadline = time.monotonic() + LONGEST_CLOSE
        for thread in self._threads if os.getpid() == self._process else ():
            thread.join(max(0.0, deadline - time.monotonic()))

    def _begin(self, work: Callable[[X], Y], items: Sequence[X], helpers: int) -> _Job:
        """Give the items to so many of the threads."""
        job = _Job(work, items)
        for _ in range(helpers):
            self._inbox.put(job)
        return job

    def __getstate__(self) -> dict[str, Any]:
        return {"count": self.count}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Give a copy (copy.deepcopy) threads of its own."""
        self.__init__(state["count"])  # type: ignore[misc]


class _Job:
    """The items of one `map`: each thread takes the next one until none is left."""

    def __init__(self, work: Callable[[Any], Any], items: Sequence[Any]) -> None:
        self._work, self._items = work, items
        self.results: list[Any] = [None] * len(items)
        self.errors: list[BaseException | None] = [None] * len(items)
        # itertools.count hands out each number once, whichever threads ask: it does so in one step of the interpreter
        self._take, self._finish = itertools.count().__next__, itertools.count(1).__next__
        self.done = threading.Event()
        self._dropped = False

    def does(self, work: Callable[[Any], Any], items: Sequence[Any]) -> bool:
        """Return whether this is the work on these items."""
        return work == self._work and items == self._items

    def drop(self) -> None:
        """Let no thread of the pool begin with a further item, because nobody is likely to ask for the results."""
        self._dropped = True

    def work(self, asked_for: bool = True) -> None:
        """Work on items until none is left to take; without `asked_for`, or until the job is dropped."""
        while (asked_for or not self._dropped) and (i := self._take()) < len(self._items):
            try:
                self.results[i] = self._work(self._items[i])
            except BaseException as error:  # raised again by `map`, in the caller's thread
                self.errors[i] = error
            if self._finish() == len(self._items):
                self.done.set()


def _run(inbox: SimpleQueue) -> None:
    """Take part in one job after the other, until None comes. This is what a thread runs."""
    while (job := inbox.get()) is not None:
        job.work(asked_for=False)
        del job  # while the thread waits, it must not keep the results alive


def _end_all(inbox: SimpleQueue, count: int) -> None:
    for _ in range(count):
        inbox.put(None)
