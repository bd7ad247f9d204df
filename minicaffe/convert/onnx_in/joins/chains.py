"""Sums, products and functions of single numbers that together are one layer."""

from __future__ import annotations

import math

import numpy as np

from minicaffe.convert.onnx_in.graph import Graph, Node
from minicaffe.convert.onnx_in.nodes.reduce import REDUCTIONS
from minicaffe.convert.onnx_in.patterns import alone, both_ways, ends_with, instead, made_by, number

LINES = ("Mul", "Add", "Power")
Line = tuple[str, float, float]  # a value x, and the numbers s and b of s · x + b


def line(graph: Graph, node: Node | None) -> Line | None:
    """Return what a node computes, if that is s · x + b with two numbers; else None."""
    if node is None:
        return None
    if node.op == "Power":
        return (node.inputs[0], node.attributes["scale"], node.attributes["shift"]) if _is_linear(node) else None
    for x, constant in both_ways(node):
        if x not in graph.constants and (c := number(graph, constant)) is not None and _keeps_shape(graph, node, x):
            return (x, c, 0.0) if node.op == "Mul" else (x, 1.0, c)
    return None


def _is_linear(node: Node) -> bool:
    return bool(node.attributes["power"] == 1)


def _keeps_shape(graph: Graph, node: Node, x: str) -> bool:
    """Return whether a node makes as many numbers as it reads from x."""
    shape = graph.shapes.get(x)
    return shape is not None and shape == graph.shapes.get(node.outputs[0])


@ends_with("Add", late=True)
def scaled_and_shifted(graph: Graph, node: Node) -> Node | None:
    """s · x, and then + b: Power."""
    found = line(graph, node)
    before = line(graph, alone(graph, node, found[0], "Mul")) if found else None
    if found is None or before is None:
        return None
    return instead(node, "Power", [before[0]], power=1.0, scale=before[1], shift=found[2])


@ends_with("Pow", late=True)
def power_of_line(graph: Graph, node: Node) -> Node | None:
    """(s · x + b)^p: Power."""
    exponent = number(graph, node.inputs[1])
    before = line(graph, alone(graph, node, node.inputs[0], *LINES))
    if exponent is None or before is None or not _keeps_shape(graph, node, node.inputs[0]):
        return None
    return instead(node, "Power", [before[0]], power=exponent, scale=before[1], shift=before[2])


@ends_with("Exp", "Log", late=True)
def function_of_line(graph: Graph, node: Node) -> Node | None:
    """Exp or Log of s · x + b: the layer, with scale and shift."""
    before = line(graph, alone(graph, node, node.inputs[0], *LINES))
    if before is None or node.attributes:
        return None
    return instead(node, node.op, [before[0]], scale=before[1], shift=before[2])


@ends_with("Mul", late=True)
def logarithm_by_base(graph: Graph, node: Node) -> Node | None:
    """Log and a Mul by 1 / ln(base): Log with a base."""
    found = line(graph, node)
    log = alone(graph, node, found[0], "Log") if found else None
    if found is None or log is None or not found[1] or not node.scope or abs(1 / found[1]) > 80:
        return None
    return instead(node, "Log", log.inputs, **log.attributes, base=math.exp(1 / found[1]))


@ends_with("Add", late=True)
def scale_with_bias(graph: Graph, node: Node) -> Node | None:
    """w · x, and then + b, with learned numbers along the same axes: Scale with a bias."""
    for product, b in both_ways(node):
        mul = alone(graph, node, product, "Mul")
        for x, w in both_ways(mul) if mul else ():
            weights, biases = graph.constants.get(w), graph.constants.get(b)
            if weights is not None and biases is not None and weights.shape == biases.shape and weights.size > 1 and \
                    _keeps_shape(graph, node, x):
                return instead(node, "Scale", [x, w, b])
    return None


@ends_with("Mul", late=True)
def reduction_with_coefficient(graph: Graph, node: Node) -> Node | None:
    """A sum or mean along the last axes, and a Mul by a number: Reduction with coeff."""
    found = line(graph, node)
    reduce = alone(graph, node, found[0], *REDUCTIONS) if found else None
    if found is None or reduce is None or reduce.op == "ReduceL2" or reduce.attributes.get("keepdims", 1) or \
            not (graph.ours or reduce.op != "ReduceMean"):
        return None
    return instead(node, reduce.op, reduce.inputs, **{**reduce.attributes, "coeff": found[1]})


