"""What systems other than POSIX lack is done without: Windows has no flock, pread, SIGHUP, fork, or folders to sync."""

import os
import signal
import subprocess
import sys

import numpy as np
import pytest
from extras import needs

from minicaffe import system

WITHOUT = """
import os, signal, sys, types
import fcntl as real

def locking(descriptor, mode, count):
    try:
        real.lockf(descriptor, real.LOCK_EX | real.LOCK_NB, count, 0, os.SEEK_CUR)
    except BlockingIOError:
        raise PermissionError(13, "Permission denied") from None

def open_file(path, *more, really=os.open):
    if os.path.isdir(path):
        raise PermissionError(13, "Permission denied", path)
    return really(path, *more)

sys.modules["fcntl"] = None
os.open = open_file
for name in ("pread", "fork", "register_at_fork", "sched_getaffinity", "pathconf", "O_DIRECTORY"):
    if hasattr(os, name):
        delattr(os, name)
if hasattr(signal, "SIGHUP"):
    del signal.SIGHUP
if "msvcrt" in sys.argv:
    sys.modules["msvcrt"] = types.SimpleNamespace(locking=locking, LK_NBLCK=2)
"""
TRAIN = WITHOUT + """
from minicaffe.cli.__main__ import main
sys.exit(main(["train", "--solver=solver.prototxt", *sys.argv[2:]]))
"""
HOLD = WITHOUT + """
from minicaffe.solvers.resume import run_lock
with run_lock.held("run") as newly:
    print(newly, flush=True)
    sys.stdin.readline()
"""
NET = """
layer { name: "data" type: "Data" top: "x" top: "t" data_param { source: "db" batch_size: 5 backend: LMDB } }
layer { name: "ip" type: "InnerProduct" bottom: "x" top: "ip"
        inner_product_param { num_output: 4 weight_filler { type: "xavier" } } }
layer { name: "loss" type: "SoftmaxWithLoss" bottom: "ip" bottom: "t" top: "loss" }
"""
SOLVER = """
net: "net.prototxt" base_lr: 0.01 lr_policy: "fixed" max_iter: 4 snapshot: 2 snapshot_prefix: "run"
test_iter: 1 test_interval: 2
"""


@pytest.fixture
def folder(tmp_path):
    """A folder with a net, a solver and a database."""
    needs("lmdb")
    from minicaffe.data.lmdb import write_lmdb
    from minicaffe.proto import Datum

    write_lmdb(tmp_path / "db", [(f"{i:04d}", Datum(channels=1, height=2, width=3, label=i % 4,
                                                    data=bytes(range(i, i + 6)))) for i in range(13)])
    (tmp_path / "net.prototxt").write_text(NET)
    (tmp_path / "solver.prototxt").write_text(SOLVER)
    return tmp_path


def train(folder, *flags):
    """Train where nothing of POSIX is there; the status and what was said."""
    run = subprocess.run([sys.executable, "-c", TRAIN, *flags], cwd=folder, capture_output=True, text=True,
                         env={**os.environ, **({} if "none" in flags else {"MINICAFFE_ENGINE": "numpy"})})
    return run.returncode, run.stderr


posix = pytest.mark.skipif(system.fcntl is None, reason="this system has nothing to take away")


@posix
@pytest.mark.parametrize("locks", ["msvcrt", "none"])
def test_a_training_runs_where_nothing_of_posix_is(folder, locks):
    """It trains, keeps, and goes on; a system without any file locks is warned of once."""
    status, said = train(folder, locks, "--keep=last:1", "--iterations=2")
    assert 0 == status, said
    assert (locks == "none") == (".run.lock cannot be locked" in said)
    status, said = train(folder, locks, "--keep=best,last:1", "--resume=auto")
    assert 0 == status, said
    assert "Resuming from run_iter_2.solverstate" in said
    assert said.count("cannot be locked") == (locks == "none")
    assert {"run_iter_4.solverstate", "run_best.caffemodel"} < set(os.listdir(folder))
    assert [] == list(folder.glob(".*"))


@posix
def test_two_trainings_where_nothing_of_posix_is(folder):
    """The locks of Windows keep a second training out, and let it read who the first one is."""
    with subprocess.Popen([sys.executable, "-c", HOLD, "msvcrt"], cwd=folder, stdin=subprocess.PIPE,
                          stdout=subprocess.PIPE, text=True) as other:
        assert "True" == other.stdout.readline().strip()
        status, said = train(folder, "msvcrt")
        assert 1 == status
        assert f"another training writes the snapshots of run: process {other.pid} on " in said
        other.kill()
    status, said = train(folder, "msvcrt")
    assert 0 == status, said
    assert [] == list(folder.glob(".*"))


@pytest.mark.parametrize("missing", [None, "pread"])
def test_reads_at_a_place(tmp_path, monkeypatch, missing):
    """A read gives what is there, all of it, and less at the end, with and without pread."""
    if missing:
        monkeypatch.delattr(os, missing, raising=False)
    data = np.arange(100, dtype=np.uint8).tobytes()
    (tmp_path / "file").write_bytes(data)
    with open(tmp_path / "file", "rb") as file:
        assert [data[7:20], data[95:], b"", data[:3]] == [
            system.read_at(file, at, size) for at, size in ((7, 13), (95, 50), (100, 5), (0, 3))]


def test_at_least_one_core(monkeypatch):
    """The number of processors is known where the system does not say which ones may be used."""
    assert 1 <= system.cores()
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    assert 1 <= system.cores()


def test_the_processor_time_of_a_process_grows_while_it_computes():
    """By it, a rank that computes is told from one that is stopped. A process that has ended has none."""
    before = system.processor_time(os.getpid())
    if before is None:
        pytest.skip("this system has no /proc")
    while system.processor_time(os.getpid()) == before:
        sum(range(10**5))
    with subprocess.Popen([sys.executable, "-S", "-c", ""]) as ended:
        pass

    assert system.processor_time(os.getpid()) > before
    assert system.processor_time(ended.pid) is None


@pytest.mark.skipif(not os.path.exists("/proc/self/stat"), reason="only /proc tells it")
def test_a_stopped_process_of_the_same_parent_is_found():
    """A process sees which of those beside it are stopped, and with which variables they were started."""
    look = "import os, time\nfrom minicaffe import system\n" \
           "while not (found := system.stopped_beside()): time.sleep(0.01)\n" \
           "print(found, system.environment(found[0])['COLOUR'])"
    with subprocess.Popen(["sleep", "60"], env={**os.environ, "COLOUR": "a=b"}) as beside:
        beside.send_signal(signal.SIGSTOP)
        try:
            said = subprocess.run([sys.executable, "-c", look], capture_output=True, text=True, timeout=30, check=True)
        finally:
            beside.kill()
    assert f"[{beside.pid}] a=b" == said.stdout.strip()
    assert {} == system.environment(beside.pid)
