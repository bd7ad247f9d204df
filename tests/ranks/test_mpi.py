"""The engine on MPI, on one machine; and what is said where there is no MPI."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from extras import AS_ROOT, mpirun

from minicaffe import kernels
from minicaffe.errors import EngineError
from minicaffe.ranks.mpi import MPIEngine

HERE = Path(__file__).parent


def run(ranks, *arguments, engine="numpy"):
    """Run the program on so many ranks, with this engine of kernels."""
    return subprocess.run([mpirun(), "--oversubscribe", "-n", str(ranks), sys.executable, HERE / "mpi_program.py",
                           *arguments], capture_output=True, text=True, timeout=60, check=False, env={
                               **os.environ, **AS_ROOT, "PYTHONPATH": str(HERE.parent), "MINICAFFE_ENGINE": engine})


@pytest.mark.slow
@pytest.mark.parametrize(("ranks", "engine"), [(2, kernels.available_engines()[-1]), (4, "numpy")])
def test_calls_and_sums(ranks, engine):
    """The calls of the engine, values of all kinds, and the gradients of several updates."""
    done = run(ranks, engine=engine)

    assert done.returncode == 0, done.stdout + done.stderr
    assert sorted(line for line in done.stdout.splitlines() if line.startswith("rank ")) == [
        f"rank {rank} of {ranks} has found all as it should be" for rank in range(ranks)]


@pytest.mark.slow
def test_abort():
    """A thread of one rank can end all ranks while they wait inside MPI."""
    done = run(2, "abort")

    assert done.returncode == 7, done.stdout + done.stderr


@pytest.mark.slow
def test_a_launcher_of_another_mpi():
    """A launcher that has started more processes than MPI sees is an error: each process would train alone."""
    done = run(2, "3")

    assert done.returncode == 1
    assert ("error: the launcher has started 3 processes, but the MPI library of mpi4py sees 2: the launcher belongs "
            "to another MPI library\n  hint: ") in done.stderr


def test_without_the_package(monkeypatch):
    """The error names the extra to install."""
    monkeypatch.setitem(sys.modules, "mpi4py", None)

    with pytest.raises(EngineError) as error:
        MPIEngine()
    assert str(error.value) == ("training by several processes needs the package 'mpi4py', which is not installed\n"
                                "  hint: pip install 'minicaffe[mpi]'")


@pytest.mark.parametrize("kind", [RuntimeError, ImportError])
def test_without_a_library(monkeypatch, tmp_path, kind):
    """mpi4py alone does not suffice, and the error says what is missing and what brings it."""
    (tmp_path / "mpi4py").mkdir()
    (tmp_path / "mpi4py" / "__init__.py").write_text("class rc: pass\n")
    (tmp_path / "mpi4py" / "MPI.py").write_text(
        f"raise {kind.__name__}('cannot load MPI library\\nlibmpi.so: no such file')\n")
    for name in [name for name in sys.modules if name.split(".")[0] == "mpi4py"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.syspath_prepend(str(tmp_path))

    with pytest.raises(EngineError) as error:
        MPIEngine()
    for name in ("mpi4py", "mpi4py.MPI"):
        sys.modules.pop(name, None)
    assert error.value.message == ("training by several processes needs an MPI library, and mpi4py has found none that "
                                   "works: cannot load MPI library")
    assert error.value.hint.startswith("pip install 'minicaffe[mpi]' brings Open MPI and its mpirun; ")
