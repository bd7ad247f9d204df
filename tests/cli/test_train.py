"""`minicaffe train`, `test` and `time` as a user types them, and the lines that they print."""

import io
import os
import re
import signal
import subprocess
import sys
import threading
import time
from types import SimpleNamespace

import numpy as np
import pytest
from extras import needs
from points import NET

from minicaffe.cli import progress, signals
from minicaffe.cli.__main__ import main
from minicaffe.io import solverstate
from minicaffe.io.binary import read_weights
from minicaffe.log import log, warn
from minicaffe.proto import SolverParameter
from minicaffe.records import glog
from minicaffe.solvers import Action

HEAD = re.compile(r"[IWEF]\d{4} \d\d:\d\d:\d\d\.\d{6} +\d+ [a-z_]+\.[ch]pp:\d+\] ")
SOLVER = """
net: "net.prototxt" base_lr: 0.05 lr_policy: "fixed" momentum: 0.9 max_iter: 4 display: 2
test_iter: 3 test_interval: 2 snapshot_prefix: "run" random_seed: 5 solver_mode: CPU
"""


def messages(captured):
    """'PLACE] MESSAGE' of each log line that a command wrote to stderr."""
    return [HEAD.sub(lambda m: m[0].split()[-1] + " ", line) for line in captured.err.splitlines() if HEAD.match(line)]


@pytest.mark.parametrize("flag", ["--solver=solver.prototxt", "-solver=solver.prototxt"])
def test_train_prints_caffes_lines_in_caffes_order(folder, capsys, flag):
    """A short training prints Caffe's lines, from the first to the last."""
    assert 0 == main(["train", flag])

    found = messages(capsys.readouterr())
    expected = [
        r"caffe.cpp:197\] Use CPU\.",
        r"solver.cpp:45\] Initializing solver from parameters: ",
        r"solver.cpp:102\] Creating training net from net file: net.prototxt",
        r"net.cpp:53\] Initializing net from parameters: ",
        r"layer_factory.hpp:77\] Creating layer data",
        r"net.cpp:257\] Network initialization done\.",
        r"solver.cpp:190\] Creating test net \(#0\) specified by net file: net.prototxt",
        r"solver.cpp:57\] Solver scaffolding done\.",
        r"caffe.cpp:239\] Starting Optimization",
        r"solver.cpp:289\] Solving points",
        r"solver.cpp:290\] Learning Rate Policy: fixed",
        r"solver.cpp:347\] Iteration 0, Testing net \(#0\)",
        r"solver.cpp:414\]     Test net output #0: loss = [\d.]+ \(\* 1 = [\d.]+ loss\)",
        r"solver.cpp:239\] Iteration 0 \([\d.]+ iter/s, [\d.e-]+s/2 iters\), loss = [\d.]+",
        r"solver.cpp:258\]     Train net output #0: loss = [\d.]+ \(\* 1 = [\d.]+ loss\)",
        r"sgd_solver.cpp:112\] Iteration 0, lr = 0.05",
        r"solver.cpp:239\] Iteration 2 \(.*",
        r"solver.cpp:464\] Snapshotting to binary proto file run_iter_4.caffemodel",
        r"sgd_solver.cpp:284\] Snapshotting solver state to binary proto file run_iter_4.solverstate",
        r"solver.cpp:327\] Iteration 4, loss = [\d.]+",
        r"solver.cpp:347\] Iteration 4, Testing net \(#0\)",
        r"solver.cpp:332\] Optimization Done\.",
        r"caffe.cpp:250\] Optimization Done\.",
    ]
    rest = iter(found)
    missing = [pattern for pattern in expected if not any(re.fullmatch(pattern, line) for line in rest)]
    assert [] == missing, "\n".join(found)


def test_train_goes_on_from_a_snapshot(folder, capsys):
    """--snapshot begins at the iteration of the state."""
    assert 0 == main(["train", "-solver", "solver.prototxt"])
    capsys.readouterr()
    assert 0 == main(["train", "-solver", "solver.prototxt", "-snapshot", "run_iter_4.solverstate",
                      "--iterations", "7"])

    found = messages(capsys.readouterr())
    assert "caffe.cpp:235] Resuming from run_iter_4.solverstate" in found
    assert [4, 6] == [int(line.split()[2]) for line in found if line.startswith("solver.cpp:239]")]
    assert 7 == solverstate.read("run_iter_7.solverstate").iter


