"""Work cut into pieces that run on several threads.

Who cuts decides by the shape of the problem alone, never by the number of threads, and sums the pieces in their
order; so a result has the same bits on one thread and on sixteen. BLAS is held to one thread (blas.py).
"""

from __future__ import annotations

import itertools
import os
import threading
from collections.abc import Callable, Sequence
from queue import SimpleQueue

import numpy as np

from minicaffe import system
from minicaffe.errors import EngineError
from minicaffe.kernels import recording
from minicaffe.kernels.blas import hold_to_one_thread

BLOCK = 1 << 15  # elements of an array: five of them fit in a core's cache
WAKES = 6        # blocks of images that are worth waking threads for, which takes some 50 µs
WAKES_FLAT = 64  # the same of flat stretches: in short operations threads wait for the interpreter's lock

_threads = 0  # 0 until somebody asks or sets it
_workers: list[SimpleQueue[_Job]] = []  # one inbox a thread besides the caller's
_here = threading.local()
before_running: list[Callable[[], None]] = []  # called before pieces are dealt to threads


def threads() -> int:
    """How many threads run pieces: MINICAFFE_THREADS, else the cores this process may use."""
    global _threads
    if not _threads:
        given = os.environ.get("MINICAFFE_THREADS", "")
        if given and not (given.isdecimal() and int(given) > 0):
            raise EngineError(f"MINICAFFE_THREADS must be a positive number, got {given!r}")
        _threads = int(given) if given else system.cores()
    return _threads


def set_threads(count: int) -> None:
    """Let `count` threads run pieces from now on, the calling thread among them."""
    global _threads
    if count < 1:
        raise EngineError(f"the number of threads must be positive, got {count}")
    _threads = count


def for_blocks(arrays: Sequence[np.ndarray], work: Callable[..., object]) -> None:
    """Call work(*slices) for matching flat stretches of arrays of one shape, on the threads.

    A stretch of each fits in a core's cache, so `work` may pass over it many times and main memory is read and
    written once.
    """
    flat = [array.reshape(-1) for array in arrays]
    count = -(-flat[0].size // BLOCK)
    run(lambda i: work(*(array[i * BLOCK:(i + 1) * BLOCK] for array in flat)), count, wakes=count >= WAKES_FLAT)


def for_images(work: Callable[..., object], *arrays: np.ndarray) -> None:
    """Call work(*slices) for a few images of every array at a time, on the threads.

    The first axis of each array counts images. So few go into a slice that `work` may pass over them many times
    before main memory is asked again.
    """
    images, largest = len(arrays[0]), max(array.size for array in arrays)
    step = max(1, images * BLOCK // max(1, largest))
    count = -(-images // step)
    run(lambda i: work(*(array[i * step:(i + 1) * step] for array in arrays)), count, wakes=count >= WAKES)


def run(task: Callable[[int], object], count: int, *, gemm: bool = False, wakes: bool = True) -> None:
    """Call task(0) … task(count − 1), each once, in any order and on any thread; return when all are done.

    `gemm` says that the task multiplies matrices, `wakes` that there is work enough to wake other threads for. The
    first error of a task is raised again here.
    """
    if recording.mark_unusable():  # what a task does, on whatever thread, no tape hears of
        return
    helpers = min(threads(), count) - 1
    held = hold_to_one_thread() if gemm else True  # else BLAS has threads of its own: none on top of them
    if helpers < 1 or not held or not wakes or getattr(_here, "busy", False):
        for i in range(count):
            task(i)
        return
    for prepare in before_running:
        prepare()
    job = _Job(task, count)
    while len(_workers) < helpers:
        _start_worker()
    for inbox in _workers[:helpers]:
        inbox.put(job)
    job.work()
    job.wait()


class _Job:
    """The pieces of one `run`; threads take the next piece until none is left."""

    def __init__(self, task: Callable[[int], object], count: int) -> None:
        self._task, self._count = task, count
        self._take, self._finish = itertools.count().__next__, itertools.count(1).__next__
        self._error: BaseException | None = None
        self._done = threading.Lock()
        self._done.acquire()

    def work(self) -> None:
        """Run pieces while there are some."""
        _here.busy = True
        while (i := self._take()) < self._count:
            try:
                self._task(i)
            except BaseException as error:  # raised again by `wait`, in the caller's thread
                self._error = self._error or error
            if self._finish() == self._count:
                self._done.release()
        _here.busy = False

    def wait(self) -> None:
        """Return when every piece is finished; a thread that wakes too late to get one is not waited for."""
        self._done.acquire()
        if self._error is not None:
            raise self._error


def _start_worker() -> None:
    inbox: SimpleQueue[_Job] = SimpleQueue()

    def loop() -> None:
        while True:
            inbox.get().work()

    threading.Thread(target=loop, name=f"minicaffe-{len(_workers) + 1}", daemon=True).start()
    _workers.append(inbox)


system.after_fork(_workers.clear)  # threads do not survive a fork
