"""The buckets in which gradients travel, and when each gradient of a backward pass is complete."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from minicaffe import kernels
from minicaffe.net import Net
from minicaffe.net.param_sharing import Param
from minicaffe.ranks.engine import Engine, Pending

BUCKET = 4 << 20  # bytes: a larger one is complete later, and with smaller ones the latency of more calls adds up
CHUNK = 64 << 10  # bytes of a bucket for each rank, at least: with smaller ones, many ranks wait for latency alone


@dataclass
class Piece:
    """The numbers `start` to `stop` of a parameter's gradient, which is complete when `layer` has run backward."""

    param: Param
    layer: int
    start: int
    stop: int

    @property
    def size(self) -> int:
        """How many numbers these are."""
        return self.stop - self.start

    def values(self) -> np.ndarray:
        """Return them in the memory that the diff has now, for it may have been replaced since the last update."""
        return self.param.blob.diff.reshape(-1)[self.start:self.stop]


class Bucket:
    """Pieces of gradients that travel together.

    pieces     what the bucket holds
    layer      the layer after whose backward pass all of them are complete
    size       how many numbers are sent: a multiple of the number of ranks
    values     while the bucket is under way: what is sent. The sums take its place
    """

    def __init__(self, pieces: Sequence[Piece], ranks: int, dtype: type) -> None:
        self.pieces, self.layer = pieces, min(piece.layer for piece in pieces)
        count = sum(piece.size for piece in pieces)
        self.size = -(-count // ranks) * ranks
        # A bucket of one piece that needs no zeros at its end is sent from the diff, and the sums arrive there
        whole = len(pieces) == 1 and self.size == count
        self._space: np.ndarray | None = None if whole else np.zeros(self.size, dtype)
        self._nothing: np.ndarray = np.empty(0, dtype)
        self.values = self._memory = self._chunks = self._nothing
        self._pending: Pending | None = None

    def send(self, engine: Engine, memory: np.ndarray) -> None:
        """Begin the alltoall. `memory` is for the chunks that arrive, and has room for at least `size` numbers."""
        for piece, place in self._places():
            place[...] = piece.values()
        self.values = self.pieces[0].values() if self._space is None else self._space
        self._memory, self._chunks = memory, memory[:self.size]
        self._pending = engine.alltoall(self.values, self._chunks)

    def add_up(self, engine: Engine) -> None:
        """After the alltoall: add the chunks up, and begin the allgather."""
        rows = list(self._chunks.reshape(engine.size, -1))
        with np.errstate(all="ignore"):  # infinity and NaN are numbers here; whoever watches the gradients finds them
            kernels.for_blocks(rows, lambda *parts: add_in_halves(parts))
        self._pending = engine.allgather(rows[0], self.values)

    def deliver(self) -> np.ndarray:
        """After the allgather: write the sums into the diffs. Return the memory that `send` was given."""
        for piece, place in self._places():
            piece.values()[...] = place
        memory = self._memory
        self.values = self._memory = self._chunks = self._nothing  # a diff that is replaced must not be kept alive
        return memory

    def arrived(self) -> bool:
        """Let the call that is under way make progress. Return whether it is complete."""
        return self._pending is None or self._pending.done()

    def wait(self) -> None:
        """Return when the call that is under way is complete."""
        if self._pending is not None:
            self._pending.wait()

    def _places(self) -> Iterator[tuple[Piece, np.ndarray]]:
        """Each piece that is copied, with its place in the bucket's own memory."""
        first = 0
        if self._space is not None:
            for piece in self.pieces:
                yield piece, self._space[first:first + piece.size]
                first += piece.size


def add_in_halves(parts: Sequence[np.ndarray]) -> None:
    """Add arrays up in a tree: the sum of the first half plus that of the second. It stands in the first array then."""
    if len(parts) > 1:
        middle = (len(parts) + 1) // 2
        add_in_halves(parts[:middle])
        add_in_halves(parts[middle:])
        np.add(parts[0], parts[middle], out=parts[0])


def complete_after(net: Net, params: Sequence[Param]) -> list[int]:
    """Return for each parameter the layer after whose backward pass its gradient is complete.

    It is the first layer of the net that has it, for backward comes to that one last. Layers that do not run backward
    are no exception: hooks are called for them, too.
    """
    first: dict[object, int] = {}
    for i, layer in enumerate(net.layers):
        for blob in layer.blobs:
            first.setdefault(id(blob.storages[1]), i)
    return [first[id(param.blob.storages[1])] for param in params]


def computed(net: Net) -> set[int]:
    """Return the diffs that a backward pass may write. In all others there are zeros on every rank.

    A layer that runs backward may write all of its diffs: one with lr_mult 0 as well, since layers of users need not
    look at what is asked of them.
    """
    return {id(blob.storages[1]) for i, layer in enumerate(net.layers) if net.plan.layers[i] for blob in layer.blobs}


def in_buckets(net: Net, params: Sequence[Param], after: Sequence[int], ranks: int) -> list[Bucket]:
    """Put the gradients into buckets, in the order in which backward completes them.

    after    the layer that completes each of them
    """
    written = computed(net)
    full = max(BUCKET, ranks * CHUNK) // np.dtype(net.dtype).itemsize // ranks * ranks
    groups, small = list[list[Piece]](), list[Piece]()
    for i in in_order(after):
        param, count = params[i], params[i].blob.count
        if id(param.blob.storages[1]) not in written:
            continue
        rest = count // full * full  # here begins what fills no bucket of its own
        if small and sum(piece.size for piece in small) + count - rest > full:
            groups.append(small)
            small = []
        groups.extend([Piece(param, after[i], at, at + full)] for at in range(0, rest, full))
        if rest < count:
            small.append(Piece(param, after[i], rest, count))
    if small:
        groups.append(small)
    return [Bucket(pieces, ranks, net.dtype) for pieces in groups]


def in_order(after: Sequence[int]) -> list[int]:
    """Return the numbers of the parameters in the order in which backward completes them."""
    return sorted(range(len(after)), key=lambda i: -after[i])
