"""Heartbeats between ranks that are threads of this process: who is found dead, who is not, and what is said."""

import contextlib
import os
import socket
import threading
import time
from contextlib import contextmanager

import pytest
from thread_group import Meeting, ThreadGroup

from minicaffe.errors import MinicaffeError
from minicaffe.ranks import heartbeat as beats
from minicaffe.ranks import heartbeat_thread, links
from minicaffe.ranks.heartbeat import heartbeat
from minicaffe.ranks.links import Member

SOON = 20.0  # seconds, many more than anything here takes


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    """Beats follow each other closely, whatever the timeout. The ranks' processes are invented, and compute nothing."""
    monkeypatch.setattr(heartbeat_thread, "SLOWEST", 0.02)
    monkeypatch.setattr(beats, "OWN_WORDS", 0.2)
    monkeypatch.setattr(beats, "TURN", 0.1)
    monkeypatch.setattr(heartbeat_thread.system, "processor_time", lambda pid: None)


class Rank:
    """A rank of a test: its heartbeat, and with what reasons it has ended the job."""

    def __init__(self, group, members, timeout):
        self.reasons, self.ended, self.error = [], threading.Event(), None
        self.beat = heartbeat(group.rank, members, timeout, self._end)
        self.group = group

    def _end(self, reason):
        self.reasons.append(reason)
        self.ended.set()

    def start(self):
        try:
            self.beat.start(self.group)
        except MinicaffeError as error:
            self.error = error

    def dies(self):
        """Close the connections, as the system does for a killed process, and beat no more."""
        self.beat.over.set()
        self.beat._waker.send(b"\0")
        self.beat._thread.join(SOON)


@contextmanager
def ranks(count, timeout=SOON, hosts="a"):
    """So many ranks, whose heartbeats are connected."""
    members = [Member(rank, hosts[rank % len(hosts)], 100 + rank) for rank in range(count)]
    meeting = Meeting(count)
    found = [Rank(ThreadGroup(meeting, rank), members, timeout) for rank in range(count)]
    in_parallel([rank.start for rank in found])
    yield found
    in_parallel([rank.beat.goodbye for rank in found])


def in_parallel(calls):
    threads = [threading.Thread(target=call) for call in calls]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(SOON)


def beats_on(rank, times=3):
    """Wait until a heartbeat has beaten so many times more."""
    seen = threading.Semaphore(0)
    counted = rank.beat._count
    rank.beat._count = lambda passed: (counted(passed), seen.release())
    for _ in range(times):
        assert seen.acquire(timeout=SOON)


def test_ranks_that_say_goodbye_end_without_a_word():
    """All ranks come to the end: their heartbeats end, and nobody is found dead."""
    with ranks(3) as three:
        beats_on(three[0])

    assert [[], [], []] == [rank.reasons for rank in three]
    assert not any(rank.beat._thread.is_alive() for rank in three)


def test_a_goodbye_that_comes_late_is_no_death():
    """Ranks need not say goodbye at the same time, in whichever order they do."""
    with ranks(3) as three:
        in_parallel([three[0].beat.goodbye, three[2].beat.goodbye])
        beats_on(three[1])
    assert [[], [], []] == [rank.reasons for rank in three]


def test_rank_0_finds_a_killed_rank_at_once():
    """A connection that ends without goodbye is a death: rank 0 tells it long before the timeout."""
    with ranks(3) as three:
        three[2].dies()
        assert three[0].ended.wait(SOON)
    reason, = three[0].reasons
    assert reason.startswith("rank 2 (host a, process 102) has ended before the training was complete")
    assert "--resume auto" in reason
    assert [] == three[1].reasons


def test_a_silent_rank_that_computes_is_alive(monkeypatch):
    """A call of C code may hold Python's lock for long, so that no thread can beat; the processor time tells."""
    used = iter(range(1000))
    monkeypatch.setattr(heartbeat_thread.system, "processor_time", lambda pid: next(used))
    with ranks(2, timeout=0.2) as two:
        two[1].beat._beat = lambda passed: None
        beats_on(two[0], 15)  # 0.3 seconds, longer than the timeout
        assert [] == two[0].reasons
        monkeypatch.setattr(heartbeat_thread.system, "processor_time", lambda pid: 1000)
        assert two[0].ended.wait(SOON)
    assert "rank 1 (host a, process 101) has been silent" in two[0].reasons[0]


