"""Heartbeats: a rank that has died or stands still ends the job, where the others would wait for it for ever.

Every other rank has a TCP connection to rank 0, independent of MPI. A thread on each rank sends a short line there
several times within the timeout, whatever the rank computes meanwhile. Rank 0 watches all others, and they watch it.
A connection that ends without "goodbye" means that the process has ended; the system closes the connections of a killed
process at once. A rank that has sent nothing for the whole timeout is stopped, or its host cannot be reached. One call
of C code that holds Python's lock for so long keeps the thread from beating, too. On the same host the processor time
tells the two apart; on another host such a rank counts as silent.

A rank that raises an error sends its reason to rank 0, which speaks for all. So one message tells why the job ends.

The lines, in text:

    TOKEN RANK      the first line to rank 0. The token came to this rank by MPI, so no other program knows it
    welcome         the answer
    beat            the sender is alive
    failed "WORDS"  the sender has raised an error; the words are JSON
    ending          the sender has printed the reason and ends the job: nobody else need say anything
    goodbye         the training is complete, and the sender closes the connection
"""

from __future__ import annotations

import contextlib
import hmac
import json
import secrets
import selectors
import socket
import threading
import time
import weakref
from collections.abc import Callable, Sequence
from queue import Empty, SimpleQueue

from minicaffe import system
from minicaffe.errors import MinicaffeError
from minicaffe.log import plural
from minicaffe.ranks.links import ATTEMPT, LONGEST, WELCOME, Link, Meeting, Member, addresses, connected, listen
from minicaffe.solvers.group import Group

BEATS = 10           # beats within the timeout
SLOWEST = 1.0        # seconds between two beats at most
CONNECTING = 30.0    # seconds that the ranks have to connect to rank 0
OWN_WORDS = 1.0      # seconds that rank 0 gets to find the error that another rank has found: often all ranks have it
TURN = 1.0           # where rank 0 has died, rank r waits r − 1 times so many seconds, so that the lowest one speaks
LAST_TURN = 8
LAST = 3.0           # seconds after which a rank ends by itself, though another was to end the job
CURE = "--resume auto goes on from the newest snapshot, with any number of ranks that divides the shards"


