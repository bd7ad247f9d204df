"""Write a net as an ONNX model: each layer in order, as the function of its type says."""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping, Sequence
from typing import Any

from minicaffe.convert.no_form import no_form
from minicaffe.convert.onnx_out import layers as _writers  # noqa: F401 - registers them
from minicaffe.convert.onnx_out.fold import fold
from minicaffe.convert.onnx_out.given import WRITERS, Given
from minicaffe.convert.onnx_out.graph import Batch, Graph, Size
from minicaffe.convert.onnx_out.tidy import compute_constants, drop_unread
from minicaffe.errors import MinicaffeError
from minicaffe.net import Net

BATCH = "batch"  # the name of the open size


def model_of(net: Net, larger: Net | None = None, metadata: Mapping[str, str] | None = None,
             outputs: Sequence[str] = (), into_weights: bool = False) -> Any:
    """Return the ModelProto of a net of the phase TEST.

    net         with its weights. Its inputs become the model's, under the names of their blobs
    larger      the same net for another batch size, without weights (`shapes_only`): the axes that differ between the
                two are open in the model. None writes the model for the batch size of `net`
    metadata    text by name, which the model carries along
    outputs     the blobs that the model puts out, in this order; those that no layer reads if there are none
    into_weights    put factors and summands for each channel, such as those of BatchNorm and Scale, into the weights of
                    the layer before; the blobs between the two are then missing

    Raise NetError or LayerError for what ONNX cannot say, before anything is written.
    """
    refuse_unknown_types(net)
    return _Writing(net, larger).model(metadata or {}, outputs or net.outputs, into_weights)


def refuse_unknown_types(net: Net, place: Callable[[str], str] = lambda name: "") -> None:
    """Raise LayerError for the layers whose type no function writes, all in one message.

    place       returns the file and the line of a layer, '' where they are not known
    """
    unknown = [i for i, layer in enumerate(net.layers) if layer.type not in WRITERS and not layer.is_input]
    if not unknown:
        return
    first, *others = [(net.layers[i].name, net.layers[i].type) for i in unknown]
    more = [f"{name!r} ({kind}{', ' * bool(place(name)) + place(name)})" for name, kind in others]
    raise no_form([f"{first[0]!r} ({first[1]})", *more], "ONNX", "the model", _blobs_before(net, set(unknown)),
                  place(first[0]))


def _blobs_before(net: Net, unknown: set[int]) -> list[str]:
    """Return the blobs that are read by the layers in `unknown`, or by layers behind them, and come from others."""
    names, after = net.wiring.blob_names, set(unknown)
    made_by: dict[int, int] = {}
    found: dict[int, None] = {}
    for i, (bottoms, tops) in enumerate(zip(net.wiring.bottoms, net.wiring.tops, strict=True)):
        if any(made_by[b] in after for b in bottoms):
            after.add(i)
        if i in after:
            found.update({_unsplit(net, made_by[b], b): None for b in bottoms if made_by[b] not in after})
        made_by.update(dict.fromkeys(tops, i))
    found.update({b: None for b in net.wiring.outputs if made_by[b] not in after})
    return list(dict.fromkeys(names[b] for b in found if not net.layers[made_by[b]].is_input))


def _unsplit(net: Net, i: int, b: int) -> int:
    """Return blob b, or the one that it is a copy of, if layer i is a Split that the net itself has added."""
    return net.wiring.bottoms[i][0] if net.layers[i].type == "Split" else b


