"""Place boxes and lines in rows, as Sugiyama, Tagawa and Toda described in 1981.

Every box gets a rank, which is a row of the drawing. It is below the ranks of all boxes that it reads. Where a line
passes a rank, it gets a point there. Within each rank, boxes and points are ordered so that few lines cross. Then they
get places (places.py) so that lines are straight.
"""

from __future__ import annotations

from bisect import bisect_right, insort
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import NamedTuple

from minicaffe.drawing.places import Link, place

SWEEPS = 8        # over all ranks, to order them
GAP = 38          # pixels between two ranks
STEM = 20         # of these, on which a line goes straight down before it bends: the shape stands beside it
LANE = 7          # half of the width that a passing line takes
ENTRY = 16        # pixels between lines that arrive at one box
# How much it matters that a line is straight: in a column of boxes, where boxes fork or join, within a passing line,
# and where a passing line joins a box
COLUMN, JOINED, WITHIN, PASSING = 40.0, 1.0, 2.0, 0.002
STEM_WEIGHT = 60.0  # how much it matters that a join stands below the fork that it ends
STRAIGHT = 4      # pixels to the side for which no line bends, for a box is wide enough to take it
MOST_POINTS = 10_000  # where lines pass ranks; a drawing with more gets the longest lines without points


class Node(NamedTuple):
    """What is to be placed.

    left, right    pixels from its middle to its left and right edge
    height         in pixels
    first, last    whether it stands in the first or the last rank, whatever it is joined to
    """

    left: float
    right: float
    height: float
    first: bool = False
    last: bool = False


class Line(NamedTuple):
    """A line from one node down to a later one.

    port      the name of what leaves the node here; lines with one port share their way as far as they can
    out       where it leaves, in pixels from the node's middle
    into      where it arrives, in pixels from the node's middle; None lets the layout choose
    """

    source: int
    port: str
    out: float
    target: int
    into: float | None = None


@dataclass
class Layout:
    """Where all is, in pixels: the middle of each node and its upper edge, and the whole size.

    routes    for each line the points of its way: it is straight where x stays the same, and bends elsewhere
    cuts      heights between two ranks at which every line goes straight down
    """

    x: list[float] = field(default_factory=list)
    y: list[float] = field(default_factory=list)
    routes: list[list[tuple[float, float]]] = field(default_factory=list)
    cuts: list[float] = field(default_factory=list)
    width: float = 0
    height: float = 0


def layout(nodes: Sequence[Node], lines: Sequence[Line], late: bool = False) -> Layout:
    """Return the places of nodes and lines. Every line must go from a node to one with a higher index.

    late    whether what reads nothing first stands where its first reader would, and not left of all others
    """
    if not nodes:
        return Layout()
    work = _Work(nodes, lines, late)
    work.rank()
    work.add_points()
    work.order()
    work.choose_entries()
    x = place(work.rows, work.extents, work.links, work.lanes, work.columns())
    return work.finished(x)


