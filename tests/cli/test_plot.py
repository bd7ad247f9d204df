"""`minicaffe plot`: what is read from logs of every kind, and the picture that is made of it."""

import json
import math
import xml.dom.minidom

import pytest
from extras import needs

from minicaffe.cli.__main__ import main
from minicaffe.errors import DataError
from minicaffe.records import curves, picture, run_log
from minicaffe.records.run_log import TOTAL, Run

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
    """Losses, rates and outputs of two test nets are read, with a NaN, a resume, and a line cut short."""
    (folder / "caffe.log").write_text(CAFFE)
    run = run_log.read("caffe.log")

    assert ("caffe.log", [(0, 2.31873), (50, 0.75)]) == (run.name, run.train[TOTAL])
    assert [(0, 2.3)] == run.train["loss"]
    assert [(0, 0.01), (50, 0.005)] == run.rate
    assert {"accuracy": [(0, 0.1), (60, 0.8)], "loss": [(0, 2.4)], "accuracy (test net 1)": [(0, 0.2)]} == run.test
    assert ([(0, 0.25)], [(0, 0.75)]) == (run.train["perclass[0]"], run.train["perclass[1]"])


def test_a_loss_that_is_no_number_is_kept_as_nan(folder):
    """A training which failed can be drawn, whatever its C library calls a NaN."""
    needs("matplotlib")
    (folder / "caffe.log").write_text(CAFFE.split("I20261122 10:54:30")[0])

    assert math.isnan(run_log.read("caffe.log").train[TOTAL][1][1])
    assert 0 == main(["plot", "caffe.log", "--out", "nan.png"])


def test_a_record_is_read_by_any_of_its_names(folder):
    """A run may be named by its folder, its prefix or its file; values in a list become curves of their own."""
    record(folder / "lenet.run" / "log.jsonl", [(0, 2.5), (10, "nan"), (20, 1.5)], [(0, [0.25, 0.5])])
    for name in ("lenet.run", "lenet", "lenet.run/log.jsonl"):
        run = run_log.read(name)
        assert "lenet" == run.name
        assert [(0, 2.5), (20, 1.5)] == [point for point in run.train["loss"] if point[1] == point[1]]
        assert {"accuracy[0]": [(0, 0.25)], "accuracy[1]": [(0, 0.5)]} == run.test


def test_a_loss_that_is_no_number_makes_no_curve(folder):
    """A list or a word where a number is due leaves no curve behind that has no points."""
    lines = [{"event": "train", "iteration": 1, "loss": ["x"], "outputs": {"y": "z"}},
             {"event": "train", "iteration": 2, "outputs": {"y": ["z"], "loss": 3}},
             {"event": "test", "iteration": 2, "outputs": {"accuracy": 0.5}}]
    (folder / "odd.jsonl").write_text("\n".join(map(json.dumps, lines)) + "\n")

    run = run_log.read("odd.jsonl")
    assert {} == run.train
    assert {"accuracy": [(2, 0.5)]} == run.test
    assert 0 == main(["plot", "odd.jsonl", "--out", "odd.svg"])


def test_a_record_that_a_crash_cut_short(folder):
    """A line cut short is left out alone, and a resumed part replaces what it repeats."""
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
    """A missing file, a file of another kind and a folder of runs each get one sentence."""
    (folder / "words.txt").write_text("Iteration of words\n")
    (folder / "above" / "b.run").mkdir(parents=True)

    assert 1 == main(["plot", name])
    assert words in capsys.readouterr().err
    with pytest.raises(DataError):
        run_log.read("words.txt")


@pytest.mark.parametrize(("form", "begins"), [("png", b"\x89PNG"), ("SVG", b"<?xml")])
def test_two_runs_make_one_picture(folder, capsys, form, begins):
    """Both kinds of logs are drawn, and the last values are printed."""
    needs("matplotlib")
    (folder / "caffe.log").write_text(CAFFE)
    record(folder / "ours.run" / "log.jsonl", [(0, 2.5), (70, 0.125)], [(70, 0.5)])

    assert 0 == main(["plot", "caffe.log", "ours", f"--out=both.{form}"])
    assert begins == (folder / f"both.{form}").read_bytes()[:len(begins)]
    printed = capsys.readouterr().out
    assert "ours: iteration 70, total loss 0.125, loss 0.125, test accuracy 0.5" in printed
    assert "caffe.log: iteration 60, total loss 0.75, loss 2.3, test accuracy 0.8" in printed


