"""Find which blob each layer reads and writes. Names become indices before any layer exists."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from minicaffe.errors import LayerError, NetError
from minicaffe.layer import Layer, class_of, is_known, limits
from minicaffe.layer.checks import refuse_fields_of_forks
from minicaffe.log import At, log
from minicaffe.passes.insert_splits import is_split, of_layer, unknown_bottom

AUTOMATIC = "(automatic)"  # Caffe: the name of a top that a loss adds for itself


@dataclass
class Wiring:
    """The blobs of a net by index.

    blob_names      one name for each blob; a layer that runs in place makes no blob
    bottoms, tops   for each layer the indices of its blobs
    in_place        for each layer, whether one of its tops is one of its bottoms
    inputs          the indices of the tops of input layers, which the caller fills
    outputs         the indices of the blobs that no layer reads, in the order of their names
    """

    blob_names: list[str] = field(default_factory=list)
    bottoms: list[list[int]] = field(default_factory=list)
    tops: list[list[int]] = field(default_factory=list)
    in_place: list[bool] = field(default_factory=list)
    inputs: list[int] = field(default_factory=list)
    outputs: list[int] = field(default_factory=list)


def classes_of(net: Any, allow_python: bool, permissive: bool) -> list[type[Layer]]:
    """Return each layer's class.

    Raise LayerError for an unknown type, for users' code unless `allow_python`, and for fields of forks that no layer
    reads unless `permissive`.
    """
    classes = [_class_of(net.layer, i, allow_python) for i in range(len(net.layer))]
    if not permissive:
        refuse_fields_of_forks(net.layer, classes)
    return classes


def _class_of(layers: Sequence[Any], i: int, allow_python: bool) -> type[Layer]:
    layer = layers[i]
    try:
        cls = class_of(layer)
        if cls.users_code and not allow_python:
            p = layer.python_param
            raise LayerError(
                f"layer {layer.name!r} ({layer.type}) would run the code of module {p.module!r}, class {p.layer!r}: "
                f"Python layers are not allowed here",
                hint="read that module; if you trust it, run again without --no-python (in Python: with "
                     "allow_python=True)")
        return cls
    except LayerError as error:
        if not is_known(layer.type):
            others = dict.fromkeys(other.type for other in layers[i + 1:] if not is_known(other.type))
            others.pop(layer.type, None)
            error.message += f"; unknown as well: {', '.join(map(repr, others))}" if others else ""
            error.unknown_type = layer.type
        raise of_layer(layers, i, error) from None


def connect(net: Any, classes: Sequence[type[Layer]]) -> Wiring:
    """Wire the layers of a NetParameter whose passes have run; `classes` are the layers' classes.

    Raise NetError for a bottom that no layer makes before, and for a top that two layers make.
    """
    connector = _Connector(net)
    for i, cls in enumerate(classes):
        connector.connect(i, cls)
    connector.wiring.outputs = [blob for _, blob in sorted(connector.unread.items())]
    return connector.wiring


class _Connector:
    """Wires one layer after the other, in the order of the net: each reads blobs that earlier layers made."""

    def __init__(self, net: Any) -> None:
        self.net = net
        self.wiring = Wiring()
        self.guard = _InPlaceGuard()
        self.inputs: set[int] = set()     # as wiring.inputs
        self.names: set[str] = set()      # of all blobs so far
        self.unread: dict[str, int] = {}  # the latest blob of each name that no layer has read yet

    def connect(self, i: int, cls: type[Layer]) -> None:
        layer = self.net.layer[i]
        bottoms = [self._read(i, j, name) for j, name in enumerate(layer.bottom)]
        tops = [self._make(i, j, name, cls, bottoms) for j, name in enumerate(layer.top)]
        in_place = any(top in bottoms for top in tops)
        if cls.is_input:
            self.wiring.inputs += tops
            self.inputs.update(tops)
        if cls.auto_tops:
            tops += [_add_blob(self.wiring, AUTOMATIC) for _ in range(limits(cls.tops)[0] - len(layer.top))]
        self.wiring.bottoms.append(bottoms)
        self.wiring.tops.append(tops)
        self.wiring.in_place.append(in_place)
        self.guard.add(layer.name, cls, bottoms, tops)

    def _read(self, i: int, j: int, name: str) -> int:
        """The blob that bottom j of layer i reads. A blob is read once: a Split gives each reader one of its own."""
        if name not in self.unread:
            raise unknown_bottom(self.net, i, j, list(self.unread))
        return self.unread.pop(name)

    def _make(self, i: int, j: int, name: str, cls: type[Layer], bottoms: list[int]) -> int:
        """Return the blob that top j of layer i writes: bottom j where it runs in place, else a new one."""
        layer = self.net.layer[i]
        if not name:
            raise NetError(f"layer {layer.name!r} ({layer.type}): top {j} has an empty name")
        wants_in_place = j < len(layer.bottom) and name == layer.bottom[j]
        if wants_in_place and cls.in_place and self.guard.allows(bottoms[j], layer.name):
            top = bottoms[j]
        elif wants_in_place and bottoms[j] in self.inputs:
            # In a new blob of the same name, the caller could no longer find the input to fill.
            raise of_layer(self.net.layer, i, NetError(
                f"layer {layer.name!r} ({layer.type}) does not run in place, but its top has the name of the net's "
                f"input {name!r}", hint="give the top a name of its own"))
        elif name in self.names and not wants_in_place:
            raise of_layer(self.net.layer, i, _made_twice(self.net, layer, name))
        else:
            top = _add_blob(self.wiring, name)
        self.names.add(name)
        self.unread[name] = top
        return top


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
    """Keeps a layer from running in place on values that are read later.

    They may be read by the backward pass of an earlier layer, or by a layer in another branch.

    Caffe overwrites them and computes a wrong gradient. Here the layer gets memory of its own instead.
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
