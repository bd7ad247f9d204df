"""Draws the curves of one or several runs: a panel for each loss, each other output, and the learning rate."""

from __future__ import annotations

import io
import math
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from minicaffe.errors import SolverError
from minicaffe.io.files import replace_file
from minicaffe.log import one_line
from minicaffe.records import picture
from minicaffe.records.run_log import TOTAL, Curve, Run

COLORS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000")
DASHES = ("-", "--", "-.", ":")  # so that of two runs with equal curves both are seen
FORMATS = (".png", ".svg")
MOST_PANELS = 12
WIDE_RANGE = 50  # where the largest value is so many times the smallest, a logarithmic axis shows more
SMALLEST, LARGEST = 1e-150, 1e150  # the range that is drawn: wider than float32, and without overflow in the ticks
RATE = "learning rate"
GREY = "#555555"


def draw(path: str | Path, runs: Sequence[Run]) -> int:
    """Write the picture as PNG or SVG, as the name says. Return the number of panels that have no room in it.

    Raise EngineError without matplotlib.
    """
    form = Path(path).suffix.lower()
    if form not in FORMATS:
        raise SolverError(f"a picture is written as .png or .svg, not as {path}")
    names = panels(runs)
    left_out = max(0, len(names) - MOST_PANELS)
    names = names[:MOST_PANELS - 1] + names[-1:] if left_out else names
    columns = 2 if len(names) == 4 else min(3, len(names))
    rows = -(-len(names) // columns)
    figure = picture.figure((5 * columns, 3.6 * rows))
    axes = list(figure.subplots(rows, columns, squeeze=False, sharex=True).flat)
    for panel, name in zip(axes, names, strict=False):
        _draw_panel(panel, name, runs)
    for panel in axes[len(names):]:
        panel.set_axis_off()
    whole = io.BytesIO()
    undated = {"Date": None} if form == ".svg" else None
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph")  # the font may lack a letter of a name, which is then a box
        if len(runs) > 1:
            _legend_below(figure, axes[0], runs, 5 * columns)
        figure.savefig(whole, format=form[1:], dpi=110, pad_inches=0.2, bbox_inches="tight", metadata=undated)
    replace_file(path, [whole.getbuffer()])
    return left_out


def panels(runs: Sequence[Run]) -> list[str]:
    """Return the names of the panels: every loss, every other output, and the learning rate where it changes."""
    names = dict.fromkeys(name for run in runs for curves in (run.test, run.train) for name in curves)
    ordered = sorted(names, key=lambda name: (name != TOTAL, name != "loss", "loss" not in name))
    rates = {value for run in runs for _, value in run.rate}
    return ordered + ([RATE] if len(rates) > 1 else [])


def without_repeats(runs: Sequence[Run]) -> list[Run]:
    """The runs without their total loss, where each run has a single loss, so that the total is the same curve."""
    same = [_repeated(run) for run in runs]
    if not any(same) or not all(name or TOTAL not in run.train for run, name in zip(runs, same, strict=True)):
        return list(runs)
    return [replace(run, train=_merged(run.train, name), test=_merged(run.test, name))
            for run, name in zip(runs, same, strict=True)]


def _repeated(run: Run) -> str:
    """Return the output that the total loss repeats, or an empty string."""
    for name in run.train:
        if name != TOTAL and all(_repeats(curves.get(TOTAL, []), curves.get(name, []))
                                 for curves in (run.train, run.test) if TOTAL in curves):
            return name
    return ""


def _repeats(total: Curve, curve: Curve) -> bool:
    """Return whether the total is the same curve.

        It may have one point more, because Caffe displays no outputs at the very end.
        """
    known = dict(total)
    return len(total) - 1 <= len(curve) > 0 and all(
        # y != y: both are NaN. 1e-4: a log has six digits
        math.isclose(known.get(x, math.nan), y, rel_tol=1e-4) or (y != y and known.get(x) != known.get(x))
        for x, y in curve)


def _merged(curves: dict[str, Curve], name: str) -> dict[str, Curve]:
    """Return the curves with the total in place of the output of which it is a repetition."""
    if not name or TOTAL not in curves:
        return curves
    return {other: curves[TOTAL] if other == name else curve for other, curve in curves.items() if other != TOTAL}


def text(name: str) -> str:
    """Return a name as a picture shows it: on one line, and shortened in the middle where it is very long."""
    shown = one_line(name)
    return shown if len(shown) <= 45 else shown[:28] + "…" + shown[-16:]


def _draw_panel(axes: Any, name: str, runs: Sequence[Run]) -> None:
    several, values = len(runs) > 1, []
    for i, run in enumerate(runs):
        style = _style(i)
        if name == RATE:
            _line(axes, run.rate, **style)
            values += run.rate
        else:
            train, test = run.train.get(name, []), run.test.get(name, [])
            values += train + test
            _line(axes, train, label="train", linewidth=1, alpha=0.6 if test else 1, **style)
            _line(axes, test, label="test", marker="o", markersize=3, **(style if several else {"color": COLORS[1]}))
        if run.failure:
            axes.axvline(run.failure[0], color=style["color"] if several else picture.RED, linestyle=":", linewidth=1)
            axes.plot([run.failure[0]], [1], marker="X", markersize=9, linestyle="none", clip_on=False, label="failed",
                      color=style["color"] if several else picture.RED, transform=axes.get_xaxis_transform())
    numbers = [value for _, value in values if math.isfinite(value)]
    if numbers and min(numbers) > 0 and max(numbers) / WIDE_RANGE > min(numbers):
        axes.set_yscale("log")
    axes.set_xlabel("iteration")
    axes.set_title(text(name), parse_math=False)
    axes.tick_params(labelbottom=True)
    axes.grid(alpha=0.3)
    if not several and axes.get_legend_handles_labels()[0]:
        axes.legend(fontsize=8)


def _style(run: int) -> dict[str, str]:
    return {"color": COLORS[run % len(COLORS)], "linestyle": DASHES[run % len(DASHES)]}


def _line(axes: Any, curve: Curve, **style: Any) -> None:
    """Draw a curve. A number that is not finite leaves a gap; a single point between two gaps is drawn as a dot."""
    if not curve:
        return
    heights = [_height(y) for _, y in curve]
    alone = [i for i, y in enumerate(heights)
             if math.isfinite(y) and not (_goes_on(heights, i - 1) or _goes_on(heights, i))]
    if alone and "marker" not in style:
        style |= {"marker": "o", "markersize": 4, "markevery": alone}
    axes.plot([float(x) for x, _ in curve], heights, **style)


def _height(value: float) -> float:
    """Return a number that an axis can show."""
    if not math.isfinite(value):
        return math.nan
    return math.copysign(max(SMALLEST, min(abs(value), LARGEST)), value) if value else 0.0


def _goes_on(heights: Sequence[float], i: int) -> bool:
    """Return whether point i and the next one are joined by a line."""
    return 0 <= i < len(heights) - 1 and math.isfinite(heights[i]) and math.isfinite(heights[i + 1])


def _legend_below(figure: Any, axes: Any, runs: Sequence[Run], inches: float) -> None:
    """Add one legend for all panels below them, where it hides no curve, and make the picture higher to hold it."""
    labelled = list(_legend_lines(axes, runs))
    longest = max(len(label) for _, label in labelled)
    legend = figure.legend([line for line, _ in labelled], ["run"] * len(labelled), loc="outside lower center",
                           ncols=max(1, min(5, int(inches * 13 / (longest + 8)))), fontsize=8)
    for shown, (_, label) in zip(legend.get_texts(), labelled, strict=True):
        shown.set_parse_math(False)
        shown.set_text(label)  # only here, because figure.legend leaves out labels that begin with an underscore
    height = legend.get_window_extent(figure.canvas.get_renderer()).height / figure.dpi
    figure.set_figheight(figure.get_figheight() + height)


def _legend_lines(axes: Any, runs: Sequence[Run]) -> Iterator[tuple[Any, str]]:
    """Yield the lines of the legend with their labels: one for each run, then one each for train and test."""
    for i, run in enumerate(runs):
        failed = f" (failed at {run.failure[0]})" if run.failure else ""
        yield axes.plot([], [], **_style(i))[0], text(run.name) + failed
    if any(run.train for run in runs) and any(run.test for run in runs):
        yield axes.plot([], [], color=GREY, linewidth=1)[0], "train"
        yield axes.plot([], [], color=GREY, marker="o", markersize=3)[0], "test"
