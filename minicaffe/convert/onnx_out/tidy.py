"""Leave nodes out of a graph that need not run: those that compute constants, and those that nothing reads."""

from __future__ import annotations

from collections.abc import Container
from typing import Any

from minicaffe.convert.onnx_out.graph import Graph
from minicaffe.convert.onnx_package import evaluate_node, opset

GROWS = ("Expand", "Tile", "ConstantOfShape")  # they repeat numbers, which would make the file larger


def compute_constants(graph: Graph, outputs: Container[str]) -> None:
    """Compute the nodes that read constants alone, and put constants in their place.

    The boxes of PriorBox are such constants, and what DetectionOutput computes of them. OpenCV 5.0 cannot read a Split
    of a constant.

    outputs     names of values that must be made by nodes, because the model puts them out
    """
    left: list[Any] = []
    for node in graph.nodes:
        constant = (node.op_type not in GROWS and all(name in graph.constants for name in node.input if name)
                    and not any(name in outputs for name in node.output))
        if constant:
            made = evaluate_node(node, {name: graph.constants[name] for name in node.input if name}, [opset()])
            graph.constants.update(zip(node.output, made, strict=True))
        else:
            left.append(node)
    graph.nodes[:] = left


def drop_unread(graph: Graph, outputs: Container[str]) -> None:
    """Leave out the nodes whose outputs are read by no other node, and are no outputs of the model."""
    read: set[str] = set()
    left: list[Any] = []
    for node in reversed(graph.nodes):
        if any(name in outputs or name in read for name in node.output):
            read.update(node.input)
            left.append(node)
    graph.nodes[:] = reversed(left)
