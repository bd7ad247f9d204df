"""`minicaffe engines`: what each engine is, whether it can be used, and which kernels it implements."""

import pytest

from minicaffe import kernels
from minicaffe.cli.__main__ import main
from minicaffe.cli.engines import WHAT
from minicaffe.kernels import registry


@pytest.fixture(autouse=True)
def as_before():
    """The engine that was in use before the test is in use after it."""
    before = kernels.engine()
    yield
    kernels.use_engine(before)


def test_every_engine_is_said_to_be_something():
    """No engine lacks its phrase, and no phrase lacks its engine."""
    assert set(registry.ENGINES) == set(WHAT)


def test_the_lists(capsys):
    """An engine has a line with its phrase, its library and its state; a kernel has its engines, the slowest first."""
    kernels.use_engine("plain")
    assert main(["engines"]) == 0
    lines = [" ".join(line.split()) for line in capsys.readouterr().out.split("\n")]

    assert f"plain {WHAT['plain']} numpy in use" in lines
    assert f"numpy {WHAT['numpy']} numpy available" in lines
    assert lines[lines.index("kernel engines") + 1:-1] == [
        f"{name} {', '.join(engine for engine in registry.ENGINES if engine in kernel.implementations)}"
        for name, kernel in sorted(kernels.kernels().items())]


def test_a_narrow_terminal(capsys, monkeypatch):
    """Where the columns do not fit, what an engine needs and its state stand below its name and its phrase."""
    monkeypatch.setenv("COLUMNS", "60")
    kernels.use_engine("numpy")
    assert main(["engines"]) == 0

    printed = capsys.readouterr().out
    assert printed.startswith(f"plain  {WHAT['plain']}\n    needs numpy, state available\n"
                              f"numpy  {WHAT['numpy']}\n    needs numpy, state in use\n")
    assert max(map(len, printed.splitlines())) <= 60
