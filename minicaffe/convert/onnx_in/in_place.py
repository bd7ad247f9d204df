"""Let layers write into the blob that they read, as nets for Caffe usually do: this halves the memory."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from typing import Any

TYPES = {"ReLU", "PReLU", "ELU", "BatchNorm", "Scale", "Bias", "Power", "Sigmoid", "TanH"}
VIEWS = {"Reshape", "Flatten"}  # their tops share the memory of their bottoms, which others may read


def put_in_place(net: Any, keep: Collection[str]) -> None:
    """Change a NetParameter, in which each blob is made once.

    keep    the inputs and outputs of the net, which keep their blobs and names
    """
    readers = Counter(blob for layer in net.layer for blob in layer.bottom)
    makers = {blob: layer for layer in net.layer for blob in layer.top}
    names: dict[str, str] = {}  # blob -> the one that holds it now
    for layer in net.layer:
        if layer.type in TYPES and len(layer.bottom) == 1:
            x, y = layer.bottom[0], layer.top[0]
            maker = makers[x]
            if readers[x] == 1 and x not in keep and y not in keep and maker.bottom and maker.type not in VIEWS:
                names[y] = names.get(x, x)
        layer.bottom[:] = [names.get(blob, blob) for blob in layer.bottom]
        layer.top[:] = [names.get(blob, blob) for blob in layer.top]