class _Work:
    """The graph on its way through the steps. Vertices are the nodes, then the points of lines."""

    def __init__(self, nodes: Sequence[Node], lines: Sequence[Line], late: bool) -> None:
        self.nodes, self.lines, self.late = nodes, lines, late
        self.ranks: list[int] = [0] * len(nodes)
        self.extents = [(node.left, node.right) for node in nodes]
        self.rows: list[list[int]] = []
        self.lanes: list[list[int]] = []           # the points of each port that passes ranks, with its ends
        self.chains: list[list[int]] = []          # for each line, the vertices from its source to its target
        self.links: list[Link] = []                # between vertices of neighbouring ranks
        self.entries: list[float] = []             # for each line, where it arrives
        self.lines_from: dict[int, list[Line]] = {}
        for line in lines:
            self.lines_from.setdefault(line.source, []).append(line)

    # --- ranks ---------------------------------------------------------------------------------------

    def rank(self) -> None:
        """Give each node the rank below the lowest that it reads; one that reads nothing stands above its readers."""
        for line in sorted(self.lines, key=lambda line: line.source):
            self.ranks[line.target] = max(self.ranks[line.target], self.ranks[line.source] + 1)
        reading = {line.target for line in self.lines}
        nearest: dict[int, int] = {}
        for line in self.lines:
            nearest[line.source] = min(nearest.get(line.source, self.ranks[line.target]), self.ranks[line.target])
        deepest = max(self.ranks)
        for i, node in enumerate(self.nodes):
            if i not in reading and not node.first and i in nearest:
                self.ranks[i] = nearest[i] - 1
            if node.last:
                self.ranks[i] = deepest

    def add_points(self) -> None:
        """Give each port a point in every rank between its node and its farthest reader."""
        ports: dict[tuple[int, str], list[int]] = {}
        for k, line in enumerate(self.lines):
            ports.setdefault((line.source, line.port), []).append(k)
        self.chains = [[] for _ in self.lines]
        left = MOST_POINTS
        for (source, _), members in sorted(ports.items(), key=lambda item: self._reach(item[1])):
            begin, far = self.ranks[source], self._reach(members) + self.ranks[source]
            passing = far - begin - 1 if far - begin - 1 <= left else 0
            left -= passing
            points = list(range(len(self.ranks), len(self.ranks) + passing))
            self.ranks += range(begin + 1, begin + 1 + passing)
            self.extents += [(LANE, LANE)] * passing
            for k in members:
                target = self.lines[k].target
                self.chains[k] = [source, *points[:self.ranks[target] - begin - 1], target]
            if points:
                farthest = max(members, key=lambda k: self.ranks[self.lines[k].target])
                self.lanes.append([source, *points, self.lines[farthest].target])
        self.rows = [[] for _ in range(max(self.ranks) + 1)]
        reading = {line.target for line in self.lines}
        # Sweeps begin in the order of the net.
        first = {source: min(line.target for line in lines) for source, lines in self.lines_from.items()
                 if self.late and source not in reading and not self.nodes[source].first}
        for vertex in sorted(range(len(self.ranks)), key=lambda v: first.get(v, v)):
            self.rows[self.ranks[vertex]].append(vertex)

    def _reach(self, members: list[int]) -> int:
        """How many ranks the longest of some lines of one source spans."""
        return max(self.ranks[self.lines[k].target] - self.ranks[self.lines[k].source] for k in members)

    # --- order ---------------------------------------------------------------------------------------

    def order(self) -> None:
        """Order each rank by the mean place of what its vertices are joined to, and keep the order that crosses least.

        The sweeps go down and up by turns.
        """
        above: list[list[tuple[int, float]]] = [[] for _ in self.ranks]
        below: list[list[tuple[int, float]]] = [[] for _ in self.ranks]
        seen = set()
        for line, chain in zip(self.lines, self.chains, strict=True):
            share = line.out / (1 + sum(self.extents[line.source]))  # tells the ports of one node apart
            for a, b in pairwise(chain):
                if (a, b, line.port) not in seen:
                    seen.add((a, b, line.port))
                    above[b].append((a, share if a == line.source else 0.0))
                    below[a].append((b, 0.0))
        place = [0.0] * len(self.ranks)
        for row in self.rows:
            _number(row, place)
        best, fewest = [list(row) for row in self.rows], self._crossings(above, place)
        for sweep in range(SWEEPS):
            if not fewest:
                break
            down = sweep % 2 == 0
            for row in self.rows if down else reversed(self.rows):
                joined = above if down else below
                row.sort(key=lambda v: _mean(joined[v], place, place[v]))
                _number(row, place)
            crossings = self._crossings(above, place)
            if crossings < fewest:
                best, fewest = [list(row) for row in self.rows], crossings
        self.rows = best

    def _crossings(self, above: list[list[tuple[int, float]]], place: list[float]) -> int:
        """How many pairs of lines cross between neighbouring ranks."""
        count = 0
        for row in self.rows:
            ends = sorted((place[a] + share, place[b]) for b in row for a, share in above[b])
            seen: list[float] = []
            for _, end in ends:
                count += len(seen) - bisect_right(seen, end)
                insort(seen, end)
        return count

    # --- places --------------------------------------------------------------------------------------

    def choose_entries(self) -> None:
        """Choose where lines arrive at a box, in the order in which they come, and make the links for the places.

        A line from a box goes to the middle where all others come from further up, so that boxes stand in one column.
        """
        place = [0.0] * len(self.ranks)
        for row in self.rows:
            _number(row, place)
        arriving: dict[int, list[int]] = {}
        for k, line in enumerate(self.lines):
            arriving.setdefault(line.target, []).append(k)
        self.entries = [line.into or 0.0 for line in self.lines]
        for members in arriving.values():
            members.sort(key=lambda k: (place[self.chains[k][-2]], self.lines[k].out))
            free = [k for k in members if self.lines[k].into is None]
            boxes = [n for n, k in enumerate(free) if len(self.chains[k]) == 2]
            middle = boxes[0] if len(boxes) == 1 else (len(free) - 1) / 2
            room = min(ENTRY, 0.9 * min(self.extents[self.lines[members[0]].target]) / max(len(free) - middle, 1))
            for n, k in enumerate(free):
                self.entries[k] = (n - middle) * room
        joined: dict[tuple[int, int, float, float], Link] = {}
        direct = [line for line, chain in zip(self.lines, self.chains, strict=True) if len(chain) == 2]
        leaving, coming = Counter(line.source for line in direct), Counter(line.target for line in direct)
        for k, (line, chain) in enumerate(zip(self.lines, self.chains, strict=True)):
            alone = leaving[line.source] == 1 == coming[line.target]
            for a, b in pairwise(chain):
                out = line.out if a == line.source else 0.0
                into = self.entries[k] if b == line.target else 0.0
                if a != line.source and b != line.target:
                    weight = WITHIN
                elif len(chain) == 2:
                    weight = COLUMN if alone else JOINED
                else:  # a passing line beside a single box must not pull it out of its column
                    weight = PASSING if (leaving[a] if a == line.source else coming[b]) == 1 else JOINED
                joined[a, b, out, into] = Link(a, b, out, into, weight)
        self.links = [*joined.values(), *self._stems()]

    def _stems(self) -> list[Link]:
        """Return links from each place where lines of one port fork to the node at which all of them are joined again.

        So the net's stem goes straight down, whatever stands at its sides. That node is found as the nearest one
        through which every way to the join leads.
        """
        read: dict[int, list[Line]] = {}
        for line in self.lines:
            read.setdefault(line.target, []).append(line)
        before: list[int] = []  # for each node the nearest one through which all ways to it lead, -1 for the outside
        links = []
        for node in range(len(self.nodes)):
            fork = -1
            for n, line in enumerate(read.get(node, ())):
                fork = _shared(before, fork, line.source) if n else line.source
            before.append(fork)
            ports = {(line.port, line.out) for line in self.lines_from.get(fork, ())}
            if fork >= 0 and len(read[node]) > 1 and len(ports) == 1:
                links.append(Link(fork, node, next(iter(ports))[1], 0.0, STEM_WEIGHT))
        return links

    def columns(self) -> list[list[int]]:
        """Return the nodes that stand in one column: nothing else leaves them or arrives at them."""
        below = {link.above: link.below for link in self.links if link.weight == COLUMN and link.out == link.into}
        reached, columns = set(below.values()), []
        for node in sorted(below.keys() - reached):
            column = [node]
            while column[-1] in below:
                column.append(below[column[-1]])
            columns.append(column)
        return columns

    def finished(self, x: list[float]) -> Layout:
        """Return the layout for these places of all vertices."""
        left = min(v - self.extents[i][0] for i, v in enumerate(x))
        x = [float(round(v - left)) for v in x]
        tops, bottoms = self._heights(x)
        made = Layout(x[:len(self.nodes)], [tops[rank] for rank in self.ranks[:len(self.nodes)]])
        for line, chain, into in zip(self.lines, self.chains, self.entries, strict=True):
            start, end = x[chain[0]] + line.out, x[chain[-1]] + into
            if abs(start - end) < STRAIGHT and len(chain) == 2:
                start, end = (start, start) if line.into is None else (end, end)
            points = [(start, made.y[line.source] + self.nodes[line.source].height),
                      (start, bottoms[self.ranks[line.source]] + STEM)]
            for vertex in chain[1:-1]:
                rank = self.ranks[vertex]
                points += [(x[vertex], tops[rank]), (x[vertex], bottoms[rank] + STEM)]
            made.routes.append([*points, (end, tops[self.ranks[line.target]])])
        made.width = max(x[i] + extent[1] for i, extent in enumerate(self.extents))
        made.height = bottoms[-1]
        made.cuts = [bottom + STEM for bottom in bottoms[:-1]]
        return made

    def _heights(self, x: list[float]) -> tuple[list[float], list[float]]:
        """Return the upper and lower edge of each rank. Where lines go far to the side, the ranks stand farther apart.
        """
        aside = [0.0] * len(self.rows)
        for link in self.links:
            rank = self.ranks[link.above]
            if self.ranks[link.below] > rank + 1:
                continue
            aside[rank] = max(aside[rank], abs(x[link.above] + link.out - x[link.below] - link.into))
        tops, bottoms, y = [], [], 0.0
        for rank, row in enumerate(self.rows):
            tops.append(y)
            y += max((self.nodes[v].height for v in row if v < len(self.nodes)), default=0.0)
            bottoms.append(y)
            y += round(GAP + min(aside[rank] / 16, 40.0))
        return tops, bottoms


def _shared(before: list[int], a: int, b: int) -> int:
    """Return the nearest node through which all ways to two nodes lead."""
    while a != b:
        if a > b:
            a = before[a]
        else:
            b = before[b]
    return a


def _number(row: list[int], place: list[float]) -> None:
    """Write down the place of each vertex in its row."""
    for n, vertex in enumerate(row):
        place[vertex] = n


def _mean(joined: list[tuple[int, float]], place: list[float], own: float) -> float:
    return sum(place[v] + share for v, share in joined) / len(joined) if joined else own
