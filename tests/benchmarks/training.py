"""Training steps beside PyTorch's: as it comes, with channels last, compiled, and both."""

from __future__ import annotations

import tempfile

from contest import OURS, Contest
from limits import step_operations
from problem import Problem, draws, without, write_problem
from timed_nets import NETS

from minicaffe import kernels, rng
from minicaffe.net import Net
from minicaffe.proto import TRAIN, SolverParameter
from minicaffe.solvers import get_solver

KINDS = ("eager", "channels_last", "compile", "both")
AGREE = 1e-4  # how far the losses of the first step may lie apart, relative to their size


def run(args, report):
    """A training step (forward, backward, update) of each net."""
    contest = Contest("steps", args.kinds or KINDS, report, args, "Δ loss")
    for name in args.nets:
        make, batch = NETS[name]
        train(contest, name, make(args.batch or batch).net, args)
    contest.close()


def train(contest, name, definition, args, twin="torch_twin:Twin"):
    """One row of the table: a net whose Input layer gives `data` and `label`, and the class that runs it in PyTorch."""
    with tempfile.TemporaryDirectory() as folder:
        rng.seed(1)
        net = Net(definition, TRAIN)
        write_problem(folder, definition, net, draws(net))
        del net
        orders = [(OURS, "training:ours", folder, {"engine": args.engine})]
        orders += [(kind, "torch_twin:side", folder, {"kind": kind, "twin": twin}) for kind in contest.rivals]
        contest.row(name, orders, step_operations(definition), check)


def check(made):
    """The largest difference of the sides' losses, relative to ours. More than AGREE ends the program."""
    losses = {side.name: side.facts["loss"] for side in made if "loss" in side.facts}
    apart = {name: abs(loss / losses[OURS] - 1) for name, loss in losses.items()}
    if max(apart.values()) > AGREE:
        raise SystemExit(f"the sides do not compute the same: the losses of the first step are {losses}")
    return max(apart.values()) if len(apart) > 1 else None


def make_solver(definition, group=None, **fields):
    """An SGD solver on a net with Input layers, its inputs filled once."""
    settings = SolverParameter(base_lr=1e-3, lr_policy="fixed", momentum=0.9, weight_decay=5e-4, max_iter=1 << 30,
                               **fields)
    settings.net_param.CopyFrom(definition)
    solver = get_solver(settings, group=group)
    for name, values in draws(solver.net).items():
        solver.net.blobs[name].data[...] = values
    return solver


def ours(folder, engine="auto"):
    """The side of minicaffe."""
    kernels.use_engine(engine)
    problem = Problem(folder)
    still = problem.fill(Net(without(problem.definition, ["Dropout"]), TRAIN))
    loss = float(still.forward_pass())
    del still
    solver = make_solver(problem.definition)
    problem.fill(solver.net)
    del problem
    return lambda: solver.step(1), {"loss": loss, "vectors": vectors()}


def vectors():
    """The widest vectors of minicaffe's engine, in the words of machine.py; None where it compiles none."""
    if kernels.engine() != "numba":
        return None
    from minicaffe.kernels.numba_engine.registers import VECTOR

    return {4: "SSE", 8: "AVX2", 16: "AVX-512"}[VECTOR]


