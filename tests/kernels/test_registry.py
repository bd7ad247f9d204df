"""Kernels by name, and which implementation of them runs."""

import inspect
import logging
import os
import pydoc
import re
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from extras import needs

from minicaffe import kernels
from minicaffe.cli.__main__ import main
from minicaffe.errors import EngineError
from minicaffe.kernels import registry, timekeeping

ROOT = Path(__file__).parent.parent.parent


def test_every_kernel_is_an_attribute():
    """Each kernel is found by its name in `kernels`, and completion shows it."""
    assert all(getattr(kernels, name) is made for name, made in kernels.kernels().items())
    assert set(kernels.kernels()) < set(dir(kernels))
    assert sorted(kernels.__all__) == dir(kernels)


def test_a_kernel_tells_what_it_takes():
    """help() shows a kernel's arguments and docstring, and editors find its source."""
    shown = pydoc.plain(pydoc.render_doc(kernels.correlate))

    assert "<kernel correlate(x: " in shown
    assert "out[n, k, o] = b[k] + Σ w[k, c, i]" in shown
    assert list(inspect.signature(kernels.im2col).parameters) == ["x", "stride", "pad", "dilation", "out"]
    assert Path(inspect.getsourcefile(kernels.im2col.definition)).parts[-2:] == ("definitions", "im2col.py")


@pytest.mark.slow
def test_a_wrong_call_is_a_type_error(tmp_path):
    """mypy refuses a misspelt kernel, a missing argument, one of another type and one of another name."""
    needs("mypy")
    calls = {"kernels.tanh(x, out=x)": None,
             "kernels.tanhh(x, x)": 'Module has no attribute "tanhh"',
             "kernels.tanh(x)": 'Missing positional argument "out"',
             "kernels.tanh(x, 'y')": 'Argument 2 to "__call__" of "Kernel" has incompatible type "str"',
             "kernels.clip(x, 0.0, 1.0, outt=x)": 'Unexpected keyword argument "outt"'}
    lines = ["import numpy as np", "from minicaffe import kernels", "x = np.zeros(3)", *calls]
    (tmp_path / "layer.py").write_text("\n".join(lines) + "\n")
    run = subprocess.run([sys.executable, "-m", "mypy", "--cache-dir=cache", "layer.py"], cwd=tmp_path, timeout=240,
                         env={**os.environ, "MYPYPATH": str(ROOT)}, capture_output=True, text=True)
    errors = dict(re.findall(r"^layer.py:(\d+): error: (.*)", run.stdout, re.MULTILINE))

    assert len(errors) == sum(reason is not None for reason in calls.values()), run.stdout + run.stderr
    for number, line in enumerate(lines, 1):
        assert (calls.get(line) or "") in errors.get(str(number), ""), line


def test_a_kernel_that_does_not_exist():
    """A misspelt kernel is an AttributeError, not a kernel that fails when it is called."""
    with pytest.raises(AttributeError, match="has no attribute 'im3col'"):
        kernels.im3col  # noqa: B018


def test_plain_runs_the_definitions():
    """On the engine plain, each kernel runs its definition."""
    kernels.use_engine("plain")

    assert kernels.engine() == "plain"
    assert all(k.active.__wrapped__ is k.definition for k in kernels.kernels().values())


@pytest.mark.parametrize("engine", ["numpy", "numba"])
def test_an_engine_runs_its_own_implementations(engine):
    """An engine runs its own implementation of a kernel, else that of the nearest slower engine."""
    if engine == "numba":
        needs("numba")
    kernels.use_engine(engine)

    assert kernels.im2col.active is kernels.im2col.implementations[engine]
    assert kernels.lstm_unit.active is kernels.lstm_unit.implementations["numpy"]
    assert kernels.scatter_add.active is kernels.scatter_add.implementations["plain"]


def test_auto_is_the_fastest_installed():
    """The engine auto is the last one that is available."""
    assert kernels.use_engine("auto") == kernels.available_engines()[-1]


def test_the_environment_chooses(monkeypatch):
    """MINICAFFE_ENGINE chooses the engine if no code has chosen one."""
    monkeypatch.setenv("MINICAFFE_ENGINE", "numpy")
    monkeypatch.setattr(registry, "_engine", "")

    assert kernels.engine() == "numpy"


