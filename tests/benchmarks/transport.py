"""How long ranks of this machine take to exchange buckets: what α and β of its shared memory are fitted to."""

from __future__ import annotations

import statistics
import time

import numpy as np
import sides

from minicaffe.ranks.buckets import add_in_halves

SIZES = (4 << 10, 4 << 20)
TIMES = 60


def measured():
    """The seconds of an exchange on two ranks, with its additions, by the bytes."""
    side = sides.Side("an exchange", "transport:exchanges", processes=2, threads=1)
    side.close()
    return side.facts


def exchanges(_folder):
    """The side of a rank: medians of some exchanges of each size."""
    from minicaffe.ranks.mpi import MPIEngine

    engine = MPIEngine()
    return None, {size: _seconds(engine, size) for size in SIZES}, lambda _: ()


def _seconds(engine, size):
    """The median of some exchanges of so many bytes, in memory that has been used before."""
    values, chunks = np.ones(size // 4, np.float32), np.ones(size // 4, np.float32)
    rows, times = list(chunks.reshape(engine.size, -1)), []
    for _ in range(TIMES):
        engine.allgather(np.zeros(1), np.zeros(engine.size)).wait()  # so that the ranks begin together
        start = time.perf_counter()
        engine.alltoall(values, chunks).wait()
        add_in_halves(rows)
        engine.allgather(rows[0], values).wait()
        times.append(time.perf_counter() - start)
        values.fill(1)  # the sums would grow beyond all bounds
    return statistics.median(times)