class Heartbeat:
    """The heartbeat of one rank, begun by `start`.

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

    def _ended(self, member: Member) -> str:
        return f"{member} has ended before the training was complete: it was killed, or it crashed\n  hint: {CURE}"

    def _has_been_silent(self, member: Member) -> str:
        return (f"{member} has been silent for {plural_seconds(self.timeout)}: it is stopped, or its host cannot be "
                f"reached\n  hint: {CURE}; --rank-timeout SECONDS allows a longer silence")


class Centre(Heartbeat):
    """The heartbeat of rank 0, which listens for all others and watches them."""

    _listener: socket.socket | None = None
    _waited = 0.0  # seconds that ranks have not been connected

    def start(self, group: Group) -> None:
        """Listen, tell the others where, and return when all are connected."""
        here = all(member.is_beside(self.members[0]) for member in self.members)
        self._listener = listen("127.0.0.1" if here else "")
        self._listener.setblocking(False)
        self._selector.register(self._listener, selectors.EVENT_READ)
        names = ["127.0.0.1"] if here else addresses(self.members[0].host)
        self._token = secrets.token_hex(16)
        self._thread.start()
        group.broadcast(Meeting(names, self._listener.getsockname()[1], self._token))
        _agree(group, "")

    def _heed(self, source: object) -> None:
        if source is self._listener and self._listener is not None:
            with contextlib.suppress(OSError):  # whoever has knocked may be gone again
                self._add(Link(self._listener.accept()[0]))
        else:
            super()._heed(source)

    def _read(self, link: Link, line: str) -> None:
        if link.member is None:
            self._admit(link, line)
        elif line.startswith("failed "):
            self._schedule(OWN_WORDS, f"{link.member}: {json.loads(line.partition(' ')[2])}")

    def _admit(self, link: Link, line: str) -> None:
        """Take the first line of a connection. Whoever does not know the token is sent away, and nothing happens."""
        token, _, rank = line.partition(" ")
        number = int(rank) if rank.isdecimal() else 0
        missing = self._missing()
        if not hmac.compare_digest(token.encode(), self._token.encode()) or number not in missing:
            self._drop(link)
            return
        link.member = self.members[number]
        link.send(WELCOME)
        if missing == [number]:
            self._stop_listening()

    def _missing(self) -> list[int]:
        """Return the ranks that are not connected yet."""
        connected = {link.member.rank for link in self._links if link.member}
        return [member.rank for member in self.members[1:] if member.rank not in connected]

    def _stop_listening(self) -> None:
        if self._listener is not None:
            self._selector.unregister(self._listener)
            self._listener.close()
            self._listener = None

    def _count(self, passed: float) -> None:
        if self._listener is None:
            return
        for link in [link for link in self._links if link.member is None and link.silence > ATTEMPT]:
            self._drop(link)
        self._waited += passed
        if self._waited > max(CONNECTING, self.timeout):
            self._finish(f"{self.members[self._missing()[0]]} has not connected to rank 0")

    def _closed(self, link: Link) -> None:
        if link.member is not None and self._scheduled is None:
            self._finish(self._ended(link.member))

    def _silent(self, link: Link) -> None:
        if link.member is not None:
            self._finish(self._has_been_silent(link.member))

    def _fail(self, reason: str) -> None:
        self._finish(f"{self.members[0]}: {reason}")

    def _close(self) -> None:
        if self._listener is not None:
            self._listener.close()
        super()._close()


class Outer(Heartbeat):
    """The heartbeat of every other rank, which watches rank 0."""

    def start(self, group: Group) -> None:
        """Connect to rank 0, and return when all ranks are connected."""
        meeting: Meeting = group.broadcast(Meeting((), 0, ""))
        connection, problem = connected(meeting, self.rank)
        if connection is not None:
            link = Link(connection)
            link.member = self.members[0]
            self._add(link)
        self._thread.start()
        _agree(group, f"{self.members[self.rank]} cannot reach rank 0 by TCP: {problem}" if problem else "")

    def _closed(self, link: Link) -> None:
        self._speak_in_turn(self._ended(self.members[0]))

    def _silent(self, link: Link) -> None:
        self._speak_in_turn(self._has_been_silent(self.members[0]))

    def _speak_in_turn(self, reason: str) -> None:
        """Say that rank 0 has died, after the living ranks with lower numbers have had their turn."""
        turn = min(self.rank - 1, LAST_TURN)
        if turn:
            self._schedule(self._tick + turn * TURN, reason)  # the first beat may come at once, and counts as a whole
        elif self._scheduled is None:
            self._finish(reason)

    def _fail(self, reason: str) -> None:
        for link in self._links:
            link.send(f"failed {json.dumps(reason[:LONGEST])}")
        # Rank 0 speaks for all, unless it has died, too
        self._schedule(OWN_WORDS + TURN * min(self.rank, LAST_TURN) if self._links else 0.0,
                       f"{self.members[self.rank]}: {reason}")


def heartbeat(rank: int, members: Sequence[Member], timeout: float, end: Callable[[str], None]) -> Heartbeat:
    """Return the heartbeat of a rank."""
    return (Outer if rank else Centre)(rank, members, timeout, end)


def _agree(group: Group, problem: str) -> None:
    """Raise MinicaffeError on all ranks where one has a problem."""
    if problem := next(filter(None, group.gather(problem)), ""):
        raise MinicaffeError(problem, hint="each host must be able to open TCP connections to the host of rank 0, at "
                                           "any port")


def plural_seconds(seconds: float) -> str:
    """Return '1 second', '5 seconds' or '2.5 seconds'."""
    return plural(int(seconds), "second") if seconds == int(seconds) else f"{seconds:g} seconds"


_living: weakref.WeakSet[Heartbeat] = weakref.WeakSet()  # the heartbeats of this process


def _forget() -> None:
    for one in list(_living):
        one.in_child()


system.after_fork(_forget)
