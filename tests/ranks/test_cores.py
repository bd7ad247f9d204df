"""How many threads each rank of a host gets."""

import os

import pytest

from minicaffe import kernels, system
from minicaffe.log import logger
from minicaffe.ranks import cores
from minicaffe.ranks.cores import Place
from minicaffe.ranks.links import Member


def places(*each):
    """Places of ranks: (host, cores, cores of the launcher, threads)."""
    return [Place(Member(rank, host, 7 + rank), frozenset(own), frozenset(launchers), threads)
            for rank, (host, own, launchers, threads) in enumerate(each)]


@pytest.mark.parametrize(("owned", "expected"), [
    ([range(8), range(8)], [4, 4]),  # not held to any core
    ([range(7), range(7), range(7)], [2, 2, 2]),
    ([[0], [1]], [1, 1]),
    ([range(4), range(4, 8)], [4, 4]),  # held to a socket each
    ([[0], [0], [0]], [1, 1, 1])])
def test_ranks_share_the_cores_that_several_of_them_may_use(owned, expected):
    """A core that one rank alone may use is its own."""
    on_host = places(*(("a", own, own, 0) for own in owned), ("b", range(8), range(8), 0))

    assert expected == [cores.share_of(on_host, rank) for rank in range(len(owned))]
    assert 8 == cores.share_of(on_host, len(owned))


@pytest.mark.parametrize(("each", "expected"), [
    ([("a", [0], [0], 1)] * 2, "2 ranks on 1 host, 1 thread each"),
    ([("a", [0], [0], 2), ("b", [0], [0], 2), ("a", [0], [0], 2)], "3 ranks on 2 hosts, 2 threads each"),
    ([("a", [0], [0], 1), ("b", [0], [0], 4)], "2 ranks on 2 hosts, 1 to 4 threads each")])
def test_the_log_says_how_ranks_share_their_hosts(each, expected):
    """The line that rank 0 logs."""
    assert expected == cores.in_words(places(*each))


def test_hosts_of_one_name_are_two_where_they_were_booted_apart():
    """Cloned machines often have the same name."""
    one, other = Member(0, "localhost", 7, "x"), Member(1, "localhost", 8, "y")
    assert not one.is_beside(other)
    assert one.is_beside(Member(2, "localhost", 9, "x"))


class Two:
    """A group of two ranks on this host, of which the other may use what this one may."""

    rank, size = 0, 2

    def gather(self, mine):
        return [mine, mine._replace(member=mine.member._replace(rank=1))]


@pytest.fixture
def told(caplog, monkeypatch):
    """What is logged. The process may use two of the eight cores that its launcher may."""
    monkeypatch.setattr(system, "core_numbers", lambda process=0: frozenset(range(8 if process else 2)))
    monkeypatch.setattr(logger, "propagate", True)
    caplog.set_level("INFO", logger="minicaffe")
    before = kernels.threads()
    yield lambda: [record.getMessage() for record in caplog.records]
    kernels.set_threads(before)


def test_a_warning_says_that_open_mpi_has_held_the_ranks_to_few_cores(told, monkeypatch):
    """Open MPI holds ranks to cores unless it is told not to: the training would be slow without a word."""
    monkeypatch.setenv(cores.BY_OPEN_MPI, "2")
    cores.share_cores(Two(), given=False)

    first, second = told()
    assert "2 ranks on 1 host, 1 thread each" == first
    assert second.startswith("rank 0 may use 2 cores of host ")
    assert "mpirun --bind-to none" in second
    assert 1 == kernels.threads()


def test_threads_that_the_user_has_given_stay(told, monkeypatch):
    """--threads and MINICAFFE_THREADS hold for each rank; and a launcher that was told where ranks run is right."""
    monkeypatch.delenv(cores.BY_OPEN_MPI, raising=False)
    kernels.set_threads(5)
    cores.share_cores(Two(), given=True)

    assert ["2 ranks on 1 host, 5 threads each"] == told()


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="this system does not say which cores may be used")
def test_the_cores_of_another_process():
    """A launcher is the parent of its ranks, and what it may use can be asked."""
    assert os.sched_getaffinity(os.getppid()) == system.core_numbers(os.getppid())
    assert os.sched_getaffinity(0) == system.core_numbers()
