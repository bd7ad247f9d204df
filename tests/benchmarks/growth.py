"""How a training step grows: LeNet with its batch, and a column of 3×3 convolutions with its depth."""

from __future__ import annotations

import statistics
import time

from timed_nets import NETS, column
from training import make_solver

from minicaffe import rng


def run(args, report):
    """How a training step grows: LeNet with its batch, and a column of 3×3 convolutions with its depth."""
    print(f"{'':16}{'ms':>10}{'ms for each one more':>22}")
    for name, sizes, make in (("images", (8, 16, 32, 64, 128, 256, 512), NETS["lenet"][0]),
                              ("convolutions", (2, 4, 8, 16, 32, 64), column)):
        before = None
        for size in sizes:
            rng.seed(1)
            solver = make_solver(make(size).net)
            times = repeated(lambda s=solver: s.step(1), args.rounds)
            ours = 1e3 * statistics.median(times)
            more = "" if before is None else f"{(ours - before[1]) / (size - before[0]):22.3f}"
            print(f"{size:3} {name:12}{ours:10.2f}{more}", flush=True)
            report.add("growth", f"{size} {name}", times)
            before = size, ours


def repeated(work, rounds, seconds=0.6):
    """Seconds of one call in each round; a round calls for about `seconds`."""
    work()
    repeats, times = max(1, int(seconds / _timed(work, 1))), []
    for _ in range(rounds + 1):
        times.append(_timed(work, repeats) / repeats)
    return times[1:]  # the first round warms up


def _timed(work, repeats):
    start = time.perf_counter()
    for _ in range(repeats):
        work()
    return time.perf_counter() - start