@ends_with("Add", "Mul", "Max", late=True)
def several_blobs(graph: Graph, node: Node) -> Node | None:
    """A chain of sums, products or largest numbers within one layer: an Eltwise with several bottoms, and coeff."""
    if not graph.ours or not node.scope or len(node.inputs) != 2:
        return None
    op = {"Add": "Sum", "Mul": "Product", "Max": "Max"}[node.op]
    terms: list[tuple[str, float]] = []
    for value in node.inputs:
        inner = alone(graph, node, value, op, node.op)
        factor = line(graph, alone(graph, node, value, "Mul")) if op == "Sum" else None
        if factor is not None:
            terms.append(factor[:2])
        elif inner is None:
            terms.append((value, 1.0))
        else:
            terms += zip(inner.inputs, inner.attributes.get("coeff") or [1.0] * len(inner.inputs), strict=True)
    values, factors = [value for value, _ in terms], [factor for _, factor in terms]
    alike = len({graph.shapes.get(value) for value in values}) == 1 and not any(v in graph.constants for v in values)
    if not alike or (len(terms) == 2 and set(factors) == {1.0} and op != "Product"):
        return None
    return instead(node, op, values, **({"coeff": factors} if set(factors) != {1.0} else {}))


@ends_with("Add", "Mul", late=True)
def along_other_axes(graph: Graph, node: Node) -> Node | None:
    """A Scale or Bias with two bottoms: an Unsqueeze gives the second one the axes that it lacks."""
    wider = alone(graph, node, node.inputs[1], "Unsqueeze") if graph.ours and node.scope else None
    x, y = graph.shapes.get(node.inputs[0]), graph.shapes.get(node.outputs[0])
    if wider is None or x is None or x != y:
        return None
    w, wide = graph.shapes.get(wider.inputs[0]), graph.shapes.get(wider.outputs[0])
    if w is None or wide is None or wide[:len(w)] != w:
        return None
    return instead(node, "TwoBottoms", [node.inputs[0], wider.inputs[0]], axis=len(x) - len(wide),
                   type={"Add": "Bias", "Mul": "Scale"}[node.op])


@ends_with("Add", late=True)
def product_with_bias(graph: Graph, node: Node) -> Node | None:
    """MatMul or Embed, and then + b: one layer with a bias."""
    for product, b in both_ways(node):
        before, bias = alone(graph, node, product, "MatMul", "Embed"), graph.constants.get(b)
        if before is None or bias is None or len(before.inputs) != 2 or bias.ndim != 1 or \
                not _keeps_shape(graph, node, product):
            continue
        w = graph.constants.get(before.inputs[1 if before.op == "MatMul" else 0])
        if w is not None and w.ndim == 2 and w.shape[1] == bias.size:
            return instead(node, before.op, [*before.inputs, b], **before.attributes)
    return None


@ends_with("Gemm", "MatMul", late=True)
def product_of_rows(graph: Graph, node: Node) -> Node | None:
    """InnerProduct, which sees its bottom as rows by itself: a Flatten or Reshape before it is not needed."""
    rows = alone(graph, node, node.inputs[0], "Flatten", "Reshape") if graph.ours and node.scope else None
    w = graph.constants.get(node.inputs[1])
    old, new = (graph.shapes.get(value) for value in (rows.inputs[0], rows.outputs[0])) if rows else (None, None)
    if rows is None or w is None or old is None or new is None or old[:len(new) - 1] != new[:-1] or \
            len(old) < len(new) or node.attributes.get("transA", 0) or node.attributes.get("axis"):
        return None
    return instead(node, node.op, [rows.inputs[0], *node.inputs[1:]], **node.attributes,
                   **({"axis": len(new) - 1} if node.op == "MatMul" else {}))


@ends_with("Gather")
def rows_of_a_table(graph: Graph, node: Node) -> Node | None:
    """Gather of rows, with numbers that were cast to whole ones: Embed, or for the samples of a blob BatchReindex."""
    table, indices = node.inputs
    cast = made_by(graph, indices, "Cast")
    if node.attributes.get("axis", 0) or cast is None or graph.kinds.get(cast.inputs[0]) != np.float32:
        return None
    if table in graph.constants:
        return instead(node, "Embed", [table, cast.inputs[0]]) if graph.constants[table].ndim == 2 else None
    return instead(node, "BatchReindex", [table, cast.inputs[0]]) if len(graph.shapes.get(indices, ())) == 1 else None
