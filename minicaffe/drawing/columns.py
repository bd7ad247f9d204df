"""A tall drawing is cut into columns that stand side by side, so that more of it is seen at once.

It is cut between two ranks, where few wires pass. A wire that is cut goes on: below its column, up between the two
columns, and down into the next one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from minicaffe.drawing import words
from minicaffe.drawing.parts import LETTER, Scene, Wire

TALL = 1300         # pixels; a drawing that is not taller is not cut
ENOUGH = 900        # pixels of height that need no further column
MOST_CUT = 6        # wires that a cut may pass
PER_WIRE = 40.0     # how many pixels a cut may be from where it should be, to pass one wire less
LANE = 8            # pixels between wires between two columns
GUTTER = 28         # pixels between a column and the wires beside it
SLACK = 1           # pixels above the place at which wires bend


class _Column(NamedTuple):
    """What stands between two cuts, and how far it reaches to the left and right."""

    top: float
    bottom: float
    left: float
    right: float
    crossing: list[int]  # the wires that go on in the next column, from the left to the right


def in_columns(scene: Scene, width: float) -> Scene:
    """Return the scene in so many columns as fit in a width and make it less tall."""
    best = scene
    for count in range(2, 10):
        if best.height <= (TALL if best is scene else ENOUGH):
            break
        ends = _ends(scene, count)
        if len(set(ends)) < count:
            break
        made = _arranged(scene, _columns(scene, ends))
        if made.width > width or made.height >= best.height:
            break
        best = made
    return best


def _ends(scene: Scene, count: int) -> list[float]:
    """Return where each column ends; the same place twice, or fewer places, where there is no good one."""
    passing = {y: len(_crossing(scene, y)) for y in (cut - SLACK for cut in scene.cuts)}
    free = [y for y, wires in passing.items() if wires <= MOST_CUT]
    ideals = [scene.height * n / count for n in range(1, count)]
    return [min(free, key=lambda y: (abs(y - ideal) + PER_WIRE * passing[y], y)) for ideal in ideals if free] \
        + [scene.height]


def _crossing(scene: Scene, y: float) -> list[int]:
    """Return the wires that pass a height, from the left to the right."""
    found = [(_x_at(wire, y), n) for n, wire in enumerate(scene.wires) if wire.points[0][1] < y < wire.points[-1][1]]
    return [n for _, n in sorted(found)]


def _x_at(wire: Wire, y: float) -> float:
    """Return where a wire passes a height at which it goes straight down."""
    return next(x for (x, _), (_, below) in zip(wire.points, wire.points[1:], strict=False) if below >= y)


def _columns(scene: Scene, ends: Sequence[float]) -> Iterator[_Column]:
    top = 0.0
    for bottom in ends:
        reach = [*((box.x, box.x + box.width) for box in scene.boxes if top <= box.y < bottom),
                 *((frame.x, frame.x + frame.width + 5) for frame in scene.frames if top <= frame.y < bottom),
                 *((x, x) for wire in scene.wires for x, y in wire.points if top <= y < bottom)]
        for text in scene.texts:
            if top <= text.y < bottom:
                wide = text.pill or words.width(text.text) * LETTER["text"]
                reach.append((text.x - text.pill / 2, text.x - text.pill / 2 + wide))
        crossing = _crossing(scene, bottom) if bottom < scene.height else []
        reach += [(_x_at(scene.wires[n], bottom),) * 2 for n in crossing]
        if top:
            reach += [(_x_at(scene.wires[n], top),) * 2 for n in _crossing(scene, top)]
        yield _Column(top, bottom, min(left for left, _ in reach), max(right for _, right in reach), crossing)
        top = bottom


def _arranged(scene: Scene, columns: Iterator[_Column]) -> Scene:
    """Put the columns side by side, and join the wires that were cut."""
    made = Scene()
    x, head, parts = 0.0, 0.0, []
    for column in columns:  # head: room above the column for the wires that enter
        parts.append((column, x - column.left, head))
        x += column.right - column.left + 2 * GUTTER + LANE * max(len(column.crossing) - 1, 0)
        head = LANE * len(column.crossing) + 4.0 if column.crossing else 0.0
    above = max(head for *_, head in parts)
    for column, dx, _ in parts:
        for name in ("boxes", "frames", "dots", "texts"):
            getattr(made, name).extend(one._replace(x=one.x + dx, y=one.y + above - column.top)
                                       for one in getattr(scene, name) if column.top <= one.y < column.bottom)
    made.wires = [_rejoined(wire, n, parts, above) for n, wire in enumerate(scene.wires)]
    made.width = parts[-1][0].right + parts[-1][1]
    made.height = max(above + column.bottom - column.top + LANE * len(column.crossing) for column, *_ in parts)
    return made


def _rejoined(wire: Wire, n: int, parts: Sequence[tuple[_Column, float, float]], above: float) -> Wire:
    """Return a wire with its points where their columns stand now, and with the ways from column to column."""
    points: list[tuple[float, float]] = []
    for k, (column, dx, _) in enumerate(parts):
        points += [(x + dx, y + above - column.top) for x, y in wire.points
                   if column.top <= y < column.bottom or (y == column.bottom and k == len(parts) - 1)]
        if n in column.crossing:
            # The wire at the right is the first to turn, and passes above the others.
            turn = len(column.crossing) - 1 - column.crossing.index(n)
            low = above + column.bottom - column.top + LANE * turn + SLACK
            beside = column.right + dx + GUTTER + LANE * turn
            high = above - LANE * (len(column.crossing) - turn)
            out = _x_at(wire, column.bottom)
            into = out + parts[k + 1][1]
            points += [(out + dx, low), (beside, low), (beside, high), (into, high), (into, above)]
    return wire._replace(points=points)
