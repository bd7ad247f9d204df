"""A test: a net runs on a number of batches, and the means of what it puts out are the results.

Where several processes train together, they share the batches. In each round every process runs one batch. Then all
know what each has put out, and add it in the order of the batches. So the results are those of a single process.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from minicaffe.errors import SolverError
from minicaffe.net import Net
from minicaffe.solvers.schedule import epochs, report
from minicaffe.solvers.schedule.measured import Measuring
from minicaffe.solvers.schedule.own_batches import OwnBatches

if TYPE_CHECKING:
    from minicaffe.solvers.solver import Solver


def run(solver: Solver, index: int) -> report.MeanOutputs | None:
    """Run test net #index for its test_iter. Return the means; None where a stop was asked for meanwhile."""
    net, batches, group = solver.test_nets[index], solver.param.test_iter[index], solver.group
    own = _own_batches(solver, net)
    mean, test, measuring = report.MeanOutputs(net), epochs.Test(net, batches, own), Measuring(net, at_once=not own)
    for batch in test:
        solver.answer_requests()
        if solver.stopped:
            return None
        mine = None
        if batch < batches:
            # the draws are never those of the train net
            with net.draws.during(solver.draw_seed, solver.iter, batch, 1 + index), measuring.later():
                mine = mean.of_batch(net.forward_pass(), test.share()), measuring.taken()
                if own:
                    own.check()
        for one in group.gather(mine) if own else [mine]:
            if one is not None:
                mean.add_batch(one[0])
                measuring.remember(one[1])
    return mean


def _own_batches(solver: Solver, net: Net) -> OwnBatches | None:
    """Return which batches of a test this process runs; None where it runs all of them.

    With shards a single process, too, begins each batch where several would begin it, also behind bad samples.
    """
    if solver.param.shards <= 1:
        return None
    try:
        return OwnBatches(net, solver.group.rank, 1, solver.group.size)
    except SolverError:  # a layer cannot leave batches out: then each process runs the whole test
        return None
