"""How the ranks of a host share its cores."""

from __future__ import annotations

import contextlib
import os
from typing import NamedTuple

from minicaffe import kernels, system
from minicaffe.log import At, log, plural, warn
from minicaffe.ranks.links import Member, own_member
from minicaffe.solvers.group import Group

BY_OPEN_MPI = "OMPI_COMM_WORLD_LOCAL_SIZE"  # Open MPI's mpirun sets this, and it holds ranks to cores by default


class Place(NamedTuple):
    """A rank, the cores that it may use, those that its launcher may use, and its number of threads."""

    member: Member
    cores: frozenset[int]
    launchers: frozenset[int]
    threads: int = 0


def share_cores(group: Group, given: bool) -> None:
    """Give each rank its share of the cores of its host, unless the user has `given` a number of threads. Log it."""
    places = group.gather(_own_place(group.rank))
    if not given:
        kernels.set_threads(share_of(places, group.rank))
    places = group.gather(places[group.rank]._replace(threads=kernels.threads()))
    log(At.RANKS, in_words(places))
    if held := next((place for place in places if _is_held(place, places)), None):
        warn(At.RANKS, f"rank {held.member.rank} may use {plural(len(held.cores), 'core')} of host {held.member.host}, "
                       "which is less than its share: mpirun --bind-to none lifts this limit")


def share_of(places: list[Place], rank: int) -> int:
    """Return how many cores a rank gets: those that it may use, divided by the ranks that may use some of them."""
    mine = places[rank]
    rivals = sum(not place.cores.isdisjoint(mine.cores) for place in _beside(mine, places))
    return max(1, len(mine.cores) // rivals)


def in_words(places: list[Place]) -> str:
    """'4 ranks on 2 hosts, 1 thread each', or '3 ranks on 1 host, 1 to 2 threads each'."""
    first = {next(iter(_beside(place, places))).member.rank for place in places}
    least, most = min(place.threads for place in places), max(place.threads for place in places)
    threads = plural(most, "thread") if least == most else f"{least} to {plural(most, 'thread')}"
    return f"{plural(len(places), 'rank')} on {plural(len(first), 'host')}, {threads} each"


def _beside(mine: Place, places: list[Place]) -> list[Place]:
    """Return the ranks on one host."""
    return [place for place in places if place.member.is_beside(mine.member)]


def _is_held(place: Place, places: list[Place]) -> bool:
    """Return whether a rank is held to fewer cores than its share of those that its launcher may use."""
    return len(place.cores) < len(place.launchers) // len(_beside(place, places))


def _own_place(rank: int) -> Place:
    cores = launchers = system.core_numbers()
    if BY_OPEN_MPI in os.environ:  # other launchers hold ranks to cores where the user has asked for it
        with contextlib.suppress(OSError):  # it has ended, or belongs to another user
            launchers = system.core_numbers(os.getppid())
    return Place(own_member(rank), cores, launchers)
