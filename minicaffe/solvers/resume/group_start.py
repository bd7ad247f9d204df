"""The common start of the processes that train together: all begin where rank 0 stands.

Rank 0 alone reads a snapshot, which the other machines need not see. Then it gives the others its weights, its history
and what a resume file holds: seeds, the places of the data layers, smoothed loss, best values.
"""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING

import numpy as np

from minicaffe.errors import SolverError
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
    for array in _arrays(solver):
        array[...] = group.broadcast(array)


def check_alike(solver: Solver) -> None:
    """Raise SolverError where the weights of another rank are no longer the same as rank 0's.

    That is so where a user's layer changes its blobs by itself, or where a machine computes wrongly. A snapshot would
    then be of no use.
    """
    if solver.group.size == 1:
        return
    crc = 0
    for array in _arrays(solver):
        crc = zlib.crc32(np.ascontiguousarray(array).view(np.uint8).reshape(-1).data, crc)
    found = solver.group.gather(crc)
    if unlike := [rank for rank, theirs in enumerate(found) if theirs != found[0]]:
        raise SolverError(f"iteration {solver.iter}: the weights of rank {unlike[0]} are not the same as those of rank "
                          "0, so no snapshot is written", where=solver.where,
                          hint="does a layer of your own change its blobs, or draw random numbers that differ from "
                          "process to process? The last snapshot is good: --resume auto")


def _arrays(solver: Solver) -> list[np.ndarray]:
    return [*(param.blob.data for param in solver.net.learnable_params), *solver.history]
