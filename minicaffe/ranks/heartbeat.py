"""Heartbeats: where a rank has died or stands still, the job ends. The others would wait for it for ever.

Who is connected    Each other rank has a TCP connection to rank 0, which does not need MPI. Its first line is
                    "TOKEN RANK", and rank 0 answers "welcome". The ranks got the token by MPI, so no other program
                    knows it.
Who beats           A thread on each rank sends "beat" several times within the timeout, whatever the rank computes
                    meanwhile. Rank 0 watches all others, and they watch rank 0.
Who is dead         A rank whose connection has ended without "goodbye": the system closes the connections of a killed
                    process at once. And a rank that has sent nothing for the whole timeout: it is stopped, or its host
                    cannot be reached. One call of C code that holds Python's lock for so long also keeps a rank from
                    beating. So a rank on the same host is alive as long as its processor time grows.
Who speaks          One rank tells why the job ends. Rank 0 does so when it finds a rank dead or has an error itself. A
                    rank that has an error sends 'failed "WORDS"', in JSON, and rank 0 tells it after a moment, unless
                    it has found the same error by then. Where rank 0 is dead, the others have turns to say so, the
                    lowest number first. A rank with an error that rank 0 does not tell speaks itself.
How it ends         The rank that speaks sends "ending" to those that it is connected to. Then it prints the reason and
                    ends all processes (launch.py). A rank that has got "ending" says nothing. It ends by itself if it
                    still lives some seconds later. When a training is complete, each rank sends "goodbye", and the
                    connections are closed.
"""

from __future__ import annotations

import contextlib
import hmac
import json
import secrets
import selectors
import socket
from collections.abc import Callable, Sequence

from minicaffe.errors import MinicaffeError
from minicaffe.log import plural
from minicaffe.ranks.heartbeat_thread import Heartbeat
from minicaffe.ranks.links import ATTEMPT, LONGEST, WELCOME, Link, Meeting, Member, addresses, connected, listen
from minicaffe.solvers.group import Group

CONNECTING = 30.0  # seconds that the ranks have to connect to rank 0
OWN_WORDS = 1.0    # seconds that rank 0 gets to find the error that another rank has found: often all ranks have it
TURN = 1.0         # seconds of a turn: where rank 0 has died, rank r waits r − 1 turns, so that the lowest one speaks
LAST_TURN = 8      # no rank waits longer than so many turns
CURE = "--resume auto goes on from the newest snapshot, with any number of ranks that divides the shards"


def heartbeat(rank: int, members: Sequence[Member], timeout: float, end: Callable[[str], None]) -> Heartbeat:
    """Return the heartbeat of a rank."""
    return (Outer if rank else Centre)(rank, members, timeout, end)


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
            self._finish(_ended(link.member))

    def _silent(self, link: Link) -> None:
        if link.member is not None:
            self._finish(_has_been_silent(link.member, self.timeout))

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
        self._speak_in_turn(_ended(self.members[0]))

    def _silent(self, link: Link) -> None:
        self._speak_in_turn(_has_been_silent(self.members[0], self.timeout))

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


def _agree(group: Group, problem: str) -> None:
    """Raise MinicaffeError on all ranks where one has a problem."""
    if problem := next(filter(None, group.gather(problem)), ""):
        raise MinicaffeError(problem, hint="each host must be able to open TCP connections to the host of rank 0, at "
                                           "any port")


def _ended(member: Member) -> str:
    return f"{member} has ended before the training was complete: it was killed, or it crashed\n  hint: {CURE}"


def _has_been_silent(member: Member, seconds: float) -> str:
    time = plural(int(seconds), "second") if seconds == int(seconds) else f"{seconds:g} seconds"
    return (f"{member} has been silent for {time}: it is stopped, or its host cannot be reached\n  hint: {CURE}; "
            "--rank-timeout SECONDS allows a longer silence")