def test_every_curve_is_drawn(folder):
    """The SVG has a panel for each number, and a legend that tells the runs apart."""
    needs("matplotlib")
    runs = [run_log.Run("a", {"loss": [(0, 2.0), (5, 0.01)]}, {"accuracy": [(0, 0.5)]}, [(0, 0.1), (5, 0.01)]),
            run_log.Run("b", {"loss": [(0, 3.0), (5, 1.0)]}, {"loss": [(0, 3.5)]})]

    assert ["loss", "accuracy", "learning rate"] == curves.panels(runs)
    curves.draw("all.svg", runs)
    drawn = (folder / "all.svg").read_text()
    for words in ("a", "b", "train", "test", "accuracy", "learning rate", "iteration"):
        assert f"<!-- {words} -->" in drawn
    assert ["loss"] == curves.panels(runs[1:])  # a rate that never changes needs no panel


def test_pictures_of_other_kinds_and_no_matplotlib(folder, capsys, monkeypatch):
    """The message says which endings a picture may have, and how matplotlib is installed."""
    record(folder / "a.run" / "log.jsonl", [(0, 3)])
    assert 1 == main(["plot", "a", "--out", "a.gif"])
    assert "a picture is written as .png or .svg, not as a.gif" in capsys.readouterr().err
    monkeypatch.setattr(picture, "Figure", None)

    assert 1 == main(["plot", "a"])
    assert "pip install 'minicaffe[plot]'" in capsys.readouterr().err


def test_runs_of_one_name_are_told_apart(folder, capsys):
    """Two folders' runs of the same prefix are called by their paths."""
    needs("matplotlib")
    for parent in ("one", "two"):
        (folder / parent).mkdir()
        record(folder / parent / "lenet.run" / "log.jsonl", [(0, 3)])

    assert 0 == main(["plot", "one/lenet", "two/lenet"])
    assert ["one/lenet:", "two/lenet:"] == [line.split()[0] for line in capsys.readouterr().out.splitlines()[:2]]


def test_total_and_outputs_keep_their_names(folder, capsys):
    """A net with two losses has three curves of training; a net with one loss has one, for the total repeats it."""
    needs("matplotlib")
    two = [{"event": "train", "iteration": i, "loss": 3.0, "outputs": {"loss": 2.0, "loss2": 1.0}} for i in (0, 10)]
    two += [{"event": "test", "iteration": 0, "net": 0, "outputs": {"loss": 2.5, "total loss": 7}}]
    (folder / "two.jsonl").write_text("\n".join(map(json.dumps, two)))
    record(folder / "one.run" / "log.jsonl", [(0, 2.5), (70, 0.125)])

    run = run_log.read("two.jsonl")
    assert {TOTAL: [(0, 3), (10, 3)], "loss": [(0, 2), (10, 2)], "loss2": [(0, 1), (10, 1)]} == run.train
    assert {"loss": [(0, 2.5)], "total loss (blob)": [(0, 7)]} == run.test
    assert [TOTAL, "loss", "total loss (blob)", "loss2"] == curves.panels(curves.without_repeats([run]))
    assert {"loss": [(0, 2.5), (70, 0.125)]} == curves.without_repeats([run_log.read("one")])[0].train
    assert run.train == curves.without_repeats([run, run_log.read("one")])[0].train
    assert 0 == main(["plot", "one"])
    assert "one: iteration 70, loss 0.125; the log shows no test\n" in capsys.readouterr().out


def test_a_loss_of_any_name_is_a_training_loss(folder, capsys):
    """Where the net's only loss is called otherwise, its last value is said, and no loss is missing."""
    needs("matplotlib")
    event = {"event": "train", "iteration": 10, "loss": 3.0, "outputs": {"(automatic)": 3.0}}
    (folder / "log.jsonl").write_text(json.dumps(event))

    assert 0 == main(["plot", "log.jsonl"])
    assert "iteration 10, (automatic) 3; the log shows no test and no learning rate\n" in capsys.readouterr().out