def test_train_begins_with_given_weights(folder, capsys):
    """--weights replace the fillers, several files with commas, and say what was loaded."""
    assert 0 == main(["train", "-solver", "solver.prototxt"])
    (folder / "still.prototxt").write_text(SOLVER.replace("base_lr: 0.05", "base_lr: 0"))
    capsys.readouterr()
    assert 0 == main(["train", "-solver", "still.prototxt", "-iterations=1", "-weights",
                      "run_iter_4.caffemodel,run_iter_4.caffemodel"])

    found = messages(capsys.readouterr())
    assert "solver.cpp:72] Finetuning from run_iter_4.caffemodel" in found
    trained, kept = (read_weights(f"run_iter_{n}.caffemodel") for n in (4, 1))
    for mine, theirs in zip(kept, trained, strict=True):
        for a, b in zip(mine.blobs, theirs.blobs, strict=True):
            np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize(("fields", "flags", "words"), [
    ("solver_mode: GPU", [], "solver_mode: GPU is set, but minicaffe computes on the CPU"),
    ("device_id: 0", [], "device_id: 0 is set, but"),
    ("solver_mode: GPU device_id: 1", [], "solver_mode: GPU and device_id: 1 are set, but"),
    ("solver_mode: GPU", ["-gpu", "0"], "--gpu 0 and solver_mode: GPU are set, but"),
    ("solver_mode: CPU", ["-gpu", "all"], "--gpu all is set, but"),
])
def test_a_gpu_is_answered_with_one_notice(folder, capsys, fields, flags, words):
    """What asks for a GPU trains on the CPU after a single warning."""
    (folder / "gpu.prototxt").write_text(SOLVER.replace("solver_mode: CPU", fields))
    assert 0 == main(["train", "-solver", "gpu.prototxt", "-iterations", "1", *flags])

    warned = [line for line in capsys.readouterr().err.splitlines() if line.startswith("W")]
    assert 1 == len(warned)
    assert words in warned[0]


@pytest.mark.parametrize(("flags", "words"), [
    (["-solver", "solver.prototx"], ["no such file: solver.prototx", "did you mean 'solver.prototxt'"]),
    (["-solver", "solver.prototxt", "-snapshot", "a", "-weights", "b"], ["--snapshot", "--weights", "one of them"]),
    (["-solver", "solver.prototxt", "-snapshot", "net.prototxt"], ["net.prototxt: this is a prototxt"]),
    (["-solver", "solver.prototxt", "-weights", "none.caffemodel"], ["no such file: none.caffemodel"]),
    (["-solver", "typo.prototxt"], ["typo.prototxt:1", "base_lrr", "base_lr"]),
])
def test_a_mistake_is_one_message_and_status_1(folder, capsys, flags, words):
    """The user gets a sentence and never a traceback."""
    (folder / "typo.prototxt").write_text("base_lrr: 0.1")

    assert 1 == main(["train", *flags])
    error = capsys.readouterr().err
    assert "Traceback" not in error
    assert "minicaffe: error: " in error
    assert [] == [word for word in words if word not in error]


def test_test_prints_batches_and_means(folder, capsys):
    """The lines of a scored net are Caffe's, and the mean is that of the batches."""
    assert 0 == main(["train", "-solver", "solver.prototxt"])
    capsys.readouterr()
    assert 0 == main(["test", "--model=net.prototxt", "--weights", "run_iter_4.caffemodel", "-iterations", "3"])

    found = messages(capsys.readouterr())
    batches = [float(line.split()[-1]) for line in found if re.match(r"caffe.cpp:304\] Batch \d, loss = ", line)]
    assert 3 == len(batches)
    assert "caffe.cpp:281] Running for 3 iterations." in found
    final = re.fullmatch(r"caffe.cpp:321\] loss = ([\d.]+) \(\* 1 = ([\d.]+) loss\)", found[-1])
    assert final
    assert np.mean(batches) == pytest.approx(float(final[1]), rel=1e-4)
    assert f"caffe.cpp:309] Loss: {final[1]}" in found


@pytest.mark.parametrize("command", [["test", "--weights", "w"], ["time"]])
def test_iterations_must_be_positive(folder, capsys, command):
    """A number of passes below 1 is refused, and the message has the number."""
    assert 1 == main([*command, "--model", "net.prototxt", "--iterations", "0"])
    assert "--iterations must be at least 1, got 0" in capsys.readouterr().err


