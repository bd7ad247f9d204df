"""Count the work of one pass in each layer: floating-point operations, and the fewest bytes that it must move.

Operations. Each multiply-add of `cost.py` is two. A backward pass needs as many as the forward pass for
the gradient of the weights, and as many again for that of the bottoms. A gradient that the plan leaves out needs none.

Bytes. Each blob that a layer reads or writes counts once. A forward pass moves bottoms, parameters and tops. A backward
pass moves the tops' gradients and the data that the layer's `backward_reads` names. Where a bottom wants its gradient,
it moves that gradient and the parameters too. The parameters' gradients count twice, because they are added to. A top
that uses its bottom's memory, as the tops of Split and Reshape do, moves nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from minicaffe.analysis.cost import cost
from minicaffe.blob import Blob

if TYPE_CHECKING:
    from minicaffe.net.net import Net

DATA, DIFF = 0, 1  # the two memories of a Blob


@dataclass
class Work:
    """The floating-point operations and bytes of one layer in one direction."""

    flops: int
    bytes: int


def forward(net: Net) -> list[Work]:
    """Return the work of each layer's forward pass."""
    item = np.dtype(net.dtype).itemsize
    return [Work(2 * row.multiply_adds, item * (_moved(net, i, DATA, net.bottoms[i]) + _count(net.layers[i].blobs)))
            for i, row in enumerate(cost(net).layers)]


def backward(net: Net) -> list[Work | None]:
    """Return the work of each layer's backward pass; None for a layer that does not run backward."""
    rows = cost(net).layers
    return [_backward(net, i, rows[i].multiply_adds) if runs else None for i, runs in enumerate(net.plan.layers)]


def _backward(net: Net, i: int, multiply_adds: int) -> Work:
    layer, bottoms, tops = net.layers[i], net.bottoms[i], net.tops[i]
    wanted = [x for x, flag in zip(bottoms, net.plan.bottoms[i], strict=True) if flag]
    learned = [w for w, flag in zip(layer.blobs, net.plan.params[i], strict=True) if flag]
    # A blob of one axis, as a bias, is added and not multiplied.
    products = any(w.num_axes > 1 for w in learned) + bool(wanted)
    count = _moved(net, i, DIFF, wanted) + 2 * _count(learned) + (_count(layer.blobs) if wanted else 0)
    count += _count(bottoms) * ("bottom" in layer.backward_reads) + _count(tops) * ("top" in layer.backward_reads)
    return Work(2 * products * multiply_adds, np.dtype(net.dtype).itemsize * count)


def _moved(net: Net, i: int, which: int, bottoms: Sequence[Blob]) -> int:
    """Return how many numbers these bottoms and the layer's tops hold, without tops that use a bottom's memory."""
    if net.wiring.in_place[i]:
        return _count(bottoms) + _count(net.tops[i])
    ends = [{id(blob.storages[which]) for blob in blobs} for blobs in (bottoms, net.tops[i])]
    return sum(blob.count for blob in (*bottoms, *net.tops[i]) if id(blob.storages[which]) not in ends[0] & ends[1])


def _count(blobs: Sequence[Blob]) -> int:
    return sum(blob.count for blob in blobs)
