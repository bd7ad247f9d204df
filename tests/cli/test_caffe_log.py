"""Text logs of BVLC Caffe and its forks, with all that stands around their lines, read as curves."""

import json
import math

import pytest

from minicaffe.cli.__main__ import main
from minicaffe.records import run_log
from minicaffe.records.run_log import TOTAL

HEAD = "I1128 11:26:34.448113 30268 solver.cpp:239] "
LOG = [
    "Initializing solver from parameters:",
    "Iteration 0, Testing net (#0)",
    "    Test net output #0: accuracy = 0.1",
    "    Test net output #1: loss = 2.4 (* 1 = 2.4 loss)",
    "Iteration 0 (0 iter/s, 0.5s/20 iters), loss = 2.5",
    "    Train net output #0: loss = 2.25 (* 1 = 2.25 loss)",
    "Iteration 0, lr = 0.01",
    "Iteration 20 (40.1 iter/s, 0.5s/20 iters), loss = 1.5",
    "    Train net output #0: loss = 1.25 (* 1 = 1.25 loss)",
    "Iteration 20, lr = 0.001",
]
FOUND = ({TOTAL: [(0, 2.5), (20, 1.5)], "loss": [(0, 2.25), (20, 1.25)]}, {"accuracy": [(0, 0.1)], "loss": [(0, 2.4)]},
         [(0, 0.01), (20, 0.001)])


@pytest.fixture
def read(tmp_path):
    """A function that reads a log's text or bytes, and gives the curves of train, test and rate of its last run."""
    def runs(content):
        path = tmp_path / "caffe.log"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return run_log.read_all(path)

    def last(content):
        run = runs(content)[-1]
        return run.train, run.test, run.rate

    last.runs, last.path = runs, str(tmp_path / "caffe.log")
    return last


