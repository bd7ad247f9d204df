"""Choose the horizontal place of boxes and passing lines, once their order in each rank is known.

Each vertex should stand straight below and above what it is joined to. Rank by rank, the places with the smallest sum
of squared distances from there are found, without neighbours that overlap. Then passing lines are made straight.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

SPACE = 18       # pixels between neighbours in a rank
SWEEPS = 10      # down and up over all ranks
HELD = 1000.0    # the weight with which a passing line keeps its place, while boxes are moved around it
FREE = 1e-6      # the weight of a vertex that is joined to nothing: all others push it aside

Extent = tuple[float, float]  # how far a vertex reaches to the left and to the right of its middle


class Link(NamedTuple):
    """A line between two vertices of neighbouring ranks: it is straight where above + out = below + into."""

    above: int
    below: int
    out: float
    into: float
    weight: float


def place(rows: Sequence[Sequence[int]], extents: Sequence[Extent], links: Sequence[Link],
          lanes: Sequence[Sequence[int]], columns: Sequence[Sequence[int]]) -> list[float]:
    """Return the middle of each vertex.

    rows       the vertices of each rank, from left to right
    lanes      the vertices of each passing line, between the node that it leaves and the one that it reaches
    columns    nodes that should stand exactly one below the other
    """
    placer = _Placer(rows, extents, links)
    placer.sweep(rows, up=False)
    for _ in range(SWEEPS):
        placer.sweep(rows[::-1])
        placer.sweep(rows)
    placer.straighten_all(lanes, columns)
    placer.held = {point for lane in lanes for point in lane[1:-1]}
    for _ in range(3):
        placer.sweep(rows)
        placer.sweep(rows[::-1])
        placer.straighten_all(lanes, columns)
    return placer.x


class _Placer:
    """The places, while they are improved."""

    def __init__(self, rows: Sequence[Sequence[int]], extents: Sequence[Extent], links: Sequence[Link]) -> None:
        self.extents = extents
        self.x = [0.0] * len(extents)
        self.held: set[int] = set()
        self.above: list[list[tuple[int, float, float]]] = [[] for _ in extents]  # (vertex, shift, weight)
        self.below: list[list[tuple[int, float, float]]] = [[] for _ in extents]
        self.beside: dict[int, tuple[int | None, int | None]] = {}  # the neighbours in the same rank
        for link in links:
            self.above[link.below].append((link.above, link.out - link.into, link.weight))
            self.below[link.above].append((link.below, link.into - link.out, link.weight))
        for row in rows:
            for before, vertex, after in zip([None, *row], row, [*row[1:], None], strict=False):
                self.beside[vertex] = (before, after)

    def sweep(self, rows: Sequence[Sequence[int]], up: bool = True) -> None:
        """Move the vertices of each rank to where they want to be; with up=False they look at the ranks above alone."""
        for row in rows:
            wanted = []
            for vertex in row:
                joined = self.above[vertex] + (self.below[vertex] if up else [])
                if vertex in self.held:
                    wanted.append((self.x[vertex], HELD))
                elif joined:
                    weight = sum(w for *_, w in joined)
                    wanted.append((sum((self.x[v] + shift) * w for v, shift, w in joined) / weight, weight))
                else:
                    wanted.append((self.x[vertex], FREE))
            for vertex, x in zip(row, self._apart(row, wanted), strict=True):
                self.x[vertex] = x

    def _apart(self, row: Sequence[int], wanted: Sequence[tuple[float, float]]) -> list[float]:
        """Return the places nearest to the wanted ones at which no vertex touches its neighbour.

        The wanted places less the widths before them must not fall: neighbours for which they do form a group that
        stands at its weighted mean (pool adjacent violators).
        """
        widths = [0.0]
        groups: list[tuple[float, float, int]] = []
        for a, b in pairwise(row):
            widths.append(widths[-1] + self.distance(a, b))
        for (x, weight), width in zip(wanted, widths, strict=True):
            mean, count = x - width, 1
            while groups and groups[-1][0] > mean:
                m, w, n = groups.pop()
                mean, weight, count = (mean * weight + m * w) / (weight + w), weight + w, count + n
            groups.append((mean, weight, count))
        means = [mean for mean, _, count in groups for _ in range(count)]
        return [mean + width for mean, width in zip(means, widths, strict=True)]

    def distance(self, a: int, b: int) -> float:
        """How far apart the middles of two neighbours must be."""
        return self.extents[a][1] + SPACE + self.extents[b][0]

    def straighten_all(self, lanes: Sequence[Sequence[int]], columns: Sequence[Sequence[int]]) -> None:
        """Let columns and passing lines go straight down as far as their neighbours allow."""
        for column in columns:
            self._straighten(column, [])
        for start, *points, end in lanes:
            self._straighten(points, [self.x[start] + self._shift(start, points[0]),
                                      self.x[end] - self._shift(points[-1], end)])

    def _straighten(self, points: Sequence[int], ends: list[float]) -> None:
        """Give vertices that follow each other one place, and only where that does not fit begin with a new one."""
        part: list[int] = []
        low, high = -float("inf"), float("inf")
        for point in points:
            before, after = self.beside[point]
            least = -float("inf") if before is None else self.x[before] + self.distance(before, point)
            most = float("inf") if after is None else self.x[after] - self.distance(point, after)
            if max(low, least) > min(high, most):
                self._put(part, low, high, ends)
                part, low, high = [], -float("inf"), float("inf")
            part.append(point)
            low, high = max(low, least), min(high, most)
        self._put(part, low, high, ends)

    def _put(self, part: list[int], low: float, high: float, ends: list[float]) -> None:
        """Give a part of a passing line one place: that of one of its ends where it fits, else the nearest to its own.
        """
        if low > high:  # rounding: neighbours touch
            return
        fitting = [x for x in ends if low <= x <= high]
        own = sum(self.x[point] for point in part) / max(len(part), 1)
        for point in part:
            self.x[point] = fitting[0] if fitting else min(max(own, low), high)

    def _shift(self, above: int, below: int) -> float:
        """How far a straight line from one vertex to another goes to the side, seen from their middles."""
        return next((shift for v, shift, _ in self.above[below] if v == above), 0.0)
