"""`minicaffe fmt`: files, stdin, --check and --diff."""

import io
import os
import sys
from pathlib import Path

import pytest

from minicaffe.cli.__main__ import main
from minicaffe.io import prototxt
from minicaffe.proto import NetParameter

ROOT = Path(__file__).parents[2]
ROUGH, FINE = 'name:"n"  # schön\nlayer{\n}', 'name: "n"  # schön\nlayer {}\n'


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "net.prototxt").write_text(ROUGH, encoding="utf-8")
    (tmp_path / "solver.prototxt").write_text("base_lr: 0.1\n")
    return tmp_path


def test_files(folder, capsys):
    """What changes is rewritten and named; what is laid out already is not touched."""
    os.chmod("net.prototxt", 0o600)
    before = os.stat("solver.prototxt").st_mtime_ns

    assert 0 == main(["fmt", "net.prototxt", "solver.prototxt"])
    assert "formatted net.prototxt\n" == capsys.readouterr().out
    assert FINE == (folder / "net.prototxt").read_text(encoding="utf-8")
    assert (0o600, before) == (os.stat("net.prototxt").st_mode & 0o777, os.stat("solver.prototxt").st_mtime_ns)
    assert 0 == main(["fmt", "net.prototxt"])
    assert "" == capsys.readouterr().out


def test_check_and_diff(folder, capsys):
    """Both write nothing; --check says by its status whether something would change."""
    assert 1 == main(["fmt", "--check", "net.prototxt", "solver.prototxt"])
    assert "would format net.prototxt\n" == capsys.readouterr().out
    assert 0 == main(["fmt", "--check", "solver.prototxt"])
    assert 0 == main(["fmt", "--diff", "net.prototxt"])
    assert ['-name:"n"  # schön', '+name: "n"  # schön'] == [
        line for line in capsys.readouterr().out.splitlines() if "schön" in line]
    assert 1 == main(["fmt", "--diff", "--check", "net.prototxt"])
    assert ROUGH == (folder / "net.prototxt").read_text(encoding="utf-8")


def test_stdin_to_stdout(folder, capsysbinary, monkeypatch):
    """A minus is stdin; a mark of UTF-8 at its begin goes, for Caffe does not read one."""
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"\xef\xbb\xbf" + ROUGH.encode())))

    assert 0 == main(["fmt", "-"])
    assert FINE.encode() == capsysbinary.readouterr().out


@pytest.mark.parametrize(("name", "content", "words"), [
    ("bad.prototxt", b"name: 'a'\nlayer { nam: 'b' }", "bad.prototxt:2:9: LayerParameter has no field 'nam'"),
    ("bad.prototxt", b"base_lr: 0.1\nmax_itr: 3", "bad.prototxt:2:1: SolverParameter has no field 'max_itr'"),
    ("bad.prototxt", b"name: 'a'\n# sch\xf6n", "bad.prototxt:2: this text is not UTF-8"),
    ("net.yaml", b"name: a", "net.yaml: this is YAML, and fmt formats prototxts\n"
                             "  hint: minicaffe convert net.yaml net.prototxt"),
    ("missing.prototxt", None, "no such file: missing.prototxt"),
])
def test_an_error_leaves_all_files(name, content, words, folder, capsys):
    """One message with the place; the files before it are not written either."""
    if content is not None:
        (folder / name).write_bytes(content)

    assert 1 == main(["fmt", "net.prototxt", name])
    assert words in capsys.readouterr().err
    assert ROUGH == (folder / "net.prototxt").read_text(encoding="utf-8")


def test_closed_stdin(folder, capsys, monkeypatch):
    """Python has no stdin where it was started with `<&-`: one clear message."""
    monkeypatch.setattr(sys, "stdin", None)

    assert 1 == main(["fmt", "-"])
    assert "stdin is closed" in capsys.readouterr().err


def test_a_pipe_is_not_rewritten(folder, capsys):
    """Reading it would take the text out of it, and writing would wait for a reader: it is refused before both."""
    os.mkfifo("pipe")

    assert 1 == main(["fmt", "net.prototxt", "pipe"])
    assert "pipe: this is no ordinary file" in capsys.readouterr().err
    assert ROUGH == (folder / "net.prototxt").read_text(encoding="utf-8")


def test_a_link_to_nowhere(folder, capsys):
    """The message names what is missing; the link itself is there."""
    os.symlink("gone.prototxt", "link.prototxt")

    assert 1 == main(["fmt", "link.prototxt"])
    assert "link.prototxt is a link to a file that does not exist: gone.prototxt" in capsys.readouterr().err


@pytest.mark.parametrize("path", sorted(ROOT.glob("examples/**/*.prototxt")), ids=lambda path: path.name)
def test_the_examples(path, tmp_path, capsys):
    """Each is laid out once and for all, and says the same."""
    copy = tmp_path / path.name
    copy.write_bytes(path.read_bytes())

    assert 0 == main(["fmt", str(copy)])
    assert 0 == main(["fmt", "--check", str(copy)])
    if "solver" not in path.name:
        assert prototxt.read(path, NetParameter()) == prototxt.read(copy, NetParameter())
