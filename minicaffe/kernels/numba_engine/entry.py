"""Entries: compiled functions that are run by address, piece by piece, on threads that need no interpreter.

An entry gets a block of words (addresses of arrays, sizes, the bits of numbers) and the number of a piece. Waking a
Python thread for a piece takes some 100 µs; the threads here wait for their next piece in compiled code, which takes
less than one, and go to sleep when there was none for a while.
"""

from __future__ import annotations

import atexit
import contextlib
import ctypes
import struct
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import numpy as np
from numba import cfunc, types

from minicaffe import system
from minicaffe.kernels import recording, shards
from minicaffe.kernels.numba_engine import words
from minicaffe.kernels.numba_engine.compiled import HERE, SOURCES, cached, compiled, stamp

SIGNATURE = types.void(types.CPointer(types.int64), types.int64)
SPINS = 32000          # pauses until a thread without work goes to sleep: some 400 µs
# a ticket's bits: pieces taken from the front, pieces taken from the back, the number of the job, whether it is over
BACK, JOB, CLOSED = 1 << 16, 1 << 32, 1 << 62
MOST = BACK - 1        # pieces of a job

# the crew's words, each on a cache line of its own: the ticket; how many pieces are done; the job: its entry, its
# arguments, its first piece and the number of them; how many threads may serve; whether a thread's calls have the crew
TICKET, DONE, ENTRY, ARGUMENTS, FIRST, COUNT, ALLOWED, OWNED = (64 * i for i in range(8))

entries: list[Entry] = []  # all, for `minicaffe warm`


class Entry:
    """A compiled function that `call` runs; made when first needed."""

    def __init__(self, function: Callable[..., None], options: dict[str, Any]) -> None:
        self.name, self._function, self._options = function.__name__, function, options
        self._source = stamp([_file(function)])
        self._made: Any = None
        entries.append(self)

    @property
    def made(self) -> Any:
        """numba's object for the compiled function."""
        if self._made is None:
            # where the source has changed under a running process, the disk may hold what takes other arguments
            same = stamp([_file(self._function)]) == self._source and stamp(HERE.glob("*.py")) == SOURCES
            decorate = (cached(cfunc, SIGNATURE, **self._options) if same else cfunc(SIGNATURE, **self._options))
            self._made = decorate(self._function)
        return self._made

    @property
    def is_made(self) -> bool:
        """Whether somebody has needed it already."""
        return self._made is not None

    def __call__(self, pieces: int, *arguments: Any) -> None:
        """Run all pieces with these arguments: arrays, None (address 0), integers and floats."""
        recorder = recording.current()
        if recorder is not None and recorder.borrowed is not None:
            return
        call = (self.made.address, np.array([_word(a) for a in arguments], np.int64), pieces)
        if recorder is not None:
            recorder.add(call, arguments, player)
        player((call,))()


def _file(function: Callable[..., None]) -> Path:
    return Path(function.__code__.co_filename)


def entry(function: Callable[..., None] | None = None, *, sums: bool = False) -> Any:
    """Decorator: make an Entry of a function (block, piece). `sums`: it may add up in any order."""
    options: dict[str, Any] = {"error_model": "numpy"}
    if sums:
        options["fastmath"] = {"reassoc", "contract", "nsz"}

    def keep(function: Callable[..., None]) -> Entry:
        return Entry(function, options)

    return keep if function is None else keep(function)


def compile_all() -> None:
    """Make all entries and what runs them."""
    for one in entries:
        _ = one.made
    _play.compile((types.int64,) * 3)
    _serve.compile((types.int64,) * 3)


def origins() -> tuple[int, int]:
    """How many of the entries that are made were compiled in this process, and how many lay on the disk."""
    hits = [bool(one.made.cache_hits) for one in entries if one.is_made]
    return hits.count(False), hits.count(True)


def _word(argument: Any) -> int:
    if isinstance(argument, np.ndarray):
        return _address(argument)
    if isinstance(argument, float):
        return int(struct.unpack("q", struct.pack("d", argument))[0])
    return 0 if argument is None else int(argument)


def _address(array: np.ndarray) -> int:
    try:
        return ctypes.addressof(_byte_of(array))
    except (TypeError, ValueError):  # read-only or empty; this way takes four times as long
        if not array.flags.c_contiguous:
            raise ValueError("an entry takes arrays whose numbers lie one after the other, in C's order") from None
        return int(array.__array_interface__["data"][0])


