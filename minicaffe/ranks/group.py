"""The group of several ranks: small values for all of them, and what must be equal on all of them."""

from __future__ import annotations

import pickle
import sys
from collections.abc import Mapping, Sequence
from typing import TypeVar, cast

import numpy as np

from minicaffe import __version__, kernels
from minicaffe.errors import SolverError
from minicaffe.kernels import blas
from minicaffe.log import At, warn
from minicaffe.net import Net
from minicaffe.net.param_sharing import Param
from minicaffe.ranks.engine import Engine
from minicaffe.ranks.exchange import AllReduce
from minicaffe.solvers.group import Group

T = TypeVar("T")

HEAD = 512          # bytes of the first message of each gather and broadcast: what fits in it needs no second one
ROOM = HEAD - 8     # the first 8 bytes are the length
PROTOCOL = 5        # of pickle: arrays may travel without being copied


class Ranks(Group):
    """The group of the ranks that an engine joins. All ranks must make the same calls in the same order.

    Raise SolverError on all ranks where they cannot train together; warn on rank 0 where they may round differently.

    engine      carries the arrays
    exchanges   what `exchange` has returned
    """

    def __init__(self, engine: Engine) -> None:
        self.engine, self.rank, self.size = engine, engine.rank, engine.size
        self.exchanges: list[AllReduce] = []
        self.agree({"minicaffe's version": __version__, "the kernel engine": kernels.engine(),
                    "the byte order": sys.byteorder},
                   "install the same on all machines; MINICAFFE_ENGINE chooses the kernel engine")
        self._warn_of_roundings()

    def gather(self, mine: T) -> list[T]:
        """Return what each rank has given, in the order of their ranks. Any value that pickle takes can be given."""
        assert not any(exchange.busy for exchange in self.exchanges), "gather between the calls of an exchange"
        content = pickle.dumps(mine, PROTOCOL)
        heads = self._gathered(_head(content), HEAD)
        lengths = [_length(head) for head in heads]
        found = [head[8:8 + length] for head, length in zip(heads, lengths, strict=True)]
        if (longest := max(lengths)) > ROOM:
            found = [one[:n] for one, n in zip(self._gathered(content, longest), lengths, strict=True)]
        return [pickle.loads(one) for one in found]

    def broadcast(self, mine: T) -> T:
        """Return what rank 0 has given. The memory of large arrays in it is sent as it is."""
        if self.rank:
            content, lengths = pickle.loads(self._broadcast_bytes(b""))
            arrays = [np.empty(length, np.uint8) for length in lengths]
        else:
            buffers: list[pickle.PickleBuffer] = []
            content = pickle.dumps(mine, PROTOCOL, buffer_callback=buffers.append)
            arrays = [np.frombuffer(buffer.raw(), np.uint8) for buffer in buffers]
            self._broadcast_bytes(pickle.dumps((content, [array.size for array in arrays]), PROTOCOL))
        for array in arrays:
            self.engine.broadcast(array).wait()
        return cast(T, pickle.loads(content, buffers=arrays)) if self.rank else mine

    def exchange(self, net: Net, params: Sequence[Param], overlap: bool) -> AllReduce:
        """Return what adds up the diffs of these parameters over all ranks."""
        self.agree({"the number type": np.dtype(net.dtype).name,
                    "the list of the parameters' shapes": [param.blob.shape for param in params],
                    "layer_wise_reduce": overlap}, "all ranks must read the same solver and the same net")
        made = AllReduce(self.engine, net, params, overlap)
        self.exchanges.append(made)
        return made

    def agree(self, facts: Mapping[str, object], cure: str) -> None:
        """Raise SolverError on all ranks where one of these facts differs between them. `cure` is the error's hint."""
        found = self.gather(dict(facts))
        for name, first in found[0].items():
            for rank, theirs in enumerate(found):
                if theirs.get(name) != first:
                    raise SolverError(f"{name} differs between the ranks: it is {first} on rank 0 and "
                                      f"{theirs.get(name)} on rank {rank}", hint=cure)

    def _warn_of_roundings(self) -> None:
        """Warn on rank 0 where the ranks' processors or libraries differ, so that they may round differently."""
        found = self.gather(_what_rounds())
        for rank, theirs in enumerate(found):
            for name, value in theirs.items():
                if not self.rank and found[0].get(name) != value:
                    warn(At.SOLVER_BEGINS, f"{name} is {found[0].get(name)} on rank 0 and {value} on rank {rank}: the "
                                           "weights may have other bits than those of another number of ranks")
                    return

    def _gathered(self, content: bytes, length: int) -> list[bytes]:
        """Return the contents of all ranks, each filled up to this length."""
        mine = np.zeros(length, np.uint8)
        mine[:len(content)] = np.frombuffer(content, np.uint8)
        from_all = np.empty((self.size, length), np.uint8)
        self.engine.allgather(mine, from_all).wait()
        return [row.tobytes() for row in from_all]

    def _broadcast_bytes(self, content: bytes) -> bytes:
        """Return the content of rank 0."""
        head = np.frombuffer(bytearray(_head(content)), np.uint8)
        self.engine.broadcast(head).wait()
        length = _length(head.tobytes())
        if length <= ROOM:
            return head[8:8 + length].tobytes()
        whole = np.empty(length, np.uint8) if self.rank else np.frombuffer(content, np.uint8)
        self.engine.broadcast(whole).wait()
        return whole.tobytes()


def _head(content: bytes) -> bytes:
    """Return the first message: the length of the content, and the content where it fits."""
    short = content if len(content) <= ROOM else b""
    return len(content).to_bytes(8, "little") + short.ljust(ROOM, b"\0")


def _length(head: bytes) -> int:
    return int.from_bytes(head[:8], "little")


def _what_rounds() -> dict[str, str]:
    """Return what decides in this process how sums are rounded, besides what minicaffe does."""
    found = {"numpy's version": np.__version__, "the matrix library": blas.in_words()}
    if kernels.engine() == "numba":
        from minicaffe.kernels.numba_engine.registers import REGISTERS, VECTOR
        found["the processor's vector registers"] = f"{REGISTERS} of {VECTOR} numbers"
    return found
