"""A thread pool for compiled tasks: threads that wait for work in compiled code, without Python and without locks.

Waking a Python thread takes some 100 µs, which is longer than most pieces of work. The workers here wait in compiled
code and spin: they look for work again and again. So a piece is handed over in less than 1 µs. A worker that has found
nothing for SPINS pauses goes to sleep in Python, and costs nothing then.

Words used here. A *call* is a compiled task with its arguments and a number of pieces (recording.Call). A *job* is at
most MOST pieces of one call. The *owner* is the thread that called, while it has the pool. A *worker* is one of the
pool's own threads. The owner does pieces too, so every job gets done even if no worker ever comes.


The shared memory
-----------------
Eight words of 64 bits, each on a cache line of its own, so that writing one does not slow down who reads another:

  OWNED      1 while a thread owns the pool, else 0. A thread becomes the owner by compare-and-swap from 0 to 1, and
             only the owner sets it back to 0. All other words but ALLOWED belong to the owner.
  STATE      of the current job, in one word so that one compare-and-swap changes all of it:
                 bits  0–15   pieces taken from the front, by the owner
                 bits 16–31   pieces taken from the back, by workers
                 bits 32–61   the number of the job, which starts again at 0 after 2^30 jobs
                 bit  62      CLOSED: no piece may be taken
             The owner opens and closes a job by plain writes. To take a piece, a thread counts it here by
             compare-and-swap, while the job is open.
  FUNCTION, ARGUMENTS, FIRST, COUNT
             the job: the address of the task, the address of its arguments, its first piece and the number of its
             pieces. Only the owner writes them, and only while STATE is CLOSED.
  DONE       how many pieces of the job are finished. The owner sets it to 0 while STATE is CLOSED. Whoever finishes a
             piece adds 1.
  ALLOWED    how many workers may wait for pieces: those whose index is below it. Python code writes it at any time,
             from any thread. It is advice about cores, and no result depends on it.

Every read acquires and every write releases (words.py): who reads a word also sees all that its writer wrote before.


How a job runs
--------------
  1. The owner writes FUNCTION, ARGUMENTS, FIRST, COUNT and DONE = 0, then STATE: the next number, nothing taken, open.
  2. Owner and workers each read STATE, then the job's words. If a piece is left, they try to count it in STATE.
  3. A thread that succeeds runs the piece and adds 1 to DONE. A thread that fails starts again with step 2.
  4. When no piece is left to take, the owner spins until DONE = COUNT. Then it closes STATE.

Why a stale read is harmless: a worker may be interrupted between step 2 and its compare-and-swap, for any time. If the
job's words changed meanwhile, then STATE was closed before, and has got another number since. So its compare-and-swap
fails, and what it read is thrown away. It could only succeed wrongly after exactly 2^30 jobs, more than a quarter of an
hour in which that one thread never ran.

Why the owner may close by a plain write: by then all pieces are taken, so no thread's compare-and-swap can succeed.

Why the arguments live long enough: a thread touches them only inside a piece that it has taken, and the owner does not
return before all taken pieces are finished.


What else may happen
--------------------
  Another thread owns the pool     The caller does not wait. It runs all its pieces by itself.
  A worker is too late, or none    The owner takes the pieces from the front, one after the other, until none is left.
  A call has more than MOST pieces It is cut into several jobs, one after the other.
  A piece raises                   Numba prints the error and returns from the task, so the piece counts as done.
  Python threads need the cores    shards.run sets ALLOWED to 0. A worker finishes its piece and goes to sleep. A job
                                   that is running is finished by its owner. The next call sets ALLOWED again.
  A worker goes to sleep           It sets `asleep`, looks for work once more, and waits for its inbox. A caller that
                                   looked just before `asleep` was set does not wake it: the worker misses that job, or
                                   finds it by its last look. `asleep` is written by its worker alone, so an interrupted
                                   caller (Ctrl-C) leaves no worker asleep forever.
  The process forks                The child has no workers, and the thread that owned the pool may not exist there. So
                                   the child starts with an empty pool and a new lock.
  The process ends                 Workers must leave compiled code before the interpreter frees it. They get a second
                                   to finish their piece. A daemon thread that still calls does its pieces itself.
  No thread can be started         The caller does all pieces.

The owner does not hold Python's lock while it waits for workers, so it cannot block one that needs it. It spins without
giving its core away: where threads have fixed real-time priorities, use one thread.
"""

