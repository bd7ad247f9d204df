"""The thread pool: every piece runs once, whoever calls, whoever helps, and whatever happens meanwhile."""

import os
import signal
import subprocess
import sys
import threading
import time
import warnings

import pytest

from minicaffe import kernels
from minicaffe.kernels import shards

pytest.importorskip("numba", reason="needs the package 'numba': pip install 'minicaffe[fast]'")

from some_tasks import ran

from minicaffe.kernels.numba_engine import pool

COUNTS = [1, 2, 7, 100, 1000, pool.MOST, pool.MOST + 1, 2 * pool.MOST + 3]


TESTS = os.path.dirname(os.path.dirname(__file__))


def word(name):
    """What a word of the shared memory holds."""
    return int(pool._words[pool._word(getattr(pool, name))])


def set_word(name, value):
    """Write a word of the shared memory."""
    pool._words[pool._word(getattr(pool, name))] = value


@pytest.mark.parametrize("threads", [1, 2, 5])
@pytest.mark.parametrize("pieces", COUNTS)
def test_every_piece_runs_once(threads, pieces):
    """No piece is left out and none runs twice: fewer pieces than threads, more, and more than one job can hold."""
    kernels.set_threads(threads)

    assert [1] * pieces == ran(pieces)
    assert [1] * pieces == ran(pieces, work=10)
    assert 0 == word("OWNED")
    assert word("STATE") >= pool.CLOSED


def test_no_piece_is_no_work():
    """A call without pieces returns."""
    assert [] == ran(0)


def test_after_a_pause():
    """A call finds workers awake, about to sleep and asleep, and every piece runs."""
    kernels.set_threads(3)
    for pause in (0, 0.0001, 0.0003, 0.0004, 0.0005, 0.001, 0.01) * 5:
        time.sleep(pause)

        assert [1] * 20 == ran(20, work=200)


def test_fewer_threads_later():
    """After set_threads(1) no worker may take a piece, though some wait for one."""
    kernels.set_threads(3)
    ran(20)
    kernels.set_threads(1)

    assert [1] * 20 == ran(20)
    assert 0 == word("ALLOWED")


def together(*tasks):
    """Run functions at the same time, each in a thread of its own; what they return."""
    results = [None] * len(tasks)

    def run(i):
        results[i] = tasks[i]()

    started = [threading.Thread(target=run, args=(i,), daemon=True) for i in range(len(tasks))]
    for thread in started:
        thread.start()
    for thread in started:
        thread.join(60)
    return results


@pytest.mark.parametrize("threads", [1, 2, 4])
def test_callers_at_the_same_time(threads):
    """Three threads call tasks at once and all get right results: one owns the pool, the others work alone."""
    kernels.set_threads(threads)

    def caller():
        return all(ran(n, work=50) == [1] * n for n in (1, 3, 16, 40) * 100)

    assert [True] * 3 == together(caller, caller, caller)


def test_beside_pieces_of_python():
    """Compiled tasks and pieces on Python threads take turns, also inside each other."""
    kernels.set_threads(3)
    for _ in range(30):
        inside = []
        shards.run(lambda i, inside=inside: inside.append(ran(5, work=20)), 6)

        assert [[1] * 5] * 6 == inside
        assert [1] * 9 == ran(9, work=20)


def test_where_no_thread_can_be_started(monkeypatch):
    """The caller does all pieces where the system gives no more threads."""
    def refuse(self):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    kernels.set_threads(len(pool._workers) + 4)

    assert [1] * 50 == ran(50)


def in_a_child(check):
    """The exit status of a forked process that ends with 0 where `check()` holds; killed after 20 s."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # Python 3.12: a fork beside threads may hang
        child = os.fork()
    if child == 0:
        status = 1
        try:
            signal.alarm(20)
            status = 0 if check() else 2
        finally:
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


forks = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")


@forks
def test_after_a_fork():
    """A child process starts workers of its own, and the parent keeps its own."""
    kernels.set_threads(3)
    ran(20, work=100)

    assert 0 == in_a_child(lambda: all(ran(20, work=100) == [1] * 20 for _ in range(100)))
    assert [1] * 20 == ran(20, work=100)


@forks
def test_fork_in_the_middle_of_a_call():
    """A child can work though a thread that does not exist in it owned the pool."""
    kernels.set_threads(3)
    go_on = threading.Event()

    def busy():
        right = True
        while not go_on.is_set():
            right &= ran(30, work=2000) == [1] * 30
        return right

    def fork():
        try:
            return [in_a_child(lambda: ran(20, work=100) == [1] * 20) for _ in range(10)]
        finally:
            go_on.set()

    assert [True, [0] * 10] == together(busy, fork)


def test_process_ends_while_tasks_run():
    """A process that ends while a thread still calls tasks ends well."""
    script = ("import sys, threading\nsys.path.insert(0, sys.argv[1])\nimport some_tasks as t\n"
              "from minicaffe import kernels\n"
              "kernels.set_threads(3)\nt.ran(20)\n"
              "def forever():\n    while True:\n        t.ran(20, work=500)\n"
              "threading.Thread(target=forever, daemon=True).start()\nt.ran(20, work=500)\n")
    done = subprocess.run([sys.executable, "-c", script, TESTS], capture_output=True, timeout=60)

    assert (0, b"") == (done.returncode, done.stderr)