class _Writing:
    """One net on its way into a graph. A blob is its number in `net.wiring`, because several may have one name."""

    def __init__(self, net: Net, larger: Net | None) -> None:
        self.net = net
        self.graph = Graph()
        self.shapes = _shapes(net)
        others = _shapes(larger or net)
        self.open = {b: _differing(one, others[b]) for b, one in self.shapes.items()}
        self.by_numbers: dict[int, frozenset[int]] = dict.fromkeys(self.shapes, frozenset())  # the others by the batch
        self.larger = larger
        self.graph.batch = self._batch()
        self.values = self._value_names()
        self.aliases: dict[str, str] = {}  # another name of a value -> the value

    def _value_names(self) -> list[list[str]]:
        """Return for each layer the names of the values that it makes.

        A layer that runs in place gives its blob new numbers. In ONNX these are another value, which needs another
        name. The last one gets the name of the blob, and the others that of the blob and of their layer. But a blob
        that is an input keeps its name for what is put in.
        """
        net, made = self.net, [[self.net.wiring.blob_names[t] for t in tops] for tops in self.net.wiring.tops]
        keeps = {name: i for i, names in enumerate(made) for name in names if name not in net.inputs}
        keeps.update({name: i for i, names in enumerate(made) for name in names if net.layers[i].is_input})
        self.graph.take(net.wiring.blob_names)
        return [[name if keeps[name] == i else self.graph.free_name(f"{name}/{net.layers[i].name}") for name in names]
                for i, names in enumerate(made)]

    def model(self, metadata: Mapping[str, str], outputs: Sequence[str], into_weights: bool) -> Any:
        """Write all layers, and return the ModelProto."""
        net, names = self.net, self.net.wiring.blob_names
        now: dict[int, str] = {}  # blob -> the value that it holds at this layer
        for i, layer in enumerate(net.layers):
            x = [now[b] for b in net.wiring.bottoms[i]]
            if not layer.is_input:
                self._write(i, x)
            now.update({t: self.aliases.get(y, y) for t, y in zip(net.wiring.tops[i], self.values[i], strict=True)})
        self.graph.rename(new := self._blob_names_of_passed_on())
        last = {name: b for b, name in enumerate(names)}  # the blob that has a name at the end
        put_out: dict[str, Sequence[Size]] = {}
        for name in outputs:
            value = now[last[name]]
            put_out[self._output(name, new.get(value, value), put_out)] = self._size_of(last[name])
        compute_constants(self.graph, put_out)
        drop_unread(self.graph, put_out)
        ranks = {new.get(value, value): len(self.shapes[t]) for values, tops in
                 zip(self.values, net.wiring.tops, strict=True) for value, t in zip(values, tops, strict=True)}
        fold(self.graph, put_out, ranks, into_weights)
        inputs = {names[b]: self._size_of(b) for b in net.wiring.inputs}
        return self.graph.model(net.name, inputs, put_out, metadata)

    def _blob_names_of_passed_on(self) -> dict[str, str]:
        """Return new names for values such as 'fc6/relu6': a Dropout behind that layer has the name of the blob.

        It makes no node, so the value that it passes on gets its name.
        """
        net = self.net
        found: dict[str, str] = {}
        blobs = {net.wiring.blob_names[t] for i, tops in enumerate(net.wiring.tops) for t in tops
                 if net.layers[i].type != "Split"}  # the net has added these, and their names say nothing to the user
        for alias, value in self.aliases.items():
            if alias in blobs and value not in net.wiring.blob_names and value not in self.graph.constants:
                found.setdefault(value, alias)
        return found

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
        before = _shapes(net)
        for t, axis in opened:
            shape = list(net.tops[i][t].shape)
            shape[axis] += 1
            net.tops[i][t].reshape(shape)
        for layer, bottom, top in zip(net.layers[i + 1:], net.bottoms[i + 1:], net.tops[i + 1:], strict=True):
            layer.Reshape(bottom, top)
        others = _shapes(net)
        self.open = {b: now | _differing(self.shapes[b], others[b]) for b, now in self.open.items()}
        self.by_numbers = {b: now | _differing(before[b], others[b]) for b, now in self.by_numbers.items()}

    def _output(self, name: str, value: str, others: Container[str]) -> str:
        """Return the name of an output. A value that has another name is copied, and so is an input that is put out."""
        if value == name and name not in self.net.inputs:
            return name
        if name in self.net.inputs:  # the name is that of the numbers that are put in
            if value != name and value not in others:
                return value
            name = self.graph.free_name(f"{name}/output")
        self.graph.node("Identity", f"{name}/Identity", [value], [name])
        return name

    def _size_of(self, b: int) -> list[Size]:
        """Return the shape of a blob, with the open sizes as names."""
        batch, name, shape = self.graph.batch, self.net.wiring.blob_names[b], self.shapes[b]
        grows = self.open[b] - self.by_numbers[b]
        one = batch is not None and len(grows) == 1 and shape[next(iter(grows))] == batch.size
        names = {axis: BATCH if one else f"{BATCH}_{name}_{axis}" for axis in grows}
        names.update({axis: f"{name}_{axis}" for axis in self.by_numbers[b]})
        return [names.get(axis, size) for axis, size in enumerate(shape)]

    def _batch(self) -> Batch | None:
        """Return the open axis of the first input that has one."""
        for b in self.net.wiring.inputs:
            for axis in sorted(self.open[b]):
                return Batch(self.net.wiring.blob_names[b], axis, self.shapes[b][axis])
        return None


def _shapes(net: Net) -> dict[int, tuple[int, ...]]:
    """Return the shape of each blob by its number."""
    return {t: blob.shape for ids, tops in zip(net.wiring.tops, net.tops, strict=True)
            for t, blob in zip(ids, tops, strict=True)}


def _differing(one: Sequence[int], other: Sequence[int]) -> frozenset[int]:
    """Return the axes on which two shapes differ."""
    return frozenset(axis for axis, (a, b) in enumerate(zip(one, other, strict=True)) if a != b)
