"""Which blob each layer reads and writes: names become indices before any layer exists."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from minicaffe.errors import LayerError, NetError
from minicaffe.layer import Layer, layer_class, limits
from minicaffe.log import At, log
from minicaffe.passes.insert_splits import is_split, of_layer, unknown_bottom

AUTOMATIC = "(automatic)"  # Caffe: the name of a top that a loss adds for itself


@dataclass
class Wiring:
    """The blobs of a net by index.

    blob_names      one a blob; an in-place layer makes none of its own
    bottoms, tops   for each layer the indices of its blobs
    in_place        for each layer, whether one of its tops is one of its bottoms
    inputs          indices of the tops of layers that are inputs: the caller fills them
    outputs         indices of the blobs that nobody reads, in the order of their names
    """

    blob_names: list[str] = field(default_factory=list)
    bottoms: list[list[int]] = field(default_factory=list)
    tops: list[list[int]] = field(default_factory=list)
    in_place: list[bool] = field(default_factory=list)
    inputs: list[int] = field(default_factory=list)
    outputs: list[int] = field(default_factory=list)


def classes_of(net: Any, allow_python: bool) -> list[type[Layer]]:
    """The class of each layer. LayerError for an unknown type, and for users' code where that is not allowed."""
    return [_class_of(net.layer, i, allow_python) for i in range(len(net.layer))]


def _class_of(layers: Sequence[Any], i: int, allow_python: bool) -> type[Layer]:
    layer = layers[i]
    try:
        cls = layer_class(layer.type, layer.name)
        if cls.users_code and not allow_python:
            p = layer.python_param
            raise LayerError(
                f"layer {layer.name!r} ({layer.type}) would run the code of module {p.module!r}, class {p.layer!r}: "
                f"Python layers are not allowed here",
                hint="read that module; if you trust it, run again without --no-python (in Python: with "
                     "allow_python=True)")
        return cls
    except LayerError as error:
        raise of_layer(layers, i, error) from None


def connect(net: Any, classes: Sequence[type[Layer]]) -> Wiring:
    """Wire the layers of a NetParameter whose passes have run; `classes` are the layers' classes.

    NetError for a bottom that no layer makes before, and for a top that two layers make.
    """
    wiring, guard = Wiring(), _InPlaceGuard()
    inputs: set[int] = set()
    index: dict[str, int] = {}   # the latest blob of each name
    unread: dict[str, int] = {}  # those that no layer has read yet
    for i, (layer, cls) in enumerate(zip(net.layer, classes, strict=True)):
        wiring.bottoms.append([])
        for j, name in enumerate(layer.bottom):
            if name not in unread:
                raise unknown_bottom(net, i, j, list(unread))
            wiring.bottoms[i].append(unread.pop(name))
        wiring.tops.append([])
        wiring.in_place.append(False)
        for j, name in enumerate(layer.top):
            if not name:
                raise NetError(f"layer {layer.name!r} ({layer.type}): top {j} has an empty name")
            wants_in_place = j < len(layer.bottom) and name == layer.bottom[j]
            if wants_in_place and cls.in_place and guard.allows(wiring.bottoms[i][j], layer.name):
                top, wiring.in_place[i] = wiring.bottoms[i][j], True
            elif wants_in_place and wiring.bottoms[i][j] in inputs:
                raise of_layer(net.layer, i, NetError(
                    f"layer {layer.name!r} ({layer.type}) does not run in place, but its top has the name of the net's "
                    f"input {name!r}", hint="give the top a name of its own"))
            elif name in index and not wants_in_place:
                raise of_layer(net.layer, i, _made_twice(net, layer, name))
            else:
                top = _add_blob(wiring, name)
            index[name] = unread[name] = top
            wiring.tops[i].append(top)
        if cls.is_input:
            wiring.inputs += wiring.tops[i]
            inputs.update(wiring.tops[i])
        if cls.auto_tops:
            wiring.tops[i] += [_add_blob(wiring, AUTOMATIC) for _ in range(limits(cls.tops)[0] - len(layer.top))]
        guard.add(layer.name, cls, wiring.bottoms[i], wiring.tops[i])
    wiring.outputs = [unread[name] for name in sorted(unread)]
    return wiring


def _made_twice(net: Any, layer: Any, name: str) -> NetError:
    first = next(other.name for other in net.layer if name in other.top)
    splits = {top for other in net.layer if is_split(other) and name in other.bottom for top in other.top}
    if splits & set(layer.bottom):
        return NetError(f"layer {layer.name!r} ({layer.type}) cannot run in place on {name!r}, which other layers "
                        f"read too", hint="give the top a name of its own")
    return NetError(f"layer {layer.name!r} ({layer.type}): top blob {name!r} is already made by layer {first!r}",
                    hint="give it a name of its own, or make it the bottom too (in place)")


def _add_blob(wiring: Wiring, name: str) -> int:
    wiring.blob_names.append(name)
    return len(wiring.blob_names) - 1


class _InPlaceGuard:
    """Keeps an in-place layer from overwriting what somebody still reads: an earlier layer's backward, or a layer in
    another branch.

    Caffe overwrites it and computes a wrong gradient. Here the layer then gets memory of its own.
    """

    def __init__(self) -> None:
        self.storage: dict[int, int] = {}  # blob -> the blob whose memory it uses
        self.read_by: dict[int, str] = {}  # storage -> what reads it later, in words

    def allows(self, blob: int, name: str) -> bool:
        reader = self.read_by.get(self.storage[blob])
        if reader:
            log(At.TOP_IN_PLACE, f"{name} does not run in place: {reader} reads what it would overwrite")
        return not reader

    def add(self, name: str, cls: type[Layer], bottoms: list[int], tops: list[int]) -> None:
        for top in tops:
            self.storage.setdefault(top, self.storage[bottoms[0]] if cls.shares_data and bottoms else top)
        # What backward reads of its bottoms needs no guard. A blob has one reader, this layer, so no other layer can
        # run in place on it. Where a blob had several readers, each now reads a top of its own of a Split.
        if "top" in cls.backward_reads:
            self._keep(tops, f"the backward pass of {name}")
        if cls.shares_data and len(tops) > 1:
            self._keep(tops, f"another top of {name}")

    def _keep(self, blobs: list[int], reader: str) -> None:
        for blob in blobs:
            self.read_by.setdefault(self.storage[blob], reader)
