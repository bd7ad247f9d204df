"""What one pass does in each layer: floating-point operations, and bytes that must move at the least.

Operations are two for each multiply-add of `cost.py`; a backward pass repeats the forward pass's for the gradient of
the weights and again for that of the bottoms, where the plan wants them. Bytes count every blob once that a layer reads
or writes: forward its bottoms, parameters and tops; backward the tops' gradients, the data that the layer's
`backward_reads` names, the parameters where a bottom wants its gradient, that gradient, and twice the parameters'
gradients, which are added to. A top that is its bottom's own memory, as Split's and Reshape's are, moves nothing.
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
    """Floating-point operations and bytes of one layer in one direction."""

    flops: int
    bytes: int


def forward(net: Net) -> list[Work]:
    """Of each layer's forward pass."""
    item = np.dtype(net.dtype).itemsize
    return [Work(2 * row.multiply_adds, item * (_moved(net, i, DATA, net.bottoms[i]) + _count(net.layers[i].blobs)))
            for i, row in enumerate(cost(net).layers)]


def backward(net: Net) -> list[Work | None]:
    """Of each layer's backward pass; None where it has none."""
    rows = cost(net).layers
    return [_backward(net, i, rows[i].multiply_adds) if runs else None for i, runs in enumerate(net.plan.layers)]


def _backward(net: Net, i: int, multiply_adds: int) -> Work:
    layer, bottoms, tops = net.layers[i], net.bottoms[i], net.tops[i]
    wanted = [x for x, flag in zip(bottoms, net.plan.bottoms[i], strict=True) if flag]
    learned = [w for w, flag in zip(layer.blobs, net.plan.params[i], strict=True) if flag]
    products = any(w.num_axes > 1 for w in learned) + bool(wanted)
    count = _moved(net, i, DIFF, wanted) + 2 * _count(learned) + (_count(layer.blobs) if wanted else 0)
    count += _count(bottoms) * ("bottom" in layer.backward_reads) + _count(tops) * ("top" in layer.backward_reads)
    return Work(2 * products * multiply_adds, np.dtype(net.dtype).itemsize * count)


def _moved(net: Net, i: int, which: int, bottoms: Sequence[Blob]) -> int:
    """Numbers in these bottoms and the layer's tops, without those that stay where they are."""
    if net.wiring.in_place[i]:
        return _count(bottoms) + _count(net.tops[i])
    ends = [{id(blob.storages[which]) for blob in blobs} for blobs in (bottoms, net.tops[i])]
    return sum(blob.count for blob in (*bottoms, *net.tops[i]) if id(blob.storages[which]) not in ends[0] & ends[1])


def _count(blobs: Sequence[Blob]) -> int:
    return sum(blob.count for blob in blobs)