def test_an_unknown_engine():
    """An unknown engine is an error with the known ones and the nearest."""
    with pytest.raises(EngineError, match=r"no engine 'numbe'; known are auto, plain, numpy, numba\n.*'numba'"):
        kernels.use_engine("numbe")


def test_an_engine_that_is_not_installed(monkeypatch):
    """An engine whose library is missing is an error with the command that installs it."""
    monkeypatch.setitem(registry.ENGINES, "numba",
                        registry.Engine("minicaffe.kernels.numba_engine", "no_such_library", "fast"))
    with pytest.raises(EngineError, match=r"pip install 'minicaffe\[fast\]'"):
        kernels.use_engine("numba")


@pytest.mark.parametrize("engine", kernels.available_engines())
def test_arguments_by_name(engine, monkeypatch):
    """Every engine takes the names of the definition, and says which arguments are missing."""
    monkeypatch.setattr(registry, "PIECE", 4)
    x = np.arange(-6, 6, dtype=np.float32).reshape(4, 3)
    for name, more in (("relu", {"alpha": 0.5, "positive": None}), ("clip", {"a": -2.0, "b": 3.0})):
        run, by_position, by_name = kernels.kernels()[name].on(engine), np.empty_like(x), np.empty_like(x)
        run(x, *more.values(), by_position)
        run(out=by_name, **more, x=x)

        np.testing.assert_array_equal(by_position, by_name)
        with pytest.raises(TypeError, match="missing"):
            run()


def test_a_name_is_taken_once():
    """Two kernels of one name are an error."""
    with pytest.raises(EngineError, match="the kernel 'im2col' is defined twice"):
        registry.kernel(kernels.im2col.definition)


def test_compiled_tasks_see_float32_alone():
    """The next slower engine computes if the first array is not float32, or any array is float64."""
    made, f, d, i = registry.Kernel(lambda *arrays, **more: "plain"), *(np.zeros(2, kind) for kind in "fdi")
    made.implementation("numba", recordable=True)(lambda *arrays, **more: "numba")

    assert ["numba"] * 3 == [made.implementations["numba"](*a) for a in ((f,), (3, None, f, i), ([d], f))]
    assert ["plain"] * 4 == [made.implementations["numba"](*a) for a in ((d,), (f, d), (i, f), (2.5, i))]
    made.implementation("numpy")(lambda *arrays, **more: "numpy")
    assert made.implementations["numba"](d) == "numpy"


def test_a_kernel_over_images_sees_slices_of_all_arrays(monkeypatch):
    """Each piece of a kernel over images gets the same images of every array, and the other arguments whole."""
    monkeypatch.setattr(registry, "PIECE", 10)
    monkeypatch.setattr(registry, "MOST_PIECES", 16)

    def double(x, factor, y):
        y[...] = x * factor
        sizes.append(len(x))

    sizes = []
    made = registry.Kernel(lambda x, factor, y: None)
    made.implementation("numpy", over_images=True)(double)
    x, y = np.arange(105.0).reshape(7, 5, 3), np.zeros((7, 5, 3))
    made.on("numpy")(x, 2, y)

    np.testing.assert_array_equal(2 * x, y)
    assert sorted(sizes) == [1] * 7


@pytest.fixture
def broken(tmp_path, monkeypatch):
    """A function that makes an engine 'broken', the fastest, whose library raises what is given when it is imported."""
    def make(statement):
        package = tmp_path / "broken_engine"
        package.mkdir()
        (package / "__init__.py").write_text("")
        (package / "kernels.py").write_text(f"import sys\n{statement}\n")
        monkeypatch.syspath_prepend(tmp_path)
        monkeypatch.setattr(registry, "ENGINES", {"plain": registry.ENGINES["plain"],
                                                  "numpy": registry.ENGINES["numpy"],
                                                  "broken": registry.Engine("broken_engine", "json", "fast")})
        monkeypatch.setattr(registry, "_faults", {})
        monkeypatch.setattr(registry, "_warned", set())
        monkeypatch.setattr(registry, "_engine", "")
        monkeypatch.delenv("MINICAFFE_ENGINE", raising=False)

    yield make
    for name in [name for name in sys.modules if name.startswith("broken_engine")]:
        del sys.modules[name]