@pytest.mark.parametrize("before", [
    HEAD,
    "I20261128 11:26:34.448113 30268 solver.cpp:239] ",
    "I1128 11:26:34.448113 139872 solver.cpp:239 ] ",
    "I1128 solver.cpp:239] ",
    "",
    "    ",
    "train-1  | " + HEAD,
    "svc_1  | 2026-11-28T11:26:34.448Z " + HEAD,
    "2026-11-28T11:26:34.448113123Z " + HEAD,
    "2026-11-28T11:26:34.448113123Z stderr F " + HEAD,
    "Nov 28 11:26:34 host caffe[123]: " + HEAD,
    "[pod/caffe-0/train] " + HEAD,
    "\x1b[32m" + HEAD + "\x1b[0m\x1b]0;title\x07",
    "[1,0]<stderr>:" + HEAD,
    "| tee: " + HEAD.replace("I1128", "W1128"),
])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r\r\n", "\x1b[0m\r\n"])
def test_what_stands_around_the_lines_does_not_matter(read, before, end):
    """Dates of four and of eight digits, prefixes of containers and system logs, colours, and any line ends."""
    assert read("".join(before + line + end for line in LOG)) == FOUND


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-8-sig", "utf-8"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("name", ["accuracy", "Genauigkeit für 漢字"])
def test_encodings(read, encoding, end, name):
    """What PowerShell writes is read with its byte order mark and without, and so are names in other letters."""
    lines = "".join(HEAD + line.replace("accuracy", name) + end for line in LOG)
    train, test, rate = read(lines.encode(encoding))

    assert (train, rate) == (FOUND[0], FOUND[2])
    assert test == {name: [(0, 0.1)], "loss": [(0, 2.4)]}


def test_an_encoding_that_changes_midway(read):
    """One shell began the file and another went on with it; a loss of power left zeros in between."""
    lines = [HEAD + line + "\r\n" for line in LOG]
    begun, rest = "".join(lines[:6]), "".join(lines[6:])

    assert read(begun.encode("utf-16") + rest.encode()) == FOUND
    assert read(begun.encode() + rest.encode("utf-16")) == FOUND
    assert read(begun.encode() + b"\0" * 512 + rest.encode()) == FOUND


@pytest.mark.parametrize("wrap", [
    lambda line: {"log": line + "\n", "stream": "stderr", "time": "2026-11-28T11:26:34Z"},
    lambda line: {"MESSAGE": line, "_PID": "12"},
    lambda line: {"message": line, "level": 3},
])
def test_a_log_in_json_of_something_else(read, wrap):
    """Docker's files, journald's and cloud services' put each line into an object."""
    assert read("\n".join(json.dumps(wrap(HEAD + line)) for line in LOG)) == FOUND


@pytest.mark.parametrize(("line", "loss"), [
    ("Iteration 40, loss = 0.5", 0.5),
    ("Iteration 40 (592.544 iter/s, 0.168764s/100 iter), loss = 0.5", 0.5),
    ("Iteration 40 (1.2 iter/s, 0.8s/1 iters), 3.2/10ep, loss = 0.5", 0.5),
    ("[3] Iteration 40 (0 iter/s, 0s/20 iters), loss = 0.5, remaining 2 hours", 0.5),
    ("Iteration 40, smoothed_loss = 0.5", 0.5),
    ("Iteration 40, lr = 0.1, loss = 5e-1", 0.5),
    ("Iteration 40 (-4.14784e-43 iter/s, 0.027s/50 iters), loss = -nan(ind)", math.nan),
    ("Iteration 40, loss = nan", math.nan),
    ("Iteration 40, loss = 1.#INF", math.inf),
    ("Iteration 40, loss = -1.#INF", -math.inf),
    ("Iteration 40, loss = 1.#QNAN", math.nan),
    ("Iteration 40, loss = inf", math.inf),
])
def test_losses_of_forks_and_of_all_years(read, line, loss):
    """Rates in parentheses, other words between, and what C libraries call a number that is none."""
    train, _, _ = read(f"{HEAD}Iteration 20, loss = 1\n{HEAD}{line}\n")

    assert [(20, 1.0), (40, pytest.approx(loss, nan_ok=True))] == train[TOTAL]


def test_a_learning_rate_with_more_behind_it(read):
    """NVIDIA's line goes on with momentum and decay."""
    _, _, rate = read(f"{HEAD}Iteration 9, loss = 1\n{HEAD}Iteration 9, lr = 8.88916e-05, m = 0.9, wd = 0.0005, gs = 1")
    assert rate == [(9, 8.88916e-05)]


def test_a_log_of_the_first_year(read):
    """Scores have numbers instead of names, the rate comes first, and tests do not say their iteration."""
    train, test, rate = read("\n".join([
        "I1203 solver.cpp:84] Testing net", "I1203 solver.cpp:111] Test score #0: 0.1",
        "I1203 solver.cpp:204] Iteration 100, lr = 0.01", "I1203 solver.cpp:66] Iteration 100, loss = 0.25",
        "I0512 15:43:21.701407 13354 solver.cpp:183] valid test score #0: 0.9785",
        "I1203 solver.cpp:84] Testing net", "I1203 solver.cpp:111] Test score #0: 0.9785",
        "I1203 solver.cpp:111] Test score #1: 0.0606671"]))

    assert (train, rate) == ({TOTAL: [(100, 0.25)]}, [(100, 0.01)])
    assert test == {"score #0": [(0, 0.1), (100, 0.9785)], "score #1": [(100, 0.0606671)]}


def test_tests_of_several_nets_and_forks(read):
    """The loss of a test has the total's name, other nets a number, and lines of others in between do no harm."""
    _, test, _ = read("\n".join(HEAD + line for line in [
        "Iteration 5, Testing net (#0)", "Test loss: 0.75", "Ignoring source layer mbox_loss",
        "    Test net output #0: detection_eval = 0.152748", "Restarting data prefetching from start.",
        "    Test net output #1: per class = 0.5", "Waiting", "    Test net output #2: per class = 0.25",
        "Iteration 5, Testing net (#1)", "    Test net output #0: a = b = 0.5 (* 0.7 = 0.35 loss)"]))

    assert test == {TOTAL: [(5, 0.75)], "detection_eval": [(5, 0.152748)], "per class[0]": [(5, 0.5)],
                    "per class[1]": [(5, 0.25)], "a = b (test net 1)": [(5, 0.5)]}


def test_lines_that_several_processes_print(read):
    """What every rank of a training prints counts once."""
    twice = [HEAD + line for line in LOG for _ in range(2)]
    assert read("\n".join(twice)) == FOUND


def test_several_trainings_in_one_log(read, capsys):
    """Each has curves of its own; a resumed one goes on with those of the one before."""
    first = [HEAD + line for line in LOG]
    resumed = [HEAD + line for line in ("Initializing solver from parameters:", "Resuming from a_iter_10.solverstate",
                                        "Starting Optimization", "Iteration 10, loss = 1.75")]
    fresh = [HEAD + line for line in ("Initializing solver from parameters:", "Starting Optimization",
                                      "Iteration 30, loss = 0.5")]
    runs = read.runs("\n".join(first + resumed + fresh))

    assert [run.name for run in runs] == ["caffe.log (run 1)", "caffe.log (run 2)"]
    assert [run.train[TOTAL] for run in runs] == [[(0, 2.5), (10, 1.75)], [(30, 0.5)]]
    assert runs[1].test == {}
    shown = [line for line in LOG if "Init" not in line]  # of a log that somebody has cut down to its iterations
    assert [run.train for run in read.runs("\n".join(shown * 3))] == [FOUND[0]] * 3


@pytest.mark.parametrize("line", [
    "F1128 11:26:34.448113 30268 solver.cpp:239] Check failed: a == b (1 vs. 2)",
    "minicaffe: error: Check failed: a == b (1 vs. 2)",
    "svc_1 | E1128 11:26:34.448113 30268 caffe.cpp:239] Check failed: a == b (1 vs. 2)",
])
def test_a_failed_training(read, capsys, line):
    """A fatal line is the failure, at the last iteration; before the first it is what the error quotes."""
    (run,) = read.runs("\n".join([*LOG, line, "*** Check failure stack trace: ***"]))
    assert run.failure == (20, "Check failed: a == b (1 vs. 2)")

    with open(read.path, "w") as file:
        file.write(f"{LOG[0]}\n{line}\n")
    assert main(["plot", read.path]) == 1
    said = capsys.readouterr().err
    assert "the training failed before the first: Check failed: a == b (1 vs. 2)" in said


def test_a_file_without_curves_says_what_was_sought(read, capsys):
    """An empty file, and a log without display."""
    sought = "none of its lines says 'Iteration N, loss = X'"
    for content, words in ((b"", "this file is empty"), (b"\xff\xfe", "this file is empty"), (LOG[0].encode(), sought),
                           (b'{"event": "start", "iteration": 0}\n', "no loss and no test")):
        with open(read.path, "wb") as file:
            file.write(content)
        assert main(["plot", read.path]) == 1
        assert words in capsys.readouterr().err


def test_a_hostile_log_is_read_in_time(read):
    """Neither a line of millions of characters nor half-finished words keep the reader."""
    odd = "Iteration 1 loss" * 100_000 + "\n" + "Train net output #0: " + " = " * 300_000 + "\n{" + "[" * 100_000
    assert read("\n".join([*LOG[:-1], odd, LOG[-1]])) == FOUND
