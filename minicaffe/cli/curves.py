"""Curves of one or several runs in one picture: a panel for the loss, for each test output, and for the rate."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from minicaffe.cli import picture
from minicaffe.cli.run_log import Curve, Run
from minicaffe.errors import SolverError
from minicaffe.proto.files import replace_file

COLORS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000")
DASHES = ("-", "--", "-.", ":")  # equal curves of two runs stay visible
FORMATS = (".png", ".svg")
MOST_PANELS = 12
WIDE_RANGE = 50  # times: from here on a logarithmic axis shows more


def draw(path: str | Path, runs: Sequence[Run]) -> None:
    """Write the picture as PNG or SVG, as the name says. EngineError without matplotlib."""
    form = Path(path).suffix.lower()
    if form not in FORMATS:
        raise SolverError(f"a picture is written as .png or .svg, not as {path}")
    names = panels(runs)
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
    figure.savefig(whole, format=form[1:], dpi=110, pad_inches=0.2, bbox_inches="tight", metadata=undated)
    replace_file(path, [whole.getbuffer()])


def panels(runs: Sequence[Run]) -> list[str]:
    """What is drawn: the loss, every other number that a net put out, and the learning rate where it changes."""
    names = dict.fromkeys(name for run in runs for curves in (run.test, run.train) for name in curves)
    ordered = sorted(names, key=lambda name: (name != "loss", "loss" in name))
    rates = {value for run in runs for _, value in run.rate}
    return ordered[:MOST_PANELS - 1] + (["learning rate"] if len(rates) > 1 else [])


def _draw_panel(axes: Any, name: str, runs: Sequence[Run]) -> None:
    several, values = len(runs) > 1, []
    for i, run in enumerate(runs):
        prefix, color = f"{run.name}, " if several else "", COLORS[i % len(COLORS)]
        dash = DASHES[i % len(DASHES)]
        if name == "learning rate":
            _line(axes, run.rate, color=color, linestyle=dash, label=run.name if several else None)
            values += run.rate
            continue
        train, test = run.train.get(name, []), run.test.get(name, [])
        values += train + test
        _line(axes, train, color=color, linestyle=dash, label=f"{prefix}train", linewidth=1, alpha=0.6 if test else 1)
        _line(axes, test, color=color if several else COLORS[1], linestyle=dash, label=f"{prefix}test", marker="o",
              markersize=3)
    numbers = [value for _, value in values if math.isfinite(value)]
    if numbers and min(numbers) > 0 and max(numbers) > WIDE_RANGE * min(numbers):
        axes.set_yscale("log")
    axes.set(xlabel="iteration", title=name)
    axes.tick_params(labelbottom=True)
    axes.grid(alpha=0.3)
    if axes.get_legend_handles_labels()[0]:
        axes.legend(fontsize=8)


def _line(axes: Any, curve: Curve, **style: Any) -> None:
    """Draw a curve; a number that is not finite leaves a gap."""
    if curve:
        axes.plot([x for x, _ in curve], [y if math.isfinite(y) else math.nan for _, y in curve], **style)
