"""A program that each rank of test_mpi.py runs: the engine's calls, and gradients added up over MPI.

With the argument "abort", rank 1 ends all ranks while the others wait for it. With a number, so many processes are
expected.
"""

import sys
import threading

import numpy as np
from test_exchange import exchanged, pass_of, same_bits, twins
from thread_group import total

from minicaffe import rng
from minicaffe.errors import EngineError
from minicaffe.ranks import buckets, mpi
from minicaffe.ranks.group import HEAD, Ranks


def check_calls(engine):
    """Each of the three calls, with several under way at the same time, and kinds in another order on each rank."""
    rank, size = engine.rank, engine.size
    mine, from_all = np.arange(3) + 10 * rank, np.zeros((size, 3), int)
    to_each, from_each = np.arange(2.0 * size) + 100 * rank, np.zeros((size, 2))
    values = np.arange(7, dtype=np.float32) if rank == 0 else np.zeros(7, np.float32)
    calls = [lambda: engine.allgather(mine, from_all), lambda: engine.alltoall(to_each, from_each),
             lambda: engine.broadcast(values)]
    pending = [calls[(i + rank) % 3]() for i in range(3)]
    pending[0].wait()
    while not all([one.done() for one in pending]):
        pass

    assert from_all.tolist() == [[0 + 10 * r, 1 + 10 * r, 2 + 10 * r] for r in range(size)]
    assert from_each.tolist() == [[2 * rank + 100 * r, 2 * rank + 1 + 100 * r] for r in range(size)]
    assert values.tolist() == [0, 1, 2, 3, 4, 5, 6]


def check_broadcast_in_pieces(engine):
    """What is larger than one MPI call may be is sent in pieces."""
    mpi.PIECE = 64
    given = np.arange(101, dtype=np.float64)
    values = given.copy() if engine.rank == 0 else np.zeros_like(given)
    engine.broadcast(values).wait()
    assert same_bits([given], [values])
    engine.broadcast(values[:0]).wait()


def check_group(engine):
    """Short and long values, and arrays."""
    group = Ranks(engine)
    group.check()
    assert group.gather(engine.rank) == list(range(engine.size))
    assert group.gather("x" * engine.rank * HEAD) == ["x" * rank * HEAD for rank in range(engine.size)]
    weights = group.broadcast([np.arange(30.0)] if engine.rank == 0 else None)
    assert same_bits([np.arange(30.0)], weights)


def check_sums(engine):
    """The sums of four updates have the bits of the tree."""
    buckets.BUCKET, buckets.CHUNK = 80, 4
    rng.seed(3)
    plain, net = twins(2)
    found, *_ = exchanged(net, engine, 4, overlap=True)
    for update in range(4):
        gradients = [pass_of(plain, rank, update) for rank in range(engine.size)]
        assert same_bits([total(list(one)) for one in zip(*gradients, strict=True)], found[update])


def end_all_while_waiting(engine):
    """Rank 1 ends all ranks from another thread, as a heartbeat does, while every rank waits inside MPI."""
    numbers = np.zeros(engine.size)
    if engine.rank == 1:
        threading.Timer(0.1, engine.abort, [7]).start()
        engine.alltoall(numbers, numbers.copy()).wait()
    else:
        engine.allgather(numbers[:1], numbers.copy()).wait()


def main(argument=""):
    engine = mpi.MPIEngine(int(argument) if argument.isdecimal() else 0)
    if argument == "abort":
        end_all_while_waiting(engine)
    check_calls(engine)
    check_broadcast_in_pieces(engine)
    check_group(engine)
    check_sums(engine)
    print(f"rank {engine.rank} of {engine.size} has found all as it should be", flush=True)


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except EngineError as error:
        sys.exit(f"error: {error}")
