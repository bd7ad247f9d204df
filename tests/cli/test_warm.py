"""`minicaffe warm`: that nothing is left to compile after it, and what it says."""

import os
import subprocess
import sys

import pytest
from extras import needs
from net_tools import TRAINABLE

from minicaffe import kernels
from minicaffe.cli import warm
from minicaffe.cli.__main__ import main
from minicaffe.kernels import registry, shards

LEFT = """
from minicaffe import Net, kernels
kernels.use_engine("numba")
from minicaffe.cli import warm
from minicaffe.kernels.numba_engine.compiled import functions
from minicaffe.kernels.numba_engine.task import tasks
warm.compile_all("numba")
print([t.name for t in tasks if not t.is_compiled])
before = [len(f.signatures) for f in functions]
net = Net("net.prototxt")
net.forward()
net.backward()
print([f.py_func.__qualname__ for f, count in zip(functions, before) if len(f.signatures) > count])
"""


@pytest.fixture(autouse=True)
def as_before(monkeypatch):
    """The engine, the threads, and no variable that says otherwise."""
    before = kernels.engine()
    monkeypatch.setattr(shards, "_threads", shards._threads)
    yield
    kernels.use_engine(before)


def test_every_other_implementation_has_arguments():
    """Each implementation that no recording can hold has its small arguments in cli/warm.py."""
    needs("numba")
    kernels.use_engine("numba")
    assert set(warm.CALLS) == {name for name, made in kernels.kernels().items()
                               if "numba" in made.implementations and "numba" not in made.recordable}


def test_the_arguments_are_what_a_kernel_takes():
    """The numpy engine takes the same arguments, so they are of the shapes that the kernel takes."""
    needs("numba")
    for name, calls in warm.CALLS.items():
        made = 0
        for arguments in calls():
            kernels.kernels()[name].on("numpy")(*arguments)
            made += 1
        assert made, name


@pytest.mark.slow
def test_nothing_is_left_to_compile(tmp_path):
    """After compile_all nothing is left to compile, neither a task nor what a net needs."""
    needs("numba")
    (tmp_path / "net.prototxt").write_text(TRAINABLE)
    run = subprocess.run([sys.executable, "-c", LEFT], capture_output=True, text=True, cwd=tmp_path, timeout=300)
    assert "[]\n[]\n" == run.stdout, run.stderr


def test_what_it_says(tmp_path, capsys, monkeypatch):
    """It prints the time, also of the net, how much was compiled before, and the folder of the cache."""
    needs("numba")
    kernels.use_engine("numba")
    compiled = []
    monkeypatch.setattr(warm, "compile_all", compiled.append)  # test_nothing_is_left_to_compile does it in earnest
    (tmp_path / "net.prototxt").write_text(TRAINABLE)
    assert 0 == main(["warm", str(tmp_path / "net.prototxt"), "--threads", "2"])

    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("engine numba: all kernels compiled in ")
    assert lines[1].startswith(f"{tmp_path}/net.prototxt: one pass forward and backward in ")
    assert lines[2].endswith(" already in the cache")
    assert os.path.isdir(lines[3].removeprefix("cache: "))
    assert 4 == len(lines)
    assert ["numba"] == compiled


def test_no_folder_for_the_cache(monkeypatch, capsys):
    """Kernels compile where no folder may be written to, and the user is told so."""
    needs("numba")
    kernels.use_engine("numba")
    from minicaffe.kernels.numba_engine import compiled

    real = compiled.njit

    def refusing(cache=False, **options):
        if cache:
            raise RuntimeError("cannot cache function: no locator available")
        return real(**options)

    monkeypatch.setattr(compiled, "functions", [])
    monkeypatch.setattr(compiled, "njit", refusing)
    twice = compiled.compiled(lambda x: 2 * x)
    assert 14 == twice(7)
    monkeypatch.setattr(warm, "compile_all", lambda engine: None)

    assert 0 == main(["warm"])
    assert capsys.readouterr().out.endswith(f" already in the cache\n{warm.NO_PLACE}\n")


@pytest.mark.parametrize("name", ["plain", "numpy"])
def test_an_engine_that_compiles_nothing(name, capsys):
    """An engine that compiles nothing has nothing to warm, and the command says so."""
    kernels.use_engine(name)
    assert 0 == main(["warm"])
    assert capsys.readouterr().out.startswith(f"engine {name}: there is nothing to warm, for it compiles nothing\n")


def test_without_the_engine_that_compiles(capsys, monkeypatch):
    """With the folder of the engine numba deleted, the command says that there is nothing to compile, and why."""
    kernels.use_engine("numpy")
    with monkeypatch.context() as patch:
        patch.setitem(registry.ENGINES, "numba", registry.Engine("minicaffe.kernels.no_such_folder", "numpy", "fast"))
        assert 0 == main(["warm"])
    assert capsys.readouterr().out == ("engine numpy: there is nothing to warm, for it compiles nothing\n"
                                       "the engine 'numba', which compiles, is not part of this installation\n")


def test_a_net_that_is_not_there(capsys):
    """A wrong path is one clean message."""
    needs("numba")
    kernels.use_engine("numba")
    assert 1 == main(["warm", "no.prototxt"])
    assert "minicaffe: error: no such file: no.prototxt" in capsys.readouterr().err
