"""Blocks that repeat are drawn once: what is drawn is a tree of boxes and folds."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from minicaffe.drawing.graph import Box, Graph


@dataclass
class Leaf:
    """A box that is drawn. Within a fold it stands for one box of each block; the first of them is drawn."""

    boxes: list[Box]


@dataclass
class Fold:
    """A block of boxes that repeats: it is drawn once, and the drawing says how often it comes."""

    count: int
    items: list[Leaf | Fold]


Item = Leaf | Fold


def unfolded(graph: Graph) -> list[Item]:
    """Return every box for itself."""
    return [Leaf([box]) for box in graph.boxes]


def leaves(items: Sequence[Item]) -> Iterator[Leaf]:
    """Go through all boxes that are drawn, also those in folds."""
    for item in items:
        if isinstance(item, Leaf):
            yield item
        else:
            yield from leaves(item.items)
