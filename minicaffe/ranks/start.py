"""Watches the start of the ranks, until their heartbeats do.

MPI's own start waits for all ranks. The launcher notices a process that dies then, but not one that is stopped, for
which the others would wait for ever. A process that is merely slow must end nothing, and there is no connection yet by
which it could say that it lives. So each rank asks the system which processes of its host are stopped.
"""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from minicaffe import system
from minicaffe.ranks.heartbeat import CURE, LAST_TURN, TURN
from minicaffe.ranks.heartbeat_thread import BEATS, SLOWEST
from minicaffe.ranks.links import Member, own_member

LONGEST = 300.0  # seconds that the start may take at least: many hosts may read Python's files from one slow disk


@contextmanager
def watched(rank_in: Callable[[Mapping[str, str]], int], timeout: float, end: Callable[[str], None]
            ) -> Iterator[Callable[[], None]]:
    """Watch the start while the block runs, until it calls what is yielded.

    rank_in    returns the number of a rank from its environment
    timeout    the seconds for which a rank of this host may be stopped
    end        called, in another thread, when the start must end: with the reason in words
    """
    complete = threading.Event()
    threading.Thread(target=_watch, args=(complete, rank_in, timeout, end), name="start", daemon=True).start()
    try:
        yield complete.set
    finally:
        complete.set()


def _watch(complete: threading.Event, rank_in: Callable[[Mapping[str, str]], int], timeout: float,
           end: Callable[[str], None]) -> None:
    rank = rank_in(os.environ)
    tick = min(timeout / BEATS, SLOWEST)
    # All ranks see the same within a tick, and the lowest one that can speak is to say it
    turn = tick + TURN * min(rank, LAST_TURN) if rank else 0.0
    last, waited, stopped = time.monotonic(), 0.0, dict[int, float]()
    while not complete.wait(tick):
        # While this process was stopped itself, it has learned nothing about the others
        passed, last = min(time.monotonic() - last, 2 * tick), time.monotonic()
        waited += passed
        stopped = {pid: stopped.get(pid, 0.0) + passed for pid in system.stopped_beside()}
        for pid, seconds in stopped.items():
            if seconds > timeout + turn:
                who = Member(rank_in(system.environment(pid)), socket.gethostname(), pid)
                end(f"{who} has been stopped for {timeout:g} s, before all ranks had begun\n  hint: {CURE}"
                    "; --rank-timeout SECONDS allows a longer stop")
                return
        if waited > max(timeout, LONGEST) + turn:
            end(f"{own_member(rank)} has waited {max(timeout, LONGEST):g} s for the other ranks to begin: "
                "one of them is stopped, or its host cannot be reached\n  hint: --rank-timeout SECONDS allows a longer "
                "start")
            return