def test_a_failed_run_shows_it(folder, capsys):
    """The picture marks the iteration, and the words quote the message; a run that went on has not failed."""
    needs("matplotlib")
    path = folder / "a.run" / "log.jsonl"
    record(path, [(0, 3), (10, 2)])
    end = {"event": "end", "iteration": 17, "reason": "error", "message": "a value is not finite\nmore"}
    path.write_text(path.read_text() + json.dumps(end) + "\n")

    assert (17, "a value is not finite\nmore") == run_log.read("a").failure
    assert 0 == main(["plot", "a", "--out", "a.svg"])
    assert "; failed at iteration 17: a value is not finite; the log shows no test\n" in capsys.readouterr().out
    assert "<!-- failed -->" in (folder / "a.svg").read_text()
    curves.draw("two.svg", [run_log.read("a"), Run("b", {"loss": [(0, 1)]})])
    assert "<!-- a (failed at 17) -->" in (folder / "two.svg").read_text()
    path.write_text(path.read_text() + json.dumps({"event": "train", "iteration": 20, "loss": 1}) + "\n")
    assert run_log.read("a").failure is None


def test_a_lonely_point_is_a_dot(folder):
    """A point without a neighbour is drawn as a dot, since no line leads to it."""
    needs("matplotlib")
    axes = picture.figure((2, 2)).subplots()
    curves._line(axes, [(0, 1), (1, 2), (2, math.nan), (3, 4), (4, math.inf)])
    curves._line(axes, [(0, 1)])
    curves._line(axes, [(0, 1), (1, 2)])

    assert [[3], [0], None] == [line.get_markevery() for line in axes.lines]
    assert ["o", "o", "None"] == [line.get_marker() for line in axes.lines]


@pytest.mark.parametrize("count", [16, 100])
def test_many_runs_have_their_legend_below_the_panels(folder, count):
    """The names of many runs stand outside all axes, and take no room from them."""
    needs("matplotlib")
    figure = picture.figure((5, 3))
    axes = figure.subplots()
    curves._legend_below(figure, axes, [Run(f"_run {k}", {"loss": [(0, 1)]}) for k in range(count)], 5)
    figure.canvas.draw()

    assert axes.get_legend() is None
    assert [f"_run {k}" for k in range(count)] == [text.get_text() for text in figure.legends[0].get_texts()]
    assert not figure.legends[0].get_window_extent().overlaps(axes.get_window_extent())
    assert 2 * figure.dpi < axes.get_window_extent().height < 3 * figure.dpi


@pytest.mark.parametrize("form", ["png", "svg"])
def test_hostile_names_and_numbers_are_drawn(folder, form):
    """Names that look like formulas, break lines or are very long, and the largest and smallest numbers."""
    needs("matplotlib")
    names = (r"$\frac{$", "a\nb\x1b[31m", "\u6f22" + "x" * 5000, "--", "_", "<&>")
    heights = (1.7e308, -1.7e308, 5e-324, 0, math.inf, 1e300)
    runs = [Run(name, {name: [(10 ** 17 * i, y) for i, y in enumerate(heights)]}, {name: [(0, 1e308), (1, 1e-308)]})
            for name in names]

    assert 0 == curves.draw(f"odd.{form}", runs)
    assert 0 == curves.draw(f"odd.{form}", runs[:1])
    if form == "svg":
        xml.dom.minidom.parse("odd.svg")
        assert "\x1b" not in (folder / "odd.svg").read_text()


def test_what_has_no_room_in_a_picture_is_counted(folder, capsys):
    """Of more curves than panels, the number that is left out is said."""
    needs("matplotlib")
    outputs = {f"o{k}": 1 for k in range(20)}
    (folder / "log.jsonl").write_text(json.dumps({"event": "test", "iteration": 0, "net": 0, "outputs": outputs}))

    assert 0 == main(["plot", "log.jsonl"])
    assert "curves in curves.png; there is no room in it for 8 more of them\n" in capsys.readouterr().out
