"""Two trainings with one prefix: the second is refused or waits, and a dead one keeps no other out."""

import errno
import logging
import os
import shutil
import signal
import subprocess
import sys
import time
from contextlib import contextmanager

import pytest
from nets import feed, make

from minicaffe import system
from minicaffe.cli.__main__ import main
from minicaffe.errors import SolverError
from minicaffe.solvers.resume import run_lock

HOLD = """
import sys, os, time
from minicaffe.solvers.resume import run_lock
with run_lock.held(sys.argv[1]) as newly:
    if "fork" in sys.argv and os.fork() == 0:
        os.close(1)
        time.sleep(60)
        os._exit(0)
    print(newly, flush=True)
    sys.stdin.readline()
"""
NET = """
layer { name: "x" type: "DummyData" top: "x" top: "t" dummy_data_param {
        shape { dim: 5 dim: 3 } shape { dim: 5 } data_filler { type: "gaussian" } data_filler { value: 1 } } }
layer { name: "ip" type: "InnerProduct" bottom: "x" top: "ip" inner_product_param {
        num_output: 2 weight_filler { type: "xavier" } } }
layer { name: "loss" type: "SoftmaxWithLoss" bottom: "ip" bottom: "t" top: "loss" }
"""
SOLVER = 'net: "net.prototxt" base_lr: 0.1 lr_policy: "fixed" max_iter: 6 snapshot: 2 snapshot_prefix: "run"'


@contextmanager
def another_process(prefix, *how):
    """A process that holds the lock of a prefix while the block runs, or until it is killed."""
    with subprocess.Popen([sys.executable, "-c", HOLD, str(prefix), *how], stdin=subprocess.PIPE,
                          stdout=subprocess.PIPE, text=True) as process:
        assert "True" == process.stdout.readline().strip()
        try:
            yield process
        finally:
            process.kill()


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder with a net and a solver, in which the test works."""
    (tmp_path / "net.prototxt").write_text(NET)
    (tmp_path / "solver.prototxt").write_text(SOLVER)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_second_training_is_refused_before_it_touches_anything(folder, capsys):
    """A second start names the other's host, process and start, and leaves every file as it is."""
    (folder / ".run_iter_2.caffemodel.0123abcd.tmp").write_text("the other is writing this")
    with another_process("run") as other:
        before = sorted(folder.iterdir())
        status = main(["train", "--solver=solver.prototxt"])

        assert sorted(folder.iterdir()) == before
        said = capsys.readouterr().err
    assert 1 == status
    assert f"another training writes the snapshots of run: process {other.pid} on " in said
    assert time.strftime("since %Y-") in said
    assert "hint" in said
    assert "Creating" not in said  # no net was made


def test_from_python_too(tmp_path):
    """solve, step and snapshot are refused while another process has the prefix; training without snapshots is not."""
    fields = f'max_iter: 2 snapshot_prefix: "{tmp_path}/run"'
    with another_process(tmp_path / "run"):
        for call in (lambda s: s.solve(), lambda s: s.step(1), lambda s: s.snapshot()):
            solver = feed(make(f"{fields} snapshot: 1"))
            with pytest.raises(SolverError, match="another training"):
                call(solver)
            assert 0 == solver.iter
        feed(make(fields)).step(1)
    assert [".run.lock"] == os.listdir(tmp_path)  # of the killed process


def test_a_requeued_training_waits_and_then_looks_for_the_newest_snapshot(folder):
    """--resume auto says whom it waits for, and goes on from a snapshot that came while it waited."""
    assert 0 == main(["train", "--solver=solver.prototxt", "--no-record"])
    (folder / "elsewhere").mkdir()
    for path in folder.glob("run_iter_4.*"):
        shutil.move(path, folder / "elsewhere")
    for path in folder.glob("run_iter_6.*"):
        path.unlink()
    with another_process("run") as other:
        command = [sys.executable, "-m", "minicaffe.cli", "train", "--solver=solver.prototxt", "--resume=auto"]
        with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as requeued:
            lines = []
            while "Waiting" not in (lines or [""])[-1]:
                lines.append(requeued.stderr.readline())
            for path in (folder / "elsewhere").iterdir():
                shutil.move(path, folder)
            other.kill()
            rest = requeued.stderr.read()
        assert f"Waiting up to 120 seconds for another training that writes the snapshots of run: process {other.pid}" \
            in lines[-1]
    assert 0 == requeued.returncode
    assert "Resuming from run_iter_4.solverstate" in rest
    assert (folder / "run_iter_6.solverstate").is_file()
    assert [] == list(folder.glob(".*"))