_byte_of: Callable[[Any], ctypes.c_char] = ctypes.c_char.from_buffer


def player(calls: Sequence[recording.Call]) -> Callable[[], None]:
    """A function that runs the calls one after the other, each with all its pieces."""
    table = np.array([(address, _address(block), pieces) for address, block, pieces in calls], np.int64)
    start, count, shared = _address(table), len(calls), any(pieces > 1 for _, _, pieces in calls)

    def run(keep: Any = (calls, table)) -> None:  # it lives as long as its memory must
        if shared:
            _wake(shards.threads() - 1)
        _play(_crew, start, count)

    return run


# --- the crew ---------------------------------------------------------------------------------------------

_memory = np.zeros(640 // 8, np.int64)
_start = -_address(_memory) % 64
_crew = _address(_memory) + _start
_workers: list[_Worker] = []
_hiring = threading.Lock()


def _open_for_jobs() -> None:
    """No job is there, and nobody serves."""
    _memory.fill(0)
    _memory[(_start + TICKET) // 8] = CLOSED


_open_for_jobs()


def _wake(helpers: int) -> None:
    """See that so many threads serve, or soon will."""
    _allow(helpers)
    if len(_workers) < helpers:
        _hire(helpers)
    for worker in _workers[:helpers]:
        if worker.asleep:
            worker.asleep = False
            worker.inbox.put(True)


def _hire(helpers: int) -> None:
    with _hiring, contextlib.suppress(RuntimeError):  # no more threads to be had: the caller does their pieces
        while len(_workers) < helpers:
            _workers.append(_Worker(len(_workers)))


def _allow(helpers: int) -> None:
    """Let only the first so many threads wait for pieces in compiled code."""
    _memory[(_start + ALLOWED) // 8] = helpers


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
    _allow(0)


def _dismiss() -> None:
    """End the threads before the interpreter takes the compiled code away under them."""
    _rest()
    for worker in _workers:
        worker.inbox.put(False)
    for worker in _workers:
        worker.thread.join(1)


def _forget() -> None:
    """Threads do not survive a fork, and who held the lock will not give it back."""
    global _hiring
    _hiring = threading.Lock()
    _workers.clear()
    _open_for_jobs()


shards.before_running.append(_rest)
atexit.register(_dismiss)
system.after_fork(_forget)


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
        for first in range(0, pieces, MOST):
            _share(crew, entry, block, first, min(MOST, pieces - first))
    if mine:
        words.write(crew + OWNED, 0)


@compiled
def _share(crew, entry, block, first, count):
    """Run pieces of an entry together with the threads that serve."""
    ticket = (words.read(crew + TICKET) % CLOSED + JOB) // JOB * JOB % CLOSED
    words.write(crew + ENTRY, entry)
    words.write(crew + ARGUMENTS, block)
    words.write(crew + FIRST, first)
    words.write(crew + COUNT, count)
    words.write(crew + DONE, 0)
    words.write(crew + TICKET, ticket)
    while _take(crew, True):
        pass
    while words.read(crew + DONE) < count:
        words.pause()
    words.write(crew + TICKET, ticket + CLOSED)


@compiled
def _take(crew, front):
    """Run the next piece; False if there is none.

    The caller takes pieces from the front and the others take them from the back, so that a core finds in its cache
    what it wrote there in the job before.
    """
    while True:
        ticket = words.read(crew + TICKET)
        entry, block, first = words.read(crew + ENTRY), words.read(crew + ARGUMENTS), words.read(crew + FIRST)
        ahead, behind, count = ticket % BACK, ticket // BACK % BACK, words.read(crew + COUNT)
        if ticket >= CLOSED or ahead + behind >= count:
            return False
        # the job's words change only while its ticket is closed: if the ticket is still the same, so are they
        if words.replace(crew + TICKET, ticket, ticket + (1 if front else BACK)):
            words.call(entry, block, first + (ahead if front else count - 1 - behind))
            words.add(crew + DONE, 1)
            return True


@compiled
def _serve(crew, index, spins):
    """Run pieces until there was none for so many pauses; how many were run."""
    idle = ran = 0
    while idle < spins and words.read(crew + ALLOWED) > index:
        if _take(crew, False):
            idle, ran = 0, ran + 1
        else:
            words.pause()
            idle += 1
    return ran
