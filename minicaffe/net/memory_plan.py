"""Let blobs that are never needed at the same time share their memory, in a net that only runs forward."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from operator import itemgetter
from typing import TYPE_CHECKING

import numpy as np

from minicaffe.blob import Blob
from minicaffe.errors import NetError, near_names, no_memory
from minicaffe.layer import Layer
from minicaffe.net import scratch

if TYPE_CHECKING:
    from minicaffe.net.net import Net

CONSIDERED = 64  # free buffers that are compared: real nets have fewer, and a hostile one then costs little


@dataclass
class Interval:
    """The live interval of one storage: the time in which a layer reads or writes the blobs that use it.

    Split, Flatten and Reshape let several blobs share a storage; they count as one here.

    blobs         those that use the storage, the largest first
    first, last   the indices of the first and the last layer that reads or writes one of them
    kept          True if its values may be read after a forward pass, or set before it. It then shares no memory
    """

    blobs: list[Blob]
    first: int
    last: int
    kept: bool

    @property
    def count(self) -> int:
        """The elements that the storage must hold."""
        return self.blobs[0].count


def live_intervals(layers: Sequence[Layer], bottoms: Sequence[Sequence[Blob]], tops: Sequence[Sequence[Blob]],
                   keep: Collection[Blob]) -> list[Interval]:
    """Return the live intervals of all storages of a net that has been set up.

    Some storages are kept: those of the blobs in `keep`, of blobs that no layer reads, and of learned blobs. Tops that
    their layer may not write in every pass are kept too: tops of layers without bottoms (Input, a constant DummyData),
    and of users' code.
    """
    found: dict[int, Interval] = {}
    seen: set[Blob] = set()
    for i, layer in enumerate(layers):
        for blob in (*bottoms[i], *tops[i]):
            interval = found.setdefault(id(blob.storages[0]), Interval([], i, i, False))
            interval.last = i
            if blob not in seen:
                seen.add(blob)
                interval.blobs.append(blob)
        if not bottoms[i] or layer.users_code:
            for blob in tops[i]:
                found[id(blob.storages[0])].kept = True
    read = {blob for blobs in bottoms for blob in blobs}
    learned = {id(blob.storages[0]) for layer in layers for blob in layer.blobs}
    for storage, interval in found.items():
        interval.blobs.sort(key=lambda blob: -blob.count)
        interval.kept |= storage in learned or any(blob in keep or blob not in read for blob in interval.blobs)
    return list(found.values())


def assign(found: Sequence[Interval]) -> list[list[Interval]]:
    """Assign live intervals to buffers so that no two that overlap share one. The first in each buffer is the largest.

    The largest interval chooses first. A new buffer is made only where all others are in use at some time in the
    interval. So a buffer never has to grow. Results do not depend on how well this chooses.

    To find the fewest bytes is NP-hard. They are no fewer than the bytes in use at one time. This takes 1.1 to 1.5
    times as many (ResNet-50 1.08, CaffeNet 1.19, SqueezeNet 1.33, GoogLeNet 1.48), because a buffer is not divided.
    Choosing in the order of time instead is better for ResNet-50 (1.00) and worse for the other three. Of several free
    buffers an interval takes the one that is used last before it, or first after it: that memory may still be in the
    caches. Pisarchyk and Lee, arXiv:2001.03288, compare this order ("greedy by size") with others.
    """
    moving = sorted((one for one in found if not one.kept), key=lambda one: (-one.count, one.first))
    buffers: list[Buffer] = []
    taken = np.zeros(max((one.last for one in moving), default=0) + 1, np.intp)  # buffers in use, at each layer
    for interval in moving:
        time = slice(interval.first, interval.last + 1)
        if taken[time].max() == len(buffers):  # at some layer all are in use: no need to look at each
            free = []
        else:
            gaps = ((gap, buffer) for buffer in buffers if (gap := buffer.gap(interval)) is not None)
            free = list(islice(gaps, CONSIDERED))
        if not free:
            buffers.append(Buffer())
        buffer = min(free, key=itemgetter(0))[1] if free else buffers[-1]
        buffer.add(interval)
        taken[time] += 1
    return [buffer.intervals for buffer in buffers]


class Buffer:
    """Memory that is used in several live intervals, one after another. The first one added is the largest."""

    def __init__(self) -> None:
        self.intervals: list[Interval] = []
        self._firsts: list[int] = []  # in the order of time, as are the lasts
        self._lasts: list[int] = []

    def gap(self, interval: Interval) -> int | None:
        """Return how many layers lie between an interval and the nearest in the buffer; None where they overlap."""
        k = bisect_left(self._firsts, interval.first)
        before = interval.first - self._lasts[k - 1] if k else None
        after = self._firsts[k] - interval.last if k < len(self._firsts) else None
        gaps = [gap for gap in (before, after) if gap is not None]
        return min(gaps) if min(gaps, default=0) > 0 else None

    def add(self, interval: Interval) -> None:
        """Use the buffer in this interval too, which overlaps none of the others."""
        k = bisect_left(self._firsts, interval.first)
        self.intervals.append(interval)
        self._firsts.insert(k, interval.first)
        self._lasts.insert(k, interval.last)


def share_storages(buffers: Sequence[Sequence[Interval]]) -> None:
    """Let all blobs of a buffer use one storage, that of the buffer's largest interval."""
    for owner, *others in buffers:
        for blob in (blob for interval in others for blob in interval.blobs):
            blob.share_data(owner.blobs[0])


def apply(net: Net, keep: Collection[str] = ()) -> None:
    """Let the blobs of a net share their memory from now on. `net.blobs` keeps only those that hold their values."""
    unknown = [name for name in keep if name not in net.blobs]
    if unknown:
        raise NetError(f"net {net.name!r} has no blob {unknown[0]!r} to keep",
                       hint=near_names(unknown[0], list(net.blobs)))
    net.plan = net.plan.nothing()  # a backward pass would read values that are overwritten
    for layer in net.layers:
        layer.runs_backward = False
    scratch.hand_out(net)
    found = live_intervals(net.layers, net.bottoms, net.tops, {net.blobs[name] for name in (*keep, *net.outputs)})
    buffers = assign(found)
    share_storages(buffers)
    if not net.shapes_only:
        _allocate(net, buffers)
    net.blobs = HeldBlobs(net.blobs, {blob for one in found if one.kept for blob in one.blobs})


def _allocate(net: Net, buffers: Sequence[Sequence[Interval]]) -> None:
    """Take the memory of each buffer now, as much as its largest interval needs.

    Otherwise a storage takes memory when data in it is first asked for, and larger memory each time that a larger blob
    asks.
    """
    try:
        for largest, *_ in buffers:
            _ = largest.blobs[0].data
    except MemoryError as error:
        raise NetError(f"net {net.name!r}: {no_memory(error)}",
                       hint="smaller batches need less; minicaffe summary NET says who needs how much") from None


class HeldBlobs(dict[str, Blob]):
    """The blobs by name that hold their values after a forward pass; to ask for another is a NetError."""

    def __init__(self, named: Mapping[str, Blob], held: Collection[Blob]) -> None:
        super().__init__({name: blob for name, blob in named.items() if blob in held})
        self.reused = sorted(set(named) - set(self))

    def __missing__(self, name: str) -> Blob:
        if name in self.reused:
            raise NetError(f"blob {name!r} does not hold its values: the net was made with reuse_memory, and later "
                           f"layers write over them", hint=f"make it with keep=[{name!r}], or without reuse_memory")
        raise KeyError(name)