@pytest.mark.parametrize(("statement", "reason"), [
    ("raise ImportError('Numba needs NumPy 2.3 or less.\\n Got 2.4.')", r"Numba needs NumPy 2.3 or less.\n Got 2.4."),
    ("raise OSError('libllvmlite.so: cannot open shared object file')", "libllvmlite.so: cannot open"),
    ("sys.no_such_name", "module 'sys' has no attribute 'no_such_name'"),
    ("raise SystemError", "SystemError"),
])
def test_a_library_that_does_not_work(broken, monkeypatch, caplog, capsys, statement, reason):
    """auto takes the next engine with one warning that quotes the reason; asked for by name it is one error."""
    broken(statement)

    assert kernels.engine() == "numpy"
    assert kernels.use_engine("auto") == "numpy"
    assert [(record.levelname, reason in record.message) for record in caplog.records] == [("WARNING", True)]
    with pytest.raises(EngineError, match="the engine 'broken' cannot be used: json is installed, but does not work"):
        kernels.use_engine("broken")
    assert main(["engines"]) == 0
    assert f"  json   does not work: {reason}" in capsys.readouterr().out
    monkeypatch.setenv("MINICAFFE_ENGINE", "broken")
    monkeypatch.setattr(registry, "_engine", "")
    assert main(["engines"]) == 1
    assert capsys.readouterr().err.startswith("minicaffe: error: the engine 'broken' cannot be used")


@pytest.mark.parametrize("how", ["numba", "llvmlite", "NUMBA_DISABLE_JIT"])
def test_a_numba_that_does_not_work(tmp_path, how):
    """A numba that cannot be imported, one whose llvmlite cannot, and one that may not compile: numpy computes."""
    needs("numba")
    env = {**os.environ, "MINICAFFE_ENGINE": ""}
    if how == "NUMBA_DISABLE_JIT":
        env[how] = "1"
    else:
        (tmp_path / how).mkdir()
        (tmp_path / how / "__init__.py").write_text("raise ImportError('it needs another NumPy')")
        env["PYTHONPATH"] = str(tmp_path)
    run = subprocess.run([sys.executable, "-m", "minicaffe.cli", "engines"], env=env, capture_output=True, text=True,
                         timeout=120)

    reason = "NUMBA_DISABLE_JIT is set" if how == "NUMBA_DISABLE_JIT" else "it needs another NumPy"
    assert run.returncode == 0
    assert run.stderr.count(reason) == len(run.stderr.splitlines()) == 1
    plain, numpy, numba = run.stdout.splitlines()[1:4]
    assert re.fullmatch(r"plain  .*  numpy  available", plain)
    assert re.fullmatch(r"numpy  .*  numpy  in use", numpy)
    assert re.fullmatch(rf"numba  .*  numba  does not work: {reason}.*", numba)


def test_compiling_is_announced_once_and_left_out_of_the_clock(caplog, monkeypatch):
    """The first compilation is announced, and the clock of all rates stands still while it lasts."""
    numba = needs("numba")
    kernels.use_engine("numba")
    monkeypatch.setattr(timekeeping, "_announced", False)
    caplog.set_level(logging.INFO, "minicaffe")
    functions = [numba.njit(lambda x, k=k: x + k) for k in range(2)]
    clock, wall = kernels.clock(), time.perf_counter()
    for function in functions:
        assert function(1.0) >= 1
    clock, wall = kernels.clock() - clock, time.perf_counter() - wall

    assert [record.message for record in caplog.records] == [
        "compiling the fast kernels, once; minicaffe warm does it ahead"]
    assert clock < wall / 2
    caplog.clear()
    assert functions[0](2.0) == 2
    assert not caplog.records


def test_a_clock_that_stands_still():
    """Times that overlap count once, and the clock runs again after the last has ended."""
    with timekeeping.standing_still():
        began = kernels.clock()
        with timekeeping.standing_still():
            time.sleep(0.001)
        assert kernels.clock() == began
    assert began <= kernels.clock()
    time.sleep(0.001)
    assert kernels.clock() > began
