"""Entries and tapes: every piece runs once, whoever calls, whoever helps, and a tape plays what was called."""

import os
import signal
import subprocess
import sys
import threading
import time
import warnings

import numpy as np
import pytest

from minicaffe import kernels
from minicaffe.kernels import recording, shards

pytest.importorskip("numba", reason="needs the package 'numba': pip install 'minicaffe[fast]'")

from some_entries import ran, scale_add

from minicaffe.kernels.numba_engine import entry as module

COUNTS = [1, 2, 7, 100, 1000, 2 * module.MOST + 3]


@pytest.mark.parametrize("threads", [1, 2, 5])
@pytest.mark.parametrize("pieces", COUNTS)
def test_every_piece_runs_once(threads, pieces):
    """this test shows that none is left out and none runs twice, with fewer pieces than threads and more."""
    kernels.set_threads(threads)

    assert [1] * pieces == ran(pieces)
    assert [1] * pieces == ran(pieces, work=10)


def test_no_piece_is_no_work():
    """this test shows that a call without pieces returns."""
    assert [] == ran(0)


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_arguments(threads):
    """this test shows that arrays, None, whole numbers and floats arrive, and that threads change no bit."""
    kernels.set_threads(threads)
    x, y = np.arange(1000, dtype=np.float32), np.ones(1000, np.float32)
    scale_add(8, x, y, 1000, 8, 0.25)
    scale_add(8, None, y, 1000, 8, -1.0)

    np.testing.assert_array_equal(0.25 * np.arange(1000), y)


def test_arrays_that_nobody_may_write_and_empty_ones():
    """this test shows that an entry reads a read-only array, and is called with an empty one."""
    x, y = np.full(5, 3, np.float32), np.zeros(5, np.float32)
    x.flags.writeable = False
    scale_add(1, x, y, 5, 1, 2.0)
    scale_add(1, np.empty(0, np.float32), y, 0, 1, 2.0)

    assert [6.0] * 5 == y.tolist()


def test_arrays_with_gaps():
    """this test shows that an entry refuses an array whose numbers do not lie one after the other."""
    y = np.zeros(10, np.float32)
    with pytest.raises(ValueError, match="one after the other"):
        scale_add(1, None, y[::2], 5, 1, 2.0)


def test_after_a_pause():
    """this test shows that threads that have gone to sleep, and those about to, are no loss."""
    kernels.set_threads(3)
    for pause in (0, 0.0001, 0.0003, 0.0004, 0.0005, 0.001, 0.01) * 5:
        time.sleep(pause)

        assert [1] * 20 == ran(20, work=200)


def test_fewer_threads_later():
    """this test shows that after set_threads(1) the caller works alone, though others wait for pieces."""
    kernels.set_threads(3)
    ran(20)
    kernels.set_threads(1)

    assert [1] * 20 == ran(20)
    assert 0 == module._memory[(module._start + module.ALLOWED) // 8]


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
    """this test shows that three threads that call entries at once all get right results: one has the crew."""
    kernels.set_threads(threads)

    def caller():
        return all(ran(n, work=50) == [1] * n for n in (1, 3, 16, 40) * 100)

    assert [True] * 3 == together(caller, caller, caller)


def test_beside_pieces_of_python():
    """this test shows that entries and pieces on Python threads take turns, also inside each other."""
    kernels.set_threads(3)
    for _ in range(30):
        inside = []
        shards.run(lambda i, inside=inside: inside.append(ran(5, work=20)), 6)

        assert [[1] * 5] * 6 == inside
        assert [1] * 9 == ran(9, work=20)


def test_where_no_thread_can_be_started(monkeypatch):
    """this test shows that the caller does all pieces where the system gives no more threads."""
    def refuse(self):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    kernels.set_threads(len(module._workers) + 4)

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
    """this test shows that a child process hires threads of its own, and that the parent's still serve."""
    kernels.set_threads(3)
    ran(20, work=100)

    assert 0 == in_a_child(lambda: all(ran(20, work=100) == [1] * 20 for _ in range(100)))
    assert [1] * 20 == ran(20, work=100)


@forks
def test_fork_in_the_middle_of_a_call():
    """this test shows that a child works though a thread that did not survive the fork had the crew."""
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


def test_process_ends_while_entries_run():
    """this test shows that a process that ends while a thread still calls entries ends well."""
    some_entries = os.path.dirname(os.path.dirname(__file__))
    script = ("import sys, threading\nsys.path.insert(0, sys.argv[1])\nimport some_entries as t\n"
              "from minicaffe import kernels\n"
              "kernels.set_threads(3)\nt.ran(20)\n"
              "def forever():\n    while True:\n        t.ran(20, work=500)\n"
              "threading.Thread(target=forever, daemon=True).start()\nt.ran(20, work=500)\n")
    done = subprocess.run([sys.executable, "-c", script, some_entries], capture_output=True, timeout=60)

    assert (0, b"") == (done.returncode, done.stderr)


# --- tapes ----------------------------------------------------------------------------------------------------


def test_tape_plays_on_what_memory_holds_now():
    """this test shows that played calls read and write the same arrays in their order."""
    x, y = np.array([1, 2, 3], np.float32), np.zeros(3, np.float32)
    with recording.recording() as recorded:
        scale_add(1, x, y, 3, 1, 2.0)
        scale_add(3, y, y, 3, 3, 1.0)
    x[:], y[:] = [10, 20, 30], 1
    recorded.player()()

    assert 2 == len(recorded.calls)
    assert [42.0, 82.0, 122.0] == y.tolist()


def test_tapes_are_joined():
    """this test shows that a tape holds another's calls behind its own, and keeps their arrays alive."""
    y = np.zeros(2000, np.float32)

    def recorded(n):
        with recording.recording() as made:
            scale_add(2, np.full(n, n, np.float32), y, n, 2, 1.0)
        return made

    joined = recording.Tape()
    for n in (3, 2000):
        joined.extend(recorded(n))
    y.fill(0)
    joined.player()()

    assert [2003.0] * 3 + [2000.0] * 1997 == y.tolist()


def test_empty_tape_plays_nothing():
    """this test shows that what has nothing to do leaves a tape that can be played."""
    with recording.recording() as recorded:
        pass

    assert recorded.player()() is None


@pytest.mark.parametrize("spoiler", [
    lambda: kernels.matmul.on("numpy")(np.ones((2, 3)), np.ones((3, 4)), np.ones((2, 4))),
    lambda: shards.run(lambda i: None, 2)], ids=["reference", "pieces"])
def test_spoiled_tape(spoiler):
    """this test shows that a tape that misses a call refuses to be played, alone or joined."""
    with recording.recording() as recorded:
        spoiler()
    joined = recording.Tape()
    joined.extend(recorded)

    for one in (recorded, joined):
        with pytest.raises(ValueError, match="spoiled"):
            one.player()


def test_a_thread_writes_its_own_tape():
    """this test shows that what another thread calls is not on the tape, and that tapes inside each other are apart."""
    y = np.zeros(3, np.float32)
    with recording.recording() as outer:
        together(lambda: scale_add(1, None, y, 3, 1, 1.0))
        with recording.recording() as inner:
            scale_add(1, None, y, 3, 1, 1.0)

    assert [0, 1] == [len(one.calls) for one in (outer, inner)]
    assert recording.current() is None
