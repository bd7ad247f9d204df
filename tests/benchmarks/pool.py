"""Measure what sharing a small task among threads costs, and what it brings to a whole net.

    .venv/bin/python tests/benchmarks/pool.py                 the table of docs/performance.md
    .venv/bin/python tests/benchmarks/pool.py --rounds 15 --only nets
    .venv/bin/python tests/benchmarks/pool.py --busy 2          beside two processes that take a core each
    NUMBA_THREADING_LAYER=workqueue .venv/bin/python tests/benchmarks/pool.py --only sharing

Task: y += factor · x, in place, over so many numbers in 8 pieces. The same loop runs

    alone          as a compiled task in the calling thread
    pool           as a compiled task whose pieces the thread pool shares (numba_engine/pool.py)
    recorded       the same from a recording, without the Python around a call
    numba          as numba's own parallel loop: njit(parallel=True) over prange, with the threading layer named

Net: a training step of LeNet and a replayed pass of a small net, on one thread and on all. All sides of a row take
turns; a row quotes medians over the rounds. Nothing else should run on the machine.
"""

from __future__ import annotations

import argparse
import contextlib
import multiprocessing
import statistics
import time

import numba
import numpy as np
from machine import machine
from timed_nets import NETS
from training import make_solver

from minicaffe import kernels, rng
from minicaffe.kernels import recording
from minicaffe.net import Net
from minicaffe.proto import TEST

PIECES = 8


def medians(sides, rounds, seconds=0.05):
    """Median microseconds of each function; they take turns, in an order that is turned around each round."""
    for run in sides:
        run()
    times = [[] for _ in sides]
    for i in range(rounds):
        order = range(len(sides)) if i % 2 else reversed(range(len(sides)))
        for k in order:
            times[k].append(_timed(sides[k], seconds))
    return [1e6 * statistics.median(one) for one in times]


def _timed(run, seconds):
    """Mean seconds of a call, over calls for about so long."""
    run()  # threads that went to sleep while another side ran are awake again
    count, start = 0, time.perf_counter()
    while (taken := time.perf_counter() - start) < seconds:
        run()
        count += 1
    return taken / count


def sharing(args):
    """Microseconds of a call for each way and each size."""
    from pool_tasks import add_parallel, add_scaled, add_serial

    print(f"{'numbers':>9}{'alone':>9}{'pool':>9}{'recorded':>10}{'numba':>9}{'numba, one thread':>19}")
    for size in (1 << 10, 1 << 13, 1 << 16, 1 << 19, 1 << 22):
        x, y = np.ones(size, np.float32), np.zeros(size, np.float32)
        with recording.recording() as made:
            add_scaled(PIECES, x, y, size, PIECES, 0.5)
        replay, factor = made.as_function(), np.float32(0.5)

        def on(threads, run):
            def act():
                kernels.set_threads(threads)
                run()
            return act

        def call(x=x, y=y, size=size):
            add_scaled(PIECES, x, y, size, PIECES, 0.5)

        row = medians([on(1, call), on(args.threads, call), on(args.threads, replay),
                       lambda: add_parallel(x, y, factor, PIECES),  # noqa: B023
                       lambda: add_serial(x, y, factor)], args.rounds)  # noqa: B023
        print(f"{size:9}{row[0]:9.1f}{row[1]:9.1f}{row[2]:10.1f}{row[3]:9.1f}{row[4]:19.1f}", flush=True)
    print(f"numba's threading layer: {numba.threading_layer()}")


def nets(args):
    """Milliseconds of whole passes, on one thread and on all."""
    print(f"\n{'net':34}{'one thread':>12}{'pool':>9}{'ratio':>8}")
    for name, batch in (("lenet", 64), ("lenet", 8), ("cifar10_quick", 100)):
        rng.seed(1)
        solver = make_solver(NETS[name][0](batch).net)
        _row(f"{name}, a training step of {batch}", lambda s=solver: s.step(1), args)
    rng.seed(1)
    small = Net(NETS["lenet"][0](1).net, TEST)
    small.blobs["data"].data[...] = 0.5
    stop = len(small.layers) - 2
    _row("lenet, a replayed pass of 1 image", lambda: small.forward(stop=stop), args)


def _row(name, run, args):
    def on(threads):
        def act():
            kernels.set_threads(threads)
            run()
        return act

    one, many = (time / 1e3 for time in medians([on(1), on(args.threads)], args.rounds, 0.3))
    print(f"{name:34}{one:12.3f}{many:9.3f}{one / many:8.2f}", flush=True)


def _spin():
    while True:
        pass


@contextlib.contextmanager
def busy(count):
    """So many processes that take a core each while the block runs."""
    spawning = multiprocessing.get_context("spawn")
    others = [spawning.Process(target=_spin, daemon=True) for _ in range(count)]
    for other in others:
        other.start()
    try:
        yield
    finally:
        for other in others:
            other.terminate()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=11)
    parser.add_argument("--threads", type=int, default=kernels.threads())
    parser.add_argument("--only", choices=["sharing", "nets"])
    parser.add_argument("--busy", type=int, default=0, help="processes that take a core each meanwhile")
    args = parser.parse_args()
    kernels.use_engine("numba")
    numba.set_num_threads(min(args.threads, numba.config.NUMBA_NUM_THREADS))
    print(machine())
    print(f"numba {numba.__version__}, {args.threads} threads, beside {args.busy} busy processes")
    with busy(args.busy):
        if args.only != "nets":
            sharing(args)
        if args.only != "sharing":
            nets(args)


if __name__ == "__main__":
    main()
