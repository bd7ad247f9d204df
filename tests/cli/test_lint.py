"""minicaffe lint: its output for people and programs, its exit status, and what it says of a rule."""

import json

import pytest
from net_tools import fully_connected, layer

from minicaffe import lint
from minicaffe.cli.__main__ import main

DATA = ('layer { name: "d" type: "DummyData" top: "x" top: "label" dummy_data_param { shape { dim: 2 dim: 3 } '
        'shape { dim: 2 } data_filler { type: "gaussian" } data_filler { type: "constant" } } }\n')
NET = DATA + fully_connected("x", "f", 4) + layer("SoftmaxWithLoss", "f label", "loss")
SOLVER = 'net: "net.prototxt" base_lr: 0.1 lr_policy: "fixed" max_iter: 2 snapshot_prefix: "s"\n'


def run(*args, capsys):
    status = main(["lint", *args])
    return status, capsys.readouterr().out


def test_nothing_found(folder, capsys):
    """A solver and its net without a mistake give exit status 0 and one line."""
    assert (0, "no errors, no warnings and no notes in 2 files\n") == run("solver.prototxt", capsys=capsys)


def test_findings_and_status(folder, capsys):
    """A warning alone gives 0 and an error 1; both have file, line, rule, reason and cure."""
    (folder / "net.prototxt").write_text(NET.replace('"f" bottom: "label"', '"p" bottom: "label"').replace(
        "layer { name: \"loss\"", layer("Softmax", "f", "p") + 'layer { name: "loss"'))
    status, out = run("solver.prototxt", capsys=capsys)

    assert 0 == status
    assert "net.prototxt:4: warning: layer 'loss' (SoftmaxWithLoss) reads layer 'p' (Softmax)" in out
    assert "(softmax-twice)\n    cure: let the loss read 'f'" in out
    assert out.endswith("no errors, 1 warning and no notes in 2 files\n")
    assert 0 == run("--silence", "softmax-twice", "net.prototxt", capsys=capsys)[0]

    (folder / "net.prototxt").write_text(NET.replace("num_output: 4", "num_output: 1"))
    status, out = run("net.prototxt", capsys=capsys)
    assert 1 == status
    assert "net.prototxt:3: error: " in out
    assert 0 == run("net.prototxt", "--silence", "one-class", capsys=capsys)[0]


def test_json(folder, capsys):
    """Programs get the same findings with each part by its name."""
    (folder / "net.prototxt").write_text(NET.replace("num_output: 4", "num_output: 1"))
    status, out = run("--json", "solver.prototxt", capsys=capsys)
    report = json.loads(out)
    finding, = report["findings"]

    assert 1 == status
    assert ["net.prototxt", "solver.prototxt"] == report["files"]
    assert {"rule": "one-class", "severity": "error", "file": "net.prototxt", "line": 3, "layer": "loss"} == {
        key: finding[key] for key in ("rule", "severity", "file", "line", "layer")}
    assert finding["reason"]
    assert finding["cure"]


@pytest.mark.parametrize("columns", [40, 60])
def test_a_narrow_terminal(folder, capsys, monkeypatch, columns):
    """Every line fits, but for a word that is longer than the terminal is wide."""
    monkeypatch.setenv("COLUMNS", str(columns))
    (folder / "net.prototxt").write_text(NET.replace("num_output: 4", "num_output: 1"))
    for args in (["net.prototxt"], ["--explain", "all"], *(["--explain", rule] for rule in lint.rules())):
        out = run(*args, capsys=capsys)[1]
        assert [] == [line for line in out.split("\n") if len(line) > columns and " " in line.strip()]


def test_a_parse_error_shows_its_line(folder, capsys):
    """The line with the mistake and the mark below it stand under the message."""
    (folder / "bad.prototxt").write_text('layer { nmae: "x" }\n')
    status, out = run("bad.prototxt", "solver.prototxt", capsys=capsys)

    assert 1 == status
    assert "bad.prototxt:1:9: error: LayerParameter has no field 'nmae' (unreadable)\n" \
           '    layer { nmae: "x" }\n            ^\n' in out
    assert "did you mean 'name'" in out


@pytest.mark.parametrize("name", sorted(lint.rules()))
def test_each_rule_can_be_explained(capsys, name):
    """--explain gives the meaning, an example and the cure of every rule, which its docstring holds."""
    text = lint.explanation(name)
    status, out = run("--explain", name, capsys=capsys)

    assert 0 == status
    assert text.summary.endswith(".")
    assert text.example
    assert text.cure.endswith(".")
    assert all(word in out for word in [name, *text.cure.split()])


def test_all_rules_are_listed(capsys):
    """--explain all lists the rules, each with its sentence."""
    out = run("--explain", "all", capsys=capsys)[1]

    assert all(f"  {name} " in out for name in lint.rules())


@pytest.mark.parametrize(("args", "words"), [
    (["--explain", "softmax-twise"], "did you mean 'softmax-twice'"),
    (["net.prototxt", "--silence", "softmax-twise"], "did you mean 'softmax-twice'"),
    ([], "lint needs the names"),
])
def test_mistakes_of_the_user(folder, capsys, args, words):
    """A misspelt rule and no file are one message and status 1."""
    assert 1 == main(["lint", *args])
    assert words in capsys.readouterr().err


def test_a_missing_file(folder, capsys):
    """A file that is not there is a finding, with the name that was meant."""
    status, out = run("nett.prototxt", "solver.prototxt", capsys=capsys)

    assert 1 == status
    assert "nett.prototxt: error: no such file" in out
    assert "did you mean 'net.prototxt'" in out


def test_python_layers_are_not_run_without_leave(folder, capsys):
    """With --no-python the code of a net's Python layer is not run."""
    (folder / "spy.py").write_text("open('ran', 'w')\n")
    (folder / "net.prototxt").write_text(DATA + layer("Python", "x", "y", 'python_param { module: "spy" layer: "L" }'))
    status, out = run("--no-python", "net.prototxt", capsys=capsys)

    assert 1 == status
    assert "not allowed here" in out
    assert not (folder / "ran").exists()
