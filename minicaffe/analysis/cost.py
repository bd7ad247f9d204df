"""Compute the cost of a net from its shapes alone: parameters, multiply-adds and memory.

The multiply-adds are the sum of what each layer's `multiply_adds` says. Only layers that multiply by a matrix of
weights have any.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

import numpy as np

from minicaffe.analysis import dry_run
from minicaffe.blob import Blob, Storage

if TYPE_CHECKING:
    from minicaffe.net.net import Net


@dataclass
class LayerCost:
    """One layer: the shapes of its tops, the parameters it owns, its multiply-adds, and the bytes that its tops add.

    note    "in place" or "shared" where the tops use memory that is counted already
    """

    name: str
    type: str
    shapes: list[tuple[int, ...]]
    parameters: int
    multiply_adds: int
    activation_bytes: int
    note: str


@dataclass
class NetCost:
    """All layers, and the bytes of the whole net.

    batch           the number of samples. Where `steps` is not None it is the number of sequences, each of so many
                    time steps
    activations     the data of all blobs except the learned ones; memory that several share counts once
    gradients       the diffs that backward writes or reads
    parameters      the number of learned and measured values, shared ones once; `parameter_bytes` is their memory
    own             memory that layers need from forward to backward: masks, normalized values, gates
    borrowed        memory that kernels use during a call, first for forward passes, then for training; both 0 for a
                    net that was not made with `shapes_only`
    trains          whether anything runs backward
    """

    layers: list[LayerCost]
    batch: int
    steps: int | None
    activations: int
    gradients: int
    parameters: int
    parameter_bytes: int
    own: int
    borrowed: tuple[int, int]
    trains: bool

    @property
    def multiply_adds(self) -> int:
        """The multiply-adds of one forward pass of the batch."""
        return sum(layer.multiply_adds for layer in self.layers)

    @property
    def test_bytes(self) -> int:
        """The bytes that forward passes need."""
        return self.activations + self.parameter_bytes + self.own + self.borrowed[0]

    @property
    def train_bytes(self) -> int:
        """The bytes that training needs, with all gradients and one history for each blob (SGD's momentum)."""
        more = self.borrowed[1] - self.borrowed[0]
        return self.test_bytes + self.gradients + 2 * self.parameter_bytes + more


def cost(net: Net) -> NetCost:
    """Count all costs of a net from its shapes; it may be made with `shapes_only`."""
    item = np.dtype(net.dtype).itemsize
    rows = layer_costs(net)
    parameters = sum(row.parameters for row in rows)
    steps, batch = steps_and_batch(net)
    return NetCost(rows, batch, steps, sum(row.activation_bytes for row in rows), _gradients(net), parameters,
                   parameters * item, _own(net), dry_run.borrowed(net) if net.shapes_only else (0, 0),
                   any(net.plan.layers))


def layer_costs(net: Net) -> list[LayerCost]:
    """Count the costs of each layer of a net from its shapes."""
    data = _Memory(np.dtype(net.dtype).itemsize)
    rows, learned = [], {param.blob.storages[0] for param in net.all_params}
    params = iter(net.all_params)
    for i, layer in enumerate(net.layers):
        bottom, top = net.bottoms[i], net.tops[i]
        owned = sum(param.blob.count for param in islice(params, len(layer.blobs)) if param.owner is None)
        held = [blob for blob in top if blob.storages[0] not in learned]
        added = data.add([blob.storages[0] for blob in held], held)
        rows.append(LayerCost(layer.name, layer.type, [y.shape for y in top], owned,
                              layer.multiply_adds(bottom, top), added, _note(net, i, added)))
    return rows


def _gradients(net: Net) -> int:
    """Return the bytes of the diffs that a backward pass writes or reads."""
    diffs = _Memory(np.dtype(net.dtype).itemsize)
    for i, runs in enumerate(net.plan.layers):
        # A forward pass writes its weight into a loss's diff, also where nothing runs backward.
        used = [y for y, weight in zip(net.tops[i], net.layers[i].loss_weights, strict=True) if weight]
        if runs:
            used += [b for b, flag in zip(net.bottoms[i], net.plan.bottoms[i], strict=True) if flag]
            used += net.tops[i]
        diffs.add([blob.storages[1] for blob in used], used)
    return diffs.total


def steps_and_batch(net: Net) -> tuple[int | None, int]:
    """Return the time steps and the number of sequences of the first recurrent layer.

    Without such a layer, return None and the batch size of the first top.
    """
    for layer, bottoms in zip(net.layers, net.bottoms, strict=True):
        if layer.recurrent:
            return bottoms[0].shape[0], bottoms[0].shape[1]
    return None, next((top.shape for tops in net.tops for top in tops if top.shape), (1,))[0]


def _own(net: Net) -> int:
    """Return the bytes that layers need from forward to backward; memory that several share counts once."""
    return sum({id(array): array.nbytes for layer in net.layers for array in layer.scratch_arrays}.values())


class _Memory:
    """The storages seen so far, each with the size of the largest blob in it; `total` is their bytes."""

    def __init__(self, item: int) -> None:
        self.item = item
        self.counts: dict[int, int] = {}
        self.total = 0

    def add(self, storages: list[Storage], blobs: list[Blob]) -> int:
        """Count these blobs too, and return by how many bytes the memory grows."""
        before = self.total
        for storage, blob in zip(storages, blobs, strict=True):
            known = self.counts.get(id(storage), 0)
            self.counts[id(storage)] = max(known, blob.count)
            self.total += self.item * (self.counts[id(storage)] - known)
        return self.total - before


def _note(net: Net, i: int, added: int) -> str:
    if net.wiring.in_place[i]:
        return "in place"
    return "shared" if net.tops[i] and not added and any(y.count for y in net.tops[i]) else ""
