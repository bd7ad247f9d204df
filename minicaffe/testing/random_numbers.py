"""Random numbers for a net that is checked, where its own would hide a mistake: inputs, and weights that are all alike.

Where all weights are 0, many gradients are 0 whatever their formula. Where two numbers of a window are equal, the
largest has no derivative.
"""

from __future__ import annotations

import math
from collections.abc import Collection

import numpy as np

from minicaffe.net import Net
from minicaffe.testing.gradient import varied
from minicaffe.testing.net_slopes import Top, sources, usual_size
from minicaffe.testing.twin import is_statistic

NOISE = 0.01  # of the size of the numbers to which it is added


def random_inputs(net: Net, draw: np.random.Generator, keep: Collection[int] = (), size: float = 1.0) -> list[str]:
    """Fill the tops of Input layers whose numbers are all equal; return the names of these blobs.

    The numbers suit the layers that read them: classes for the labels of a loss, 0 and 1 where a sequence may begin.
    All others are drawn from the normal distribution, and multiplied by `size`.

    keep    indices of the layers that hold what was read from a source, which stays. But where some of its numbers are
            equal, all get noise of 1 % of their size, unless they are labels or the like
    """
    filled = []
    readers = _readers(net)
    for i, layer in enumerate(net.layers):
        for t, top in enumerate(net.tops[i] if layer.is_input else ()):
            numbers = _numbers_for(net, (i, t), readers, draw)
            if i not in keep and top.count and np.ptp(top.data) == 0:
                top.data[...] = size * draw.standard_normal(top.shape) if numbers is None else \
                    numbers.reshape(top.shape)
                filled.append(net.wiring.blob_names[net.wiring.tops[i][t]])
            elif numbers is None and np.unique(top.data).size < top.count:
                # Above 0, so that a whole number stays the same when its fraction is cut off.
                top.data[...] += NOISE * usual_size(top.data) * draw.random(top.shape)
    return filled


def random_weights(net: Net, draw: np.random.Generator) -> list[str]:
    """Fill learnable blobs whose numbers are all equal, and statistics that are all 0; return names: 'ip blobs[1]'."""
    filled = []
    for layer in net.layers:
        for k, blob in enumerate(layer.blobs):  # a shared one is no longer constant when it comes again
            if not blob.count or np.ptp(blob.data) != 0 or (is_statistic(layer, k) and blob.data.any()):
                continue
            if is_statistic(layer, k):
                blob.data[...] = draw.uniform(0.5, 1.5, blob.shape)
            else:  # smaller where many are added up, so that a deep net is not driven to where its slopes are 0
                blob.data[...] = varied(blob.data, draw, 1 / (2 * math.sqrt(max(blob.count_between(1), 1))))
            filled.append(f"{layer.name} blobs[{k}]")
    return filled


def _readers(net: Net) -> dict[Top, tuple[int, int]]:
    """Return for each top of each layer the layer that reads it, and as which bottom."""
    return {top: (i, b) for i, tops in enumerate(sources(net)) for b, top in enumerate(tops)}


def _numbers_for(net: Net, top: Top, readers: dict[Top, tuple[int, int]],
                 draw: np.random.Generator) -> np.ndarray | None:
    """Return numbers that suit the layers which read this top, also through a Split; None where any numbers do."""
    if top not in readers:
        return None
    i, b = readers[top]
    layer = net.layers[i]
    numbers = layer.numbers_for(b, net.bottoms[i], draw)
    if numbers is None and layer.passes_on:
        behind = (_numbers_for(net, (i, t), readers, draw) for t in range(len(net.tops[i])))
        numbers = next((found for found in behind if found is not None), None)
    return numbers
