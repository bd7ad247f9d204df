"""A Pad before a convolution or a pooling, which can pad by themselves."""

from __future__ import annotations

from minicaffe.convert.onnx_in.graph import Graph, Node
from minicaffe.convert.onnx_in.patterns import ends_with, instead, made_by, number

LOWEST = -1e30  # a padding below this is never the largest number of a window


@ends_with("Conv", "MaxPool", "AveragePool")
def padded(graph: Graph, node: Node) -> Node | None:
    """Pad and Conv, MaxPool or AveragePool: one node with the sum of both paddings."""
    pad = made_by(graph, node.inputs[0], "Pad")
    if pad is None or pad.attributes.get("mode", "constant") != "constant":
        return None
    given = _paddings(graph, pad)
    if given is None or not _same_numbers(graph, node, pad):
        return None
    axes = len(given) // 2
    own = node.attributes.get("pads") or [0] * 2 * (axes - 2)
    added = [*given[2:axes], *given[axes + 2:]]
    attributes = {**node.attributes, "pads": [a + b for a, b in zip(own, added, strict=True)]}
    if node.op == "AveragePool":
        attributes["count_include_pad"] = 1
    return instead(node, node.op, [pad.inputs[0], *node.inputs[1:]], **attributes)


def _paddings(graph: Graph, pad: Node) -> list[int] | None:
    """Return the numbers that a Pad adds, if it adds none to the batch and to the channels, and cuts off nothing."""
    shape = graph.shapes.get(pad.inputs[0])
    given = pad.attributes.get("pads")
    if given is None and len(pad.inputs) > 1 and pad.inputs[1] in graph.constants:
        given = graph.constants[pad.inputs[1]].tolist()
    if shape is None or given is None:
        return None
    if len(pad.inputs) > 3 and pad.inputs[3]:
        axes = [int(axis) % len(shape) for axis in graph.constants[pad.inputs[3]]]
        full = [0] * 2 * len(shape)
        for k, axis in enumerate(axes):
            full[axis], full[axis + len(shape)] = given[k], given[k + len(axes)]
        given = full
    given = [int(n) for n in given]
    outer = [*given[:2], *given[len(shape):len(shape) + 2]]
    return given if len(given) == 2 * len(shape) and min(given) >= 0 and not any(outer) else None


def _same_numbers(graph: Graph, node: Node, pad: Node) -> bool:
    """Return whether the numbers that a Pad adds are those that the node behind it would add."""
    value = pad.attributes.get("value", 0.0)
    if len(pad.inputs) > 2 and pad.inputs[2]:
        value = number(graph, pad.inputs[2])
    if node.attributes.get("auto_pad", "NOTSET") not in ("NOTSET", ""):
        return False
    if node.op == "MaxPool":
        positive = made_by(graph, pad.inputs[0], "Relu", "Sigmoid") is not None
        return value is not None and (value <= LOWEST or (value == 0 and positive)) and not any(
            output in graph.outputs or graph.readers(output) for output in node.outputs[1:])
    if node.op == "AveragePool" and (any(node.attributes.get("pads") or []) or node.attributes.get("ceil_mode", 0)):
        return False
    return value == 0
