"""The thread behind a heartbeat: it beats, listens, and measures for how long each connected rank has been silent.

heartbeat.py says what the ranks tell each other, and when the job ends.
"""

from __future__ import annotations

import contextlib
import selectors
import socket
import threading
import time
import weakref
from collections.abc import Callable, Sequence
from queue import Empty, SimpleQueue

from minicaffe import system
from minicaffe.ranks.links import Link, Member
from minicaffe.solvers.group import Group

BEATS = 10     # beats within the timeout
SLOWEST = 1.0  # seconds between two beats at most
LAST = 3.0     # seconds after which a rank ends by itself, though another was to end the job


class Heartbeat:
    """The heartbeat of one rank, begun by `start`. Rank 0 and the others have subclasses of their own.

    members     all ranks
    timeout     seconds of silence after which a rank counts as dead
    end         called once, in the thread of the heartbeat, when the job must end: with the reason in words, or with ""
                where another rank has told it already
    over        an Event, set when the heartbeat has ended
    """

    def __init__(self, rank: int, members: Sequence[Member], timeout: float, end: Callable[[str], None]) -> None:
        self.rank, self.members, self.timeout = rank, members, timeout
        self._end = end
        self._tick = min(timeout / BEATS, SLOWEST)
        self._selector = selectors.DefaultSelector()
        self._links: list[Link] = []
        self._posted: SimpleQueue[tuple[Callable[..., None], tuple[str, ...]]] = SimpleQueue()
        self._woken, self._waker = socket.socketpair()
        self._woken.setblocking(False)
        self._selector.register(self._woken, selectors.EVENT_READ)
        self._scheduled: tuple[float, str] | None = None  # seconds left until the job ends, and the reason
        self._leaving = False
        self.over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="heartbeat", daemon=True)
        _living.add(self)

    # --- called by the main thread -----------------------------------------------------------------------

    def start(self, group: Group) -> None:
        """Connect all ranks to rank 0, and begin to beat. All ranks call this together."""
        raise NotImplementedError

    def fail(self, reason: str) -> None:
        """Tell rank 0 that this rank has raised an error. The job ends soon, and nobody else reports a death."""
        if self._thread.is_alive():
            self._post(self._fail, reason)
        else:  # the ranks are not connected yet
            self._finish(f"{self.members[self.rank]}: {reason}")

    def goodbye(self) -> None:
        """Stop watching, when all ranks have come to the end of the training."""
        self._post(self._leave)
        self._thread.join(LAST)

    # --- in the heartbeat's thread -----------------------------------------------------------------------

    def _fail(self, reason: str) -> None:
        raise NotImplementedError

    def _read(self, link: Link, line: str) -> None:
        """Act upon a line of another kind that another rank has sent."""

    def _closed(self, link: Link) -> None:
        """A connection has ended, and no goodbye came before."""
        raise NotImplementedError

    def _silent(self, link: Link) -> None:
        """Another rank has sent nothing for longer than the timeout."""
        raise NotImplementedError

    def _count(self, passed: float) -> None:
        """Add seconds to what a subclass counts."""

    def _run(self) -> None:
        try:
            self._watch()
        except Exception as error:  # whatever it is: an unwatched job could wait for ever
            if not self.over.is_set():
                self._finish(f"{self.members[self.rank]}: the heartbeat has failed: {type(error).__name__}: {error}")
        self._close()

    def _watch(self) -> None:
        """Beat and listen until the job ends."""
        last = time.monotonic()
        while not self.over.is_set():
            for key, _ in self._selector.select(max(0.0, last + self._tick - time.monotonic())):
                if not self.over.is_set():
                    self._heed(key.fileobj)
            now = time.monotonic()
            if now - last >= self._tick and not self.over.is_set():
                # If this process was stopped, or its interpreter held, the time without a look at the others says
                # nothing about them. After SIGCONT to a whole job each rank gets the whole timeout again.
                passed, last = min(now - last, 2 * self._tick), now
                self._beat(passed)

    def _heed(self, source: object) -> None:
        """Act upon what has come in by one socket."""
        if source is self._woken:
            self._heed_main()
        link = next((link for link in self._links if link.socket is source), None)
        if link is None:
            return
        for line in link.lines():
            if link not in self._links:  # the line before has made us close the connection
                return
            link.heard()
            if line == "goodbye":
                link.goodbye = True
            elif line == "ending" and link.member:
                self._scheduled = (LAST, "")
            elif not self.over.is_set():
                self._read(link, line)
        if link.closed and link in self._links:
            self._drop(link)
            if not (link.goodbye or self._leaving or self.over.is_set()):
                self._closed(link)

    def _heed_main(self) -> None:
        """Do what the main thread has asked for."""
        with contextlib.suppress(BlockingIOError):
            self._woken.recv(64)
        with contextlib.suppress(Empty):
            while True:
                call, arguments = self._posted.get_nowait()
                call(*arguments)

    def _beat(self, passed: float) -> None:
        """Send a beat to each connected rank, and see how long each has been silent."""
        if self._scheduled is not None:
            self._scheduled = (self._scheduled[0] - passed, self._scheduled[1])
            if self._scheduled[0] <= 0:
                self._finish(self._scheduled[1])
                return
        self._count(passed)
        for link in list(self._links):
            link.silence += passed
            link.send("beat")
            if link.silence > self.timeout / 2:
                self._judge(link)
        if self._leaving and not self._links:
            self.over.set()

    def _judge(self, link: Link) -> None:
        """See whether a rank that has been silent for half the timeout or longer counts as dead."""
        beside = link.member is not None and link.member.is_beside(self.members[self.rank])
        used = system.processor_time(link.member.pid) if link.member and beside else None
        if link.used is None:
            link.used = used
        if link.silence <= self.timeout or link.goodbye or self._leaving or self.over.is_set():
            return
        if used != link.used:  # it computes, so it is alive
            link.heard()
        else:
            self._silent(link)

    def _schedule(self, seconds: float, reason: str) -> None:
        """End the job after some seconds, unless it ends before."""
        if self._scheduled is None:
            self._scheduled = (seconds, reason)

    def _finish(self, reason: str) -> None:
        """End the job. The others hear of it first, also one that is stopped now and continued by the launcher."""
        for link in self._links:
            link.send("ending")
        self.over.set()
        self._end(reason)

    def _leave(self) -> None:
        self._leaving = True
        for link in self._links:
            link.send("goodbye")
            # Only half of the connection is closed, and the other half read to its end: where something unread is left,
            # the system would reset the connection, and the goodbye could be lost.
            with contextlib.suppress(OSError):
                link.socket.shutdown(socket.SHUT_WR)
        if not self._links:
            self.over.set()

    def _add(self, link: Link) -> None:
        self._links.append(link)
        self._selector.register(link.socket, selectors.EVENT_READ)

    def _drop(self, link: Link) -> None:
        self._links.remove(link)
        self._selector.unregister(link.socket)
        link.socket.close()
        if self._leaving and not self._links:
            self.over.set()

    def _post(self, call: Callable[..., None], *arguments: str) -> None:
        self._posted.put((call, arguments))
        with contextlib.suppress(OSError):  # the thread has ended
            self._waker.send(b"\0")

    def _close(self) -> None:
        _living.discard(self)
        self._selector.close()
        for link in self._links:
            link.socket.close()
        self._woken.close()
        self._waker.close()

    def in_child(self) -> None:
        """In a forked child: close the parent's sockets, which would otherwise stay open when the parent dies."""
        self._close()


_living: weakref.WeakSet[Heartbeat] = weakref.WeakSet()  # the heartbeats of this process


def _forget() -> None:
    for one in list(_living):
        one.in_child()


system.after_fork(_forget)
