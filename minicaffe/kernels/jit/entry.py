"""Entries: compiled functions that are run by address, piece by piece, on threads that need no interpreter.

An entry gets a block of words (addresses of arrays, sizes, the bits of numbers) and the number of a piece. Waking a
Python thread for a piece takes some 100 µs; the threads here wait for their next piece in compiled code, which takes
less than one, and go to sleep when there was none for a while.
"""

from __future__ import annotations

import atexit
import os
import struct
import threading
from collections.abc import Callable, Sequence
from queue import SimpleQueue
from typing import Any

import numpy as np
from numba import cfunc, types

from minicaffe.kernels import shards, tape
from minicaffe.kernels.jit import words
from minicaffe.kernels.jit.compiled import cached, compiled

SIGNATURE = types.void(types.CPointer(types.int64), types.int64)
SPINS = 8000           # pauses until a thread without work goes to sleep: some 400 µs
CLOSED = 1 << 31       # the ticket of a job that is over
TAKEN = (1 << 32) - 1  # the bits of a ticket that count pieces; those above count jobs

# the crew's words, each on a cache line of its own: the next piece; how many are done; the job; who serves; who may
TICKET, DONE, ENTRY, ARGUMENTS, COUNT, SERVING, ALLOWED, OWNED = (64 * i for i in range(8))

entries: list[Entry] = []  # all, for `minicaffe warm`


class Entry:
    """A compiled function that `call` runs; made when first needed."""

    def __init__(self, function: Callable[..., None], options: dict[str, Any]) -> None:
        self.name, self._function, self._options = function.__name__, function, options
        self._made: Any = None
        entries.append(self)

    @property
    def made(self) -> Any:
        """numba's object for the compiled function."""
        if self._made is None:
            self._made = cached(cfunc, SIGNATURE, **self._options)(self._function)
        return self._made

    def __call__(self, pieces: int, *arguments: Any) -> None:
        """Run all pieces with these arguments: arrays, None (address 0), integers and floats."""
        block = np.array([_word(a) for a in arguments], np.int64)
        calls = [(self.made.address, block, pieces)]
        recorder = tape.current()
        if recorder is not None:
            recorder.calls += calls
            recorder.kept.append(arguments)
            recorder.player = play
        _run(_table(calls), 1, pieces > 1)


def entry(function: Callable[..., None] | None = None, *, sums: bool = False) -> Any:
    """Decorator: make an Entry of a function (block, piece). `sums`: it may add up in any order."""
    options: dict[str, Any] = {"error_model": "numpy"}
    if sums:
        options["fastmath"] = {"reassoc", "contract", "nsz"}

    def keep(function: Callable[..., None]) -> Entry:
        return Entry(function, options)

    return keep if function is None else keep(function)


def _word(argument: Any) -> int:
    if isinstance(argument, np.ndarray):
        return int(argument.__array_interface__["data"][0])
    if isinstance(argument, float):
        return int(struct.unpack("q", struct.pack("d", argument))[0])
    return 0 if argument is None else int(argument)


def _table(calls: Sequence[tuple[int, np.ndarray, int]]) -> np.ndarray:
    """The calls as the crew reads them: three words each."""
    return np.array([(address, _word(block), pieces) for address, block, pieces in calls], np.int64)


def play(recorded: tape.Tape) -> None:
    """Run all calls of a tape again."""
    if not isinstance(recorded.kept[-1], _Table):
        recorded.kept.append(_Table(recorded.calls))
    table = recorded.kept[-1]
    _run(table.words, len(table.words), table.shared)


class _Table:
    def __init__(self, calls: Sequence[tuple[int, np.ndarray, int]]) -> None:
        self.words, self.shared = _table(calls), any(pieces > 1 for _, _, pieces in calls)


# --- the crew ---------------------------------------------------------------------------------------------

