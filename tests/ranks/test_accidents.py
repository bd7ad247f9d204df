"""Whatever happens to one rank, all ranks end soon, one message says why, and the training can go on."""

import shutil
from pathlib import Path

import noisy
import pytest
from jobs import ALONE, Job, train

pytestmark = pytest.mark.slow
ACCIDENTS = f"--import={Path(__file__).with_name('accidents.py')}"
FLAGS = f"--shards={noisy.SHARDS}", "--override=snapshot=3"
SOON = 10.0  # seconds in which all ranks must have ended
PATIENCE = 3.0  # what --rank-timeout says
FRAGILE = 'layer { name: "fragile" type: "Fragile" bottom: "x" top: "same" include { phase: TRAIN } }'


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with the data, and in it the training `whole` to which nothing happens."""
    folder = tmp_path_factory.mktemp("accidents")
    noisy.write(folder)
    train(noisy.make(folder / "whole", noisy.ADAM), ALONE, *FLAGS)
    return folder


def accident(folder, ranks, what, *flags):
    """Run a training to which this happens. It must end soon, and not as if all were well."""
    job = Job(folder, ranks, ACCIDENTS, *FLAGS, f"--rank-timeout={PATIENCE}", *flags, ACCIDENT=what).wait()
    seconds = job.ended - (folder / "accident").stat().st_mtime
    assert seconds < SOON + (PATIENCE if what.endswith("stopped") else 0), job.last
    assert job.status not in (0, None), job.last
    return job


def goes_on(place, folder, ranks):
    """The same command, without the accident, ends with the bits of the training to which nothing has happened."""
    train(folder, ranks, *FLAGS, "--resume=auto")
    assert [] == noisy.differing(place / "whole", folder)


@pytest.mark.parametrize(("ranks", "what", "then"), [
    # At first there is nothing yet to go on from
    (2, "start 0 0 stopped", None), (2, "nets 0 0 killed", None),
    (2, "data 1 8 killed", 2), (2, "forward 0 8 killed", ALONE), (4, "exchange 0 8 killed", ALONE),
    (2, "half_a_snapshot 0 9 killed", ALONE), (2, "snapshot 1 9 killed", ALONE),
    (2, "test 1 8 killed", ALONE), (4, "test 0 8 stopped", ALONE), (2, "forward 1 8 stopped", ALONE)])
def test_a_rank_that_dies_or_falls_silent(place, ranks, what, then):
    """One message names the rank, and says whether its process has ended or does not answer."""
    folder = noisy.make(place / f"{ranks} {what}", noisy.ADAM)
    job = accident(folder, ranks, what)

    assert 1 == len(job.errors), job.last
    assert f"rank {what.split()[1]} " in job.errors[0]
    if then is not None:
        goes_on(place, folder, then)


def test_a_rank_that_dies_before_the_ranks_know_each_other(place):
    """mpirun itself says which rank has ended."""
    folder = noisy.make(place / "start", noisy.ADAM)
    job = accident(folder, 2, "start 1 0 killed")

    assert "rank 1" in job.said


@pytest.mark.parametrize("rank", [0, 1])
def test_an_error_in_a_layer(place, rank):
    """The message is that of the layer, with its line and the rank; it comes once."""
    folder = noisy.make(place / f"fragile{rank}", noisy.ADAM, noisy.LMDB + FRAGILE)
    job = accident(folder, 2, f"layer {rank} 8 raised")

    assert 1 == len(job.errors), job.last
    assert f"rank {rank} (" in job.errors[0]
    assert "layer 'fragile' (Fragile): RuntimeError: something broke" in job.errors[0]
    assert job.errors[0] in (folder / "run.run" / "train.log").read_text()


def test_an_unexpected_error(place):
    """An error that is no user's leaves a traceback on one rank, and does not leave the other waiting."""
    folder = noisy.make(place / "unexpected", noisy.ADAM)
    job = accident(folder, 2, "backward 1 8 raised")

    assert 1 == job.said.count("RuntimeError: something broke"), job.last
    assert "rank 1 (" in job.errors[0]


