"""The thread pool: every piece runs once, whoever calls, whoever helps, and whatever happens meanwhile."""

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
from minicaffe.kernels import shards

pytest.importorskip("numba", reason="needs the package 'numba': pip install 'minicaffe[fast]'")

from some_tasks import count_piece, fail_piece, ran

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


@pytest.fixture
def awake():
    """Two workers that wait for pieces; nobody owns the pool afterwards."""
    kernels.set_threads(3)
    ran(20)
    yield
    set_word("OWNED", 0)


def test_another_thread_owns_the_pool(awake):
    """The caller does not wait for the owner: it runs all pieces by itself, and touches no word of the job."""
    set_word("OWNED", 1)
    state = word("STATE")

    assert [1] * 20 == ran(20, work=100)
    assert (1, state) == (word("OWNED"), word("STATE"))


def test_workers_may_not_take_pieces(awake):
    """Where ALLOWED is 0 by the time that a call begins, no job is opened: the caller runs its pieces by itself."""
    seen, state = np.zeros(20, np.int64), word("STATE")
    block = np.array([seen.ctypes.data, 20, 100], np.int64)
    table = np.array([count_piece.compiled.address, block.ctypes.data, 20], np.int64)
    set_word("ALLOWED", 0)  # as another thread may do at any time
    pool._run_calls(pool._pool, table.ctypes.data, 1)

    assert [1] * 20 == seen.tolist()
    assert (0, state) == (word("OWNED"), word("STATE"))


@pytest.mark.parametrize(("pieces", "jobs"), [(1, 0), (2, 1), (pool.MOST, 1), (pool.MOST + 1, 2), (2 * pool.MOST, 2)])
def test_jobs_of_a_call(awake, pieces, jobs):
    """A call of one piece needs no job, and one of more than MOST pieces is cut into several."""
    before = word("STATE")
    ran(pieces)

    assert before + jobs * pool.JOB == word("STATE")


def test_the_last_job_number(awake):
    """After the last number of a job comes 0, and the job is done as any other."""
    set_word("STATE", pool.CLOSED + (pool.CLOSED - pool.JOB))

    assert [1] * 20 == ran(20)
    assert pool.CLOSED == word("STATE")
    assert [1] * 20 == ran(20)


@pytest.mark.parametrize("threads", [1, 3])
def test_a_piece_that_raises(threads, monkeypatch):
    """Its error is printed, the other pieces run, and the call returns."""
    errors = []
    monkeypatch.setattr(sys, "unraisablehook", errors.append)
    kernels.set_threads(threads)
    for _ in range(20):
        seen = np.zeros(4, np.int64)
        fail_piece(4, seen, 4)

        assert [1] * 4 == seen.tolist()
    assert ["the second piece"] * 20 == [str(error.exc_value) for error in errors]
    assert [1] * 20 == ran(20)


def asleep(worker):
    """Whether a worker goes to sleep within ten seconds."""
    end = time.monotonic() + 10
    while not worker.asleep and time.monotonic() < end:
        time.sleep(0.001)
    return worker.asleep


def test_a_caller_that_is_interrupted(awake, monkeypatch):
    """Ctrl-C while a worker is being woken: the next call wakes it, for the worker still counts as asleep."""
    worker = pool._workers[0]
    pool._stop_waiting()
    assert asleep(worker)

    class Interrupting:
        def empty(self):
            return True

        def put(self, _):
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(worker, "inbox", Interrupting())
        with pytest.raises(KeyboardInterrupt):
            pool._wake(1)
    assert worker.asleep
    end = time.monotonic() + 10
    while worker.asleep and time.monotonic() < end:
        pool._wake(1)  # again and again, since a worker that has nothing to do goes back to sleep

    assert not worker.asleep


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


@forks
def test_shut_down():
    """After the pool is shut down no worker is left, and a call still runs all its pieces."""
    def check():
        kernels.set_threads(3)
        ran(20, work=100)
        workers = list(pool._workers)
        pool._shut_down()
        return not any(w.thread.is_alive() for w in workers) and len(workers) == 2 and ran(20) == [1] * 20

    assert 0 == in_a_child(check)


@forks
def test_fork_after_the_first_worker_was_started(tmp_path):
    """A child can compile: no worker of the parent was compiling, with numba's lock, when it was forked."""
    script = ("import os, signal, sys, time\nsys.path.insert(0, sys.argv[1])\nimport numpy as np, some_tasks as t\n"
              "from minicaffe import kernels\n"
              "kernels.set_threads(1)\nt.ran(20)\nkernels.set_threads(2)\nt.ran(20)\ntime.sleep(0.1)\n"
              "child = os.fork()\n"
              "if child == 0:\n    signal.alarm(30)\n    y = np.zeros(3, np.float32)\n"
              "    t.scale_add(1, None, y, 3, 1, 2.0)\n    os._exit(0 if y.tolist() == [2.0] * 3 else 1)\n"
              "sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))\n")
    done = subprocess.run([sys.executable, "-W", "ignore::DeprecationWarning", "-c", script, TESTS], timeout=120,
                          capture_output=True, env={**os.environ, "NUMBA_CACHE_DIR": str(tmp_path)})

    assert (0, b"") == (done.returncode, done.stderr)


def test_process_ends_while_tasks_run():
    """A process that ends while a thread still calls tasks ends well."""
    script = ("import sys, threading\nsys.path.insert(0, sys.argv[1])\nimport some_tasks as t\n"
              "from minicaffe import kernels\n"
              "kernels.set_threads(3)\nt.ran(20)\n"
              "def forever():\n    while True:\n        t.ran(20, work=500)\n"
              "threading.Thread(target=forever, daemon=True).start()\nt.ran(20, work=500)\n")
    done = subprocess.run([sys.executable, "-c", script, TESTS], capture_output=True, timeout=60)

    assert (0, b"") == (done.returncode, done.stderr)
