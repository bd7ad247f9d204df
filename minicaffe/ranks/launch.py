"""Makes the processes that a launcher has started one group, and sees to it that all of them end together."""

from __future__ import annotations

import contextlib
import logging
import os
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from minicaffe.log import At, logger
from minicaffe.ranks import start
from minicaffe.ranks.group import Ranks
from minicaffe.ranks.heartbeat import heartbeat
from minicaffe.ranks.heartbeat_thread import Heartbeat
from minicaffe.ranks.links import own_member
from minicaffe.ranks.mpi import MPIEngine
from minicaffe.solvers.group import Group

ABORTING = 2.0   # seconds that the engine's abort may take. After that the process ends without it
SPEAKING = 20.0  # seconds that a failed rank leaves it to the heartbeat to end the job. After that it does so itself

Words = Callable[[BaseException], "str | None"]  # a user's error in words; None for any other error
Tell = Callable[[str], None]                     # prints an error in the form of the command line


@contextmanager
def together(processes: int, rank_in: Callable[[Mapping[str, str]], int], timeout: float, words: Words, tell: Tell
             ) -> Iterator[Ranks]:
    """Yield the group of all processes. Whatever ends the block in one of them, all of them end.

    processes   how many the launcher has started
    rank_in     returns the number of a process from its environment
    timeout     the seconds of silence after which a rank counts as dead
    """
    ending = Ending(tell, os._exit)  # until MPI has begun there is nothing to abort, and the launcher ends the others
    with start.watched(rank_in, timeout, ending.end) as complete:
        engine = MPIEngine(processes)
        ending.abort = engine.abort
        group = Ranks(engine)
        with watched(group, timeout, words, ending):
            complete()
            group.check()  # here, so that all ranks together print one message
            yield group


class Ending:
    """Ends the processes of all ranks: prints the reason, and then calls the engine's `abort`."""

    def __init__(self, tell: Tell, abort: Callable[[int], None]) -> None:
        self._tell, self.abort = tell, abort
        self._once = threading.Lock()

    def end(self, reason: str) -> None:
        """End all, this process included. `reason` is "" where another rank has told it."""
        if not self._once.acquire(blocking=False):  # another thread is just doing so
            time.sleep(2 * ABORTING)
        # If stderr is a pipe that nobody reads, or MPI does not answer, this process ends all the same
        fallback = threading.Timer(ABORTING, os._exit, (1,))
        fallback.daemon = True
        fallback.start()
        with contextlib.suppress(OSError, ValueError):  # stderr is closed, or a pipe whose reader has ended
            if reason:
                self._tell(reason)
            sys.stderr.flush()
            sys.stdout.flush()
        self.abort(1)
        os._exit(1)


@contextmanager
def watched(group: Group, timeout: float, words: Words, ending: Ending) -> Iterator[None]:
    """Watch all ranks while the block runs. An error that ends it is told once, and ends all of them."""
    members = group.gather(own_member(group.rank))
    beat = heartbeat(group.rank, members, timeout, ending.end)
    with _log_of(group.rank):
        try:
            beat.start(group)
            yield
            group.gather(None)  # all ranks wait for each other
        except BaseException as error:  # SystemExit(0) too: if one rank alone leaves, the others wait for it for ever
            _fail(beat, ending, f"{members[group.rank]}: ", _reason(error, words))
            raise
        beat.goodbye()


def _fail(beat: Heartbeat, ending: Ending, who: str, reason: str) -> None:
    """End the job with the reason why this rank cannot go on."""
    beat.fail(reason)
    beat.over.wait(SPEAKING)
    ending.end(who + reason)


def _reason(error: BaseException, words: Words) -> str:
    """Return what the message says of an error. For a fault of minicaffe's own it is the whole traceback."""
    if isinstance(error, KeyboardInterrupt):
        return "stopped"
    if isinstance(error, SystemExit):
        return f"the training was left by SystemExit: {error.code}"
    found = words(error)
    return "".join(traceback.format_exception(error)).rstrip() if found is None else found or type(error).__name__


@contextmanager
def _log_of(rank: int) -> Iterator[None]:
    """Let rank 0 alone log what all ranks do alike. The warnings of the others carry their number."""
    if not rank:
        yield
        return
    only = _OwnWarnings(rank)
    logger.addFilter(only)
    try:
        yield
    finally:
        logger.removeFilter(only)


class _OwnWarnings(logging.Filter):
    """Lets through the warnings of a rank other than 0 that come after the set-up, in which all warn alike."""

    def __init__(self, rank: int) -> None:
        super().__init__()
        self._rank, self._training = rank, False

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether to log it."""
        at = getattr(record, "at", "")
        self._training = self._training or at == At.TRAINING_BEGINS
        if record.levelno < logging.WARNING or not self._training or at == At.SIGNAL:  # launchers signal to all ranks
            return False
        record.msg = f"rank {self._rank}: {record.msg}"
        return True