def test_time_prints_each_layer(folder, capsys):
    """The lines of the benchmark are Caffe's, for each layer forward and backward."""
    assert 0 == main(["time", "-model", "net.prototxt", "-iterations=2"])

    found = messages(capsys.readouterr())
    for name in ("data", "ip", "loss"):
        assert any(re.fullmatch(rf"caffe.cpp:400\] {name:>10}\tforward: [\d.e-]+ ms\.", line) for line in found)
        assert any(re.fullmatch(rf"caffe.cpp:403\] {name:>10}\tbackward: [\d.e-]+ ms\.", line) for line in found)
    assert "caffe.cpp:366] Testing for 2 iterations." in found
    assert ["408", "410", "412", "414", "415"] == [line[10:13] for line in found[-5:]]


def test_a_line_has_caffes_form():
    """Letter, date without a year, time, thread, place and message; only what stands below it has more lines."""
    stream = io.StringIO()
    with glog.writing(stream):
        log("net.cpp:53", "first \x1b[1m\nname", lambda: "second \x07\n")
        warn("solver.cpp:1", lambda: "careful")
    log("net.cpp:53", "nobody listens")

    lines = stream.getvalue().splitlines()
    assert [r"first \x1b[1m\nname", r"second \x07", "careful"] == [HEAD.sub("", line) for line in lines]
    assert "IW" == lines[0][0] + lines[2][0]
    assert str(threading.get_native_id()) == lines[0].split()[2]


@pytest.mark.parametrize(("effect", "first"), [("snapshot", Action.SNAPSHOT), ("none", Action.NONE)])
def test_signals_are_answered_once(effect, first):
    """A signal is noted, obeyed once, and then forgotten."""
    solver = SimpleNamespace()
    before = signal.getsignal(signal.SIGINT)
    with signals.watching(solver, effect, "stop"):
        assert Action.NONE is solver.requested_action()
        os.kill(os.getpid(), signal.SIGINT)
        assert [first, Action.NONE] == [solver.requested_action(), solver.requested_action()]
        os.kill(os.getpid(), signal.SIGHUP)
        assert [Action.STOP, Action.NONE] == [solver.requested_action(), solver.requested_action()]
    assert before is signal.getsignal(signal.SIGINT)


def test_a_second_interrupt_does_not_wait():
    """After a Ctrl-C that stops the training, the next one interrupts it at once."""
    solver = SimpleNamespace()
    with signals.watching(solver, "stop", "none"):
        os.kill(os.getpid(), signal.SIGINT)
        assert Action.STOP is solver.requested_action()
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)


def test_ctrl_c_leaves_a_snapshot_and_status_0(folder):
    """A running command finishes its iteration, writes a snapshot and ends well."""
    (folder / "long.prototxt").write_text(SOLVER.replace("max_iter: 4", "max_iter: 100000000"))
    run = subprocess.Popen([sys.executable, "-m", "minicaffe.cli", "train", "-solver", "long.prototxt"],
                           stderr=subprocess.PIPE, text=True)
    try:
        for line in run.stderr:
            if "solver.cpp:239] Iteration 2" in line:
                break
        run.send_signal(signal.SIGINT)
        output = run.communicate(timeout=60)[1]
    finally:
        run.kill()
        run.wait()

    assert 0 == run.returncode, output
    assert "Optimization stopped early." in output
    (state,) = folder.glob("run_iter_*.solverstate")
    assert f"run_iter_{solverstate.read(state).iter}" == state.stem


def test_a_terminal_gets_a_bar():
    """The bar has iterations, loss, learning rate and speed, and the tests are printed above it."""
    rich_console = needs("rich.console")
    stream = io.StringIO()
    bar = progress.Bar(rich_console.Console(file=stream, force_terminal=True, width=160))
    net = SimpleNamespace(bottoms=[[]], tops=[[SimpleNamespace(num_axes=2, shape=(6, 3))]])
    solver = SimpleNamespace(param=SolverParameter(max_iter=9, iter_size=2, shards=4), iter=0, net=net, on_update=[],
                             smoothed_loss=0.0, rate=0.05)
    with glog.listening(bar.handler), bar.following(solver):
        for iteration in range(1, 10):
            solver.iter, solver.smoothed_loss = iteration, 1 / iteration
            (update,) = solver.on_update
            update()
        log("solver.cpp:414", "    Test net output #0: accuracy = 0.75")
        log("net.cpp:86", "Creating Layer nobody reads live")
        time.sleep(0.01)

    shown = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", stream.getvalue())
    assert "9/9" in shown
    assert "loss 0.1111  lr 0.05" in shown
    assert "images/s" in shown
    assert "accuracy = 0.75" in shown
    assert "nobody reads live" not in shown
    assert [] == solver.on_update
    assert 6 * 2 * 4 == progress.images_per_update(solver)


