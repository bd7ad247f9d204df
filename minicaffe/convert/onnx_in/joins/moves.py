"""Reshape and Transpose, which together move channels or pixels, or only change the order of weights."""

from __future__ import annotations

import math

import numpy as np

from minicaffe.convert.onnx_in.graph import Graph, Node
from minicaffe.convert.onnx_in.patterns import ends_with, instead, made_by

RESHAPES = ("Reshape", "Flatten", "Squeeze", "Unsqueeze")


@ends_with("Reshape")
def shuffled(graph: Graph, node: Node) -> Node | None:
    """Reshape, Transpose, Reshape: ChannelShuffle, DepthToSpace and SpaceToDepth, as their steps are in PyTorch."""
    turn = made_by(graph, node.inputs[0], "Transpose")
    split = made_by(graph, turn.inputs[0], "Reshape") if turn else None
    if turn is None or split is None:
        return None
    x, order = split.inputs[0], turn.attributes.get("perm")
    old, seen, new = (graph.shapes.get(value) for value in (x, split.outputs[0], node.outputs[0]))
    if old is None or seen is None or new is None or len(old) != 4 or not order or seen[0] != old[0] != 0:
        return None
    N, C, H, W = old
    if new == old and order[:3] == [0, 2, 1] and order[3:] == list(range(3, len(order))) and \
            seen[1] * seen[2] == C and seen[3:] in ((H, W), (H * W,)):
        return instead(node, "ChannelShuffle", [x], group=seen[1])
    if order == [0, 1, 4, 2, 5, 3] and seen[4:] == (H, W) and seen[2] == seen[3] and \
            new == (N, seen[1], H * seen[2], W * seen[2]):
        return instead(node, "DepthToSpace", [x], blocksize=seen[2], mode="CRD")
    if order == [0, 1, 3, 5, 2, 4] and seen[1] == C and seen[3] == seen[5] and \
            new == (N, C * seen[3] ** 2, H // seen[3], W // seen[3]):
        return instead(node, "SpaceToDepth", [x], blocksize=seen[3], mode="CRD")
    return None


@ends_with("Transpose")
def twice(graph: Graph, node: Node) -> Node | None:
    """Two Transposes: one, or nothing where the second undoes the first."""
    first = made_by(graph, node.inputs[0], "Transpose")
    if first is None:
        return None
    axes = range(len(graph.shapes.get(node.inputs[0], ())))
    orders = [one.attributes.get("perm") or list(axes)[::-1] for one in (first, node)]
    order = [orders[0][axis] for axis in orders[1]]
    if order == list(axes):
        return instead(node, "Identity", [first.inputs[0]])
    return instead(node, "Transpose", [first.inputs[0]], perm=order)


@ends_with("Gemm", "MatMul")
def turned_weights(graph: Graph, node: Node) -> Node | None:
    """Transpose, Reshape to rows and a product: the columns of the matrix in another order, and no Transpose."""
    rows = made_by(graph, node.inputs[0], *RESHAPES)
    turn = made_by(graph, rows.inputs[0], "Transpose") if rows else None
    w = graph.constants.get(node.inputs[1])
    if rows is None or turn is None or w is None or w.ndim != 2 or node.attributes.get("transA", 0) or \
            graph.only_reader(rows.outputs[0]) is not node:
        return None
    x, order, flat = turn.inputs[0], turn.attributes.get("perm"), graph.shapes.get(rows.outputs[0], ())
    shape = graph.shapes.get(x)
    if shape is None or not order or order[0] != 0 or flat != (shape[0], math.prod(shape[1:])):
        return None
    w = w if node.attributes.get("transB", 0) else w.T
    moved = w.reshape(-1, *(shape[axis] for axis in order[1:]))
    back = np.argsort(order[1:]) + 1
    columns = moved.transpose(0, *back).reshape(len(w), -1)
    rows.op, rows.inputs, rows.attributes = "Flatten", [x], {}
    wanted = columns if node.op == "Gemm" else columns.T
    name = graph.add_constant(f"{node.inputs[1]}.turned", np.ascontiguousarray(wanted))
    attributes = {**node.attributes, **({"transB": 1} if node.op == "Gemm" else {})}
    return instead(node, node.op, [rows.outputs[0], name, *node.inputs[2:]], **attributes)