from __future__ import annotations

import atexit
import contextlib
import threading
from collections.abc import Callable, Sequence
from queue import SimpleQueue
from typing import Any

import numpy as np
from numba import types

from minicaffe import system
from minicaffe.kernels import recording, shards
from minicaffe.kernels.numba_engine import words
from minicaffe.kernels.numba_engine.compiled import compiled

SPINS = 32000  # pauses without work until a worker sleeps: 400 to 1300 µs, since a pause takes 12 to 40 ns
BACK, JOB, CLOSED = 1 << 16, 1 << 32, 1 << 62  # in STATE: one piece from the back, one job, the closed bit
MOST = BACK - 1  # pieces of a job, so that neither count can overflow into the next
LINE = 64        # bytes of a cache line
STATE, DONE, FUNCTION, ARGUMENTS, FIRST, COUNT, ALLOWED, OWNED = (LINE * i for i in range(8))

_words = np.zeros(9 * LINE // 8, np.int64)           # one line more than is used, so that the first can be aligned
_first = -words.address_of(_words) % LINE // 8       # the index of the first word that is used
_pool = words.address_of(_words) + 8 * _first
_workers: list[_Worker] = []
_starting = threading.Lock()


def as_function(calls: Sequence[recording.Call]) -> Callable[[], None]:
    """Return a function that runs the calls one after the other, each with all its pieces."""
    table = np.array([(address, words.address_of(block), pieces) for address, block, pieces in calls], np.int64)
    start, count, shared = words.address_of(table), len(calls), any(pieces > 1 for _, _, pieces in calls)

    def run(keep: Any = (calls, table)) -> None:  # `keep` holds the memory behind the addresses as long as `run` lives
        if shared:
            _wake(shards.threads() - 1)
        _run_calls(_pool, start, count)

    return run


def compile_all() -> None:
    """Compile what runs tasks."""
    _run_calls.compile((types.int64,) * 3)
    _work.compile((types.int64,) * 3)


# --- the workers, in Python --------------------------------------------------------------------------------

def _word(offset: int) -> int:
    """Return the index in `_words` of the word that is `offset` bytes after the pool's first."""
    return _first + offset // 8


def _clear() -> None:
    """Bring the pool back to its first state: no job is open, no thread owns it, and no worker may wait for pieces.

    Call this only while there is no worker: for a moment STATE says that a job is open, and the job's words are old.
    """
    _words.fill(0)
    _words[_word(STATE)] = CLOSED


_clear()


def _allow(workers: int) -> None:
    """Let only the first so many workers wait for pieces."""
    _words[_word(ALLOWED)] = workers


def _wake(workers: int) -> None:
    """See that so many workers wait for pieces, or soon will."""
    _allow(workers)
    if len(_workers) < workers:
        _start(workers)
    for worker in _workers[:workers]:
        if worker.asleep and worker.inbox.empty():
            worker.inbox.put(True)


def _start(workers: int) -> None:
    """Start threads until there are so many workers."""
    # The caller compiles what workers run. A worker that did it would hold numba's lock in the background, and a child
    # that is forked meanwhile could compile nothing, for the lock's holder does not exist there.
    compile_all()
    with _starting, contextlib.suppress(RuntimeError):  # no more threads to be had: the caller does their pieces
        while len(_workers) < workers:
            _workers.append(_Worker(len(_workers)))


class _Worker:
    """A thread that runs pieces until it has found none for a while, and then sleeps until it is woken.

    asleep    it waits for its inbox, or is about to; written by the thread itself alone
    inbox     True wakes it, False ends it
    """

    def __init__(self, index: int) -> None:
        self.inbox: SimpleQueue[bool] = SimpleQueue()
        self.asleep, self.index = True, index
        self.thread = threading.Thread(target=self._loop, name=f"minicaffe-pool-{index + 1}", daemon=True)
        self.thread.start()

    def _loop(self) -> None:
        while self.inbox.get():
            self.asleep = False
            while _work(_pool, self.index, SPINS):
                pass
            self.asleep = True
            # A caller may have looked at `asleep` just before, found it False, and woken no worker for its job.
            if _work(_pool, self.index, 1):
                self.inbox.put(True)


def _stop_waiting() -> None:
    """Send all workers to sleep: Python threads need the cores."""
    _allow(0)


def _shut_down() -> None:
    """End the workers before the interpreter frees the compiled code that they run."""
    _allow(0)
    for worker in _workers:
        worker.inbox.put(False)
    for worker in _workers:
        worker.thread.join(1)


def _reset_after_fork() -> None:
    """Forget the workers and the owner, which do not exist in a child process, and replace a lock they may hold."""
    global _starting
    _starting = threading.Lock()
    _workers.clear()
    _clear()


shards.before_running.append(_stop_waiting)
atexit.register(_shut_down)
system.after_fork(_reset_after_fork)


# --- the protocol, in compiled code ------------------------------------------------------------------------

@compiled
def _run_calls(pool, calls, count):
    """Run calls one after the other, each on all threads that are there; `calls` is the address of their table."""
    owner = words.replace(pool + OWNED, 0, 1)
    for c in range(count):
        function, block = words.read(calls + 24 * c), words.read(calls + 24 * c + 8)
        pieces = words.read(calls + 24 * c + 16)
        if pieces == 1 or not owner or words.read(pool + ALLOWED) == 0:
            for piece in range(pieces):
                words.call(function, block, piece)
            continue
        for first in range(0, pieces, MOST):
            _run_job(pool, function, block, first, min(MOST, pieces - first))
    if owner:
        words.write(pool + OWNED, 0)


@compiled
def _run_job(pool, function, block, first, count):
    """Run some pieces of a call, together with the workers; return when all are finished."""
    opened = (words.read(pool + STATE) % CLOSED + JOB) // JOB * JOB % CLOSED  # the next number, nothing taken
    words.write(pool + FUNCTION, function)
    words.write(pool + ARGUMENTS, block)
    words.write(pool + FIRST, first)
    words.write(pool + COUNT, count)
    words.write(pool + DONE, 0)
    words.write(pool + STATE, opened)
    while _run_next_piece(pool, True):
        pass
    while words.read(pool + DONE) < count:
        words.pause()
    words.write(pool + STATE, opened + CLOSED)


@compiled
def _run_next_piece(pool, front):
    """Take a piece and run it; False if none is left.

    The owner takes pieces from the front and workers take them from the back. The next job usually reads what this one
    wrote, so each core then finds in its cache what it wrote itself.
    """
    while True:
        state = words.read(pool + STATE)
        function, block, first = words.read(pool + FUNCTION), words.read(pool + ARGUMENTS), words.read(pool + FIRST)
        ahead, behind, count = state % BACK, state // BACK % BACK, words.read(pool + COUNT)
        if state >= CLOSED or ahead + behind >= count:
            return False
        # These words change only while the job is closed, and the next job has another number. So if STATE is still
        # what it was, they belong together.
        if words.replace(pool + STATE, state, state + (1 if front else BACK)):
            words.call(function, block, first + (ahead if front else count - 1 - behind))
            words.add(pool + DONE, 1)
            return True


@compiled
def _work(pool, index, spins):
    """Run pieces until there was none for so many pauses, or this worker may not wait; how many were run."""
    idle = ran = 0
    while idle < spins and words.read(pool + ALLOWED) > index:
        if _run_next_piece(pool, False):
            idle, ran = 0, ran + 1
        else:
            words.pause()
            idle += 1
    return ran
