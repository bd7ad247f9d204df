"""Log lines of scripts: on stderr in Caffe's format, unless GLOG_minloglevel, init_log or the program forbids it."""

import logging
import re
import sys

import pytest

from minicaffe import pycaffe as caffe
from minicaffe.log import At, log, logger, warn
from minicaffe.pycaffe import stderr_log
from minicaffe.records import caffe_log

LINE = re.compile(r"^[IWEF]\d{4} \d\d:\d\d:\d\d\.\d{6} +\d+ [\w.]+:\d+\] ")
SOLVER = """
  base_lr: 0.5 lr_policy: "fixed" display: 1 max_iter: 3 snapshot_after_train: false train_net_param {
    layer { name: "x" type: "DummyData" top: "x" dummy_data_param { shape { dim: 2 dim: 3 } data_filler { value: 1 } } }
    layer { name: "y" type: "InnerProduct" bottom: "x" top: "y" loss_weight: 1
            inner_product_param { num_output: 1 weight_filler { value: 2 } } } }
"""


@pytest.fixture(autouse=True)
def as_in_a_script(monkeypatch):
    """The logger of a new process, which no test and no command has touched."""
    for name in ("GLOG_minloglevel", "GLOG_log_dir"):
        monkeypatch.delenv(name, raising=False)
    for name, value in (("asked", None), ("level", logging.NOTSET), ("warned", frozenset())):
        monkeypatch.setattr(stderr_log._Settings, name, value)
    monkeypatch.setattr(logger, "handlers", [])
    level, propagate = logger.level, logger.propagate
    logger.setLevel(logging.NOTSET)
    logger.propagate = True
    yield
    logger.setLevel(level)
    logger.propagate = propagate


def letters(capsys):
    """Write a line of each severity as a script does. Return the first letters of those that came to stderr."""
    caffe.log("a line of the script's own")
    warn(At.NET_DONE, "a warning")
    logger.error("an error")
    lines = capsys.readouterr().err.splitlines()
    assert all(LINE.match(line) for line in lines)
    return "".join(line[0] for line in lines)


@pytest.mark.parametrize(("level", "seen"), [(None, "IWE"), ("0", "IWE"), ("1", "WE"), ("2", "E"), ("3", ""), ("9", ""),
                                             ("-1", "IWE"), (" 2 ", "E")])
def test_the_environment_says_what_is_written(level, seen, capsys, monkeypatch):
    """Everything, if GLOG_minloglevel is not set."""
    if level is not None:
        monkeypatch.setenv("GLOG_minloglevel", level)

    assert letters(capsys) == seen


@pytest.mark.parametrize(("level", "seen"), [(None, "WE"), ("0", "IWE"), ("2", "E")])
def test_a_notebook(level, seen, capsys, monkeypatch):
    """Without GLOG_minloglevel the cells show warnings and errors, and `init_log(0)` asks for all lines."""
    monkeypatch.setattr(type(sys.stderr), "__module__", "ipykernel.iostream")
    if level is not None:
        monkeypatch.setenv("GLOG_minloglevel", level)

    assert letters(capsys) == seen
    caffe.init_log(0)
    assert letters(capsys) == "IWE"


def test_the_environment_is_read_anew(capsys, monkeypatch):
    """A script may set it between two nets."""
    assert letters(capsys) == "IWE"
    monkeypatch.setenv("GLOG_minloglevel", "2")
    assert letters(capsys) == "E"


@pytest.mark.parametrize(("arguments", "seen"), [((), "IWE"), ((1,), "WE"), ((0, True), "IWE"), ((0, False), "E"),
                                                 ((3, False), ""), ((7,), "")])
def test_init_log(arguments, seen, capsys, monkeypatch):
    """Its level wins over the environment. With stderr=False only errors are written, as with glog."""
    if arguments:
        monkeypatch.setenv("GLOG_minloglevel", "1" if arguments[0] == 0 else "0")
    caffe.init_log(*arguments)

    assert letters(capsys) == seen
    assert letters(capsys) == seen  # also when a further net has begun the log anew


