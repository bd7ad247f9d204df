"""Training steps of LSTM and RNN beside torch.nn.LSTM and torch.nn.RNN."""

from __future__ import annotations

import os

from contest import OURS, Contest
from limits import step_operations
from recurrent_nets import SIZES, Twin, make_solver, net_of
from training import check, vectors

from minicaffe import kernels, rng


def run(args, report):
    """A training step of one recurrent layer, by its steps of time, streams and features."""
    contest = Contest("recurrent", ("eager", "compile"), report, args, "Δ loss")
    for kind in ("LSTM", "RNN"):
        for sizes in SIZES.values():
            options = {"kind": kind, "sizes": sizes}
            orders = [(OURS, "recurrent_steps:ours", ".", {**options, "engine": args.engine})]
            orders += [(how, "recurrent_steps:theirs", ".", {**options, "how": how}) for how in contest.rivals]
            name = f"{kind} {'·'.join(map(str, sizes))}"
            contest.row(name, orders, step_operations(net_of(kind, *sizes)), check)
    contest.close()


def ours(_folder, kind, sizes, engine):
    """The side of minicaffe."""
    kernels.use_engine(engine)
    solver = _solver(kind, sizes)
    return lambda: solver.step(1), {"loss": solver.net.forward_pass(), "vectors": vectors()}


def theirs(_folder, kind, sizes, how):
    """The side of PyTorch, as it comes or compiled. It computes the gradient of x too, as Caffe does."""
    import torch
    from torch_twin import vectors as torch_vectors

    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    twin = Twin(kind, _solver(kind, sizes), dx=True)
    if how == "compile":
        twin.forward = torch.compile(twin.forward)
    return twin.step, {"loss": twin.step(), "vectors": torch_vectors()}


def _solver(kind, sizes):
    rng.seed(1)  # so that both sides draw the same weights
    return make_solver(net_of(kind, *sizes))
