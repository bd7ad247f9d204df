"""The common start of the processes that train together: all begin where rank 0 stands.

Rank 0 alone reads a snapshot, which the other machines need not see. Then it gives the others its weights, its history
and what a resume file holds: seeds, the places of the data layers, smoothed loss, best values.
What all read for themselves, each on its own host, must be the same: the solver, the nets and the number of samples.
"""

from __future__ import annotations

from itertools import zip_longest
from typing import TYPE_CHECKING

import numpy as np

from minicaffe.errors import SolverError
from minicaffe.layer import source_of
from minicaffe.proto import text
from minicaffe.solvers.resume import resume_file

if TYPE_CHECKING:
    from minicaffe.solvers.solver import Solver


def begin_together(solver: Solver) -> None:
    """Give the state of rank 0's solver to those of all other ranks, before the first update."""
    group = solver.group
    if group.size == 1:
        return
    state = solver.iter, solver.current_step, solver.resumed, resume_file.capture(solver)
    solver.iter, solver.current_step, solver.resumed, captured = group.broadcast(state)
    if group.rank:
        resume_file.apply(captured, solver)
    _check_definitions(solver)  # not before, because a snapshot may say how many shards there are
    for array in _arrays(solver):
        array[...] = group.broadcast(array)


def _check_definitions(solver: Solver) -> None:
    """Raise SolverError where another rank has read another solver, another net or other data than rank 0.

    An old file on another host would be enough. Where the ranks make different numbers of updates or tests, they would
    wait for each other for ever.
    """
    mine = _definitions(solver)
    unlike = solver.group.gather(_difference(solver.group.broadcast(mine), mine))
    for rank, difference in enumerate(unlike):
        if difference:
            name, first, theirs = difference
            raise SolverError(f"{name} differs between the ranks: it has {first!r} on rank 0 and {theirs!r} on rank "
                              f"{rank}", where=solver.where,
                              hint="all ranks must read the same solver, net and data: copy them to all hosts again")


def _definitions(solver: Solver) -> dict[str, str]:
    """Return what decides which computations a rank makes, by what it is called in an error."""
    param = type(solver.param)()
    param.CopyFrom(solver.param)
    for nets in ("net_param", "train_net_param", "test_net_param"):  # their layers follow one by one
        param.ClearField(nets)
    found = {"the solver": text.format(param)}
    for net, which in zip([solver.net, *solver.test_nets],
                          ["the train net", *(f"test net #{i}" for i in range(len(solver.test_nets)))], strict=True):
        for i, layer in enumerate(net.layers):
            name = f"layer {layer.name!r} ({i}) of {which}"
            found[name] = text.format(layer.layer_param)
            if source := source_of(layer):
                found[f"what {name} reads"] = f"{source.epoch_size} samples"
    return found


def _difference(first: dict[str, str], mine: dict[str, str]) -> tuple[str, str, str] | None:
    """Return where the definitions of rank 0 and those of this rank first differ, and what each has there."""
    for name in [*first, *mine]:
        for one, other in zip_longest(first.get(name, "").split("\n"), mine.get(name, "").split("\n"), fillvalue=""):
            if one != other:
                return name, one.strip() or "nothing", other.strip() or "nothing"
    return None


def check_alike(solver: Solver) -> None:
    """Raise SolverError where the weights of another rank are no longer the same as rank 0's.

    That is so where a user's layer changes its blobs by itself, or where a machine computes wrongly. A snapshot would
    then be of no use.
    """
    if solver.group.size == 1:
        return
    found = solver.group.gather(resume_file.arrays_checksum(_arrays(solver)))
    if unlike := [rank for rank, theirs in enumerate(found) if theirs != found[0]]:
        raise SolverError(f"iteration {solver.iter}: the weights of rank {unlike[0]} are not the same as those of rank "
                          "0, so no snapshot is written", where=solver.where,
                          hint="does a layer of your own change its blobs, or draw random numbers that differ from "
                          "process to process? The last snapshot is good: --resume auto")


def _arrays(solver: Solver) -> list[np.ndarray]:
    return [*(param.blob.data for param in solver.net.learnable_params), *solver.history]
