"""One process needs no MPI, and several without mpi4py are one clear error."""


import noisy
import pytest
from jobs import ALONE, Job, train

pytestmark = pytest.mark.slow
SHOW = "import atexit, sys\nfrom pathlib import Path\natexit.register(lambda: Path('modules').write_text(" \
       "' '.join(sys.modules)))\n"
BLOCK = "raise ModuleNotFoundError(\"No module named 'mpi4py'\", name='mpi4py')\n"


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with the data, a module that lists what was imported, and in `blocked` an mpi4py that is not there."""
    folder = tmp_path_factory.mktemp("without")
    noisy.write(folder)
    (folder / "show.py").write_text(SHOW)
    (folder / "blocked").mkdir()
    (folder / "blocked" / "mpi4py.py").write_text(BLOCK)
    return folder


def test_one_rank_is_as_no_mpirun(place):
    """The bits are the same, and nothing of MPI is imported: neither mpi4py, nor our part for several ranks."""
    alone, one = (noisy.make(place / name, noisy.SGD) for name in ("alone", "one"))
    for folder, ranks in ((alone, ALONE), (one, 1)):
        train(folder, ranks, "--import=../show.py")
        modules = (folder / "modules").read_text().split()

        assert "minicaffe.solvers.group" in modules
        assert [] == [name for name in modules if name.split(".")[0] == "mpi4py" or name.startswith("minicaffe.ranks")]
    assert [] == noisy.differing(alone, one)


def test_one_rank_works_without_mpi4py(place):
    """So does --shards in one process."""
    folder = noisy.make(place / "shards", noisy.ADAM)
    train(folder, 1, "--shards=2", "--iterations=2", PYTHONPATH=str(place / "blocked"))

    assert (folder / "run_iter_2.solverstate").exists()


def test_several_ranks_without_mpi4py(place):
    """One error names the extra to install, and all processes end."""
    job = Job(noisy.make(place / "two", noisy.ADAM), 2, PYTHONPATH=str(place / "blocked")).wait()

    assert job.status not in (0, None)
    assert 1 == len(job.errors), job.last
    assert "mpi4py" in job.errors[0]
    assert 1 == job.said.count("pip install 'minicaffe[mpi]'")
    assert "Traceback" not in job.said
