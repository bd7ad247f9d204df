"""The shapes that drawings are made of: text, lines, arrows, grids of numbers. A Canvas turns them into SVG.

Lengths are pixels. All colours are classes of drawing.css, which follow the colours of the page, light and dark.
"""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np

MARGIN = 6
LINE = 17  # from one line of text to the next
LETTER = {"mono": 7.3, "": 7.8}  # the width of a letter: at least as wide as in the usual fonts
CELL = 26  # the height of a cell of a grid
Point = tuple[float, float]


class Box(NamedTuple):
    """A place on the canvas."""

    left: float
    top: float
    right: float
    bottom: float

    @property
    def x(self) -> float:
        """The middle, from left to right."""
        return (self.left + self.right) / 2

    @property
    def y(self) -> float:
        """The middle, from top to bottom."""
        return (self.top + self.bottom) / 2


class Grid(NamedTuple):
    """A grid of cells on the canvas."""

    box: Box
    rows: int
    columns: int

    def cell(self, row: int, column: int) -> Box:
        """The place of a cell; negative numbers count from the end."""
        row, column = row % self.rows, column % self.columns
        wide, high = (self.box.right - self.box.left) / self.columns, (self.box.bottom - self.box.top) / self.rows
        left, top = self.box.left + column * wide, self.box.top + row * high
        return Box(left, top, left + wide, top + high)

    def part(self, rows: range, columns: range) -> Box:
        """The place of a rectangle of cells."""
        first, last = self.cell(rows[0], columns[0]), self.cell(rows[-1], columns[-1])
        return Box(first.left, first.top, last.right, last.bottom)


