"""The memory that kernels would borrow for a net, found by a dry run: layers run on shapes, nothing is computed."""

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
    """The bytes that kernels borrow for forward passes, and for forward and backward passes; the net needs no memory.

    Only kernels that do all their work in compiled tasks are counted. On the engine "numpy" there are none.
    """
    kernels.engine()
    acting = [i for i, layer in enumerate(net.layers) if layer.can_dry_run]
    slots: dict[str, int] = {}
    with _without_memory(net):
        for i in acting:
            _dry_run(slots, lambda i=i: net.layers[i].forward(net.bottoms[i], net.tops[i]))  # type: ignore[misc]
        forward = sum(slots.values())
        for i in acting:
            if net.plan.layers[i]:
                _dry_run(slots, lambda i=i: net.layers[i].backward(  # type: ignore[misc]
                    net.tops[i], net.plan.bottoms[i], net.bottoms[i]))
    return forward, sum(slots.values())


def _dry_run(slots: dict[str, int], act: Callable[[], None]) -> None:
    """Let each slot have at least the size that `act` borrows: a thread keeps the largest memory of each slot."""
    with recording(dry_run=True) as made:
        act()
    for slot, size in (made.borrowed or {}).items():
        slots[slot] = max(size, slots.get(slot, 0))


@contextmanager
def _without_memory(net: Net) -> Iterator[None]:
    """In this block every blob's arrays have the right shape, but all their numbers are one number in memory."""
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
