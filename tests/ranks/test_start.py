"""A rank that is stopped before all are connected ends the job; one that is slow does not."""

import os
import threading

import pytest

from minicaffe.ranks import start

SOON = 20.0  # seconds, many more than anything here takes


@pytest.fixture
def host(monkeypatch):
    """The stopped processes of a host, on which this is rank 1, and process 77 is rank 2."""
    stopped = []
    monkeypatch.setattr(start, "TURN", 0.05)
    monkeypatch.setattr(start.system, "stopped_beside", lambda: list(stopped))
    monkeypatch.setattr(start.system, "environment", lambda pid: {"RANK": "2"} if pid == 77 else {})
    return stopped


def rank_in(environment):
    return 1 if environment is os.environ else int(environment["RANK"])


class Told(list):
    """Notes the reasons for which the start was ended."""

    def __init__(self):
        self.once = threading.Event()

    def end(self, reason):
        self.append(reason)
        self.once.set()


def test_a_stopped_rank_ends_the_start(host):
    """The message names it."""
    host.append(77)
    told = Told()
    with start.watched(rank_in, 0.05, told.end):
        assert told.once.wait(SOON)
    assert told[0].startswith("rank 2 (host ")
    assert "process 77) has been stopped for 0.05 s, before all ranks had begun" in told[0]


def test_a_start_without_end_ends(host, monkeypatch):
    """Where a host cannot be reached, no process is seen to be stopped."""
    monkeypatch.setattr(start, "LONGEST", 0.1)
    told = Told()
    with start.watched(rank_in, 0.05, told.end):
        assert told.once.wait(SOON)
    assert told[0].startswith("rank 1 (host ")
    assert f"process {os.getpid()}) has waited 0.1 s for the other ranks to begin" in told[0]


@pytest.mark.parametrize("complete", [True, False])
def test_a_slow_start_ends_nothing(host, complete):
    """Nobody is stopped for long, and after the start or after an error in it the watch is over."""
    told = Told()
    before = set(threading.enumerate())
    with start.watched(rank_in, 0.05, told.end) as done:
        thread, = set(threading.enumerate()) - before
        host.append(77)
        host.clear()
        assert not told.once.wait(0.2)
        if complete:
            done()
            thread.join(SOON)
            assert not thread.is_alive()
    thread.join(SOON)
    assert [] == told
