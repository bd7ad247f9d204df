"""Sequences of nodes that Caffe says in another way than node by node: found in a Graph, and put together as one."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator

import numpy as np

from minicaffe.convert.onnx_in.graph import Graph, Node

Pattern = Callable[[Graph, Node], Node | None]

PATTERNS: defaultdict[str, list[Pattern]] = defaultdict(list)
LATE: defaultdict[str, list[Pattern]] = defaultdict(list)  # those that are tried when no other pattern is found


def ends_with(*ops: str, late: bool = False) -> Callable[[Pattern], Pattern]:
    """Register a function that is given each node of these operators, and looks at the nodes before it.

    It returns the Node to put in its place, or None where there is nothing to put together. It leaves alone the nodes
    before it. They are removed if nothing else reads what they make.

    late    try it when no other pattern is found any more: it looks at few nodes, which may be part of a larger pattern
    """
    def add(function: Pattern) -> Pattern:
        for op in ops:
            (LATE if late else PATTERNS)[op].append(function)
        return function
    return add


def simplify(graph: Graph) -> None:
    """Apply all patterns until none is found any more."""
    for patterns in (PATTERNS, LATE):
        found = True
        while found:
            found = False
            for node in list(graph.nodes):
                for pattern in () if node.domain else patterns.get(node.op, ()):
                    new = pattern(graph, node)
                    if new is not None:
                        graph.replace([node], new)
                        found = True
                        break
            graph.remove_unread()


# --- what patterns ask of a graph --------------------------------------------------------------------------


def made_by(graph: Graph, value: str, *ops: str) -> Node | None:
    """Return the node that makes a value, if its operator is one of these."""
    node = graph.maker(value)
    return node if node is not None and node.op in ops and not node.domain else None


def alone(graph: Graph, node: Node, value: str, *ops: str) -> Node | None:
    """Return the node that makes a value, if its operator is one of these, if it belongs to the same layer or module
    as `node`, and if nothing else reads the value.
    """
    found = made_by(graph, value, *ops)
    return found if found is not None and found.scope == node.scope and graph.only_reader(value) is node else None


def number(graph: Graph, value: str) -> float | None:
    """Return the number that a constant holds; None where it is not constant, or holds several different ones."""
    array = graph.constants.get(value)
    return float(array.flat[0]) if array is not None and array.size and np.all(array == array.flat[0]) else None


def both_ways(node: Node) -> Iterator[tuple[str, str]]:
    """Yield the two inputs of a node in which their order does not matter, in both orders."""
    a, b = node.inputs
    yield a, b
    yield b, a


def instead(node: Node, op: str, inputs: list[str], **attributes: object) -> Node:
    """Return a node that makes what another one makes."""
    return Node(op, node.path, inputs, node.outputs, attributes, scope=node.scope)
