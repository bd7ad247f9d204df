"""Sequences of nodes that are one layer in Caffe, found in a Graph and put together before it is written."""

from __future__ import annotations

from collections.abc import Callable

from minicaffe.convert.onnx_in.graph import Graph

Pattern = Callable[[Graph], bool]

PATTERNS: list[Pattern] = []


def pattern(function: Pattern) -> Pattern:
    """Register a function that looks for one sequence, puts one Node in its place, and returns whether it found it."""
    PATTERNS.append(function)
    return function


def simplify(graph: Graph) -> None:
    """Apply all patterns until none is found any more."""
    while any(find(graph) for find in PATTERNS):
        graph.remove_unread()
