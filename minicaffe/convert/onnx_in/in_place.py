"""Let layers write into the blob that they read, as nets for Caffe usually do: this halves the memory."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from typing import Any

from minicaffe.convert.free_name import take_free_name
from minicaffe.convert.onnx_in.draft import Draft

TYPES = {"ReLU", "PReLU", "ELU", "BatchNorm", "Scale", "Bias", "Power", "Sigmoid", "TanH"}
INNER = re.compile(r":\d+$")  # ends the name of a value that is no blob, but lies between two nodes of a layer
VIEWS = {"Reshape", "Flatten"}  # their tops share the memory of their bottoms, which others may read


def put_in_place(net: Any, keep: Collection[str]) -> None:
    """Change a NetParameter, in which each blob is made once.

    keep    the inputs and outputs of the net, which keep their blobs and names
    """
    _join(net, lambda x, y: x not in keep and y not in keep)


def give_back_names(draft: Draft, inputs: Sequence[str], outputs: Sequence[str]) -> None:
    """Give the blobs the names that they had before minicaffe wrote the model, and let layers run in place again.

    A layer that ran in place has made a value such as conv1 in the model, and the layer before it conv1/NAME.
    """
    net, values = draft.net, draft.values
    known = {*inputs, *outputs, *values.values()}
    blob_of = {blob: _blob_name(value, known) for blob, value in values.items() if not INNER.search(value)}
    for layer in reversed(net.layer):  # between the layers of one node there are blobs without a value
        if layer.type in TYPES and layer.top[0] in blob_of:
            blob_of.setdefault(layer.bottom[0], blob_of[layer.top[0]])
    blob_of.update({name: name for name in outputs})
    joined = _join(net, lambda x, y: x not in inputs and blob_of.get(x, x) == blob_of.get(y, y))
    taken, new = {*inputs, *outputs}, {name: name for name in inputs}
    for layer in net.layer:
        for blob in layer.top:
            if blob not in new:
                last = joined.get(blob, blob)
                new[blob] = last if last in outputs else take_free_name(blob_of.get(blob, blob), taken)
    for layer in net.layer:
        layer.bottom[:] = [new[blob] for blob in layer.bottom]
        layer.top[:] = [new[blob] for blob in layer.top]


def _blob_name(value: str, known: Collection[str]) -> str:
    """Return the shortest part of a name, up to a stroke, that another value has; else the whole name."""
    parts = value.split("/")
    return next((part for k in range(1, len(parts)) if (part := "/".join(parts[:k])) in known), value)


def _join(net: Any, may: Callable[[str, str], bool]) -> dict[str, str]:
    """Let layers run in place where nothing else reads their bottom, and where `may` allows it for bottom and top.

    Return for each blob that several layers make the one that the last of them made before.
    """
    readers = Counter(blob for layer in net.layer for blob in layer.bottom)
    makers = {blob: layer for layer in net.layer for blob in layer.top}
    names: dict[str, str] = {}  # blob -> the one that holds it now
    for layer in net.layer:
        if layer.type in TYPES and len(layer.bottom) == 1:
            x, y = layer.bottom[0], layer.top[0]
            maker = makers[x]
            if readers[x] == 1 and may(x, y) and maker.bottom and maker.type not in VIEWS:
                names[y] = names.get(x, x)
        layer.bottom[:] = [names.get(blob, blob) for blob in layer.bottom]
        layer.top[:] = [names.get(blob, blob) for blob in layer.top]
    return {first: y for y, first in names.items()}