def test_the_others_end_silently_where_rank_0_has_told_the_reason(monkeypatch):
    """Where the job does not end at once, the other ranks end by themselves, and say nothing."""
    monkeypatch.setattr(heartbeat_thread, "LAST", 0.01)
    with ranks(3) as three:
        three[2].dies()
        assert three[1].ended.wait(SOON)
    assert [""] == three[1].reasons


def test_a_silent_rank_is_found_after_the_timeout():
    """A rank whose process is stopped keeps its connection, but it no longer beats."""
    with ranks(3, timeout=0.3) as three:
        three[1].beat._beat = lambda passed: None
        assert three[0].ended.wait(SOON)
    reason, = three[0].reasons
    assert "rank 1 (host a, process 101) has been silent for 0.3 seconds" in reason
    assert "--rank-timeout SECONDS" in reason


@pytest.mark.parametrize("ends", ["dies", "falls silent"])
def test_the_lowest_living_rank_tells_that_rank_0_is_dead(monkeypatch, ends):
    """Where rank 0 itself has died, rank 1 speaks at once, and rank 2 only where it still lives a moment later."""
    monkeypatch.setattr(beats, "TURN", 3.0)
    with ranks(3, timeout=SOON if ends == "dies" else 0.3) as three:
        if ends == "dies":
            three[0].dies()
        else:
            three[0].beat._beat = lambda passed: None
        assert three[1].ended.wait(SOON)
        assert [] == three[2].reasons
    reason, = three[1].reasons
    assert "rank 0 (host a, process 100) has " + ("ended" if ends == "dies" else "been silent") in reason


def test_a_beat_that_comes_at_once_takes_nothing_from_a_turn(monkeypatch):
    """A beat counts as a whole. If one came just after rank 0 had died, rank 2 would speak beside rank 1."""
    monkeypatch.setattr(heartbeat_thread, "SLOWEST", 1.0)
    monkeypatch.setattr(beats, "TURN", 1.0)
    told = []
    beat = heartbeat(2, [Member(rank, "a", 100 + rank) for rank in range(3)], 60.0, told.append)
    beat._speak_in_turn("rank 0 has died")
    beat._beat(beat._tick)

    assert [] == told
    assert beat._scheduled[0] >= beats.TURN
    beat._close()


def test_an_error_is_told_by_rank_0_and_the_death_that_follows_is_not():
    """A rank sends its reason and dies. Rank 0 tells the reason alone, in the words of that rank."""
    with ranks(3) as three:
        three[2].beat.fail("net.prototxt:3: no such\nfile ü")
        three[2].ended.wait(0.1)
        three[2].dies()
        assert three[0].ended.wait(SOON)
    assert ["rank 2 (host a, process 102): net.prototxt:3: no such\nfile ü"] == three[0].reasons
    assert [] == three[1].reasons


def test_an_error_that_all_ranks_find_is_told_once():
    """Rank 0 has the same error as the others, a little later: it alone tells it, as its own."""
    with ranks(3) as three:
        three[1].beat.fail("a typo")
        three[2].beat.fail("a typo")
        beats_on(three[0])
        three[0].beat.fail("a typo")
        assert three[0].ended.wait(SOON)
    assert ["rank 0 (host a, process 100): a typo"] == three[0].reasons
    assert [[], []] == [rank.reasons for rank in three[1:]]


def test_a_failed_rank_speaks_itself_where_rank_0_does_not(monkeypatch):
    """Rank 0 has died, too, so the failed rank tells its own error."""
    monkeypatch.setattr(beats, "TURN", 0.1)
    with ranks(2) as two:
        two[0].beat._read = lambda link, line: None
        two[1].beat.fail("the disk is full")
        assert two[1].ended.wait(SOON)
    assert ["rank 1 (host a, process 101): the disk is full"] == two[1].reasons


def test_a_stopped_job_goes_on_after_it(monkeypatch):
    """After SIGCONT to a whole job the time in which it was stopped counts for nobody."""
    ahead = [0.0]
    monkeypatch.setattr(heartbeat_thread.time, "monotonic", lambda now=time.monotonic: now() + ahead[0])
    with ranks(3) as three:
        for _ in range(3):
            ahead[0] += 3600
            beats_on(three[0])
    assert [[], [], []] == [rank.reasons for rank in three]