def test_init_log_without_a_level_takes_the_environments(capsys, monkeypatch):
    """As glog does."""
    monkeypatch.setenv("GLOG_minloglevel", "1")
    caffe.init_log()

    assert letters(capsys) == "WE"


@pytest.mark.parametrize(("name", "value", "words"), [
    ("GLOG_minloglevel", "none", "GLOG_minloglevel is 'none', which is no whole number"),
    ("GLOG_log_dir", "logs", "GLOG_log_dir is 'logs', but no log files are written")])
def test_settings_without_effect(name, value, words, capsys, monkeypatch):
    """One warning for each."""
    monkeypatch.setenv(name, value)
    caffe.log("a")
    caffe.log("b")

    assert 1 == capsys.readouterr().err.count(words)


def test_a_text_of_many_lines(capsys):
    """The first has Caffe's head, the others stand below it, as Caffe's train.py prints its times."""
    caffe.log("\nforw 0\nback 0")
    head, *rest = capsys.readouterr().err.splitlines()

    assert re.fullmatch(LINE.pattern, head)
    assert "_caffe.cpp:68]" in head
    assert ["forw 0", "back 0"] == rest


def test_a_handler_of_the_programs_own(capsys, caplog):
    """It gets everything, and stderr nothing: so the command line shows each line once."""
    logger.addHandler(logging.NullHandler())
    caffe.log("a")
    warn(At.NET_DONE, "a warning")

    assert capsys.readouterr().err == ""
    assert ["a warning"] == [record.message for record in caplog.records]


def test_a_level_of_the_scripts_own_stays(capsys):
    """A script that sets the logger's level has said what it wants."""
    logger.setLevel(logging.ERROR)
    assert letters(capsys) == "E"


def test_pythons_logging_shows_no_line_twice(capsys):
    """A script that has set up Python's logging gets Caffe's lines alone."""
    root = logging.getLogger()
    handler = logging.StreamHandler(sys.stderr)
    root.addHandler(handler)
    try:
        assert letters(capsys) == "IWE"
    finally:
        root.removeHandler(handler)


def test_nothing_is_written_before_it_begins(capsys):
    """The library alone stays quiet."""
    log(At.NET_DONE, "a")
    assert capsys.readouterr().err == ""


def test_the_log_of_a_script_can_be_parsed(tmp_path, capsys):
    """What a script writes to stderr is a log of which tools draw curves.

    The loss is a sum over 2 rows, each of 3 weights and a bias. Every one of these falls by 0.5 · 2 in a step.
    """
    (tmp_path / "solver.prototxt").write_text(SOLVER)
    caffe.SGDSolver(str(tmp_path / "solver.prototxt")).solve()
    said = capsys.readouterr()
    events = list(caffe_log.events(iter(said.err.splitlines())))

    assert said.out == ""
    assert LINE.match(said.err)
    assert [12, 4, -4, -12] == [event["loss"] for event in events if "loss" in event]
    assert [0.5] * 3 == [event["rate"] for event in events if "rate" in event]


def test_a_net_begins_the_log(tmp_path, capsys):
    """Its lines are Caffe's."""
    (tmp_path / "net.prototxt").write_text('layer { name: "x" type: "Input" top: "x" }')
    caffe.Net(str(tmp_path / "net.prototxt"), caffe.TEST)

    assert "net.cpp:53] Initializing net from parameters:" in capsys.readouterr().err.splitlines()[0]


def test_a_solver_begins_the_log(tmp_path, capsys):
    """Its first line is that of Caffe's solver."""
    (tmp_path / "solver.prototxt").write_text(SOLVER)
    for make in (caffe.SGDSolver, caffe.get_solver):
        make(str(tmp_path / "solver.prototxt"))
        lines = capsys.readouterr().err.splitlines()
        assert "solver.cpp:45] Initializing solver from parameters:" in lines[1]
