"""How the ranks of a training end together, and what each of them logs."""

import logging
import os
import signal
import subprocess
import sys
import time

import pytest

from minicaffe.errors import DataError
from minicaffe.log import At, log, logger, warn
from minicaffe.ranks import launch
from minicaffe.ranks.links import own_member
from minicaffe.solvers.group import Group


class Noted:
    """An ending that ends nothing: it notes the reasons."""

    def __init__(self):
        self.reasons = []

    def end(self, reason):
        self.reasons.append(reason)


def words(error):
    return str(error) if isinstance(error, DataError) else None


@pytest.mark.parametrize(("error", "reason"), [
    (DataError("no such file", where="db"), "db: no such file"),
    (KeyboardInterrupt(), "stopped"),
    (SystemExit(0), "the training was left by SystemExit: 0"),
    (SystemExit("no"), "the training was left by SystemExit: no")])
def test_whatever_leaves_the_block_ends_the_job(error, reason):
    """The reason is told with the rank, its host and its process, and the job is ended before Python's own exit."""
    noted = Noted()
    with pytest.raises(type(error)), launch.watched(Group(), 30.0, words, noted):
        raise error

    assert f"{own_member(0)}: {reason}" == noted.reasons[0]
    assert f"process {os.getpid()})" in noted.reasons[0]


def test_a_fault_of_our_own_is_told_with_its_traceback():
    """An error that is no user's is a fault to be reported, for which its lines are needed."""
    noted = Noted()
    with pytest.raises(ZeroDivisionError), launch.watched(Group(), 30.0, words, noted):
        print(1 / 0)

    assert "Traceback (most recent call last)" in noted.reasons[0]
    assert noted.reasons[0].endswith("ZeroDivisionError: division by zero")


def test_a_training_that_is_complete_ends_nothing():
    """At the end of the block the ranks say goodbye."""
    noted = Noted()
    with launch.watched(Group(), 30.0, words, noted):
        pass
    assert [] == noted.reasons


@pytest.fixture
def logged():
    """The messages that a handler of minicaffe's logger gets, information included."""
    messages = []
    handler = logging.Handler()
    handler.emit = lambda record: messages.append(record.getMessage())
    level = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    yield messages
    logger.removeHandler(handler)
    logger.setLevel(level)


@pytest.mark.parametrize(("rank", "expected"), [
    (0, ["set up", "a doubtful field", "Starting Optimization", "Iteration 0", "a bad image: 100%", "Stopping"]),
    (2, ["rank 2: a bad image: 100%"])])
def test_rank_0_logs_and_the_others_warn_of_what_they_alone_meet(logged, rank, expected):
    """Other ranks log nothing but warnings after the set-up; a signal comes to all, so rank 0 alone tells it."""
    with launch._log_of(rank):
        log(At.MODE, "set up")
        warn(At.FIELD_WARNING, "a doubtful field")
        log(At.TRAINING_BEGINS, "Starting Optimization")
        log(At.ITERATION, "Iteration 0")
        warn(At.LEFT_OUT, "a bad image: 100%")
        warn(At.SIGNAL, "Stopping")
    log(At.MODE, "after it")

    assert [*expected, "after it"] == logged


RANK = """
import contextlib, os, pickle, signal, subprocess, sys, threading, time
from pathlib import Path
from minicaffe.errors import DataError
from minicaffe.ranks import launch

class Files:
    '''A group of processes that give each other files.'''
    def __init__(self, rank, size):
        self.rank, self.size, self.calls = rank, size, 0
    def gather(self, mine):
        self.calls += 1
        Path(f".{self.rank}").write_bytes(pickle.dumps(mine))
        os.rename(f".{self.rank}", f"{self.calls}.{self.rank}")
        names = [Path(f"{self.calls}.{rank}") for rank in range(self.size)]
        while not all(name.exists() for name in names):
            time.sleep(0.01)
        return [pickle.loads(name.read_bytes()) for name in names]
    def broadcast(self, mine):
        return self.gather(mine)[0]

group = Files(int(sys.argv[1]), 3)
pids = group.gather(os.getpid())

def abort(status):
    if "deaf" in sys.argv:  # an MPI that does not answer
        threading.Event().wait()
    for pid in pids:
        if pid != os.getpid():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
    os._exit(status)

words = lambda error: str(error) if isinstance(error, DataError) else None
tell = lambda text: print(text, file=sys.stderr)
with launch.watched(group, float(sys.argv[2]), words, launch.Ending(tell, abort)):
    group.gather(None)
    print("begun", flush=True)
    sys.stdin.readline()
    exec(sys.argv[3])
print("done", flush=True)
"""
HANG = "threading.Event().wait()"
RAISE = "raise DataError('no space')"


@pytest.fixture
def three(tmp_path):
    """A function that starts three ranks, each of which runs some code, and returns their processes."""
    (tmp_path / "rank.py").write_text(RANK)
    started = []

    def start(codes, timeout=60, *more):
        for rank, code in enumerate(codes):
            started.append(subprocess.Popen(
                [sys.executable, "rank.py", str(rank), str(timeout), code, *more], cwd=tmp_path, text=True,
                env={**os.environ, "MINICAFFE_ENGINE": "plain"},
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE))
        for process in started:
            assert "begun\n" == process.stdout.readline()
        for process in started:
            process.stdin.write("go\n")
            process.stdin.flush()
        return started

    yield start
    for process in started:
        process.kill()
        process.communicate()


def ends(processes):
    """Wait for all, and return what they have written to stderr."""
    return "".join(process.communicate(timeout=30)[1] for process in processes)


@pytest.mark.slow
@pytest.mark.parametrize("dead", [0, 2])
@pytest.mark.parametrize("how", ["SIGKILL", "SIGSTOP"])
def test_a_rank_that_is_killed_or_stopped_ends_the_others(three, dead, how):
    """All end, though they wait for each other, and one message tells which rank was the reason."""
    processes = three([HANG] * 3, 1)
    time.sleep(0.2)
    processes[dead].send_signal(getattr(signal, how))

    told = ends(processes)

    assert 1 == told.count("rank ")
    what = "ended before the training was complete" if how == "SIGKILL" else "been silent for 1 second:"
    assert f"process {processes[dead].pid}) has {what}" in told
    assert all(process.returncode for process in processes)


@pytest.mark.slow
@pytest.mark.parametrize(("codes", "more"), [([HANG, RAISE, HANG], []), ([RAISE] * 3, []), ([HANG, RAISE, RAISE], []),
                                             ([HANG, HANG, RAISE], ["deaf"])])
def test_an_error_is_told_once_and_ends_all(three, codes, more):
    """One rank has the error, or each of them, and even where the engine's abort does nothing."""
    processes = three(codes, 60, *more)

    told = ends(processes)

    assert 1 == told.count("no space")
    assert all(process.returncode for process in processes)
    assert not any("done" in process.stdout.read() for process in processes if not process.stdout.closed)


@pytest.mark.slow
def test_a_slow_rank_and_a_stopped_job_end_nothing(three):
    """A rank that computes for long is alive. All are stopped for longer than the timeout, and go on."""
    # the sum is one call of C code, which holds Python's lock to its end
    processes = three(["time.sleep(3)", "sum(range(10**8))", "subprocess.run(['true'])"], 1)
    for process in processes:
        process.send_signal(signal.SIGSTOP)
    time.sleep(2)
    for process in processes:
        process.send_signal(signal.SIGCONT)

    assert "" == ends(processes)
    assert [0, 0, 0] == [process.returncode for process in processes]
