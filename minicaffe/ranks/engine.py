"""What carries arrays between ranks: the three calls that an engine has, and what it must guarantee."""

from __future__ import annotations

from typing import Protocol

import numpy as np


class Pending(Protocol):
    """A call that has been made and may not be complete yet."""

    def done(self) -> bool:
        """Let the call make progress, without waiting. Return whether it is complete."""
        ...

    def wait(self) -> None:
        """Return when the call is complete."""
        ...


class Engine(Protocol):
    """The ranks of a training, and three calls that all of them make together. MPI is one engine (mpi.py).

    rank    the number of this process, counted from 0
    size    the number of processes

    The arrays are contiguous, and those of one call have the same number type and size on all ranks. What an engine
    must guarantee:

    - A call returns at once. Its arrays belong to the engine until the call is complete: the caller neither writes what
      is sent nor reads what is received. The engine keeps them alive for so long.
    - Every rank makes the calls of one kind in the same order. Calls of different kinds may be made in another order on
      each rank, because a rank begins an `allgather` as soon as an `alltoall` is complete, and ranks are not equally
      fast. So an engine must match a call with the calls of its own kind alone. MPI matches by the order of calls on a
      communicator, so there each kind has one of its own; with torch.distributed each kind needs a process group.
    - Many calls may be pending at the same time. They may be complete in any order.
    - Bytes arrive as they were sent. An engine never adds numbers up: the order of the additions decides the bits.
    - All calls come from one thread. `abort` may come from any thread, also while that thread waits in a call.
    """

    rank: int
    size: int

    def allgather(self, mine: np.ndarray, from_all: np.ndarray) -> Pending:
        """Send `mine` to all ranks. `from_all` gets what each of them sent, one after the other."""
        ...

    def alltoall(self, to_each: np.ndarray, from_each: np.ndarray) -> Pending:
        """Send a part of `to_each` to each rank: it has `size` parts of equal length. `from_each` gets one of each."""
        ...

    def broadcast(self, values: np.ndarray) -> Pending:
        """Send `values` from rank 0 to all others, where it is overwritten."""
        ...

    def abort(self, status: int) -> None:
        """End the processes of all ranks at once, with this exit status."""
        ...
