"""A training of several shards ends with the same bits, however many processes have shared the work."""

import shutil
from pathlib import Path

import noisy
import pytest
from jobs import ALONE, train

pytestmark = pytest.mark.slow
WITNESS = f"--import={Path(__file__).with_name('witness.py')}"
SHARDS = f"--shards={noisy.SHARDS}"


def witnesses(folder):
    """The checksums that the ranks have written, which must be equal, and what remains of them."""
    return [path.read_text() for path in sorted(folder.glob("witness.*"))]


def at_once(place, fields, source=noisy.LMDB, *, ranks=ALONE, flags=(SHARDS,)):
    """Train in a new folder, without a stop. All ranks must end with the same numbers."""
    folder = noisy.make(place, fields, source)
    train(folder, ranks, WITNESS, *flags)
    assert max(ranks, 1) == len(witnesses(folder))
    assert 1 == len(set(witnesses(folder)))
    return folder


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with the data of all trainings."""
    folder = tmp_path_factory.mktemp("ranks")
    noisy.write(folder, images=True)
    return folder


@pytest.fixture(scope="module")
def adam(place):
    """The training by Adam in one process, without mpirun."""
    return at_once(place / "adam", noisy.ADAM)


@pytest.fixture(scope="module")
def sgd(place):
    """The training by SGD in one process, with iter_size."""
    return at_once(place / "sgd", noisy.SGD)


def test_one_process_and_two(place, adam):
    """Weights, history, smoothed loss and all decisions are the same for one process and for two, and on each of them.
    """
    folder = at_once(place / "adam2", noisy.ADAM, ranks=2)

    assert [] == noisy.differing(adam, folder)
    assert witnesses(adam)[0] == witnesses(folder)[0]


@pytest.fixture(scope="module")
def sgd4(place):
    """The same in four processes, with snapshots on the way."""
    return at_once(place / "sgd4", noisy.SGD, ranks=4, flags=(SHARDS, "--override=snapshot=10"))


def test_any_number_of_ranks_with_iter_size(place, sgd, sgd4):
    """The same, where each shard is three passes, so that the tree of the sums cuts odd numbers."""
    assert [] == noisy.differing(sgd, at_once(place / "sgd2", noisy.SGD, ranks=2))
    assert [] == noisy.differing(sgd, sgd4)


def test_shards_are_an_iter_size_times_as_large(place, adam, sgd):
    """One process with iter_size k·V and no shards has the bits of V shards with iter_size k."""
    four = at_once(place / "iter_size4", f"{noisy.ADAM} iter_size: 4", flags=())
    twelve = at_once(place / "iter_size12", noisy.SGD.replace("iter_size: 3", "iter_size: 12"), flags=())

    assert [] == noisy.differing(adam, four)
    assert [] == noisy.differing(sgd, twelve)


def test_the_number_of_ranks_is_the_number_of_shards(place, adam):
    """Without --shards there are as many as ranks. The log says that the batch is larger, and base_lr as it was."""
    folder = at_once(place / "without", noisy.ADAM, ranks=4, flags=())
    said = (folder / "log0").read_text()

    assert [] == noisy.differing(adam, folder)
    assert "effective batch 12 = 4 shards × 3" in said
    assert "base_lr" in said.split("effective batch")[1].splitlines()[0]


def test_without_overlap(place, adam):
    """layer_wise_reduce: false sends the gradients when all of them are there; the sum is the same."""
    folder = at_once(place / "late", f"{noisy.ADAM} layer_wise_reduce: false", ranks=2)

    assert [] == noisy.differing(adam, folder)


def test_files_in_a_shuffled_order(place):
    """Image files and rows of HDF5, each shuffled anew in each epoch: every rank reads what is its own."""
    alone, two = (at_once(place / f"files{ranks}", noisy.ADAM, noisy.FILES, ranks=ranks) for ranks in (ALONE, 2))

    assert [] == noisy.differing(alone, two)


def test_without_a_seed_all_ranks_begin_with_that_of_rank_0(place):
    """The drawn seed gives all ranks the same weights, and it is not the same seed twice."""
    free = noisy.ADAM.replace("random_seed: 5", "")
    one, other = (at_once(place / f"free{i}", free, ranks=2, flags=(SHARDS, "--iterations=2")) for i in range(2))

    assert {"caffemodel", "draw_seed"} < set(noisy.differing(one, other, 2))


@pytest.mark.parametrize("ranks", [ALONE, 2])
def test_begun_with_four_ranks_and_resumed_with_fewer(place, sgd, sgd4, ranks):
    """One process or two go on with the shards of the snapshot."""
    folder = noisy.make(place / f"resumed{ranks}", noisy.SGD)
    for path in sgd4.glob("run_iter_10.*"):
        shutil.copy(path, folder)
    train(folder, ranks, "--resume=auto")

    assert "run_iter_10.solverstate" in (folder / "log0").read_text()
    assert [] == noisy.differing(sgd, folder)
