"""Axes with curves, and bars."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Sequence

import numpy as np

from gallery.canvas import Box, Canvas, Point, number

POINTS = 33  # of a curve between two places where it breaks


class Axes:
    """A plot at a place of a canvas. Its lines x = 0 and y = 0 are drawn where they are inside."""

    def __init__(self, canvas: Canvas, box: Box, x: Point, y: Point, title: str, x_name: str = "x",
                 x_ticks: Sequence[float] = (), y_ticks: Sequence[float] = ()) -> None:
        self.canvas, self.box, self.x, self.y = canvas, box, x, y
        canvas.rect(box, "plot")
        canvas.text(box.left, box.top - 7, title, "mono strong")
        for tick in x_ticks:
            place, _ = self.at(tick, y[0])
            canvas.line([(place, box.top), (place, box.bottom)], "zero" if tick == 0 else "rule")
            canvas.text(place, box.bottom + 14, number(tick), "mono quiet", "middle")
        for tick in y_ticks:
            _, place = self.at(x[0], tick)
            canvas.line([(box.left, place), (box.right, place)], "zero" if tick == 0 else "rule")
            canvas.text(box.left - 4, place + 4, number(tick), "mono quiet", "end")
        canvas.text(box.right + 6, box.bottom + 4, x_name, "mono strong")

    def at(self, x: float, y: float) -> Point:
        """The place of a point on the canvas."""
        box = self.box
        return (box.left + (x - self.x[0]) / (self.x[1] - self.x[0]) * (box.right - box.left),
                box.bottom - (y - self.y[0]) / (self.y[1] - self.y[0]) * (box.bottom - box.top))

    def curve(self, xs: Iterable[float], ys: Iterable[float], kind: str = "curve") -> None:
        """Draw a curve; what lies above or below the axes is left out."""
        piece: list[Point] = []
        low, high = self.y
        for x, y in zip(xs, ys, strict=True):
            if np.isfinite(y) and low - 1e-9 <= y <= high + 1e-9:
                piece.append(self.at(x, y))
            elif piece:
                self._draw(piece, kind)
                piece = []
        self._draw(piece, kind)

    def dot(self, x: float, y: float, words: str = "", dx: float = 0, dy: float = -10, anchor: str = "middle") -> None:
        """Mark a point of a curve, with words beside it."""
        left, top = self.at(x, y)
        self.canvas.circle(left, top, 4, "dot")
        if words:
            self.canvas.label(left + dx, top + dy, words, anchor, "mono halo")

    def note(self, x: float, y: float, words: str, anchor: str = "start", kind: str = "mono halo") -> None:
        """Write words at a point of the axes."""
        left, top = self.at(x, y)
        self.canvas.label(left, top, words, anchor, kind)

    def _draw(self, piece: list[Point], kind: str) -> None:
        if len(piece) > 1:
            self.canvas.line(piece, kind)


def pieces(breaks: Sequence[float]) -> list[np.ndarray]:
    """Return places to compute a curve at: one array between each two breaks, just beside which it begins and ends."""
    return [np.linspace(low + 1e-9, high - 1e-9, POINTS) for low, high in itertools.pairwise(breaks)]


def bars(canvas: Canvas, x: float, y: float, values: Sequence[float], names: Sequence[str] = (), high: float = 80,
         limit: float = 0, wide: float = 40, kinds: Callable[[int], str] = lambda _: "bar") -> list[Box]:
    """Draw values as bars from a line of zeros, with their numbers; (x, y) is the left end of that line.

    high, limit    the height of a bar of the value `limit`; 0 takes the largest one
    kinds          the class of each bar, by its place
    """
    scale = high / (limit or max(abs(value) for value in values) or 1)
    boxes = []
    for i, value in enumerate(values):
        left, top = x + i * wide + 4, y - value * scale
        box = Box(left, min(top, y), left + wide - 8, max(top, y))
        canvas.rect(box, kinds(i))
        canvas.text(box.x, box.bottom + 14 if value < 0 else box.top - 5, number(value), "mono", "middle")
        boxes.append(box)
    canvas.line([(x, y), (x + wide * len(values), y)], "line")
    under = max(*(box.bottom for box in boxes), y) + (28 if min(values) < 0 else 16)
    for box, name in zip(boxes, names, strict=False):
        canvas.text(box.x, under, name, "mono quiet", "middle")
    return boxes
