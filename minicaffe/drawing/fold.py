"""Find the blocks that repeat in a net, so that each is drawn once.

A block repeats where the boxes after it have the same types and settings, and are joined to each other in the same way.
First equal blocks are sought, then blocks that differ in num_output alone, such as the inception modules of GoogLeNet.
A block may hold smaller blocks that repeat. So what is drawn is a tree: a Leaf is one box, a Fold a block that repeats.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from minicaffe.drawing import words
from minicaffe.drawing.graph import Box, DrawnLayer, Graph

LARGE = 30          # boxes; a net with more of them is folded, unless the caller says otherwise
LEAST_SAVED = 3     # boxes that a fold must save
LONGEST = 120       # boxes of a block
MOST_COMPARED = 600_000  # pairs of boxes, so that a huge net is not compared for long
OUTSIDE = 10**9      # more than there are items
MAY_DIFFER = {"num_output"}


@dataclass
class Leaf:
    """A box that is drawn. Within a fold it stands for one box of each block, and the first of these is drawn."""

    boxes: list[Box]


@dataclass
class Fold:
    """A block that repeats: it is drawn once, with its number of repetitions."""

    count: int
    items: list[Item]


Item = Leaf | Fold


class _Run(NamedTuple):
    """Blocks that repeat: the first item, the items of a block, the number of blocks.

    entering    of how many items the first block reads
    named       how many letters the names in the first block have in common at their beginning
    """

    start: int
    length: int
    blocks: int
    entering: int
    named: int

    @property
    def order(self) -> tuple[int, int, int]:
        """The best run of a stretch has the least: a block begins where few blobs enter and names begin alike."""
        return self.entering, -self.blocks, -self.named

    @property
    def saved(self) -> int:
        return self.length * (self.blocks - 1)

    @property
    def end(self) -> int:
        return self.start + self.length * self.blocks


def unfolded(graph: Graph) -> list[Item]:
    """Return a Leaf for every box."""
    return [Leaf([box]) for box in graph.boxes]


def opened(items: Sequence[Item], fold: Fold) -> list[Item]:
    """Return the items with all boxes of one fold in its place."""
    boxes = sorted((box for same in present(fold) for box in same), key=lambda box: box.index)
    at = next(n for n, item in enumerate(items) if item is fold)
    return [*items[:at], *(Leaf([box]) for box in boxes), *items[at + 1:]]


def folded(graph: Graph) -> list[Item]:
    """Return Folds for the blocks that repeat, and Leaves for all other boxes."""
    return _folded(graph, [unfolded(graph)])[0]


def _folded(graph: Graph, copies: list[list[Item]]) -> list[list[Item]]:
    """Fold several lists of items, which are alike, in the same way. What repeats is sought in the first of them.

    The blocks of a fold are such lists again, and may hold folds themselves.
    """
    for exact in (True, False):
        for run in sorted(_chosen(_Matcher(graph, copies[0], exact).runs()), reverse=True):
            blocks = _folded(graph, [items[at:at + run.length] for items in copies
                                     for at in range(run.start, run.end, run.length)])
            for n, items in enumerate(copies):
                own = blocks[n * run.blocks:(n + 1) * run.blocks]
                items[run.start:run.end] = [Fold(run.blocks, [_merged(same) for same in zip(*own, strict=True)])]
    return copies


def present(item: Item, times: int = 1) -> Iterator[list[Box]]:
    """Yield, for each box that is drawn in an item, the boxes that it stands for, in the order of the net."""
    if isinstance(item, Leaf):
        yield item.boxes[:times]
    else:
        for inner in item.items:
            yield from present(inner, times * item.count)


def by_block(boxes: list[Box], count: int) -> Iterator[tuple[int, Box]]:
    """Yield each of the boxes that one is drawn for with the number of its block."""
    for n, box in enumerate(boxes):
        yield n * count // len(boxes), box


def block_names(fold: Fold) -> list[str]:
    """Return the names of the first and the last block."""
    return [words.block_name([layer.name for boxes in present(fold) for k, box in by_block(boxes, fold.count) if k == n
                              for layer in box.layers]) for n in (0, fold.count - 1)]


def _merged(items: Sequence[Item]) -> Item:
    """Return items of the same structure as one that stands for all of them."""
    first = items[0]
    if isinstance(first, Leaf):
        return Leaf([box for item in items if isinstance(item, Leaf) for box in item.boxes])
    inner = [item.items for item in items if isinstance(item, Fold)]
    return Fold(first.count, [_merged(same) for same in zip(*inner, strict=True)])


def _chosen(runs: list[_Run]) -> list[_Run]:
    """Return those that save most and have no item in common."""
    chosen: list[_Run] = []
    taken: set[int] = set()
    for run in sorted(runs, key=lambda run: (-run.saved, run.entering, -run.named, run.length)):
        if run.saved >= LEAST_SAVED and taken.isdisjoint(range(run.start, run.end)):
            chosen.append(run)
            taken.update(range(run.start, run.end))
    return chosen


class _Matcher:
    """Compares items with those that follow at some distance."""

    def __init__(self, graph: Graph, items: Sequence[Item], exact: bool) -> None:
        self.looks = [_look(item, exact) for item in items]
        self.names = [next(present(item))[0].layers[0].name for item in items]
        holder: dict[int, int] = {}
        part: dict[int, int] = {}  # the number of a box within its item
        for i, item in enumerate(items):
            for n, box in enumerate(box for boxes in present(item) for box in boxes):
                holder[box.index], part[box.index] = i, n
        self.read: list[list[tuple[int, Hashable]]] = [[] for _ in items]  # (the item that is read, which blob of it)
        self.farthest = list(range(len(items)))  # the last item that reads each
        for edge in graph.edges:
            # What comes from outside is the same for all items; what is read outside ends a fold.
            maker = holder.get(edge.maker, -OUTSIDE * (edge.maker + 1))
            reader = holder.get(edge.reader, OUTSIDE)
            if maker != reader and reader < OUTSIDE:
                self.read[reader].append((maker, (part.get(edge.maker, 0), edge.top, part[edge.reader])))
            if 0 <= maker != reader:
                self.farthest[maker] = max(self.farthest[maker], reader)

    def runs(self) -> list[_Run]:
        """Return the best runs of each length of block."""
        items = len(self.looks)
        found: list[_Run] = []
        for length in range(1, min(items // 2, LONGEST, MOST_COMPARED // max(items, 1)) + 1):
            start = 0
            for i in range(items - length + 1):
                if i + length < items and self._alike(i, i + length):
                    continue
                if i - start >= length:  # at least two blocks are alike
                    found += self._within(start, i + length, length)
                start = i + 1
        return found

    def _alike(self, a: int, b: int) -> bool:
        """Whether two items look alike, and read the same of what is as far before them, or the very same blob."""
        return (self.looks[a] == self.looks[b] and len(self.read[a]) == len(self.read[b])
                and all(which == other and (maker + b - a == maker_b or maker == maker_b)
                        for (maker, which), (maker_b, other) in zip(self.read[a], self.read[b], strict=True)))

    def _within(self, start: int, end: int, length: int) -> list[_Run]:
        """Return the runs in a stretch where all is alike from block to block. It may begin within a block.

        The best place to begin is where the fewest blobs enter the block.
        """
        best: _Run | None = None
        for begin in range(start, min(start + length, end - 2 * length + 1)):
            run = self._extended(self._run(begin, end, length))
            if run.blocks > 1 and (best is None or run.order < best.order):
                best = run
        if best is None:
            return []
        rest = self._within(best.end, end, length) if end - best.end >= 2 * length else []
        return [best, *rest]

    def _extended(self, run: _Run) -> _Run:
        """Return the run with the block before it too, where that differs only in what enters it.

        In GoogLeNet layers of an auxiliary loss may stand between that block and what it reads.
        """
        start, length = run.start - run.length, run.length
        if start < 0 or max(self.farthest[start:run.start]) >= run.start + length:
            return run
        names: dict[int, int] = {}  # what enters the block before -> what enters the first of the run in its place
        for item in range(start, run.start):
            reads, others = self.read[item], self.read[item + length]
            if self.looks[item] != self.looks[item + length] or len(reads) != len(others):
                return run
            for (maker, which), (other, which_other) in zip(reads, others, strict=True):
                inside = maker >= start
                if inside and (maker + length != other or which != which_other):
                    return run
                if not inside and (other >= run.start or names.setdefault(maker, other) != other):
                    return run
        if len(set(names.values())) < len(names):  # two blobs enter where only one enters the next block
            return run
        return run._replace(start=start, blocks=run.blocks + 1)

    def _run(self, begin: int, end: int, length: int) -> _Run:
        """Return the run that begins here. A block of which more than the next block reads ends it."""
        count = 1
        while (begin + (count + 1) * length <= end
               and max(self.farthest[begin + (count - 1) * length:begin + count * length])
               < begin + (count + 1) * length):
            count += 1
        block = range(begin, begin + length)
        entering = {maker for item in block for maker, _ in self.read[item] if maker < begin}
        return _Run(begin, length, count, len(entering), len(words.beginning([self.names[item] for item in block])))


def _look(item: Item, exact: bool) -> Hashable:
    """Return what items have in common that may be drawn as one."""
    if isinstance(item, Fold):
        return item.count, tuple(_look(inner, exact) for inner in item.items)
    box = item.boxes[0]
    shapes = tuple(tuple(sorted(shape.items())) for shape in box.tops.values()) if exact else len(box.tops)
    return tuple(_look_of_layer(layer, exact) for layer in box.layers), shapes


def _look_of_layer(layer: DrawnLayer, exact: bool) -> Hashable:
    fields = tuple((name, "" if name in MAY_DIFFER and not exact else value) for name, value in
                   words.fields(layer.given))
    return layer.type, layer.only, bool(layer.shares), fields