_memory = np.zeros(640 // 8, np.int64)
_crew = int(_memory.ctypes.data) + -int(_memory.ctypes.data) % 64
_workers: list[_Worker] = []


def _run(calls: np.ndarray, count: int, shared: bool) -> None:
    helpers = shards.threads() - 1 if shared else 0
    if helpers:
        _wake(helpers)
    _play(_crew, calls.ctypes.data, count)


def _wake(helpers: int) -> None:
    """See that so many threads serve, or soon will."""
    _memory[(_crew - _memory.ctypes.data + ALLOWED) // 8] = helpers
    while len(_workers) < helpers:
        _workers.append(_Worker(len(_workers)))
    for worker in _workers[:helpers]:
        if worker.asleep:
            worker.asleep = False
            worker.inbox.put(True)


class _Worker:
    """A thread that serves until it has had nothing to do for a while, and then sleeps until it is woken."""

    def __init__(self, index: int) -> None:
        self.inbox: SimpleQueue[bool] = SimpleQueue()
        self.asleep, self.index = True, index
        self.thread = threading.Thread(target=self._loop, name=f"minicaffe-crew-{index + 1}", daemon=True)
        self.thread.start()

    def _loop(self) -> None:
        while self.inbox.get():
            while _serve(_crew, self.index, SPINS):
                pass
            self.asleep = True
            if _serve(_crew, self.index, 1):  # of a job that came before anybody could know
                self.asleep = False
                self.inbox.put(True)


def _rest() -> None:
    """Let no thread wait for pieces in compiled code: somebody needs the cores."""
    _memory[(_crew - _memory.ctypes.data + ALLOWED) // 8] = 0


def _dismiss() -> None:
    """End the threads before the interpreter takes the compiled code away under them."""
    _rest()
    for worker in _workers:
        worker.inbox.put(False)
    for worker in _workers:
        worker.thread.join(1)


def _forget() -> None:
    """Threads do not survive a fork."""
    _workers.clear()
    _memory.fill(0)


shards.before_running.append(_rest)
atexit.register(_dismiss)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)


@compiled
def _play(crew, calls, count):
    """Run calls one after the other, each on all threads that serve."""
    mine = words.replace(crew + OWNED, 0, 1)  # else another thread's job has the crew
    for c in range(count):
        entry, block = words.read(calls + 24 * c), words.read(calls + 24 * c + 8)
        pieces = words.read(calls + 24 * c + 16)
        if pieces == 1 or not mine or words.read(crew + ALLOWED) == 0:
            for piece in range(pieces):
                words.call(entry, block, piece)
            continue
        job = (words.read(crew + TICKET) >> 32) + 1
        words.write(crew + ENTRY, entry)
        words.write(crew + ARGUMENTS, block)
        words.write(crew + COUNT, pieces)
        words.write(crew + DONE, 0)
        words.write(crew + TICKET, job << 32)
        while _take(crew):
            pass
        while words.read(crew + DONE) < pieces:
            words.pause()
        words.write(crew + TICKET, (job << 32) | CLOSED)
    if mine:
        words.write(crew + OWNED, 0)


@compiled
def _take(crew):
    """Run the next piece; False if there is none."""
    while True:
        ticket = words.read(crew + TICKET)
        entry, block = words.read(crew + ENTRY), words.read(crew + ARGUMENTS)
        piece = ticket & TAKEN
        if piece >= words.read(crew + COUNT) or piece >= CLOSED:
            return False
        # the job's words change only while its ticket is closed: if the ticket is still the same, so are they
        if words.replace(crew + TICKET, ticket, ticket + 1):
            words.call(entry, block, piece)
            words.add(crew + DONE, 1)
            return True


@compiled
def _serve(crew, index, spins):
    """Run pieces until there was none for so many pauses; how many were run."""
    idle = ran = 0
    while idle < spins and words.read(crew + ALLOWED) > index:
        if _take(crew):
            idle, ran = 0, ran + 1
        else:
            words.pause()
            idle += 1
    return ran
