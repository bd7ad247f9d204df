"""Normalizations that PyTorch exports as several nodes."""

from __future__ import annotations

from minicaffe.convert.onnx_in.graph import Graph, Node
from minicaffe.convert.onnx_in.joins.moves import RESHAPES
from minicaffe.convert.onnx_in.patterns import both_ways, ends_with, instead, made_by, number


@ends_with("Div")
def lrn(graph: Graph, node: Node) -> Node | None:
    """x / (k + α · mean of x² over neighbouring channels)^β, with the mean by Pad and AveragePool: LRN."""
    x, power = node.inputs[0], made_by(graph, node.inputs[1], "Pow")
    beta = number(graph, power.inputs[1]) if power else None
    added = made_by(graph, power.inputs[0], "Add") if power else None
    if beta is None or added is None:
        return None
    for summed, k in both_ways(added):
        product, bias = made_by(graph, summed, "Mul"), number(graph, k)
        for mean, factor in both_ways(product) if product and bias is not None else ():
            alpha, size = number(graph, factor), _window(graph, mean, x)
            if alpha is not None and size:
                return instead(node, "LRN", [x], size=size, alpha=alpha, beta=beta, bias=bias)
    return None


def _window(graph: Graph, mean: str, x: str) -> int:
    """Return over how many channels a value is the mean of x²; 0 where it is none."""
    value, kernel = _through(graph, mean), []
    pool = made_by(graph, value, "AveragePool")
    if pool is None:
        return 0
    value = _through(graph, pool.inputs[0])
    kernel = [n for n in pool.attributes["kernel_shape"] if n != 1]
    pads = list(pool.attributes.get("pads") or [])
    if (pad := made_by(graph, value, "Pad")) is not None:
        value = _through(graph, pad.inputs[0])
        pads = (pad.attributes.get("pads") or graph.constants[pad.inputs[1]].tolist())
    square = made_by(graph, value, "Mul")
    if square is None or square.inputs != [x, x] or len(kernel) != 1:
        return 0
    side = kernel[0] // 2
    rank = len(graph.shapes.get(mean, ()))
    whole = set(pads) <= {0, side} and sum(pads) == 2 * side and kernel[0] % 2 == 1
    return kernel[0] if whole and rank >= 3 and set(pool.attributes.get("strides") or [1]) == {1} else 0


def _through(graph: Graph, value: str) -> str:
    """Return the value whose numbers another value shows, maybe in another shape."""
    while (node := made_by(graph, value, *RESHAPES, "Identity")) is not None:
        value = node.inputs[0]
    return value