class Canvas:
    """Collects shapes. The picture becomes as large as they need."""

    def __init__(self) -> None:
        self.parts: list[str] = []
        self.right = self.bottom = 0.0

    # --- shapes ---------------------------------------------------------------------------------------------------

    def text(self, x: float, y: float, words: str, kind: str = "", anchor: str = "start") -> None:
        """Write words, whose lines are separated by \\n; y is the base line of the first, x the place of the anchor."""
        letter = LETTER["mono" if "mono" in kind else ""]
        for i, line in enumerate(words.split("\n")):
            share = {"start": 1, "middle": 0.5, "end": 0}[anchor]
            if x < (1 - share) * letter * len(line) - 1:
                raise ValueError(f"the text {line!r} begins left of the picture")
            self._reach(x + share * letter * len(line), y + i * LINE + 4)
            place = f' text-anchor="{anchor}"' if anchor != "start" else ""
            self._add(f'<text x="{_px(x)}" y="{_px(y + i * LINE)}"{_class(kind)}{place}>{html.escape(line)}</text>')

    def rect(self, box: Box | Sequence[float], kind: str = "", round_by: float = 0) -> None:
        """Draw a rectangle."""
        left, top, right, bottom = box
        self._reach(right, bottom)
        corner = f' rx="{_px(round_by)}"' if round_by else ""
        self._add(f'<rect x="{_px(left)}" y="{_px(top)}" width="{_px(right - left)}" height="{_px(bottom - top)}"'
                  f'{corner}{_class(kind)}/>')

    def circle(self, x: float, y: float, radius: float, kind: str = "") -> None:
        """Draw a circle around a point."""
        self._reach(x + radius, y + radius)
        self._add(f'<circle cx="{_px(x)}" cy="{_px(y)}" r="{_px(radius)}"{_class(kind)}/>')

    def line(self, points: Iterable[Point], kind: str = "line") -> None:
        """Draw straight lines from point to point."""
        points = list(points)
        for point in points:
            self._reach(*point)
        d = "M" + "L".join(f"{_px(x)} {_px(y)}" for x, y in points)
        self._add(f'<path d="{d}"{_class(kind)}/>')

    def arrow(self, *points: Point, kind: str = "line") -> None:
        """Draw a line through the points with a head at the last one."""
        (x0, y0), (x, y) = points[-2:]
        length = float(np.hypot(x - x0, y - y0)) or 1.0
        u, v = (x - x0) / length, (y - y0) / length  # the direction of the head
        self.line([*points[:-1], (x - 5 * u, y - 5 * v)], kind)
        self._reach(x, y)
        head = [(x, y), (x - 9 * u - 4 * v, y - 9 * v + 4 * u), (x - 9 * u + 4 * v, y - 9 * v - 4 * u)]
        d = "M" + "L".join(f"{_px(a)} {_px(b)}" for a, b in head) + "Z"
        self._add(f'<path d="{d}" class="head {kind}"/>')

    def path(self, d: str, kind: str, corner: Point) -> None:
        """Draw an SVG path, which reaches to `corner` at most."""
        self._reach(*corner)
        self._add(f'<path d="{d}"{_class(kind)}/>')

    # --- what is made of several shapes ---------------------------------------------------------------------------

    def label(self, x: float, y: float, words: str, anchor: str = "middle", kind: str = "") -> None:
        """Write words of which the (vertical) middle is at y."""
        self.text(x, y + 4.5, words, kind, anchor)

    def box(self, x: float, y: float, words: str, kind: str = "box", width: float = 0) -> Box:
        """Draw a box with words in its middle; its left top corner is (x, y)."""
        lines = words.split("\n")
        letter = LETTER["mono" if "mono" in kind else ""]
        box = Box(x, y, x + max(width, letter * max(map(len, lines)) + 16), y + LINE * len(lines) + 11)
        self.rect(box, kind, 5)
        self.text(box.x, y + LINE + 1, words, "mono" if "mono" in kind else "", "middle")
        return box

    def code(self, x: float, y: float, words: str) -> Box:
        """Draw lines of code on a panel; its left top corner is (x, y)."""
        lines = words.split("\n")
        box = Box(x, y, x + LETTER["mono"] * max(map(len, lines)) + 16, y + LINE * len(lines) + 11)
        self.rect(box, "cell", 5)
        self.text(x + 8, y + LINE + 1, words, "mono code")
        return box

    def grid(self, x: float, y: float, values: Any, name: str = "", kind: str = "", lit: Iterable[Point] = (),
             crossed: Iterable[Point] = (), faint: Iterable[Point] = (), width: float = 0) -> Grid:
        """Draw an array of numbers or words as cells, with its name above.

        values    one or two axes; a cell that is None stays empty
        kind      a class for all cells, such as "learned"
        lit, crossed, faint    (row, column) of the cells that are marked so
        width     the least width of a cell
        """
        rows = [list(row) for row in (values if np.ndim(values) > 1 else [values])]
        texts = [["" if value is None else value if isinstance(value, str) else number(value) for value in row]
                 for row in rows]
        wide = max(width, 26, 7.3 * max(len(text) for row in texts for text in row) + 10)
        top = y + (20 if name else 0)
        grid = Grid(Box(x, top, x + wide * len(rows[0]), top + CELL * len(rows)), len(rows), len(rows[0]))
        if name:
            self.text(x, y + 13, name, "mono strong")
        lit, crossed, faint = set(lit), set(crossed), set(faint)
        for i, j in sorted(np.ndindex(grid.rows, grid.columns), key=lambda place: place in lit):  # lit borders on top
            cell = grid.cell(i, j)
            state = " lit" if (i, j) in lit else " faint" if (i, j) in faint else ""
            self.rect(cell, f"cell {kind}{state}".replace("  ", " ").strip())
            if texts[i][j]:
                self.label(cell.x, cell.y, texts[i][j], kind="mono" + state)
            if (i, j) in crossed:
                self.line([(cell.left + 4, cell.top + 4), (cell.right - 4, cell.bottom - 4)], "cross")
                self.line([(cell.left + 4, cell.bottom - 4), (cell.right - 4, cell.top + 4)], "cross")
        return grid

    def cells(self, x: float, y: float, rows: int, columns: int, size: float = 16, lit: Iterable[Point] = (),
              faint: Iterable[Point] = ()) -> Grid:
        """Draw small cells without numbers."""
        grid = Grid(Box(x, y, x + size * columns, y + size * rows), rows, columns)
        lit, faint = set(lit), set(faint)
        for place in sorted(np.ndindex(rows, columns), key=lambda place: place in lit):
            self.rect(grid.cell(*place), "cell lit" if place in lit else "cell faint" if place in faint else "cell")
        return grid

    def frame(self, box: Box, kind: str = "window") -> None:
        """Draw a thick frame around cells."""
        self.rect(Box(box.left - 1, box.top - 1, box.right + 1, box.bottom + 1), kind, 3)

    def sign(self, x: float, y: float, words: str) -> None:
        """Write a sign such as + or = around a point."""
        self.text(x, y + (12 if words == "·" else 6), words, "sign dot-sign" if words == "·" else "sign", "middle")

    def bracket_below(self, left: float, right: float, y: float, words: str) -> None:
        """Draw a bracket below a stretch, with words under it."""
        self.line([(left, y), (left, y + 6), (right, y + 6), (right, y)], "line thin")
        self.text((left + right) / 2, y + 20, words, "quiet", "middle")

    def bracket_right(self, x: float, top: float, bottom: float, words: str) -> None:
        """Draw a bracket on the right of a stretch, with words beside it."""
        self.line([(x, top), (x + 6, top), (x + 6, bottom), (x, bottom)], "line thin")
        lines = words.count("\n")
        self.text(x + 13, (top + bottom) / 2 + 4.5 - lines * LINE / 2, words, "quiet")

    # --- the result -----------------------------------------------------------------------------------------------

    def svg(self, name: str, title: str, desc: str, style: str = "") -> str:
        """Return the picture. `name` makes its ids unique in a page; a style makes it stand alone."""
        width, height = _px(self.right + MARGIN), _px(self.bottom + MARGIN)
        head = (f'<svg xmlns="http://www.w3.org/2000/svg" class="drawing" width="{width}" height="{height}" '
                f'viewBox="0 0 {width} {height}" role="img" aria-labelledby="{name}-title {name}-desc">'
                f'<title id="{name}-title">{html.escape(title)}</title>'
                f'<desc id="{name}-desc">{html.escape(desc)}</desc>')
        return "\n".join([head + (f"<style>{html.escape(style)}</style>" if style else ""), *self.parts, "</svg>"])

    def _add(self, part: str) -> None:
        self.parts.append(part)

    def _reach(self, x: float, y: float) -> None:
        self.right, self.bottom = max(self.right, x), max(self.bottom, y)


def number(value: float) -> str:
    """Return a number as pictures show it: two decimals, or one digit that is not 0 where it is nearer to 0."""
    value = float(value)
    if 1e-4 <= abs(value) < 0.01:
        text = f"{float(f'{value:.0e}'):f}"
    else:
        text = f"{round(value, 2) + 0.0:.2f}"  # adding 0 makes 0 of −0
    return (text.rstrip("0").rstrip(".") if "." in text else text).replace("-", "−")


def _px(value: float) -> str:
    """Return a length with one decimal at most."""
    return f"{round(float(value), 1) + 0.0:.1f}".removesuffix(".0")


def _class(kind: str) -> str:
    return f' class="{kind}"' if kind else ""
