"""The flags of `minicaffe train` for long runs: --resume, --keep, --early-stop, --override, and SIGTERM."""

import os
import signal
import subprocess
import sys

import pytest
from points import NET  # noqa: F401  (the fixture `folder` writes it)

from minicaffe.cli import signals
from minicaffe.cli.__main__ import main
from minicaffe.solvers import Action

SOLVER = """
net: "net.prototxt" base_lr: 0.05 lr_policy: "fixed" momentum: 0.9 max_iter: 6 snapshot: 2
test_iter: 3 test_interval: 2 snapshot_prefix: "run" random_seed: 5 solver_mode: CPU
"""


def train(capsys, *flags):
    """Run the command; its status and what it wrote to stderr."""
    capsys.readouterr()
    status = main(["train", "-solver", "solver.prototxt", *flags])
    return status, capsys.readouterr().err


def test_resume_auto_begins_and_goes_on(folder, capsys):
    """One command line serves the first start and every later one, and the weights have the same bits."""
    status, said = train(capsys, "--resume", "auto")
    assert (0, True) == (status, "There is no snapshot run_iter_*.solverstate: training begins" in said)
    whole = (folder / "run_iter_6.caffemodel").read_bytes()
    for path in folder.glob("run_iter_6.*"):
        path.unlink()
    status, said = train(capsys, "--resume", "auto")

    assert (0, True) == (status, "Resuming from run_iter_4.solverstate" in said)
    assert whole == (folder / "run_iter_6.caffemodel").read_bytes()
    assert 0 == train(capsys, "--resume", "run_iter_2.solverstate")[0]
    assert whole == (folder / "run_iter_6.caffemodel").read_bytes()


def test_flags_of_a_long_run(folder, capsys):
    """--keep, --early-stop and --override work together and say what they do."""
    status, said = train(capsys, "--keep=best,last:1", "--early-stop=loss:min:patience=2",
                         "--override", "base_lr=0,max_iter=30", "--override", "momentum=0.5")

    assert 0 == status
    assert [] == [words for words in ("override base_lr: 0.05 → 0", "override max_iter: 6 → 30",
                                      "override momentum: 0.9 → 0.5", "The best snapshot is that with the best loss",
                                      "run_best.caffemodel too", "Early stop: loss:min was best at iteration",
                                      "Optimization stopped early.") if words not in said]
    kept = sorted(int(path.stem.split("_")[-1]) for path in folder.glob("*.solverstate"))
    assert 1 <= len(kept) <= 2
    assert (folder / "run_best.caffemodel").exists()


@pytest.mark.parametrize(("flags", "words"), [
    (["--resume", "auto", "--snapshot", "a"], ["--resume and --snapshot"]),
    (["--resume", "a.solverstate", "--weights", "b"], ["one of them"]),
    (["--early-stop", "loss:min"], ["does not say when to stop", "loss:min:patience=5"]),
    (["--early-stop", "los:min:patience=2"], ["'los'", "did you mean 'loss'"]),
    (["--keep", "worst"], ["best, last:N", "'worst'"]),
    (["--override", "base_lrr=1"], ["did you mean 'base_lr'"]),
    (["--resume", "run_iter_9.solverstate"], ["no such file: run_iter_9.solverstate"]),
])
def test_a_mistake_is_one_message_and_status_1(folder, capsys, flags, words):
    """The user gets a sentence and never a traceback."""
    status, said = train(capsys, *flags)

    assert 1 == status
    assert "Traceback" not in said
    assert [] == [word for word in words if word not in said]


@pytest.mark.skipif(sys.platform == "win32", reason="signals are POSIX's")
def test_a_sigterm_stops_with_a_snapshot(folder):
    """A process that is told to end finishes its iteration, writes a snapshot, and exits with status 0."""
    run = subprocess.Popen([sys.executable, "-m", "minicaffe.cli", "train", "-solver", "solver.prototxt",
                            "--override=max_iter=100000000,snapshot=0"], stderr=subprocess.PIPE, text=True)
    for line in run.stderr:
        if "Iteration 2, Testing" in line:
            break
    run.send_signal(signal.SIGTERM)
    rest = run.communicate(timeout=60)[1]

    assert 0 == run.returncode, rest
    assert "Stopping after this iteration; SIGTERM again stops at once" in rest
    assert 1 == len(list(folder.glob("*.solverstate")))
    assert 0 == main(["train", "-solver", "solver.prototxt", "--resume=auto", "--iterations=1"])


@pytest.mark.skipif(sys.platform == "win32", reason="signals are POSIX's")
@pytest.mark.parametrize(("effect", "action"), [("stop", Action.STOP), ("snapshot", Action.SNAPSHOT),
                                                ("none", Action.NONE)])
def test_sigterm_effect(effect, action):
    """Each effect asks the solver for its action; after a stop the next SIGTERM ends the process."""
    class Solver:
        requested_action = None

    solver = Solver()
    before = signal.getsignal(signal.SIGTERM)
    with signals.watching(solver, "stop", "snapshot", effect):
        os.kill(os.getpid(), signal.SIGTERM)

        assert [action, Action.NONE] == [solver.requested_action(), solver.requested_action()]
        assert (effect == "stop") == (signal.getsignal(signal.SIGTERM) == signal.SIG_DFL)
    assert before == signal.getsignal(signal.SIGTERM)


@pytest.mark.skipif(sys.platform == "win32", reason="signals are POSIX's")
@pytest.mark.parametrize("effect", [Action.STOP, Action.SNAPSHOT, Action.NONE])
def test_sigusr1_effect(effect):
    """SIGUSR1, which would end the process, asks the solver for the action, however often it comes."""
    class Solver:
        requested_action = None

    solver = Solver()
    with signals.watching(solver, "stop", "snapshot", sigusr1_effect=effect.value):
        for _ in range(2):
            os.kill(os.getpid(), signal.SIGUSR1)
            assert [effect, Action.NONE] == [solver.requested_action(), solver.requested_action()]
    assert signal.getsignal(signal.SIGUSR1) == signal.SIG_DFL
