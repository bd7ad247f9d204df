"""The net that is being written: layers with their names, blobs and weights."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

from minicaffe.convert.free_name import take_free_name
from minicaffe.io.binary import LayerWeights
from minicaffe.proto import NetParameter


class Draft:
    """A NetParameter that grows layer by layer.

    net         the NetParameter, without weights
    weights     name of a layer -> its learnable blobs
    values      blob -> the first value of the model that it holds
    """

    def __init__(self, name: str) -> None:
        self.net = NetParameter(name=name)
        self.weights: dict[str, list[np.ndarray]] = {}
        self.values: dict[str, str] = {}
        self._layers: set[str] = set()
        self._blobs: set[str] = set()
        self._inputs: list[str] = []

    def take(self, names: Sequence[str]) -> None:
        """Keep names for the inputs and outputs of the model, so that nothing else gets them."""
        self._blobs.update(names)

    def input(self, name: str, shape: Sequence[int]) -> None:
        """Add an Input layer, whose layer and blob bear the name of the model's input."""
        layer = self.net.layer.add(name=name, type="Input", top=[name])
        layer.input_param.shape.add(dim=shape)
        self._layers.add(name)
        self._inputs.append(name)

    def layer(self, type: str, name: str, bottoms: Sequence[str], tops: int = 1,
              blobs: Sequence[np.ndarray] = (), **fields: Any) -> list[str]:
        """Add a layer, and return the names of its tops, which are new: that of the layer, with numbers if several."""
        name = take_free_name(name, self._layers)
        made = [take_free_name(name if tops == 1 else f"{name}.{k}", self._blobs) for k in range(tops)]
        self.net.layer.add(name=name, type=type, bottom=list(bottoms), top=made, **fields)
        if blobs:
            self.weights[name] = [np.asarray(blob, np.float32, order="C") for blob in blobs]
        return made

    def finish(self, outputs: dict[str, str]) -> None:
        """Give the outputs their names (name -> the blob that holds the numbers), and silence what nothing reads.

        A blob that is read within the net, or is several outputs, is copied by a Power layer that changes nothing:
        in Caffe only a blob that nothing reads is an output.
        """
        times = Counter(outputs.values())
        for name, blob in outputs.items():
            is_read = any(blob in layer.bottom for layer in self.net.layer)
            if is_read or times[blob] > 1 or blob in self._inputs:
                self._copy(blob, name)
            else:
                self._rename(blob, name)
        read = {blob for layer in self.net.layer for blob in layer.bottom}
        unread = [blob for layer in self.net.layer for blob in layer.top if blob not in read and blob not in outputs]
        if unread:
            self.net.layer.add(name=take_free_name("unused", self._layers), type="Silence", bottom=unread)

    def _copy(self, blob: str, name: str) -> None:
        wanted = name if name not in self._layers else f"{name}.copy"
        layer = self.net.layer.add(name=take_free_name(wanted, self._layers), type="Power", bottom=[blob], top=[name])
        layer.power_param.SetInParent()

    def _rename(self, blob: str, name: str) -> None:
        for layer in self.net.layer:
            layer.top[:] = [name if top == blob else top for top in layer.top]

    def layers(self) -> list[LayerWeights]:
        """Return the weights of all layers, for a weight file."""
        return [LayerWeights(layer.name, layer.type, self.weights.get(layer.name, [])) for layer in self.net.layer]