@pytest.fixture
def door(monkeypatch):
    """Where rank 0 waits for rank 1, which connects when the test is over."""
    meeting, wait = [], threading.Event()
    found = threading.Event()

    def connected(where, rank):
        meeting.append(where)
        found.set()
        wait.wait(SOON)
        return links.connected(where, rank)

    monkeypatch.setattr(beats, "connected", connected)
    result = []

    def make():
        with ranks(2) as two:
            beats_on(two[0])
        result.extend(two)

    thread = threading.Thread(target=make)
    thread.start()
    found.wait(SOON)
    yield meeting[0]
    wait.set()
    thread.join(SOON)
    assert [[], []] == [rank.reasons for rank in result], "strangers cannot end the job"
    assert [None, None] == [rank.error for rank in result]


def answer_to(meeting, sent):
    with socket.create_connection((meeting.addresses[0], meeting.port), timeout=SOON) as stranger:
        stranger.sendall(sent)
        return stranger.recv(100)


@pytest.mark.parametrize("sent", [b"GET / HTTP/1.0\r\n\r\n", b"TOKEN 1\n", b"\xff\xfe\n", b"x" * 3000, b"\n"])
def test_whoever_does_not_know_the_token_is_sent_away(door, sent):
    """A port scanner, a wrong token, or a line without end: the connection is closed, and the ranks meet later."""
    with contextlib.suppress(ConnectionResetError):  # what was sent had not been read to its end
        assert b"" == answer_to(door, sent.replace(b"TOKEN", b"0" * 32))


@pytest.mark.parametrize("rank", ["0", "2", "-1", "one", ""])
def test_the_token_admits_no_other_number(door, rank):
    """A number that no missing rank has is sent away, too."""
    assert b"" == answer_to(door, f"{door.token} {rank}\n".encode())


def test_a_stranger_that_says_nothing_does_no_harm(door, monkeypatch):
    """A connection that stays open and says nothing neither dies nor falls silent for the job."""
    monkeypatch.setattr(beats, "ATTEMPT", 0.05)
    with socket.create_connection((door.addresses[0], door.port), timeout=SOON) as stranger:
        assert b"" == stranger.recv(100)


def test_nobody_can_connect_when_all_ranks_have():
    """The port is closed as soon as all ranks are connected."""
    with ranks(2) as two:
        assert two[0].beat._listener is None
        beats_on(two[0])


def test_a_rank_that_never_connects_ends_the_job(monkeypatch):
    """A rank that was killed before it could connect is missed."""
    monkeypatch.setattr(beats, "CONNECTING", 0.1)
    monkeypatch.setattr(beats, "connected", lambda where, rank: (None, "" if rank == 2 else "no route"))
    with ranks(3, timeout=0.1) as three:
        assert three[0].ended.wait(SOON)
    assert three[0].reasons[0] in ("rank 1 (host a, process 101) has not connected to rank 0",
                                   "rank 2 (host a, process 102) has not connected to rank 0")


def test_all_ranks_raise_where_one_cannot_reach_rank_0(monkeypatch):
    """A firewall between hosts is an error that names the rank, and the addresses that were tried."""
    monkeypatch.setattr(beats, "addresses", lambda host: ["host.invalid"])
    with ranks(3, hosts="aab") as three:
        pass
    for rank in three:
        assert "rank 1 (host a, process 101) cannot reach rank 0 by TCP: host.invalid port " in rank.error.message


def test_the_addresses_of_rank_0_are_tried_in_turn(monkeypatch):
    """The name of a host may lead to nowhere, and another of its addresses to it."""
    monkeypatch.setattr(beats, "addresses", lambda host: ["host.invalid", "127.0.0.1"])
    with ranks(2, hosts="ab") as two:
        beats_on(two[0])
    assert [None, None] == [rank.error for rank in two]


def test_another_host_gets_no_address_that_leads_to_itself():
    """127.0.0.1 is every host's own address, so rank 0 never gives it to another host."""
    assert [] == [name for name in links.addresses("localhost") if name.startswith("127.") or name == "::1"]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_child_does_not_keep_a_connection_open():
    """A child of a rank that has died holds none of its sockets, so that the death is found at once."""
    read, write = os.pipe()
    with ranks(2) as two:
        child = os.fork()
        if not child:
            os.close(write)
            os.read(read, 1)  # until the test has ended
            os._exit(0)
        two[1].dies()
        assert two[0].ended.wait(SOON)
        os.close(write)
        os.waitpid(child, 0)
    os.close(read)
    assert "rank 1 (host a, process 101) has ended" in two[0].reasons[0]
