"""Work cut into pieces that run on several Python threads.

How work is cut depends only on the shapes, never on the number of threads, and results of pieces are added up in the
order of the pieces. So a result has the same bits on one thread and on sixteen. BLAS runs on one thread (blas.py).

This is how the numpy engine shares work: numpy releases the interpreter's lock while it computes. The numba engine has
a quicker thread pool of its own, whose workers need no Python (numba_engine/pool.py).
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

BLOCK = 1 << 15  # elements of a piece of an array: five such pieces fit in a core's cache
WAKES = 6        # with fewer pieces for_images wakes no threads, because waking them takes some 50 µs
WAKES_FLAT = 64  # the same in for_blocks, whose short operations make threads wait for the interpreter's lock

_threads = 0  # the number of threads; 0 until it is first read or set
_workers: list[SimpleQueue[_Job]] = []  # the inbox of each thread besides the caller's
_here = threading.local()
before_running: list[Callable[[], None]] = []  # called before several threads run pieces


def threads() -> int:
    """The number of threads that run pieces: MINICAFFE_THREADS, else the number of cores that the process may use."""
    global _threads
    if not _threads:
        given = os.environ.get("MINICAFFE_THREADS", "")
        if given and not (given.isdecimal() and int(given) > 0):
            raise EngineError(f"MINICAFFE_THREADS must be a positive number, got {given!r}")
        _threads = int(given) if given else system.cores()
    return _threads


def set_threads(count: int) -> None:
    """Set the number of threads that run pieces, the calling thread included; BLAS itself runs on one."""
    global _threads
    if count < 1:
        raise EngineError(f"the number of threads must be positive, got {count}")
    _threads = count


def for_blocks(arrays: Sequence[np.ndarray], work: Callable[..., object]) -> None:
    """Call work(*slices) on the threads, for slices of arrays of one shape that are seen as one axis.

    The slices of one call fit in a core's cache together. So `work` may pass over them many times, while main memory is
    read and written once.
    """
    flat = [array.reshape(-1) for array in arrays]
    count = -(-flat[0].size // BLOCK)
    run(lambda i: work(*(array[i * BLOCK:(i + 1) * BLOCK] for array in flat)), count, wakes=count >= WAKES_FLAT)


def for_each_thread(arrays: Sequence[np.ndarray], work: Callable[..., object]) -> None:
    """Call work(*slices) once on each thread, for equally long slices of arrays of one shape seen as one axis.

    This is for work that passes over main memory once, number by number: there, short slices only cost calls.
    """
    flat = [array.reshape(-1) for array in arrays]
    count = min(threads(), -(-flat[0].size // BLOCK))
    step = -(-flat[0].size // max(1, count))
    run(lambda i: work(*(array[i * step:(i + 1) * step] for array in flat)), count)


def for_images(work: Callable[..., object], *arrays: np.ndarray) -> None:
    """Call work(*slices) on the threads, for the same few images of every array.

    The first axis of each array counts images. A slice has so few that it fits in a core's cache, as in `for_blocks`.
    """
    images, largest = len(arrays[0]), max(array.size for array in arrays)
    step = max(1, images * BLOCK // max(1, largest))
    count = -(-images // step)
    run(lambda i: work(*(array[i * step:(i + 1) * step] for array in arrays)), count, wakes=count >= WAKES)


def run(work: Callable[[int], object], count: int, *, gemm: bool = False, wakes: bool = True) -> None:
    """Call work(0) … work(count − 1), each once, in any order and on any thread; return when all are done.

    `gemm` says that the pieces multiply matrices, and `wakes` that there is enough work to wake other threads. If a
    piece raises an error, the others still run, and the first error is raised again here.
    """
    if recording.mark_unusable():  # a recording holds compiled tasks alone, and this runs Python
        return
    helpers = min(threads(), count) - 1
    # If BLAS keeps its own threads, pieces run one after the other: both kinds would compete for the cores.
    held = hold_to_one_thread() if gemm else True
    if helpers < 1 or not held or not wakes or getattr(_here, "busy", False):  # busy: this is a piece of another run
        for i in range(count):
            work(i)
        return
    for prepare in before_running:
        prepare()
    job = _Job(work, count)
    while len(_workers) < helpers:
        _start_worker()
    for inbox in _workers[:helpers]:
        inbox.put(job)
    job.work()
    job.wait()


class _Job:
    """The pieces of one `run`; each thread takes the next piece until none is left."""

    def __init__(self, work: Callable[[int], object], count: int) -> None:
        self._work, self._count = work, count
        self._faults = np.geterr()  # numpy keeps for each thread apart what it warns of
        # itertools.count hands out each number once, whichever threads ask: it does so in one step of the interpreter
        self._take, self._finish = itertools.count().__next__, itertools.count(1).__next__
        self._error: BaseException | None = None
        self._done = threading.Lock()
        self._done.acquire()

    def work(self) -> None:
        """Run pieces until none is left to take."""
        _here.busy = True
        while (i := self._take()) < self._count:
            try:
                with np.errstate(**self._faults):
                    self._work(i)
            except BaseException as error:  # raised again by `wait`, in the caller's thread
                self._error = self._error or error
            if self._finish() == self._count:
                self._done.release()
        _here.busy = False

    def wait(self) -> None:
        """Return when every piece is finished; this does not wait for threads that woke too late to get one."""
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