def test_strict_refuses_weights_that_lack_a_layer(folder, capsys):
    """--strict refuses what --weights alone takes, with the table, and wants --weights."""
    assert main(["train", "--solver=solver.prototxt", "--no-record"]) == 0
    (folder / "net.prototxt").write_text(NET.replace('name: "ip"', 'name: "other"'))
    flags = ["train", "--solver=solver.prototxt", "--weights=run_iter_4.caffemodel", "--no-record"]
    capsys.readouterr()
    assert main([*flags, "--strict"]) == 1

    said = capsys.readouterr().err
    assert "do not fit the net exactly, which strict demands" in said
    assert "only in the net" in said
    assert main(flags) == 0
    assert main(["train", "--solver=solver.prototxt", "--strict"]) == 1
    assert "--strict is about the files of --weights" in capsys.readouterr().err


NOT_UTF8 = os.fsdecode(b"b\xffd")


@pytest.mark.parametrize(("command", "words"), [
    (["train", "--solver=solver.prototxt", "--level=99999999999"], "--level: expects a whole number from -2147483648"),
    (["train", "--solver=solver.prototxt", "--level=1.5"], "--level: expects a whole number"),
    (["train", "--solver=solver.prototxt", "--iterations=-99999999999"], "--iterations: expects a whole number"),
    (["test", "--model=net.prototxt", "--weights=w", "--level=99999999999"], "--level: expects a whole number"),
    (["show", "net.prototxt", "--level=99999999999"], "--level: expects a whole number"),
    (["summary", "net.prototxt", "--level=-99999999999"], "--level: expects a whole number"),
    (["time", "--model=net.prototxt", "--level=99999999999"], "--level: expects a whole number"),
    (["demo", "--iterations=99999999999"], "--iterations: expects a whole number"),
    (["train", "--solver=solver.prototxt", f"--stage={NOT_UTF8}"], "--stage: expects UTF-8, got 'b"),
    (["train", "--solver=solver.prototxt", f"--weights={NOT_UTF8}"], "--weights: expects UTF-8"),
    (["show", "net.prototxt", f"--stage={NOT_UTF8}"], "--stage: expects UTF-8"),
])
def test_a_flag_that_no_field_holds_is_refused(folder, capsys, command, words):
    """Numbers beyond 32 bits and texts that are not UTF-8 are one clean message and status 1."""
    with pytest.raises(SystemExit) as exit:
        main(command)

    assert 1 == exit.value.code
    assert words in capsys.readouterr().err


def test_a_solver_under_a_path_that_is_not_utf8(folder, capsys):
    """With a snapshot_prefix it trains and writes its run folder; without one the error asks for one."""
    try:
        (folder / NOT_UTF8).mkdir()
    except OSError:
        pytest.skip("this file system takes only UTF-8")
    solver = folder / NOT_UTF8 / "solver.prototxt"

    def train(*flags):
        run = subprocess.run([sys.executable, "-m", "minicaffe.cli", "train", f"--solver={solver}", *flags],
                             capture_output=True, text=True)
        return run.returncode, run.stderr

    solver.write_text(SOLVER)
    assert 0 == train("--iterations=2")[0]
    for path in folder.glob("run_iter_2.*"):
        path.rename(folder / NOT_UTF8 / path.name)
    assert 0 == train(f"--snapshot={folder / NOT_UTF8 / 'run_iter_2.solverstate'}")[0]
    assert "\\udcffd" in (folder / "run.run" / "train.log").read_text()
    solver.write_text(SOLVER.replace('snapshot_prefix: "run"', ""))
    status, said = train()
    assert 1 == status
    assert "snapshot_prefix follows from the path of the solver, which is not UTF-8" in said
    assert "hint: write a snapshot_prefix into the solver" in said
    assert "Traceback" not in said
