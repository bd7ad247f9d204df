"""Training by two processes under mpirun, beside one process, and beside PyTorch's DistributedDataParallel with gloo.

All sides make updates of the same two batches. A rank has one thread, a process alone has two. `waits` is the time for
which a rank stands still after its backward pass, until all gradients are there; `hooks` is what the exchange takes
during the backward pass. A third pair of processes exchanges the same gradients after the backward pass: its wait is
`plain`, and overlap is 1 − waits / plain.
"""

from __future__ import annotations

import os
import statistics
import tempfile
import time

import numpy as np
import sides
from problem import Problem, draws, write_problem
from timed_nets import NETS
from training import make_solver, vectors

from minicaffe import kernels, rng
from minicaffe.net import Net
from minicaffe.proto import TRAIN

SHARDS = 2
TIMED = ("lenet", "caffenet", "googlenet")
ALONE, ONE_RANK = "minicaffe, 1 process", "mpirun -n 1"
# each pair of processes that exchanges during the backward pass, and the one that does so after it
PLAIN = {"minicaffe, 2 ranks": "    exchange after backward", "PyTorch DDP, 2 ranks": "    all_reduce after backward"}


def run(args, report):
    """An update of two batches by one process and by two, in ms; and what two of them send and wait for."""
    print(f"{'':34}{'ms':>10}{'/ 1 process':>13}{'MB sent':>10}{'waits':>9}{'hooks':>9}{'plain':>9}{'overlap':>9}")
    for name in [name for name in args.nets if name in TIMED]:
        with tempfile.TemporaryDirectory() as folder:
            rng.seed(1)
            definition = NETS[name][0](args.batch or NETS[name][1]).net
            net = Net(definition, TRAIN)
            write_problem(folder, definition, net, draws(net))
            del net
            _row(name, folder, args, report)


def orders(folder, engine):
    """The sides: each one's name, maker, folder and options."""
    ours, theirs = ("ranks:ours", folder), ("torch_ranks:ranks", folder)
    two = {"processes": SHARDS, "threads": 1}
    first, second = PLAIN
    return [(ALONE, *ours, {"engine": engine}), (ONE_RANK, *ours, {"processes": 1, "engine": engine}),
            (first, *ours, {**two, "engine": engine}),
            (PLAIN[first], *ours, {**two, "engine": engine, "overlap": False}),
            ("PyTorch, 1 process", "torch_ranks:alone", folder, {"parts": SHARDS}),
            (second, *theirs, {**two, "overlap": True}), (PLAIN[second], *theirs, {**two, "overlap": False})]


def _row(name, folder, args, report):
    made = sides.started(orders(folder, args.engine))
    try:
        times = sides.rounds(made, args.rounds)
        facts = {side.name: side.ask() for side in made}
    except sides.SideError as error:
        print(f"{name}: {error}", flush=True)
        return
    finally:
        for side in made:
            side.close()
    print(name)
    for side, seconds in times.items():
        _print(side, seconds, times.get(ALONE), facts)
    report.add("ranks", name, times.get("minicaffe, 2 ranks", []), rivals=times,
               facts={side: _numbers(known) for side, known in facts.items()})


def _print(side, seconds, alone, facts):
    known = _numbers(facts[side])
    ratio = statistics.median(a / b for a, b in zip(seconds, alone, strict=True)) if alone else float("nan")
    text = f"  {side:32}{1e3 * statistics.median(seconds):10.2f}{ratio:13.3f}"
    text += f"{known['sent'] / 1e6:10.2f}" if "sent" in known else f"{'':10}"
    text += "".join(f"{1e3 * known[key]:9.2f}" if key in known else f"{'':9}" for key in ("waits", "hooks"))
    plain = _numbers(facts.get(PLAIN.get(side), {})).get("waits")
    print(text + (f"{1e3 * plain:9.2f}{100 * (1 - known['waits'] / plain):7.0f} %" if plain else ""), flush=True)


def _numbers(facts):
    """The medians of what a side has noted in each update, without those of its first ones."""
    return {key: statistics.median(values[len(values) // 4:]) for key, values in facts.items()
            if isinstance(values, list) and values}


# --- our side -----------------------------------------------------------------------------------------------------


def ours(folder, engine="auto", overlap=True):
    """The side of minicaffe: one process, or one of several."""
    kernels.use_engine(engine)
    group, told = joined()
    problem = Problem(folder)
    solver = make_solver(problem.definition, group, shards=SHARDS, layer_wise_reduce=overlap)
    problem.fill(solver.net)
    facts = {"vectors": vectors(), "waits": [], "hooks": [], "sent": []}
    if group is None:
        return lambda: solver.step(1), {"vectors": vectors()}, *told

    def step():
        one = group.exchanges[-1]
        before = one.seconds_waited, one.seconds_in_hooks, one.bytes_sent
        solver.step(1)
        now = one.seconds_waited, one.seconds_in_hooks, one.bytes_sent
        for key, start, end in zip(("waits", "hooks", "sent"), before, now, strict=True):
            facts[key].append(end - start)

    return step, facts, *told


def joined():
    """The group of the processes that mpirun has started, and how they get their orders; None for one process."""
    if int(os.environ.get("OMPI_COMM_WORLD_SIZE", "1")) == 1:
        return None, []
    from minicaffe.ranks.group import Ranks
    from minicaffe.ranks.mpi import MPIEngine

    engine = MPIEngine()
    return Ranks(engine), [lambda lines: told(engine, iter(lines))]


def told(engine, lines):
    """Each line of rank 0, in all ranks. They sleep between the lines, for MPI would wait on a core of its own."""
    while True:
        times = np.array([int(next(lines, sides.END)) if engine.rank == 0 else 0])
        sent = engine.broadcast(times)
        while not sent.done():
            time.sleep(0.001)
        yield str(times[0])
