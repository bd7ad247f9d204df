"""Find the shapes around layers of an unknown type: each layer before them is made alone, from its bottoms' shapes."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from minicaffe.analysis import data_tops
from minicaffe.errors import LayerError, MinicaffeError
from minicaffe.layer import is_known
from minicaffe.net import Net
from minicaffe.proto import NetParameter

Shape = tuple[int, ...]
ALIKE = ("Eltwise", "EuclideanLoss", "SigmoidCrossEntropyLoss", "SmoothL1Loss")  # their bottoms have one shape


class Cause(NamedTuple):
    """Why the shape of a top is not known: the layer that makes it, and a sentence."""

    layer: Any
    why: str


@dataclass
class Around:
    """What is known of the shapes around a layer.

    bottoms     their shapes, None where one is not known
    tops        their shapes, each with the reason why it is that
    remarks     about the bottoms, in whole sentences
    causes      top -> the Cause, for each top of the net whose shape must be given first
    """

    bottoms: list[Shape | None]
    tops: list[tuple[Shape, str]] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)
    causes: dict[str, Cause] = field(default_factory=dict)


def find(net: Any, wanted: str, given: dict[str, Shape], allow_python: bool) -> dict[str, Around]:
    """Return what is known around each layer of the type. Layers of other unknown types count as stubs, too.

    `given` are shapes of tops by name; they come before those that a layer would make.
    """
    last = max(i for i, layer in enumerate(net.layer) if layer.type == wanted)
    walk, found = _Walk(net, given, allow_python), {}
    for i, layer in enumerate(net.layer[:last + 1]):
        around = walk.pass_layer(layer, net.layer[i + 1:])
        if layer.type == wanted:
            found[layer.name] = around
    return found


def suggested(layer: Any, top: str) -> Shape:
    """Return the shape that an error proposes for a top: that of most nets for photographs, or a number a sample."""
    number = list(layer.top).index(top)
    told = data_tops.assumed(layer)
    batch = data_tops.batch_size(layer) or 1
    return told.shapes[number] if told else (batch,) if number and not layer.bottom else (batch, *data_tops.GUESS)


class _Walk:
    """Goes along the net, and keeps the shape of each blob, or why it is not known."""

    def __init__(self, net: Any, given: dict[str, Shape], allow_python: bool) -> None:
        self.state, self.given, self.allow_python = net.state, given, allow_python
        self.shapes: dict[str, Shape] = {}
        self.causes: dict[str, dict[str, Cause]] = {}  # blob -> the tops that would have to be given, with causes
        self.assumed: dict[str, str] = {}  # blob -> in words, whose shape was assumed before it

    def pass_layer(self, layer: Any, later: Sequence[Any]) -> Around:
        """Find the shapes of a layer's tops, and return them with those of its bottoms."""
        for name in layer.bottom:
            if name not in self.shapes and name not in self.causes:
                raise LayerError(f"layer {layer.name!r} ({layer.type}): no layer before it makes its bottom {name!r}")
        around = Around([self.shapes.get(name) for name in layer.bottom])
        for name in layer.bottom:
            around.causes.update(self.causes.get(name, {}))
        around.remarks = list(dict.fromkeys(self.assumed[name] for name in layer.bottom if name in self.assumed))
        if is_known(layer.type):
            self._pass_known(layer, later, around)
        else:
            self._pass_unknown(layer, later, around, f"layer {layer.name!r} ({layer.type}) has no bottom that tells it")
        return around

    def _pass_known(self, layer: Any, later: Sequence[Any], around: Around) -> None:
        """Make the layer alone; where it cannot be made, use what its fields tell."""
        if all(top in self.given for top in layer.top) or around.causes:
            for top in layer.top:
                self._keep(top, self.given.get(top), around.causes, around.remarks)
            return
        try:
            made = self._made_alone(layer)
        except MinicaffeError as error:
            why = f"layer {layer.name!r} ({layer.type}) cannot be made: {_reason(error, layer)}"
            told = data_tops.assumed(layer) if not layer.bottom else None
            if layer.bottom and layer.type == "Python":
                self._pass_unknown(layer, later, around, why)
                return
            for j, top in enumerate(layer.top):
                shape = self.given.get(top) or (told.shapes[j] if told else None)
                self._keep(top, shape, {top: Cause(layer, why)}, around.remarks)
            return
        for top in layer.top:
            self._keep(top, self.given.get(top, made[top]), {}, around.remarks)

    def _made_alone(self, layer: Any) -> dict[str, Shape]:
        alone = NetParameter(state=self.state)
        for name in dict.fromkeys(layer.bottom):
            stand_in = alone.layer.add(name=f"{layer.name}/{name}", type="Input", top=[name])
            stand_in.input_param.shape.add().dim[:] = self.shapes[name]
        alone.layer.add().CopyFrom(layer)
        net = Net(alone, None, shapes_only=True, allow_python=self.allow_python, permissive=True)
        return {name: blob.shape for name, blob in net.blobs.items()}

    def _pass_unknown(self, layer: Any, later: Sequence[Any], around: Around, why: str) -> None:
        """Choose the shapes of the tops of a layer that cannot be made."""
        for j, top in enumerate(layer.top):
            chosen = self._choose(later, layer, j)
            if chosen is None:
                causes = around.causes or {top: Cause(layer, why)}
                around.causes = {**around.causes, **causes}
                self._keep(top, None, causes, [])
                continue
            around.tops.append(chosen)
            guess = [f"The shape of {top!r}, a top of layer {layer.name!r} ({layer.type}), is assumed."] \
                if chosen[1].startswith("assumed") else []
            self._keep(top, chosen[0], {}, [*around.remarks, *guess])

    def _choose(self, later: Sequence[Any], layer: Any, j: int) -> tuple[Shape, str] | None:
        """Return the shape of top j and why it is that; None where nothing tells it."""
        top = layer.top[j]
        if top in self.given:
            return self.given[top], "as --shape says"
        if top in layer.bottom:
            return (self.shapes[top], "in place: that of the bottom") if top in self.shapes else None
        for reader in later:
            others = [name for name in reader.bottom if name != top and name in self.shapes]
            if reader.type in ALIKE and top in reader.bottom and others:
                return self.shapes[others[0]], f"that of {others[0]!r}, which layer {reader.name!r} reads beside it"
            if top in reader.top:  # from here on the name means another blob
                break
        if not j and re.search("(Loss(OHEM)?|Accuracy)$", layer.type):
            return (), "assumed: one number"
        known = [self.shapes[name] for name in layer.bottom[:1] if name in self.shapes]
        return (known[0], "assumed: that of the first bottom") if known else None

    def _keep(self, top: str, shape: Shape | None, causes: dict[str, Cause], remarks: Sequence[str]) -> None:
        for kept in (self.shapes, self.causes, self.assumed):
            kept.pop(top, None)
        if shape is None:
            self.causes[top] = causes
            return
        self.shapes[top] = shape
        if remarks and top not in self.given:
            self.assumed[top] = remarks[-1]


def _reason(error: MinicaffeError, layer: Any) -> str:
    """Return an error's message without the name of the layer, on one line."""
    return " ".join(error.message.removeprefix(f"layer {layer.name!r} ({layer.type})").lstrip(": ").split())
