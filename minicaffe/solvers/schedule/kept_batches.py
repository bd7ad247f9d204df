"""The batches of an update's parts, kept so that the parts can run a second time."""

from __future__ import annotations

import numpy as np

from minicaffe.layer import source_of
from minicaffe.net import Net, hooks


class KeptBatches:
    """Keeps a copy of what the data layers of a net put out in each part of an update, and runs a part on it again."""

    def __init__(self, net: Net) -> None:
        self.net = net
        self._sources = [i for i, layer in enumerate(net.layers) if source_of(layer) is not None]
        self._copies: list[dict[int, list[np.ndarray]]] = []
        # right after each data layer, because a layer that works in place may change its tops
        net.after_layer.append(hooks.at(self._sources, self._copy))

    def begin(self) -> None:
        """Keep the batch of the part that runs next."""
        self._copies.append({})

    def forget(self) -> None:
        """Keep nothing more, and forget the batches of this update."""
        self._copies = []

    def forward_again(self, part: int) -> None:
        """Run the net forward on the batch of this part, but for its data layers; parts are counted from 0."""
        for i in self._sources:
            for top, values in zip(self.net.tops[i], self._copies[part][i], strict=True):
                top.reshape(values.shape)
                top.data[...] = values
        ends = [*self._sources, len(self.net.layers)]
        for first, end in zip([0, *(i + 1 for i in self._sources)], ends, strict=True):
            if first < end:
                self.net.forward_pass(first, end - 1)

    def _copy(self, i: int) -> None:
        if self._copies:
            self._copies[-1][i] = [top.data.copy() for top in self.net.tops[i]]