@pytest.mark.parametrize(("flags", "words"), [
    (["--resume=auto", "--wait=0.3"], "it has not ended in 0.3 seconds"),
    (["--resume=auto", "--wait=0"], "another training"),
    (["--wait=0.3"], "it has not ended in 0.3 seconds")])
def test_how_long_to_wait_can_be_given(folder, capsys, flags, words):
    """--wait says for how long, with and without --resume auto, and 0 is not at all."""
    with another_process("run"):
        assert 1 == main(["train", "--solver=solver.prototxt", *flags])
    assert words in capsys.readouterr().err


@pytest.mark.parametrize("given", ["-1", "soon", "nan", "inf"])
def test_a_wait_that_is_no_time_is_refused(folder, capsys, given):
    """--wait takes seconds."""
    with pytest.raises(SystemExit):
        main(["train", "--solver=solver.prototxt", f"--wait={given}"])
    assert "expects a number of seconds" in capsys.readouterr().err


def test_the_lock_is_that_of_the_prefix(tmp_path):
    """Two prefixes in one folder are two runs; one prefix reached by another path is one."""
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    with another_process(tmp_path / "real" / "run"):
        with run_lock.held(str(tmp_path / "real" / "run2")) as newly:
            assert newly
        for path in (tmp_path / "link" / "run", tmp_path / "link" / ".." / "real" / "run"):
            with pytest.raises(SolverError, match="another training"), run_lock.held(str(path)):
                pass


def test_solvers_of_one_process_share_the_lock(tmp_path):
    """A notebook makes solver after solver with one prefix, and each may train while the others are kept."""
    fields = f'max_iter: 2 snapshot: 1 snapshot_prefix: "{tmp_path}/run"'
    solvers = [feed(make(fields)) for _ in range(3)]
    solvers[0].on_update.append(lambda: solvers[1].snapshot())
    for solver in solvers:
        solver.solve()

    assert [] == [name for name in os.listdir(tmp_path) if name.startswith(".")]
    assert {} == run_lock._held


def test_a_program_may_change_its_folder(tmp_path, monkeypatch):
    """A lock that was taken by a relative path is released where it was taken."""
    (tmp_path / "other").mkdir()
    monkeypatch.chdir(tmp_path)
    with run_lock.held("run"), run_lock.held("other/run"):
        monkeypatch.chdir(tmp_path / "other")
        assert [".run.lock"] == os.listdir()
    assert ["other"] == os.listdir(tmp_path)
    assert [] == os.listdir()


def test_an_error_gives_the_lock_back(tmp_path):
    """A training that ends in an error, or in Ctrl-C, releases the lock."""
    solver = feed(make(f'max_iter: 2 snapshot: 1 snapshot_prefix: "{tmp_path}/run"'))

    def interrupt():
        raise KeyboardInterrupt

    solver.on_update.append(interrupt)
    with pytest.raises(KeyboardInterrupt):
        solver.solve()
    assert [] == list(tmp_path.glob(".*"))
    with another_process(tmp_path / "run"):
        pass


def test_a_killed_process_leaves_no_lock(tmp_path):
    """The file that it leaves behind is locked again, names the new process, and is removed in the end."""
    with another_process(tmp_path / "run") as other:
        other.send_signal(getattr(signal, "SIGKILL", signal.SIGTERM))
        other.wait()
    assert [".run.lock"] == os.listdir(tmp_path)
    with run_lock.held(str(tmp_path / "run")) as newly:
        assert newly
        assert f'"pid": {os.getpid()},' in (tmp_path / ".run.lock").read_text()
    assert [] == os.listdir(tmp_path)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_child_does_not_keep_the_lock_of_its_dead_parent(tmp_path):
    """Workers that a training has forked may outlive it; the prefix is free all the same."""
    with another_process(tmp_path / "run", "fork") as other:
        other.kill()
        other.wait()
        # a child that was forked a moment ago may not have run yet: it gives its copy back as soon as it does
        with run_lock.held(str(tmp_path / "run"), wait=20) as newly:
            assert newly


