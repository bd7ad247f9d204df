"""Write a net as an ONNX model: each layer in order, as the function of its type says."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from minicaffe.convert.onnx_out import layers as _writers  # noqa: F401 - registers them
from minicaffe.convert.onnx_out.given import WRITERS, Given
from minicaffe.convert.onnx_out.graph import Graph, Size
from minicaffe.errors import LayerError, MinicaffeError
from minicaffe.net import Net

BATCH = "batch"  # the name of the open size


def model_of(net: Net, larger: Net | None = None, metadata: Mapping[str, str] | None = None) -> Any:
    """Return the ModelProto of a net of the phase TEST.

    net         with its weights. Its inputs become the model's, and its outputs too, under the names of their blobs
    larger      the same net for another batch size, without weights (`shapes_only`): the axes that differ between the
                two are open in the model. None writes the model for the batch size of `net`
    metadata    text by name, which the model carries along

    Raise NetError or LayerError for what ONNX cannot say, before anything is written.
    """
    refuse_unknown_types(net)
    return _Writing(net, larger).model(metadata or {})


def refuse_unknown_types(net: Net) -> None:
    """Raise LayerError for the layers whose type no function writes, all in one message."""
    unknown = [layer for layer in net.layers if layer.type not in WRITERS and not layer.is_input]
    if unknown:
        named = ", ".join(f"{layer.name!r} ({layer.type})" for layer in unknown)
        raise LayerError(f"ONNX has no form for layer {named}",
                         hint="cut the net before it, so that its bottoms become outputs, and compute the rest outside")


class _Writing:
    """One net on its way into a graph."""

    def __init__(self, net: Net, larger: Net | None) -> None:
        self.net = net
        self.graph = Graph()
        names = net.wiring.blob_names
        self.shapes = [net.blobs[name].shape for name in names]
        others = [larger.blobs[name].shape for name in names] if larger else self.shapes
        self.by_batch = [_differing(one, other) for one, other in zip(self.shapes, others, strict=True)]
        self.open = list(self.by_batch)
        self.larger = larger
        self.values = self._value_names()
        self.aliases: dict[str, str] = {}  # another name of a value -> the value

    def _value_names(self) -> list[list[str]]:
        """Return for each layer the names of the values that it makes.

        A layer that runs in place gives its blob new numbers. In ONNX these are another value, which needs another
        name. The last one gets the name of the blob, and the others that of the blob and of their layer. But a blob that
        is an input keeps its name for what is put in.
        """
        names, tops = self.net.wiring.blob_names, self.net.wiring.tops
        last = {t: i for i, made in enumerate(tops) for t in made}
        first = {t: i for i, made in reversed(list(enumerate(tops))) for t in made}
        keeps = {t: first[t] if t in self.net.wiring.inputs else last[t] for t in last}
        self.graph.take(names)
        return [[names[t] if keeps[t] == i else self.graph.free_name(f"{names[t]}/{self.net.layers[i].name}")
                 for t in made] for i, made in enumerate(tops)]

    def model(self, metadata: Mapping[str, str]) -> Any:
        """Write all layers, and return the ModelProto."""
        net, names = self.net, self.net.wiring.blob_names
        now: dict[int, str] = {}  # blob -> the value that it holds at this layer
        for i, layer in enumerate(net.layers):
            x = [now[b] for b in net.wiring.bottoms[i]]
            if not layer.is_input:
                self._write(i, x)
            now.update({t: self.aliases.get(y, y) for t, y in zip(net.wiring.tops[i], self.values[i], strict=True)})
        outputs = {}
        for name in net.outputs:
            b = names.index(name)
            outputs[self._named(name, now[b])] = self._size_of(b)
        inputs = {name: self._size_of(names.index(name)) for name in net.inputs}
        return self.graph.model(net.name, inputs, outputs, metadata)

    def _write(self, i: int, x: Sequence[str]) -> None:
        layer, wiring = self.net.layers[i], self.net.wiring
        bottoms, tops = wiring.bottoms[i], wiring.tops[i]
        given = Given(self.graph, layer, x, self.values[i],
                      [self.shapes[b] for b in bottoms], [self.shapes[t] for t in tops],
                      [self.open[b] for b in bottoms], [self.open[t] for t in tops])
        try:
            WRITERS[layer.type](given)
        except MinicaffeError as error:
            error.where = error.where or self.net.where(i)
            raise
        self.aliases.update(given.aliases)
        if given.opened:
            self._open(i, given.opened)

    def _open(self, i: int, opened: Sequence[tuple[int, int]]) -> None:
        """Open axes of tops of layer i, whose sizes are known only when the model runs, and all that follow from them.

        These are the axes that grow where the layers behind it are asked for shapes with one row more.
        """
        self.larger = net = self.larger or Net(self.net.param, self.net.phase, shapes_only=True)
        for t, axis in opened:
            shape = list(net.tops[i][t].shape)
            shape[axis] += 1
            net.tops[i][t].reshape(shape)
        for layer, bottom, top in zip(net.layers[i + 1:], net.bottoms[i + 1:], net.tops[i + 1:], strict=True):
            layer.Reshape(bottom, top)
        self.open = [now | _differing(shape, net.blobs[name].shape) for now, shape, name in
                     zip(self.open, self.shapes, net.wiring.blob_names, strict=True)]

    def _named(self, name: str, value: str) -> str:
        """Return the name of an output, for which a value that has another name is copied."""
        if value != name and name not in self.net.inputs:
            self.graph.node("Identity", f"{name}/Identity", [value], [name])
            return name
        if value == name and name in self.net.inputs:
            name = self.graph.free_name(f"{name}/output")
            self.graph.node("Identity", f"{name}/Identity", [value], [name])
            return name
        return value

    def _size_of(self, b: int) -> list[Size]:
        """Return the shape of a blob, with the open sizes as names."""
        free = self.open[b]
        one = free == self.by_batch[b] and len(free) == 1 and self.shapes[b][next(iter(free))] == self._batch()
        return [(BATCH if one else f"{BATCH}_{self.net.wiring.blob_names[b]}_{axis}") if axis in free else size
                for axis, size in enumerate(self.shapes[b])]

    def _batch(self) -> int:
        """Return the batch size for which the net was made: the open axis of the first input that has one."""
        for b in self.net.wiring.inputs:
            for axis in sorted(self.open[b]):
                return self.shapes[b][axis]
        return 0


def _differing(one: Sequence[int], other: Sequence[int]) -> frozenset[int]:
    """Return the axes on which two shapes differ."""
    return frozenset(axis for axis, (a, b) in enumerate(zip(one, other, strict=True)) if a != b)
