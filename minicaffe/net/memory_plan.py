"""Which blobs of a net that only runs forward may use one memory: those that are never needed at the same time."""

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

CONSIDERED = 64  # free houses that are compared: real nets have fewer, and a hostile one then costs little


@dataclass
class Tenant:
    """Blobs that share a storage already (Split, Flatten, Reshape and what they hand on), seen as one.

    blobs         the largest first
    first, last   the layers, by index, that touch one of them first and last
    kept          somebody may look at its values after a forward pass, or set them before
    """

    blobs: list[Blob]
    first: int
    last: int
    kept: bool

    @property
    def count(self) -> int:
        """The elements that its storage must hold."""
        return self.blobs[0].count


def tenants(layers: Sequence[Layer], bottoms: Sequence[Sequence[Blob]], tops: Sequence[Sequence[Blob]],
            keep: Collection[Blob]) -> list[Tenant]:
    """All storages of a net that has been set up, with the time that each is in use.

    Kept are those of the blobs in `keep`, of blobs that no layer reads, of learned blobs, and the tops of layers that
    need not write them in every pass: those without bottoms (Input, a DummyData that is constant) and Python layers.
    """
    found: dict[int, Tenant] = {}
    seen: set[Blob] = set()
    for i, layer in enumerate(layers):
        for blob in (*bottoms[i], *tops[i]):
            tenant = found.setdefault(id(blob.storages[0]), Tenant([], i, i, False))
            tenant.last = i
            if blob not in seen:
                seen.add(blob)
                tenant.blobs.append(blob)
        for blob in tops[i] if not bottoms[i] or layer.layer_param.type == "Python" else ():
            found[id(blob.storages[0])].kept = True
    read = {blob for blobs in bottoms for blob in blobs}
    learned = {id(blob.storages[0]) for layer in layers for blob in layer.blobs}
    for storage, tenant in found.items():
        tenant.blobs.sort(key=lambda blob: -blob.count)
        tenant.kept |= storage in learned or any(blob in keep or blob not in read for blob in tenant.blobs)
    return list(found.values())


def assign(found: Sequence[Tenant]) -> list[list[Tenant]]:
    """Houses of tenants that are never in at the same time; each house is as large as its first tenant.

    The largest tenant chooses first, and a house is built only where every one that stands is taken at the time. So
    a house never has to grow, and no two tenants of one house meet: that is all that must hold for right results.
    The fewest bytes are hard to find (NP-hard) and never fewer than are in use at one time; this takes 1.1 to 1.5 times
    that (ResNet-50 1.08, CaffeNet 1.19, SqueezeNet 1.33, GoogLeNet 1.48), for a house is not divided. To let tenants
    choose in the order of time is better for ResNet-50 (1.00) and worse for the other three. Of several houses a
    tenant takes the one whose memory was used last before it, or is used next: it may still be in the caches.
    Pisarchyk and Lee, arXiv:2001.03288 ("greedy by size"), compare it with other orders.
    """
    moving = sorted((t for t in found if not t.kept), key=lambda t: (-t.count, t.first))
    houses: list[House] = []
    taken = np.zeros(max((t.last for t in moving), default=0) + 1, np.intp)  # houses, at each layer
    for tenant in moving:
        time = slice(tenant.first, tenant.last + 1)
        if taken[time].max() == len(houses):
            free = []
        else:
            gaps = ((gap, house) for house in houses if (gap := house.gap(tenant)) is not None)
            free = list(islice(gaps, CONSIDERED))
        if not free:
            houses.append(House())
        house = min(free, key=itemgetter(0))[1] if free else houses[-1]
        house.take(tenant)
        taken[time] += 1
    return [house.tenants for house in houses]


class House:
    """Memory that tenants use one after another; the first to come is the largest."""

    def __init__(self) -> None:
        self.tenants: list[Tenant] = []
        self._firsts: list[int] = []  # in the order of time, as are the lasts
        self._lasts: list[int] = []

    def gap(self, tenant: Tenant) -> int | None:
        """How many layers lie between a tenant and the nearest in the house; None where they would meet."""
        k = bisect_left(self._firsts, tenant.first)
        before = tenant.first - self._lasts[k - 1] if k else None
        after = self._firsts[k] - tenant.last if k < len(self._firsts) else None
        gaps = [gap for gap in (before, after) if gap is not None]
        return min(gaps) if min(gaps, default=0) > 0 else None

    def take(self, tenant: Tenant) -> None:
        """Let a tenant in that meets no other."""
        k = bisect_left(self._firsts, tenant.first)
        self.tenants.append(tenant)
        self._firsts.insert(k, tenant.first)
        self._lasts.insert(k, tenant.last)


def move_in(houses: Sequence[Sequence[Tenant]]) -> None:
    """Let every blob use its house's storage, which is the first tenant's own."""
    for owner, *others in houses:
        for blob in (blob for tenant in others for blob in tenant.blobs):
            blob.share_data(owner.blobs[0])


def most_in_use(found: Sequence[Tenant]) -> int:
    """The elements of the tenants that are not kept, at the layer where they are most: no plan can do with fewer."""
    passing = [t for t in found if not t.kept]
    return max((sum(t.count for t in passing if t.first <= i <= t.last)
                for i in {t.first for t in passing}), default=0)


def apply(net: Net, keep: Collection[str] = ()) -> None:
    """Let the blobs of a net share their memory from now on; what holds its values stays in `net.blobs`."""
    unknown = [name for name in keep if name not in net.blobs]
    if unknown:
        raise NetError(f"net {net.name!r} has no blob {unknown[0]!r} to keep",
                       hint=near_names(unknown[0], list(net.blobs)))
    net.plan = net.plan.nothing()
    for layer in net.layers:
        layer.runs_backward = False
    scratch.hand_out(net)
    found = tenants(net.layers, net.bottoms, net.tops, {net.blobs[name] for name in (*keep, *net.outputs)})
    houses = assign(found)
    move_in(houses)
    if not net.shapes_only:
        _build(net, houses)
    net.blobs = HeldBlobs(net.blobs, {blob for tenant in found if tenant.kept for blob in tenant.blobs})


def _build(net: Net, houses: Sequence[Sequence[Tenant]]) -> None:
    """Take the memory at once, and as much as the largest needs: it is never replaced while shapes stay."""
    try:
        for house in houses:
            _ = house[0].blobs[0].data
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
