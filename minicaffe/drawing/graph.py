"""What a drawing shows: boxes of layers, and the blobs that go from one box to the next.

A layer that runs in place stands in the box of the layer whose top it changes. A Split has no box: it is the point at
which a blob forks. The nets of several phases become one drawing, in which each layer knows the phases that have it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from minicaffe.analysis.cost import layer_costs, steps_and_batch
from minicaffe.layers.datasheet import family_of
from minicaffe.passes.filter import is_included
from minicaffe.passes.insert_splits import find_sources, is_split

if TYPE_CHECKING:
    from minicaffe.blob import Blob
    from minicaffe.net import Net

Shape = tuple[int, ...]
# A layer's number in the file, and 0; for a Split that a pass has inserted, its maker's number and 1 + the top's index.
Key = tuple[int, int]


class Version(NamedTuple):
    """One of the nets in a drawing: that of a phase.

    label   the name of the phase
    param   the NetParameter after all passes
    keys    for each layer of it, the Key by which it is known in all versions
    given   for each layer of it, its definition as the file has it
    net     the Net made of it; None where only the definition is known, and so no shapes
    """

    label: str
    param: Any
    keys: list[Key]
    given: list[Any]
    net: Net | None


class Facts(NamedTuple):
    """What is known of a layer in one version: the shapes of its blobs, and its costs.

    bottoms, tops    (name, shape) of each; the shape is None where it is not known
    parameters       the number of values that it owns
    multiply_adds    those of one sample
    """

    bottoms: list[tuple[str, Shape | None]]
    tops: list[tuple[str, Shape | None]]
    parameters: int = 0
    multiply_adds: int = 0


@dataclass
class DrawnLayer:
    """A layer as it is drawn.

    index     its number in the drawing; in that of one net, its index in net.layers
    given     its definition, as the file has it
    family    the family of its type, '' for a type from outside
    facts     label of a version -> what is known of the layer there
    only      the labels of the versions that have it; () where all have it
    shares    index of an earlier layer -> the names of the parameters that both share
    """

    index: int
    given: Any
    family: str
    facts: dict[str, Facts] = field(default_factory=dict)
    only: tuple[str, ...] = ()
    shares: dict[int, list[str]] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return str(self.given.name)

    @property
    def type(self) -> str:
        return str(self.given.type)

    @property
    def is_split(self) -> bool:
        return is_split(self.given)

    @property
    def runs_in_place(self) -> bool:
        """Whether it has one bottom, which is also its first top."""
        return len(self.given.bottom) == 1 and list(self.given.top[:1]) == list(self.given.bottom)


@dataclass
class Box:
    """Layers that are drawn as one: a layer, and those that run in place on its tops or replace it in another phase.

    tops      name -> the shape in each version, after the last layer that writes it
    splits    name of a top -> the Split layers behind it
    """

    index: int
    layers: list[DrawnLayer]
    tops: dict[str, dict[str, Shape | None]] = field(default_factory=dict)
    splits: dict[str, list[DrawnLayer]] = field(default_factory=dict)


class Edge(NamedTuple):
    """A blob on its way from a box that makes it to a box that reads it.

    maker, reader    the indices of the boxes
    top              which of the maker's tops it is, counted from 0
    """

    maker: int
    top: int
    reader: int


@dataclass
class Graph:
    """The boxes in the order of the net, so that every edge goes from a box to a later one.

    edges     with each, the labels of the versions that have it; () where all do
    labels    those of all versions
    batches   label -> what the first axis of most blobs counts; 0 where it is not known
    lr_mult   the types whose boxes show the lr_mult of weights and bias
    """

    name: str
    labels: tuple[str, ...]
    layers: list[DrawnLayer]
    boxes: list[Box]
    edges: dict[Edge, tuple[str, ...]]
    batches: dict[str, int]
    lr_mult: Collection[str] = ()

    def only(self, labels: Iterable[str]) -> tuple[str, ...]:
        """Return the labels, or () where they are the labels of all versions."""
        return () if set(labels) == set(self.labels) else tuple(labels)


def version_of_net(net: Net, label: str) -> Version:
    """Return a Net as the only version of a drawing, in which its layers keep their indices."""
    return Version(label, net.param, [(i, 0) for i in range(len(net.param.layer))], list(net.param.layer), net)


def version_of_definition(label: str, definition: Any, param: Any, net: Net | None) -> Version:
    """Return a version of a drawing of several.

    definition    the upgraded NetParameter from which all versions were made
    param         the NetParameter of this one after all passes; its state chose the layers
    """
    included = [(k, layer) for k, layer in enumerate(definition.layer) if is_included(layer, param.state)]
    version = Version(label, param, [], [], net)
    sources = find_sources(param)
    taken = 0
    for i, layer in enumerate(param.layer):
        if taken < len(included) and layer.name == included[taken][1].name:
            number, given = included[taken]
            key, taken = (number, 0), taken + 1
        else:  # a Split that a pass has inserted
            maker, top = sources[i][0]
            key, given = (version.keys[maker][0], 1 + top), layer
        version.keys.append(key)
        version.given.append(given)
    return version


def build(name: str, versions: Sequence[Version], lr_mult: Collection[str] = ()) -> Graph:
    """Return one Graph of all versions. A layer that several versions have is in it once."""
    known: dict[Key, DrawnLayer] = {}
    for version in versions:
        for key, given in zip(version.keys, version.given, strict=True):
            known.setdefault(key, DrawnLayer(0, given, family_of(given.type)))
    layers = [known[key] for key in sorted(known)]
    for index, layer in enumerate(layers):
        layer.index = index
    graph = Graph(name, tuple(v.label for v in versions), layers, [], {}, {}, lr_mult)
    for version in versions:
        _add_facts(graph, version, known)
    for layer in layers:
        layer.only = graph.only(layer.facts)
    _make_boxes(graph, _reads(versions, known))
    return graph


Source = tuple[Key, str]  # the layer that makes a bottom, no Split, and the top's name


def _sources(version: Version) -> dict[Key, list[Source]]:
    """Return, for each layer, what it reads. A Split is looked through."""
    makers, layers = find_sources(version.param), version.param.layer
    found: dict[Key, list[Source]] = {}
    for i, tops in enumerate(makers):
        found[version.keys[i]] = []
        for maker, top in tops:
            while is_split(layers[maker]):
                maker, top = makers[maker][0]
            found[version.keys[i]].append((version.keys[maker], str(layers[maker].top[top])))
    return found


def _add_facts(graph: Graph, version: Version, known: dict[Key, DrawnLayer]) -> None:
    """Write down what is known of the layers in one version."""
    net, label = version.net, version.label
    batch = steps_and_batch(net)[1] if net else 0
    graph.batches[label] = batch
    costs = layer_costs(net) if net else []
    for i, (key, layer) in enumerate(zip(version.keys, version.param.layer, strict=True)):
        if net is None:
            facts = Facts([(name, None) for name in layer.bottom], [(name, None) for name in layer.top])
        else:
            made = [net.wiring.blob_names[t] for t in net.wiring.tops[i][len(layer.top):]]  # what a loss adds itself
            facts = Facts(_shapes(layer.bottom, net.bottoms[i]), _shapes([*layer.top, *made], net.tops[i]),
                          costs[i].parameters, costs[i].multiply_adds // max(batch, 1))
        known[key].facts[label] = facts
    _add_shares([known[key] for key in version.keys])


def _shapes(names: Iterable[str], blobs: Sequence[Blob]) -> list[tuple[str, Shape | None]]:
    return [(name, blob.shape) for name, blob in zip(names, blobs, strict=True)]


def _add_shares(layers: Sequence[DrawnLayer]) -> None:
    """Write down which layers have parameters of earlier ones: those of one `param { name }`."""
    owners: dict[str, DrawnLayer] = {}
    for layer in layers:
        for name in dict.fromkeys(param.name for param in layer.given.param if param.name):
            owner = owners.setdefault(name, layer)
            names = layer.shares.setdefault(owner.index, []) if owner is not layer else []
            names += [name] if name not in names else []


Read = dict[int, dict[str, list[tuple[int, str]]]]  # a layer -> a version -> (maker, top) of each of its bottoms


def _reads(versions: Sequence[Version], known: dict[Key, DrawnLayer]) -> Read:
    """Return what each layer reads in each version."""
    read: Read = {layer.index: {} for layer in known.values()}
    for version in versions:
        for key, sources in _sources(version).items():
            read[known[key].index][version.label] = [(known[maker].index, top) for maker, top in sources]
    return read


def _make_boxes(graph: Graph, read: Read) -> None:
    """Put the layers into boxes, and find the edges between these."""
    box_of: dict[int, Box] = {}
    twins: dict[tuple[tuple[str, ...], tuple[str, ...]], Box] = {}
    labels: dict[Edge, list[str]] = {}
    for layer in graph.layers:
        if layer.is_split:
            maker, top = next(iter(read[layer.index].values()))[0]
            box_of[layer.index] = box_of[maker]
            box_of[maker].splits.setdefault(top, []).append(layer)
            continue
        before = {box_of[maker].index for sources in read[layer.index].values() for maker, _ in sources}
        names = (tuple(layer.given.bottom), tuple(layer.given.top))
        box = twins.get(names)
        if layer.runs_in_place and len(before) == 1:
            box = graph.boxes[before.pop()]
        elif box is None or not _replaces(layer, box) or any(maker >= box.index for maker in before):
            box = twins[names] = Box(len(graph.boxes), [])
            graph.boxes.append(box)
        box.layers.append(layer)
        box_of[layer.index] = box
        for label, facts in layer.facts.items():
            for name, shape in facts.tops:
                box.tops.setdefault(name, {})[label] = shape
        for label, sources in read[layer.index].items():
            for maker, top in sources:
                if box_of[maker] is not box:
                    number = list(box_of[maker].tops).index(top)
                    labels.setdefault(Edge(box_of[maker].index, number, box.index), []).append(label)
    graph.edges = {edge: graph.only(dict.fromkeys(where)) for edge, where in labels.items()}


def _replaces(layer: DrawnLayer, box: Box) -> bool:
    """Whether a layer does in its phase what a box of the same bottoms and tops does in another."""
    return bool(layer.given.top) and not any(set(layer.facts) & set(other.facts) for other in box.layers)
