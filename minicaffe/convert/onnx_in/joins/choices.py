"""ArgMax and Filter, as minicaffe writes them."""

from __future__ import annotations

import numpy as np

from minicaffe.convert.onnx_in.graph import Graph, Node
from minicaffe.convert.onnx_in.patterns import alone, ends_with, instead, made_by, number


@ends_with("Sub")
def places_from_the_end(graph: Graph, node: Node) -> Node | None:
    """The last place less the places that TopK finds in an axis that is read from its end: of equal numbers the last
    ones come first, as in Caffe's ArgMax.
    """
    places, last = node.inputs[1], number(graph, node.inputs[0])
    top = made_by(graph, places, "TopK")
    if top is None or places != top.outputs[1] or not _takes_the_largest(top):
        return None
    found, k = _turned(graph, top.inputs[0]), number(graph, top.inputs[1])
    if found is None or k is None:
        return None
    x, axis = found
    rank = len(graph.shapes[x])
    if top.attributes.get("axis", -1) % rank != axis or last != graph.shapes[x][axis] - 1:
        return None
    return instead(node, "ArgMax", [x], axis=axis, top_k=int(k))


def _takes_the_largest(top: Node) -> bool:
    return bool(top.attributes.get("largest", 1) and top.attributes.get("sorted", 1))


def _turned(graph: Graph, value: str) -> tuple[str, int] | None:
    """Return what a Slice reads from its end to its beginning, and along which axis; None where it is no such Slice."""
    node = made_by(graph, value, "Slice")
    if node is None or len(node.inputs) != 5 or any(name not in graph.constants for name in node.inputs[1:]):
        return None
    start, end, axis, step = (number(graph, name) for name in node.inputs[1:])
    shape = graph.shapes.get(node.inputs[0])
    if shape is None or start is None or end is None or axis is None or step != -1 or \
            start not in (-1, shape[int(axis)] - 1) or end >= -shape[int(axis)]:
        return None
    return node.inputs[0], int(axis) % len(shape)


@ends_with("Unsqueeze")
def places_in_all(graph: Graph, node: Node) -> Node | None:
    """The places of the largest numbers of a whole sample, as ArgMax without an axis puts them out: (N, 1, k, 1, ...).
    """
    cast = alone(graph, node, node.inputs[0], "Cast")
    top = alone(graph, cast, cast.inputs[0], "ArgMax") if cast else None
    flat = made_by(graph, top.inputs[0], "Flatten") if top else None
    made = graph.shapes.get(node.outputs[0])
    if top is None or flat is None or made is None or top.attributes.get("axis") != 1 or not graph.ours or \
            flat.attributes.get("axis", 1) != 1 or "whole" in top.attributes:
        return None
    k = top.attributes.get("top_k", 1)
    rank = len(graph.shapes[flat.inputs[0]])
    if made != (graph.shapes[flat.inputs[0]][0], 1, k, *[1] * (max(rank, 3) - 3)):
        return None
    return instead(node, "ArgMax", [flat.inputs[0]], top_k=k, whole=1)


@ends_with("Concat")
def places_and_values(graph: Graph, node: Node) -> Node | None:
    """The places of the largest numbers of a whole sample, and these numbers: ArgMax with out_max_val."""
    if len(node.inputs) != 2 or node.attributes.get("axis") != 1:
        return None
    places, wider = (alone(graph, node, value, op) for value, op in zip(node.inputs, ("ArgMax", "Unsqueeze"),
                                                                        strict=True))
    top = made_by(graph, wider.inputs[0], "TopK") if wider else None
    found = _turned(graph, top.inputs[0]) if top else None
    flat = made_by(graph, found[0], "Flatten") if found else None
    if places is None or wider is None or top is None or flat is None or "whole" not in places.attributes or \
            not _takes_the_largest(top) or wider.inputs[0] != top.outputs[0] or flat.inputs != places.inputs or \
            number(graph, top.inputs[1]) != places.attributes["top_k"]:
        return None
    return instead(node, "ArgMax", places.inputs, **places.attributes, out_max_val=True)


@ends_with("Compress")
def filter_(graph: Graph, node: Node) -> Node | None:
    """Compress of samples, with numbers that were cast to true and false: Filter, one for all blobs of a layer."""
    chosen = node.inputs[1]
    cast = made_by(graph, chosen, "Cast")
    if node.attributes.get("axis") != 0 or cast is None or graph.kinds.get(cast.inputs[0]) != np.float32:
        return None
    selector = cast.inputs[0]
    before = next((one for one in graph.nodes if one.op == "Filter" and one.inputs[-1] == selector
                   and one.scope == node.scope != ""), None)
    if before is not None and not any(graph.readers(value) for value in before.outputs):
        new = Node("Filter", before.path, [*before.inputs[:-1], node.inputs[0], selector],
                   [*before.outputs, *node.outputs], scope=node.scope)
        graph.nodes.remove(before)
        return new
    return instead(node, "Filter", [node.inputs[0], selector])
