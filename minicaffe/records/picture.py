"""Figures of matplotlib, and the picture of the demo: curves above images with their true and predicted classes.

This is the only module that imports matplotlib.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from minicaffe.errors import missing_extra
from minicaffe.records import run_log
from minicaffe.records.run_log import Curve

try:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
except ImportError:
    Figure = None  # type: ignore[assignment, misc]

BLUE, ORANGE, GREEN, RED = "#0072b2", "#d55e00", "#009e73", "#cc3311"


@dataclass
class Classified:
    """An image (H, W), the name of its class, and the class that the net predicts, with its probability."""

    pixels: np.ndarray
    truth: str
    predicted: str
    probability: float


def available() -> bool:
    """Return whether matplotlib is installed."""
    return Figure is not None


def figure(size: tuple[float, float]) -> Any:
    """Return an empty figure; `size` is in inches. Raise EngineError without matplotlib."""
    if Figure is None:
        raise missing_extra("matplotlib", "plot", "drawing a picture")
    made = Figure(figsize=size, layout="constrained")
    FigureCanvasAgg(made)
    return made


def draw(path: Path, log: Path, images: Sequence[Classified], title: str) -> None:
    """Write the picture: loss and accuracy from `log` above, `images` below. Raise EngineError without matplotlib."""
    columns = 8
    rows = max(1, -(-len(images) // columns))
    whole = figure((12, 4 + 1.75 * rows))
    whole.suptitle(title)
    above, below = whole.subfigures(2, 1, height_ratios=[3.4, 1.75 * rows])
    run = run_log.read(log)
    _curves(above, run.train.get(run_log.TOTAL, []), run.test)
    for axes, image in zip(below.subplots(rows, columns, squeeze=False).flat, images, strict=False):
        right = image.truth == image.predicted
        axes.imshow(image.pixels, cmap="gray_r")
        axes.set_title(f"{image.predicted} {100 * image.probability:.0f} %" + ("" if right else f"\nis {image.truth}"),
                       fontsize=8, color=GREEN if right else RED)
    for axes in below.axes:
        axes.set_axis_off()
    whole.savefig(path, dpi=110)


def _curves(above: Any, loss: Curve, tests: dict[str, Curve]) -> None:
    left, right = above.subplots(1, 2)
    left.plot(*zip(*loss, strict=True), color=BLUE, label="train, one batch", linewidth=1)
    if "loss" in tests:
        left.plot(*zip(*tests["loss"], strict=True), color=ORANGE, label="test", marker="o")
    left.set(xlabel="update", ylabel="loss", ylim=(0, None))
    left.legend()
    if "accuracy" in tests:
        right.plot(*zip(*tests["accuracy"], strict=True), color=ORANGE, marker="o")
        last = tests["accuracy"][-1]
        right.annotate(f"{last[1]:.3f}", last, textcoords="offset points", xytext=(-4, -14), ha="right")
    right.set(xlabel="update", ylabel="test accuracy", ylim=(0, 1))
    for axes in (left, right):
        axes.grid(alpha=0.3)
