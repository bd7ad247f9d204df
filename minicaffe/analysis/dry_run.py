"""What memory kernels would borrow for a net, found by a rehearsal: all is called, on shapes, and nothing runs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from minicaffe import kernels
from minicaffe.blob import Storage
from minicaffe.kernels.recording import recording
from minicaffe.kernels.workspace import without_memory

if TYPE_CHECKING:
    from minicaffe.net.net import Net


def borrowed(net: Net) -> tuple[int, int]:
    """Bytes that kernels borrow for forward passes, and for forward and backward passes, of a net of shapes alone.

    A kernel that is more than entries counts as nothing; on the engine "numpy" all are.
    """
    kernels.engine()
    acting = [i for i, layer in enumerate(net.layers) if layer.can_dry_run]
    slots: dict[str, int] = {}
    with _pretending(net):
        for i in acting:
            _rehearse(slots, lambda i=i: net.layers[i].forward(net.bottoms[i], net.tops[i]))  # type: ignore[misc]
        forward = sum(slots.values())
        for i in acting:
            if net.plan.layers[i]:
                _rehearse(slots, lambda i=i: net.layers[i].backward(  # type: ignore[misc]
                    net.tops[i], net.plan.bottoms[i], net.bottoms[i]))
    return forward, sum(slots.values())


def _rehearse(slots: dict[str, int], act: Callable[[], None]) -> None:
    """Raise each slot to what it takes now: kernels keep what they have borrowed for the next time."""
    with recording(rehearsal=True) as tape:
        act()
    for slot, size in (tape.borrowed or {}).items():
        slots[slot] = max(size, slots.get(slot, 0))


@contextmanager
def _pretending(net: Net) -> Iterator[None]:
    """Give all blobs memory that is none."""
    blobs = [*net._blobs, *(blob for layer in net.layers for blob in layer.blobs)]
    counts: dict[Storage, int] = {}
    for blob in blobs:
        for storage in blob.storages:
            counts[storage] = max(blob.count, counts.get(storage, 0))
    for storage, count in counts.items():
        storage.buffer = without_memory((count,), storage.dtype)
    try:
        yield
    finally:
        for storage in counts:
            storage.buffer = None
