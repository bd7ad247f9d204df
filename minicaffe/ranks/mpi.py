"""The engine on MPI, by mpi4py. No other module of minicaffe imports mpi4py."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from typing import Any

import numpy as np

from minicaffe.errors import EngineError, missing_extra

PIECE = 1 << 30  # bytes that one MPI call sends at most: many MPI libraries count them in 32 bits, with a sign


class MPIEngine:
    """The processes that `mpirun` has started, and the calls between them. `Engine` says what the calls do.

    expected    the number of processes, as the launcher has told it; 0 where it is not known
    """

    def __init__(self, expected: int = 0) -> None:
        world = _load().COMM_WORLD
        self.rank, self.size = world.Get_rank(), world.Get_size()
        if expected not in (0, self.size):
            raise EngineError(f"the launcher has started {expected} processes, but the MPI library of mpi4py sees "
                              f"{self.size}: the launcher belongs to another MPI library", hint=CURE)
        self._world = world
        # MPI matches collective calls by their order on a communicator, and ranks may mix the kinds in other orders
        self._gathers, self._exchanges, self._broadcasts = (world.Dup() for _ in range(3))

    def allgather(self, mine: np.ndarray, from_all: np.ndarray) -> Requests:
        """Send `mine` to all ranks. `from_all` gets what each of them sent, one after the other."""
        return Requests([self._gathers.Iallgather(mine, from_all)])

    def alltoall(self, to_each: np.ndarray, from_each: np.ndarray) -> Requests:
        """Send a part of `to_each` to each rank, and get one of each in `from_each`."""
        return Requests([self._exchanges.Ialltoall(to_each, from_each)])

    def broadcast(self, values: np.ndarray) -> Requests:
        """Send `values` from rank 0 to all others. It may be of any size."""
        flat = values.reshape(-1).view(np.uint8)
        return Requests([self._broadcasts.Ibcast(flat[i:i + PIECE]) for i in range(0, flat.size, PIECE)])

    def abort(self, status: int) -> None:
        """End the processes of all ranks at once, with this exit status."""
        self._world.Abort(status)


class Requests:
    """MPI's requests of one call."""

    def __init__(self, requests: Sequence[Any]) -> None:
        self._open = list(requests)  # each holds its arrays

    def done(self) -> bool:
        """Let the call make progress. Return whether it is complete."""
        self._open = [request for request in self._open if not request.Test()]
        return not self._open

    def wait(self) -> None:
        """Return when the call is complete."""
        # As quick as MPI's own Wait, which does the same, but between two looks Python can handle a signal.
        while not self.done():
            pass


CURE = ("pip install 'minicaffe[mpi]' brings Open MPI and its mpirun; on a cluster, load the MPI library that its "
        "mpirun belongs to (MPI4PY_LIBMPI may name its file)")


def _load() -> Any:
    """Import mpi4py and begin MPI. Raise EngineError where the package or the MPI library is missing."""
    try:
        import mpi4py
    except ImportError:
        raise missing_extra("mpi4py", "mpi", "training by several processes") from None
    # One thread makes all calls but one: the heartbeat's thread calls `abort` when another rank is silent, and just
    # then the first one waits for that rank inside MPI. A library that does not allow this gives what it has.
    mpi4py.rc.thread_level = "multiple"
    mpi4py.rc.initialize, mpi4py.rc.finalize = False, True  # _initialize does the first
    try:
        from mpi4py import MPI
    except (ImportError, RuntimeError) as error:  # one of them for a library that is missing, the other for a wrong one
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise EngineError(f"training by several processes needs an MPI library, and mpi4py has found none that works: "
                          f"{reason}", hint=CURE) from None
    if not MPI.Is_initialized():
        _initialize(MPI)
    return MPI


def _initialize(module: Any) -> None:
    """Begin MPI, which waits for all ranks.

    mpi4py would hold Python's lock meanwhile, and no thread could see that a rank is stopped. A call by ctypes does not
    hold it.
    """
    try:
        begin = ctypes.CDLL(module.__file__).MPI_Init_thread  # it is found in the MPI library, which the file names
    except (AttributeError, OSError):  # systems that do not look there
        module.Init_thread(module.THREAD_MULTIPLE)
        return
    begin(None, None, ctypes.c_int(module.THREAD_MULTIPLE), ctypes.byref(ctypes.c_int()))
