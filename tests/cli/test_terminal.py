"""What is printed on terminals and pipes of every encoding. No name in a file may control the terminal."""

import ast
import contextlib
import io
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml
from extras import needs

from minicaffe.cli import progress, terminal
from minicaffe.cli.__main__ import main
from minicaffe.io import prototxt, weights
from minicaffe.io.binary import LayerWeights
from minicaffe.log import one_line, visible
from minicaffe.proto import NetParameter, SolverParameter
from minicaffe.proto import text as proto_text
from minicaffe.records import facts

EVIL = r"a\nINJECTED \x1b[31m\x1b]0;t\x07\r\u202e"  # in a prototxt's string
NET = """
name: "EVIL net"
layer { name: "EVIL d" type: "DummyData" top: "EVIL x" top: "EVIL t"
        dummy_data_param { shape { dim: 4 dim: 3 } data_filler { type: "gaussian" } } }
layer { name: "EVIL ip" type: "InnerProduct" bottom: "EVIL x" top: "EVIL y" param { name: "EVIL w" }
        inner_product_param { num_output: 3 weight_filler { type: "xavier" } } }
layer { name: "EVIL ip2" type: "InnerProduct" bottom: "EVIL y" top: "EVIL z" param { name: "EVIL w" }
        inner_product_param { num_output: 3 weight_filler { type: "xavier" } } }
layer { name: "EVIL relu" type: "ReLU" bottom: "EVIL z" top: "EVIL z" }
layer { name: "EVIL loss" type: "EuclideanLoss" bottom: "EVIL z" bottom: "EVIL t" top: "EVIL loss" }
layer { name: "EVIL out" type: "Reduction" bottom: "EVIL y" top: "EVIL out" exclude { stage: "EVIL stage" } }
""".replace("EVIL", EVIL)
SOLVER = """
net: "net.prototxt" base_lr: 0.01 lr_policy: "fixed" max_iter: 2 display: 1 test_iter: 1 test_interval: 1
snapshot_prefix: "s" random_seed: 1 debug_info: true
"""
WRONG = [
    NET.replace('"ReLU"', f'"{EVIL} type"'),
    NET.replace(f'bottom: "{EVIL} y" top: "{EVIL} z"', f'bottom: "{EVIL} q" top: "z"'),
    NET.replace("num_output: 3", "num_output: 0"), NET.replace("num_output: 3", "num_output: 4", 1),
    NET.replace('type: "xavier"', f'type: "{EVIL}"'), NET.replace(f'top: "{EVIL} x"', f'top: "{EVIL} t"'),
    NET.replace(f'"{EVIL} out" exclude', f'"{EVIL} z" exclude'), NET.replace('"Reduction"', '"Python"'),
    NET.replace('type: "Reduction"', f'type: "Python" python_param {{ module: "{EVIL}" layer: "{EVIL}" }}'),
    NET.replace('type: "DummyData"', f'type: "ImageData" image_data_param {{ source: "{EVIL}" batch_size: 1 }}'),
    NET + f'layer {{ name: "{EVIL}" {EVIL}: 3 }}', NET + f"layer {{ {EVIL.replace(chr(92), '')} }}",
    NET.replace('type: "ReLU"', 'type: "ReLU" lrn_param { }'), NET.replace("EuclideanLoss", "SoftmaxWithLoss"),
]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder with a net whose every name is hostile."""
    (tmp_path / "net.prototxt").write_text(NET)
    (tmp_path / "solver.prototxt").write_text(SOLVER)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def harmless(text):
    """Check that a text holds no control characters but its line ends, and no line that a name began."""
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202e]", text), text
    assert not re.search(r"^\W*INJECTED", text, re.MULTILINE), text


def test_control_characters_become_words():
    """Escapes for what moves a cursor or turns letters around; other letters stay as they are."""
    assert visible("a\x1b[1m\r\x7f\x9b\u202e\ud800\n\té漢🎉") == \
        "a\\x1b[1m\\r\\x7f\\u009b\\u202e\\ud800\n\té漢🎉"
    assert one_line("a\nb\tc\u2028") == r"a\nb\tc\u2028"


def test_names_are_harmless_wherever_they_are_printed(folder, capsys):
    """Training, its record, snapshots, tests, tables and pictures of a net whose every name is hostile."""
    for argv in ("train --solver solver.prototxt",
                 "test --model net.prototxt --weights s_iter_2.caffemodel --iterations 1",
                 "time --model net.prototxt --iterations 1", "show net.prototxt", "summary net.prototxt --weights",
                 "weights s_iter_2.caffemodel", "weights s_iter_2.caffemodel --diff s_iter_2.caffemodel",
                 "convert s_iter_2.caffemodel w.npz --model net.prototxt", "convert net.prototxt net.yaml"):
        assert main(argv.split()) == 0, capsys.readouterr().err
        said = capsys.readouterr()
        assert "INJECTED" in said.out + said.err or "convert" in argv
        harmless(said.out)
        harmless(said.err)
    for name in ("train.log", "log.jsonl"):
        with open(f"s.run/{name}", encoding="utf-8") as file:
            text = file.read()
        assert "INJECTED" in text
        harmless(text)
    needs("matplotlib")
    assert main(["plot", "s", "--out", "s.svg"]) == 0
    harmless(capsys.readouterr().out)


@pytest.mark.parametrize("number", range(len(WRONG)))
@pytest.mark.parametrize("command", ["train --solver solver.prototxt", "summary net.prototxt"])
def test_names_are_harmless_in_errors(folder, capsys, number, command):
    """Errors of every kind of definition that is wrong and hostile."""
    (folder / "net.prototxt").write_text(WRONG[number])
    status = main(command.split())
    said = capsys.readouterr()
    assert status == 1 or command.startswith("summary")
    harmless(said.err)
    harmless(said.out)


@pytest.mark.parametrize("argv", [["weights", "\x1b[1m\n\x07"], ["\x1b[1m"], ["train", "--\x1b[1m"],
                                  ["plot", "\x1b[1m"], ["show", "net.prototxt", "--after", "\x1b[1m"],
                                  ["layers", "\x1b[1m"], ["weights", os.fsdecode(b"\xff\xfe")]])
def test_what_a_user_gives_is_shown_visibly(folder, capsys, argv):
    """Commands, flags and paths are quoted in errors, never obeyed."""
    with pytest.raises(SystemExit) if "--\x1b[1m" in argv else contextlib.nullcontext():
        assert main(argv) == 1
    assert "\x1b" not in capsys.readouterr().err


NO_LOCALE = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
ENCODINGS = [NO_LOCALE, *(pytest.param({"PYTHONIOENCODING": name}, marks=pytest.mark.slow)
                          for name in ("cp1252", "latin-1", "ascii"))]


@pytest.mark.parametrize("env", ENCODINGS, ids=lambda env: next(iter(env.values())))
def test_every_command_prints_in_every_encoding(folder, env):
    """Signs that an encoding lacks get stand-ins; letters of names are escaped; nothing ends in a traceback."""
    (folder / "net.prototxt").write_text(NET.replace("INJECTED", "σ漢×🎉"), encoding="utf-8")
    weights.write("w.npz", [LayerWeights("σ漢×🎉", "", [np.ones(3, np.float32)])])
    commands = ["layers", "layers SigmoidCrossEntropyLoss", "summary net.prototxt", "show net.prototxt",
                "weights w.npz", "weights w.npz --diff w.npz", "train --solver solver.prototxt",
                "plot s --out s.svg", "engines", "time --model net.prototxt --iterations 1",
                "convert net.prototxt net.yaml", "--help", "train --help", "weights none.σ", "layers σ"]
    code = "import sys\nfrom minicaffe.cli.__main__ import main\n" \
           "for line in sys.stdin.buffer.read().decode().splitlines():\n" \
           "    try: print(main(line.split()))\n" \
           "    except SystemExit as end: print(end.code)\n"
    run = subprocess.run([sys.executable, "-c", code], input="\n".join(commands).encode(), capture_output=True,
                         env={**os.environ, "MINICAFFE_ENGINE": "numpy", **env}, timeout=300)

    said = run.stderr.decode("latin-1")
    assert run.returncode == 0, said
    assert "Traceback" not in said
    assert "\\u6f22" in said
    assert "there is no layer type 'sigma'" in said
    if "cp1252" not in env.values() and "latin-1" not in env.values():
        assert b"p = sigma(x) = 1 / (1 + exp(-x))" in run.stdout
        assert all(byte < 128 for byte in run.stdout + run.stderr)


@pytest.mark.skipif(sys.platform in ("darwin", "win32"), reason="names of files are UTF-8 there whatever the locale")
def test_a_path_that_the_locale_has_no_letters_for(folder):
    """Where files cannot be called so, as under LC_ALL=C without UTF-8, each command says so and names the cure."""
    data = 'layer { name: "d" type: "%s" top: "d" top: "l" %s { source: "é.txt" batch_size: 2 } }'
    (folder / "h.prototxt").write_text(data % ("HDF5Data", "hdf5_data_param"), encoding="utf-8")
    (folder / "i.prototxt").write_text(data % ("ImageData", "image_data_param"), encoding="utf-8")
    (folder / "s.prototxt").write_text('net: "net.prototxt" base_lr: 0.1 lr_policy: "fixed" max_iter: 1 '
                                         'snapshot_prefix: "é"', encoding="utf-8")
    for command in ("time --model h.prototxt", "time --model i.prototxt", "train --solver s.prototxt"):
        run = subprocess.run([sys.executable, "-m", "minicaffe.cli", *command.split()], capture_output=True,
                             env={**os.environ, **NO_LOCALE}, timeout=300)
        said = run.stderr.decode("ascii")
        assert run.returncode == 1, said
        assert "Traceback" not in said
        assert "hint: set LC_ALL=C.UTF-8 or PYTHONUTF8=1" in said


def test_yaml_that_is_written_shows_no_control_characters(folder):
    """What would reorder a terminal's letters stands as an escape in definitions and in run.yaml; others stay."""
    for name in ("σ漢", "σ\u202e", "\x1b[1m\x9b", "a\n\u2066b"):
        net = NetParameter(name=name)
        prototxt.write("named.yaml", net)
        shown = (folder / "named.yaml").read_text(encoding="utf-8")
        assert shown == visible(shown)
        assert ("σ漢" in shown) == (name == "σ漢")
        assert net == prototxt.read("named.yaml", NetParameter())
        written = facts._yaml({"net": name}, letters=False)
        assert written == visible(written)
        assert {"net": name} == yaml.safe_load(written)