def test_where_the_file_system_has_no_locks_training_goes_on(tmp_path, monkeypatch, caplog):
    """There is one warning, and what may be a living run's half-written file is left alone."""
    stray = tmp_path / ".run_iter_9.caffemodel.0123abcd.tmp"
    stray.write_text("")

    def none(descriptor):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(system, "try_lock", none)
    solver = feed(make(f'max_iter: 2 snapshot: 1 snapshot_prefix: "{tmp_path}/run"'))
    caplog.clear()
    solver.solve()
    solver.step(1)

    warned = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert 1 == len(warned)
    assert ".run.lock cannot be locked (No locks available)" in warned[0]
    assert (tmp_path / "run_iter_3.solverstate").is_file()
    assert [stray] == list(tmp_path.glob(".*"))


def test_a_lock_that_may_not_be_opened_is_said(tmp_path, monkeypatch, caplog):
    """Another user's lock, which this one may not even read, cannot tell whether somebody trains: one warning."""
    (tmp_path / ".run.lock").write_text("")

    def refuse(path):
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(run_lock, "_open", refuse)
    for _ in range(2):
        with run_lock.held(str(tmp_path / "run")) as newly:
            assert not newly
    assert 1 == caplog.text.count(".run.lock cannot be locked (Permission denied)")
    with run_lock.held(str(tmp_path / "other")) as newly:  # a folder that nobody may write to: no snapshots either
        assert not newly
    assert "other.lock" not in caplog.text


@pytest.mark.skipif(system.fcntl is None, reason="this system has no flock")
@pytest.mark.parametrize("number", [errno.EAGAIN, errno.EACCES])
def test_how_file_systems_say_that_a_file_is_locked(tmp_path, monkeypatch, number):
    """Both answers that POSIX allows mean that another has the lock."""
    def refuse(descriptor, operation):
        raise OSError(number, os.strerror(number))

    (tmp_path / ".run.lock").write_text('{"host": "far", "pid": 7, "started": "today"}')
    monkeypatch.setattr(system.fcntl, "flock", refuse)
    with pytest.raises(SolverError, match="another training .* process 7 on far, since today"), \
            run_lock.held(str(tmp_path / "run")):
        pass


@pytest.mark.skipif(not hasattr(os, "O_NOFOLLOW"), reason="this system follows all links")
def test_a_link_is_not_followed(tmp_path, caplog):
    """In a folder that everybody may write to, a link of the lock's name does not cost another file its content."""
    (tmp_path / "precious").write_text("all my notes")
    (tmp_path / ".run.lock").symlink_to(tmp_path / "precious")
    with run_lock.held(str(tmp_path / "run")) as newly:
        assert not newly
    assert "all my notes" == (tmp_path / "precious").read_text()
    assert ".run.lock cannot be locked" in caplog.text


def test_the_file_that_was_locked_must_still_be_there(tmp_path, monkeypatch):
    """Who waited for a lock whose holder then removed the file takes the lock of a new file, as all others do."""
    real, gone = system.try_lock, []

    def lock(descriptor):
        if not gone:
            gone.append(os.unlink(tmp_path / ".run.lock"))
        return real(descriptor)

    monkeypatch.setattr(system, "try_lock", lock)
    with run_lock.held(str(tmp_path / "run")) as newly:
        assert newly
        assert os.fstat(next(iter(run_lock._held.values())).descriptor).st_nlink == 1
        monkeypatch.undo()
        other = subprocess.run([sys.executable, "-c", HOLD, str(tmp_path / "run")], input="\n", capture_output=True,
                               text=True)
        assert "another training" in other.stderr
