"""The TCP connections between rank 0 and the other ranks: how they find each other, and lines of text on them."""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

ATTEMPT = 4.0     # seconds that one attempt to connect may take
FIRST_LINE = 200  # bytes: the first line is shorter. Whoever sends more is no rank
WELCOME = "welcome"
LONGEST = 8000    # characters of an error that are sent; more might not fit into the system's buffer


class Member(NamedTuple):
    """A rank, and where it runs. `boot` differs between two hosts that have the same name."""

    rank: int
    host: str
    pid: int
    boot: str = ""

    def __str__(self) -> str:
        return f"rank {self.rank} (host {self.host}, process {self.pid})"

    def is_beside(self, other: Member) -> bool:
        """Return whether both run on one host."""
        return (self.host, self.boot) == (other.host, other.boot)


class Meeting(NamedTuple):
    """What a rank must know to connect to rank 0."""

    addresses: Sequence[str]
    port: int
    token: str


class Link:
    """A connection to another rank, by which whole lines go.

    member      the other rank; None as long as it has not said who it is
    silence     the seconds since its last line, as far as this process was running
    """

    def __init__(self, connection: socket.socket) -> None:
        connection.setblocking(False)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket = connection
        self.member: Member | None = None
        self.silence = 0.0
        self.goodbye = self.closed = False
        self._begun = b""  # the beginning of a line whose end has not come yet

    def lines(self) -> Iterator[str]:
        """Yield the lines that have come. Note whether the other side has closed the connection."""
        try:
            while received := self.socket.recv(1 << 16):
                *whole, self._begun = (self._begun + received).split(b"\n")
                if len(self._begun) > (FIRST_LINE if self.member is None else 8 * LONGEST):
                    break
                yield from (line.decode(errors="replace") for line in whole)
            self.closed = True
        except BlockingIOError:  # all has been read
            pass
        except OSError:
            self.closed = True

    def send(self, line: str) -> None:
        """Send a line, unless the connection has ended or its buffer is full: both are noticed by other means."""
        if self.member is not None:
            with contextlib.suppress(OSError):
                self.socket.send(line.encode() + b"\n")


def own_member(rank: int) -> Member:
    """Return this process as a member."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:  # no Linux
        boot = ""
    return Member(rank, socket.gethostname(), os.getpid(), boot)


def listen(address: str) -> socket.socket:
    """Return a socket that listens at a free port: at one address, or at all where it is ""."""
    if not address and socket.has_dualstack_ipv6():
        with contextlib.suppress(OSError):  # the system knows IPv6, but this host does not use it
            return socket.create_server(("", 0), family=socket.AF_INET6, dualstack_ipv6=True, backlog=1024)
    return socket.create_server((address, 0), backlog=1024)


def addresses(host: str) -> list[str]:
    """Return the names and addresses of this host under which others may reach it, the likeliest first."""
    found = [host, socket.getfqdn()]
    with contextlib.suppress(OSError):
        found += [str(place[4][0]) for place in socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)]
    # A UDP socket that is "connected" sends nothing. It only learns by which of its addresses this host reaches others
    with contextlib.suppress(OSError), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect(("192.0.2.1", 9))
        found.append(probe.getsockname()[0])
    return [name for name in dict.fromkeys(found) if not name.startswith("127.") and name not in ("localhost", "::1")]


def connected(meeting: Meeting, rank: int) -> tuple[socket.socket | None, str]:
    """Try the addresses of rank 0 in turn. Return the connection and ""; or None and what was tried in vain."""
    problems = []
    for address in meeting.addresses:
        try:
            connection = socket.create_connection((address, meeting.port), timeout=ATTEMPT)
        except OSError as error:
            problems.append(f"{address} port {meeting.port}: {error.strerror or error}")
            continue
        with contextlib.suppress(OSError):
            connection.sendall(f"{meeting.token} {rank}\n".encode())
            if connection.recv(len(WELCOME) + 1) == f"{WELCOME}\n".encode():
                return connection, ""
        connection.close()
        problems.append(f"{address} port {meeting.port}: it is another program that answers there")
    return None, "; ".join(problems) or "rank 0 knows no address of its host"