def test_show_keeps_names_exactly(folder, tmp_path):
    """Where an encoding lacks a letter of a name, the prototxt that show prints has an escape that reads back."""
    (folder / "net.prototxt").write_text('name: "σ×漢"\n', encoding="utf-8")
    run = subprocess.run([sys.executable, "-m", "minicaffe.cli", "show", "net.prototxt"], capture_output=True,
                         timeout=60, env={**os.environ, "PYTHONIOENCODING": "cp1252"})
    assert proto_text.parse(run.stdout.decode("ascii"), NetParameter()).name == "σ×漢"


def test_every_sign_that_we_print_has_a_stand_in():
    """The datasheets, the fields' comments and the samples, in ASCII, hold no escapes."""
    from minicaffe.cli import layers

    terminal.prepare()
    for name in layers.registered_types():
        page = layers.page(name).encode("ascii", terminal.ERRORS).decode("ascii")
        assert not re.search(r"\\u[0-9a-f]{4}", page), page


def test_the_bar_in_ascii(capsys):
    """The progress bar and what stands above it."""
    needs("rich")
    import rich.console

    terminal.prepare()
    stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii", errors=terminal.ERRORS)
    bar = progress.Bar(rich.console.Console(file=stream, force_terminal=True, width=100))
    solver = type("Solver", (), {"net": type("Net", (), {"bottoms": [], "tops": []}), "iter": 1, "smoothed_loss": 1.0,
                                 "rate": 0.1, "on_update": [], "param": SolverParameter(max_iter=4)})
    with bar.following(solver):
        solver.on_update[0]()
    stream.flush()
    assert b"1/4" in stream.buffer.getvalue()


def test_nothing_else_prints():
    """Commands print through say and complain, so that no name gets past them; Caffe's programs have a say of theirs.

    The runner prints its usage, and one line behind the traceback of a script.
    """
    package = Path(terminal.__file__).parent.parent
    texts = {path: path.read_text(encoding="utf-8") for path in package.rglob("*.py")
             if path.name not in ("terminal.py", "command_line.py", "runner.py")}
    found = [str(path) for path, text in texts.items() if re.search(r"\bprint\s*\(", text)
             for node in ast.walk(ast.parse(text))
             if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "print"]

    assert [] == found
