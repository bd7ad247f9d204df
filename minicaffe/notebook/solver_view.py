"""How a Solver shows itself: where it stands, and the curve of its loss."""

from __future__ import annotations

from minicaffe import layout
from minicaffe.notebook import chart
from minicaffe.notebook.frame import facts, frame
from minicaffe.notebook.numbers import short
from minicaffe.pages import clean
from minicaffe.solvers import Solver


def text(solver: Solver) -> str:
    """Return the lines for a terminal."""
    width, points = layout.terminal_width(80), solver.losses.points
    lines = [f"{name:11}{value}" for name, value in state(solver)]
    if points:
        ends = f"  {short(points[0][1])} to {short(points[-1][1])}"
        lines.append(f"{'curve':11}{chart.sparkline(points, max(10, min(60, width - 11 - len(ends))))}{ends}")
    return "\n".join([_title(solver), *lines])


def html(solver: Solver) -> str:
    """Return the HTML for a notebook."""
    points = solver.losses.points
    rows = [(name, clean(value)) for name, value in state(solver)]
    return frame(_title(solver), facts(rows), chart.svg("loss", [chart.Line("train", points)]) if points else "")


def state(solver: Solver) -> list[tuple[str, str]]:
    """Return the iteration, and once there was one, the learning rate and the loss of the last update."""
    rows = [("iteration", f"{solver.iter:,} of {solver.param.max_iter:,}")]
    if solver.losses.points:
        rows += [("rate", short(solver.rate)), ("loss", short(solver.loss))]
    return rows


def _title(solver: Solver) -> str:
    return f"{solver.type} solver of net {solver.net.name!r}"
