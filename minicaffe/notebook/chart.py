"""Curves: as one line of characters for a terminal, and as an SVG for a notebook."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from html import escape
from typing import NamedTuple

from minicaffe.log import number
from minicaffe.notebook.numbers import short

Points = Sequence[tuple[float, float]]

BARS = "▁▂▃▄▅▆▇█"
NO_NUMBER = "×"  # stands for NaN and infinity
WIDTH, HEIGHT = 400, 210
LEFT, RIGHT, TOP, BOTTOM = 52, 12, 42, 24  # what is left for the labels, in pixels
WIDE_RANGE = 50  # where the largest value is so many times the smallest, a logarithmic axis shows more
LARGEST = 1e150  # larger numbers are drawn as if they were infinite: the arithmetic of the axes would overflow


class Line(NamedTuple):
    """A curve; `kind` is its label and its style in notebook.css, "train" or "test". Points of tests are marked."""

    kind: str
    points: Points


def sparkline(points: Points, width: int = 40) -> str:
    """Return the curve as one line of at most `width` characters: the lowest value is ▁, the highest █."""
    values = [value for _, value in points]
    count = min(width, len(values))
    groups = [values[i * len(values) // count:(i + 1) * len(values) // count] for i in range(count)]
    means = [sum(group) / len(group) for group in groups]
    finite = [mean for mean in means if _drawable(mean)]
    low, high = min(finite, default=0.0), max(finite, default=0.0)
    steps = (len(BARS) - 1) / (high - low) if high > low else 0.0
    return "".join(BARS[round((mean - low) * steps)] if _drawable(mean) else NO_NUMBER for mean in means)


def svg(title: str, lines: Sequence[Line]) -> str:
    """Return a small picture of one or two curves over the iterations. What is not finite leaves a gap."""
    points = [point for line in lines for point in line.points if _drawable(point[1])]
    body = "".join(_plot(lines, _Axes.around(points))) if points else \
        f'<text class="quiet" x="{WIDTH / 2}" y="{HEIGHT / 2}" text-anchor="middle">no number yet</text>'
    return (f'<svg class="chart" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}" role="img" '
            f'aria-label="{escape(_in_words(title, lines))}">'
            f'<text class="title" x="{LEFT}" y="14">{escape(title)}</text>{body}</svg>')


def _drawable(value: float) -> bool:
    return abs(value) < LARGEST  # False for NaN, too


def _in_words(title: str, lines: Iterable[Line]) -> str:
    """Return what a screen reader says of a chart."""
    said = [f"{line.kind} from {number(line.points[0][1])} to {number(line.points[-1][1])}"
            for line in lines if line.points]
    return f"{title} over the iterations: {', '.join(said) or 'no number yet'}"


class _Axes(NamedTuple):
    """The ranges of a chart, and where its points are in pixels."""

    first: float
    last: float
    low: float
    high: float
    logarithmic: bool

    @classmethod
    def around(cls, points: Points) -> _Axes:
        """Return axes that hold all points, with a little room above and below."""
        first, last = min(x for x, _ in points), max(x for x, _ in points)
        low, high = min(y for _, y in points), max(y for _, y in points)
        if low > 0 and high > WIDE_RANGE * low:
            return cls(first, max(last, first + 1), math.log10(low) - 0.1, math.log10(high) + 0.1, True)
        room = 0.05 * (high - low) or 0.1 * abs(high) or 1.0
        return cls(first, max(last, first + 1), low - room, high + room, False)

    def x(self, iteration: float) -> float:
        return LEFT + (iteration - self.first) / (self.last - self.first) * (WIDTH - LEFT - RIGHT)

    def y(self, value: float) -> float:
        height = math.log10(value) if self.logarithmic else value
        return HEIGHT - BOTTOM - (height - self.low) / (self.high - self.low) * (HEIGHT - TOP - BOTTOM)

    def heights(self) -> list[float]:
        """Return the values that get a line across the chart and a label."""
        if not self.logarithmic:
            return _round_numbers(self.low, self.high, 6)
        exponents = range(math.ceil(self.low), math.floor(self.high) + 1)
        if len(exponents) > 1:
            return [10.0 ** k for k in exponents[::-(-len(exponents) // 5)]]
        return _round_numbers(10 ** self.low, 10 ** self.high, 6)


def _round_numbers(low: float, high: float, most: int) -> list[float]:
    """Return round numbers from `low` to `high` with equal steps of 1, 2 or 5 times a power of 10; at most `most`."""
    power = 10.0 ** math.floor(math.log10((high - low) / most))
    step = next(size * power for size in (1, 2, 5, 10, 20) if (high - low) / (size * power) <= most - 1 or size == 20)
    return [round(k * step, 12) for k in range(math.ceil(low / step), math.floor(high / step) + 1)]


def _plot(lines: Sequence[Line], axes: _Axes) -> Iterator[str]:
    """Yield the grid with its labels, then the curves with theirs."""
    for value in axes.heights():
        y = axes.y(value)
        yield f'<path class="grid" d="M{LEFT} {y:.1f}H{WIDTH - RIGHT}"/>'
        yield f'<text class="quiet" x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{number(value)}</text>'
    for value in _round_numbers(axes.first, axes.last, 5):
        if value == int(value):
            yield (f'<text class="quiet" x="{axes.x(value):.1f}" y="{HEIGHT - 6}" text-anchor="middle">'
                   f'{int(value):,}</text>')
    x = float(LEFT)
    for line in lines:
        yield f'<path class="{line.kind}" d="{_path(line.points, axes)}"/>'
        drawn = [(axes.x(at), axes.y(value)) for at, value in line.points if _drawable(value)]
        if line.kind == "test" or len(drawn) == 1:
            yield "".join(f'<circle class="{line.kind}" cx="{cx:.1f}" cy="{cy:.1f}" r="2.5"/>' for cx, cy in drawn)
        if line.points:
            label = f"{line.kind} {short(line.points[-1][1])}"
            yield f'<text class="{line.kind}" x="{x:.0f}" y="31">{escape(label)}</text>'
            x += 24 + 7 * len(label)


def _path(points: Points, axes: _Axes) -> str:
    """Return a curve as the commands of an SVG path. It begins anew after each gap."""
    commands, pen = [], "M"
    for at, value in points:
        if _drawable(value):
            commands.append(f"{pen}{axes.x(at):.1f} {axes.y(value):.1f}")
            pen = "L"
        else:
            pen = "M"
    return "".join(commands)
