"""`minicaffe plot`: what is read from logs of every kind, and the picture that is made of it."""

import json
import math

import pytest
from extras import needs

from minicaffe.cli import curves, picture, run_log
from minicaffe.cli.__main__ import main
from minicaffe.errors import DataError

CAFFE = """\
I20261122 10:54:28.593068 30268 solver.cpp:45] Initializing solver from parameters:
base_lr: 0.01
I20261122 10:54:28.627476 30268 solver.cpp:347] Iteration 0, Testing net (#0)
I20261122 10:54:28.627476 30268 solver.cpp:414]     Test net output #0: accuracy = 0.1
I20261122 10:54:28.627476 30268 solver.cpp:414]     Test net output #1: loss = 2.4 (* 1 = 2.4 loss)
I20261122 10:54:28.627476 30268 solver.cpp:347] Iteration 0, Testing net (#1)
I20261122 10:54:28.627476 30268 solver.cpp:414]     Test net output #0: accuracy = 0.2
I20261122 10:54:28.627476 30268 solver.cpp:239] Iteration 0 (-4.14784e-43 iter/s, 0.027s/50 iters), loss = 2.31873
I20261122 10:54:28.627500 30268 solver.cpp:258]     Train net output #0: loss = 2.3 (* 1 = 2.3 loss)
I20261122 10:54:28.627500 30268 solver.cpp:258]     Train net output #1: perclass = 0.25
I20261122 10:54:28.627500 30268 solver.cpp:258]     Train net output #2: perclass = 0.75
I20261122 10:54:28.627520 30268 sgd_solver.cpp:112] Iteration 0, lr = 0.01
I0101 10:54:29.698309 30268 solver.cpp:239] Iteration 50, loss = -nan(ind)
I0101 10:54:29.698309 30268 sgd_solver.cpp:112] Iteration 50, lr = 5e-05
I20261122 10:54:30.698309 30268 solver.cpp:239] Iteration 100 (1 iter/s), loss = 0.5
I20261122 10:54:30.698309 30268 caffe.cpp:235] Resuming from lenet_iter_50.solverstate
I20261122 10:54:31.698309 30268 solver.cpp:239] Iteration 50 (1 iter/s), loss = 0.75
I20261122 10:54:31.698309 30268 sgd_solver.cpp:112] Iteration 50, lr = 0.005
I20261122 10:54:32.698309 30268 solver.cpp:347] Iteration 60, Testing net (#0)
I20261122 10:54:32.698309 30268 solver.cpp:414]     Test net output #0: accuracy = 0.8
I20261122 10:54:32.698309 30268 solver.cpp:414]     Test net output #1: lo"""


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """A folder to work in."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def record(path, losses, accuracy=()):
    """Write a log.jsonl."""
    path.parent.mkdir(exist_ok=True)
    events = [{"event": "train", "iteration": i, "loss": loss, "rate": 0.1, "outputs": {"loss": loss}}
              for i, loss in losses]
    events += [{"event": "test", "iteration": i, "net": 0, "outputs": {"accuracy": value}} for i, value in accuracy]
    path.write_text("".join(json.dumps(event) + "\n" for event in events))


def test_a_log_of_caffes_is_read(folder):
    """this test shows losses, rates and outputs of two test nets, a NaN, a resume, and a line cut short."""
    (folder / "caffe.log").write_text(CAFFE)
    run = run_log.read("caffe.log")

    assert ("caffe.log", [(0, 2.31873), (50, 0.75)]) == (run.name, run.train["loss"])
    assert [(0, 0.01), (50, 0.005)] == run.rate
    assert {"accuracy": [(0, 0.1), (60, 0.8)], "loss": [(0, 2.4)], "accuracy (test net 1)": [(0, 0.2)]} == run.test
    assert ([(0, 0.25)], [(0, 0.75)]) == (run.train["perclass[0]"], run.train["perclass[1]"])


def test_a_loss_that_is_no_number_is_kept_as_nan(folder):
    """this test shows that a training which failed can be drawn, whatever its C library calls a NaN."""
    needs("matplotlib")
    (folder / "caffe.log").write_text(CAFFE.split("I20261122 10:54:30")[0])

    assert math.isnan(run_log.read("caffe.log").train["loss"][1][1])
    assert 0 == main(["plot", "caffe.log", "--out", "nan.png"])


def test_a_record_is_read_by_any_of_its_names(folder):
    """this test shows that folder, prefix and file name the same run, and that lists make curves of their own."""
    record(folder / "lenet.run" / "log.jsonl", [(0, 2.5), (10, "nan"), (20, 1.5)], [(0, [0.25, 0.5])])
    for name in ("lenet.run", "lenet", "lenet.run/log.jsonl"):
        run = run_log.read(name)
        assert "lenet" == run.name
        assert [(0, 2.5), (20, 1.5)] == [point for point in run.train["loss"] if point[1] == point[1]]
        assert {"accuracy[0]": [(0, 0.25)], "accuracy[1]": [(0, 0.5)]} == run.test


def test_a_record_that_a_crash_cut_short(folder):
    """this test shows that half a line costs that line alone, and that a resumed part replaces what it repeats."""
    path = folder / "a.run" / "log.jsonl"
    record(path, [(0, 3), (10, 2), (20, 1)])
    lines = path.read_text().splitlines()
    odd = ["[1]", '{"event": 3}', "[" * 100_000, lines[1].replace("10", "1e400"), lines[1].replace("10", "9" * 30)]
    path.write_text("\n".join([*lines[:2], lines[2][:25], lines[1].replace("2", "1.75"), *odd]))

    assert [(0, 3), (10, 1.75)] == run_log.read(path).train["loss"]


@pytest.mark.parametrize(("name", "words"), [
    ("none.log", "no such file: none.log"),
    ("words.txt", "words.txt: no loss and no test stands in this file"),
    ("above", "did you mean above/b.run?"),
])
def test_what_is_no_log_is_refused(folder, capsys, name, words):
    """this test shows one sentence for a missing file, another file, and a folder of runs."""
    (folder / "words.txt").write_text("Iteration of words\n")
    (folder / "above" / "b.run").mkdir(parents=True)

    assert 1 == main(["plot", name])
    assert words in capsys.readouterr().err
    with pytest.raises(DataError):
        run_log.read("words.txt")


@pytest.mark.parametrize(("form", "begins"), [("png", b"\x89PNG"), ("SVG", b"<?xml")])
def test_two_runs_make_one_picture(folder, capsys, form, begins):
    """this test shows a picture of both kinds of logs, and the last values in words."""
    needs("matplotlib")
    (folder / "caffe.log").write_text(CAFFE)
    record(folder / "ours.run" / "log.jsonl", [(0, 2.5), (70, 0.125)], [(70, 0.5)])

    assert 0 == main(["plot", "caffe.log", "ours", f"--out=both.{form}"])
    assert begins == (folder / f"both.{form}").read_bytes()[:len(begins)]
    printed = capsys.readouterr().out
    assert "ours: iteration 70, loss 0.125, test accuracy 0.5" in printed
    assert "caffe.log: iteration 60, loss 0.75, test accuracy 0.8" in printed


def test_every_curve_is_drawn(folder):
    """this test shows, from the SVG, a panel for each number and a legend that tells the runs apart."""
    needs("matplotlib")
    runs = [run_log.Run("a", {"loss": [(0, 2.0), (5, 0.01)]}, {"accuracy": [(0, 0.5)]}, [(0, 0.1), (5, 0.01)]),
            run_log.Run("b", {"loss": [(0, 3.0), (5, 1.0)]}, {"loss": [(0, 3.5)]})]

    assert ["loss", "accuracy", "learning rate"] == curves.panels(runs)
    curves.draw("all.svg", runs)
    drawn = (folder / "all.svg").read_text()
    for words in ("a, train", "b, train", "b, test", "a, test", "accuracy", "learning rate", "iteration"):
        assert f"<!-- {words} -->" in drawn
    assert ["loss"] == curves.panels(runs[1:])  # a rate that never changes needs no panel


def test_pictures_of_other_kinds_and_no_matplotlib(folder, capsys, monkeypatch):
    """this test shows which endings a picture may have, and that the extra is named."""
    record(folder / "a.run" / "log.jsonl", [(0, 3)])
    assert 1 == main(["plot", "a", "--out", "a.gif"])
    assert "a picture is written as .png or .svg, not as a.gif" in capsys.readouterr().err
    monkeypatch.setattr(picture, "Figure", None)

    assert 1 == main(["plot", "a"])
    assert "pip install 'minicaffe[plot]'" in capsys.readouterr().err


def test_runs_of_one_name_are_told_apart(folder, capsys):
    """this test shows that two folders' runs of the same prefix are called by their paths."""
    needs("matplotlib")
    for parent in ("one", "two"):
        (folder / parent).mkdir()
        record(folder / parent / "lenet.run" / "log.jsonl", [(0, 3)])

    assert 0 == main(["plot", "one/lenet", "two/lenet"])
    assert ["one/lenet:", "two/lenet:"] == [line.split()[0] for line in capsys.readouterr().out.splitlines()[:2]]
