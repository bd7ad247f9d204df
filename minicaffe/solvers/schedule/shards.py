"""The shards of an update: how many there are, who says so, and how large the batch is that they make.

An update of V shards is computed by any number of processes that divides V, and gives the same numbers with each.
So V belongs to the training, as its batch_size does: a training that goes on from a snapshot keeps it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from minicaffe.errors import SolverError
from minicaffe.log import At, log, plural
from minicaffe.solvers.fields import parts, place
from minicaffe.solvers.schedule import epochs

if TYPE_CHECKING:
    from minicaffe.solvers.solver import Solver


def at_start(solver: Solver) -> None:
    """Divide the updates of a new training into the shards that the definition gives, else one for each process."""
    count = solver.param.shards if solver.shards_given else solver.group.size
    check(solver, count, place(solver.param, "shards", solver.where) if solver.shards_given else solver.where)
    set_to(solver, count)


def set_to(solver: Solver, count: int) -> None:
    """Write the number of shards into the solver's definition, from which all else reads it."""
    if count > 1 or solver.shards_given:
        solver.param.shards = count
    else:
        solver.param.ClearField("shards")


def check(solver: Solver, count: int, where: str) -> None:
    """Raise SolverError unless the processes can share so many shards equally."""
    size = solver.group.size
    if count % size == 0 and count & (count - 1) == 0:
        return
    if not solver.shards_given and count == size:
        raise SolverError(f"{size} processes train together, but their number must be a power of two", where=where,
                          hint=f"mpirun -n {1 << (size.bit_length() - 1)}")
    fitting = [1 << i for i in range(count.bit_length()) if count % (1 << i) == 0]
    raise SolverError(f"{size} processes cannot share the {plural(count, 'shard')} of an update equally", where=where,
                      hint=f"mpirun -n {' or '.join(map(str, fitting))}"
                           + ("" if solver.shards_given else f"; the snapshot has {plural(count, 'shard')}"))


def check_restored(content: dict[str, Any], path: str, solver: Solver) -> None:
    """Raise SolverError where a training cannot go on with the shards that its resume file has."""
    before = in_resume(content)
    if solver.shards_given and solver.param.shards != before:
        raise SolverError(f"an update of this training has {before} shards, but shards: {solver.param.shards} is "
                          "given: it would not go on with the same numbers", where=path,
                          hint="leave shards out, for the resume file has it; or begin another training with --weights")
    check(solver, before, path)


def in_resume(content: dict[str, Any]) -> int:
    """Return the shards that a resume file has. Files of a training without shards have no entry."""
    return int(content.get("shards", 1))


def report(solver: Solver) -> None:
    """Log how large the batch of an update is, where shards make it larger, and that the learning rate is as given."""
    p = solver.param
    if p.shards <= 1:
        return
    reader = next(iter(epochs.readers(solver.net)), None)
    made = f"{p.shards} shards" + (f" × iter_size {p.iter_size}" if p.iter_size > 1 else "")
    size = f"effective batch {reader.batch * parts(p)} = {made} × {reader.batch}" if reader else f"an update has {made}"
    log(At.SOLVING, f"{size}, {p.shards} times the batch that the solver file alone gives; base_lr was not scaled")