def test_a_full_disk(place):
    """The snapshot that could not be written ends all ranks; the one before it is whole."""
    folder = noisy.make(place / "full", noisy.ADAM)
    job = accident(folder, 2, "snapshot 0 9 full")

    assert 1 == len(job.errors), job.last
    assert "rank 0 (" in job.errors[0]
    assert "run_iter_9" in job.errors[0]
    assert not (folder / "run_iter_9.solverstate").exists()
    goes_on(place, folder, ALONE)


def test_ctrl_c(place):
    """mpirun ends its ranks; what has been written before is whole."""
    folder = noisy.make(place / "ctrl_c", noisy.ADAM)
    accident(folder, 2, "forward 0 8 ctrl_c")
    goes_on(place, folder, ALONE)


def test_data_that_one_rank_does_not_find(place):
    """As where a folder is not shared by all machines: the message says on which rank."""
    folder = noisy.make(place / "no_data", noisy.ADAM)
    noisy.make(folder / "elsewhere", noisy.ADAM)
    job = accident(folder, 2, "nets 1 0 elsewhere")

    assert 1 == len(job.errors), job.last
    assert "rank 1 (" in job.errors[0]
    assert "../db" in job.errors[0]


@pytest.mark.parametrize(("ranks", "flags", "words"), [
    (3, [], ["3", "power of two"]), (4, ["--shards=2"], ["4", "2"]), (2, ["--shards=6"], ["6", "power of two"]),
    (2, ["--override=typ=Adam"], ["did you mean 'type'"]),
    (2, ["--resume=nothing.solverstate"], ["no such file: nothing.solverstate"])])
def test_a_mistake_of_the_user(place, ranks, flags, words):
    """What all ranks see, one of them says."""
    folder = noisy.make(place / f"mistake{len(list(place.glob('mistake*')))}", noisy.ADAM)
    job = Job(folder, ranks, *flags).wait()

    assert job.status not in (0, None)
    assert 1 == len(job.errors), job.last
    assert "Traceback" not in job.said
    assert [] == [word for word in words if word not in job.said]


def test_other_shards_than_those_of_the_snapshot(place):
    """The number of shards stands in the resume file; another one is refused, and none means that one."""
    folder = noisy.make(place / "shards", noisy.ADAM)
    for path in (place / "whole").glob("run_iter_9.*"):
        shutil.copy(path, folder)
    job = Job(folder, 2, "--resume=auto", "--shards=2").wait()

    assert 1 == len(job.errors), job.last
    assert "shards" in job.errors[0]
    train(folder, ALONE, "--resume=auto")
    assert [] == noisy.differing(place / "whole", folder)


def test_mpirun_hands_sigusr1_on(place):
    """This signal stops all ranks after the same update, with a snapshot, where mpirun kills them after a Ctrl-C."""
    folder = noisy.make(place / "usr1", noisy.ADAM)
    job = Job(folder, 2, ACCIDENTS, f"--shards={noisy.SHARDS}", ACCIDENT="forward 1 7 sigusr1_for_all").wait()

    assert 0 == job.status, job.last
    assert 1 == len(list(folder.glob("*.solverstate")))
    assert not (folder / f"run_iter_{noisy.UPDATES}.solverstate").exists()


def test_one_rank_that_is_asked_to_stop(place):
    """A signal to a single rank stops all of them after the same update, with a snapshot."""
    folder = noisy.make(place / "asked", noisy.ADAM)
    job = Job(folder, 2, ACCIDENTS, f"--shards={noisy.SHARDS}", ACCIDENT="forward 1 7 asked").wait()

    assert (0, ["run_iter_8.solverstate"]) == (job.status, [path.name for path in folder.glob("*.solverstate")])
    assert "rank 1 was asked to stop" in job.said
    goes_on(place, folder, ALONE)
