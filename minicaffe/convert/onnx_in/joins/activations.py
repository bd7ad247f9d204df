"""Activations that PyTorch exports as several nodes."""

from __future__ import annotations

from minicaffe.convert.onnx_in.graph import Graph, Node
from minicaffe.convert.onnx_in.patterns import both_ways, ends_with, instead, made_by, number

BARELY_BENT = 15  # from here on log(1 + eˣ) is x, in float32


@ends_with("Mul")
def swish(graph: Graph, node: Node) -> Node | None:
    """x · Sigmoid(x), which is SiLU, and x · Sigmoid(βx)."""
    for x, gate in both_ways(node):
        sigmoid = made_by(graph, gate, "Sigmoid")
        if sigmoid is None:
            continue
        if sigmoid.inputs[0] == x:
            return instead(node, "Swish", [x], alpha=1.0)
        scaled = made_by(graph, sigmoid.inputs[0], "Mul")
        for source, factor in both_ways(scaled) if scaled else ():
            if source == x and (beta := number(graph, factor)) is not None:
                return instead(node, "Swish", [x], alpha=beta)
    return None


@ends_with("Where")
def softplus(graph: Graph, node: Node) -> Node | None:
    """x where it is large, else Softplus(x): of a large x, Softplus is x."""
    condition, x, y = node.inputs
    greater, bent = made_by(graph, condition, "Greater", "GreaterOrEqual"), made_by(graph, y, "Softplus")
    if greater is None or bent is None or bent.inputs[0] != x or greater.inputs[0] != x:
        return None
    limit = number(graph, greater.inputs[1])
    return instead(node, "Softplus", [x]) if limit is not None and limit >= BARELY_BENT else None
