"""Whether `minicaffe train` is one process of several, and what it does then."""

import sys

import pytest
from points import NET

from minicaffe.cli import launcher
from minicaffe.cli.__main__ import main

SOLVER = """
net: "net.prototxt" base_lr: 0.05 lr_policy: "fixed" max_iter: 2 snapshot_prefix: "run" random_seed: 5
"""
assert NET  # the fixture `folder` writes it


@pytest.fixture(autouse=True)
def _alone(monkeypatch):
    """Whatever has started the tests, they begin as one process."""
    for size, number in launcher.NUMBERS:
        monkeypatch.delenv(size, raising=False)
        monkeypatch.delenv(number, raising=False)
    monkeypatch.delenv(launcher.OURS, raising=False)


@pytest.mark.parametrize(("environment", "rank", "processes"), [
    ({}, 0, 1),
    ({"OMPI_COMM_WORLD_SIZE": "4", "OMPI_COMM_WORLD_RANK": "3", "PMIX_RANK": "3"}, 3, 4),
    ({"OMPI_COMM_WORLD_SIZE": "1", "OMPI_COMM_WORLD_RANK": "0", "SLURM_NTASKS": "8", "PMIX_RANK": "0"}, 0, 1),
    ({"PMI_SIZE": "2", "PMI_RANK": "1"}, 1, 2),
    ({"MV2_COMM_WORLD_SIZE": "8", "MV2_COMM_WORLD_RANK": "5"}, 5, 8),
    ({"PMIX_RANK": "2", "SLURM_STEP_NUM_TASKS": "4", "SLURM_NTASKS": "16"}, 2, 4),
    ({"PMIX_RANK": "2", "SLURM_NTASKS": "16"}, 2, 16),
    ({"SLURM_NTASKS": "16", "SLURM_PROCID": "0"}, 0, 1),  # the script of a job
    ({"PMI_SIZE": "", "PMI_RANK": "0"}, 0, 1)])
def test_the_environment_says_how_many_processes_there_are(environment, rank, processes):
    """Each launcher has variables of its own."""
    assert (rank, processes) == (launcher.rank(environment), launcher.processes(environment))


@pytest.mark.parametrize(("more", "process", "processes"), [
    ({}, 100, 2), ({}, 101, 1), ({"PMIX_NAMESPACE": "second"}, 101, 2), ({"SLURM_STEP_ID": "8"}, 101, 2)])
def test_a_process_that_a_rank_starts_is_no_rank(monkeypatch, more, process, processes):
    """It has inherited the launcher's variables, unless another launcher has started it."""
    environment = {"OMPI_COMM_WORLD_SIZE": "2", "OMPI_COMM_WORLD_RANK": "1", "PMIX_NAMESPACE": "first"}
    monkeypatch.setattr(launcher.os, "getpid", lambda: 100)
    launcher.begin(environment)
    monkeypatch.setattr(launcher.os, "getpid", lambda: process)

    assert processes == launcher.processes({**environment, **more})


def test_one_process_needs_nothing_that_several_need(folder, monkeypatch):
    """mpirun -n 1 trains as without mpirun, also where there is no MPI."""
    monkeypatch.setenv("OMPI_COMM_WORLD_SIZE", "1")
    monkeypatch.setenv("OMPI_COMM_WORLD_RANK", "0")
    monkeypatch.setitem(sys.modules, "minicaffe.ranks", None)
    monkeypatch.setitem(sys.modules, "mpi4py", None)

    assert 0 == main(["train", "--solver", "solver.prototxt"])
    assert (folder / "run_iter_2.caffemodel").exists()


@pytest.mark.parametrize("rank", [0, 1])
def test_several_processes_without_mpi4py_do_not_train_one_by_one(folder, monkeypatch, capsys, rank):
    """Otherwise so many trainings would begin. The error names the extra; rank 0 gives it at once, and ends all."""
    monkeypatch.setenv("OMPI_COMM_WORLD_SIZE", "2")
    monkeypatch.setenv("OMPI_COMM_WORLD_RANK", str(rank))
    monkeypatch.setitem(sys.modules, "mpi4py", None)
    waited = []
    monkeypatch.setattr(launcher.time, "sleep", waited.append)

    assert 1 == main(["train", "--solver", "solver.prototxt"])

    captured = capsys.readouterr()
    begin = "rank 1: minicaffe: error: " if rank else "minicaffe: error: "
    assert captured.err.splitlines()[-2:] == [
        begin + "training by several processes needs the package 'mpi4py', which is not installed",
        "  hint: pip install 'minicaffe[mpi]'"]
    assert [launcher.MOMENT] * rank == waited
    assert not list(folder.glob("run*"))


@pytest.mark.parametrize(("flag", "value", "words"), [
    ("--shards", "3", "argument --shards: expects a power of two, such as 1, 2, 4 or 8, got '3'"),
    ("--shards", "0", "argument --shards: expects a whole number, 1 or more, got '0'"),
    ("--shards", "four", "argument --shards: expects a whole number"),
    ("--rank-timeout", "0.5", "argument --rank-timeout: expects a number of seconds, 1 or more, got '0.5'"),
    ("--rank-timeout", "nan", "argument --rank-timeout: expects a number of seconds")])
def test_values_that_the_flags_refuse(capsys, flag, value, words):
    """A clean error names the flag and what it expects."""
    with pytest.raises(SystemExit, match="1"):
        main(["train", "--solver", "solver.prototxt", flag, value])
    assert words in capsys.readouterr().err


def test_one_process_computes_all_shards(folder, capsys):
    """--shards takes the place of the solver's field, and needs no second process."""
    assert 0 == main(["train", "--solver", "solver.prototxt", "--shards", "4"])
    assert "shards: 4" in capsys.readouterr().err
