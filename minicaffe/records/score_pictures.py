"""Pictures of a test: the confusion matrix, and sheets of images with a line of text each."""

from __future__ import annotations

import io
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from minicaffe.errors import DataError, missing_extra
from minicaffe.io.files import PathLike, check_can_write, replace_file
from minicaffe.log import one_line
from minicaffe.records.curves import FORMATS
from minicaffe.records.picture import available, figure

NUMBERED = 20  # classes up to which each cell of a confusion matrix shows its count
NAMED = 60  # classes up to which each has its name at the axes; of more classes some are named
LONGEST_NAME = 24  # characters
COLUMNS = 8  # images in a row of a sheet


def check_can_draw(flag: str, path: PathLike) -> None:
    """Raise an error, before any work is done, where a picture could not be drawn or written; `flag` asks for it."""
    if not available():
        raise missing_extra("matplotlib", "plot", flag)
    if Path(path).suffix.lower() not in FORMATS:
        raise DataError(f"{flag}: a picture is written as .png or .svg, not as {path}")
    check_can_write(flag, path)


def draw_confusion(path: PathLike, matrix: np.ndarray, names: Sequence[str], title: str) -> None:
    """Write the picture of a confusion matrix (K, K): a row for each true class, a column for each prediction.

    A cell is the darker the larger its share of its row is. Raise EngineError without matplotlib.
    """
    K = len(matrix)
    shares = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    shown = [shorten(name, LONGEST_NAME) for name in names]
    # room for the cells, and beside them for the longest name
    side = max(3.2, (0.42 if K <= NUMBERED else 0.16) * min(K, NAMED)) + 0.09 * max(map(len, shown), default=0)
    whole = figure((side + 1.6, side + 0.6))
    axes = whole.subplots()
    drawn = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1, interpolation="nearest")
    step = -(-K // NAMED)  # of many classes, every step-th is named
    at = range(0, K, step)
    axes.set_xticks(at, [shown[k] for k in at], rotation=90 if max(map(len, shown), default=0) > 2 else 0)
    axes.set_yticks(at, [shown[k] for k in at])
    axes.tick_params(labelsize=8 if K <= NUMBERED else 6)
    axes.set(xlabel="predicted", ylabel="true", title=title)
    if K <= NUMBERED:
        for i, j in np.ndindex(K, K):
            axes.text(j, i, str(matrix[i, j]), ha="center", va="center", fontsize=7,
                      color="white" if shares[i, j] > 0.5 else "black" if matrix[i, j] else "#bbbbbb")
    whole.colorbar(drawn, ax=axes, shrink=0.8, label="share of the row")
    save(path, whole)


def draw_images(path: PathLike, rows: Sequence[tuple[str, Sequence[tuple[Any, str, str]]]], title: str) -> None:
    """Write a sheet of images. Each row has a name and at most COLUMNS triples: image (C, H, W) or None, text, colour.

    Raise EngineError without matplotlib.
    """
    columns = max(len(images) for _, images in rows)
    whole = figure((max(4.5, 1.55 * columns + 0.5), 0.7 + 2.0 * len(rows)))
    whole.suptitle(title, fontsize=10)
    grid = whole.subplots(len(rows), columns, squeeze=False)
    for (name, images), line in zip(rows, grid, strict=True):
        for axes in line:
            axes.set(xticks=[], yticks=[])
            axes.set_frame_on(False)
        line[0].set_ylabel(name, fontsize=8)
        for (image, text, color), axes in zip(images, line, strict=False):
            axes.set_title(text, fontsize=7, color=color)
            if image is None:
                axes.text(0.5, 0.5, "no image", ha="center", va="center", fontsize=7, transform=axes.transAxes)
            else:
                axes.imshow(visible_pixels(image), cmap="gray", vmin=0, vmax=1, interpolation="nearest")
    save(path, whole)


def in_rows(images: Sequence[tuple[Any, str, str]]) -> list[tuple[str, Sequence[tuple[Any, str, str]]]]:
    """Return images as rows of a sheet that have no names."""
    return [("", images[i:i + COLUMNS]) for i in range(0, len(images), COLUMNS)]


def visible_pixels(image: np.ndarray) -> np.ndarray:
    """Return an image (C, H, W) as numbers from 0 to 1: (H, W, 3) in red, green, blue, or (H, W) grey.

    uint8 is divided by 255. Of other numbers, the least becomes black and the largest white. Of other than one or
    three channels the first is shown.
    """
    x = image.astype(np.float64)
    if image.dtype == np.uint8:
        x /= 255
    else:
        finite = x[np.isfinite(x)]
        low, high = (finite.min(), finite.max()) if finite.size else (0.0, 1.0)
        x = np.nan_to_num((x - low) / (high - low or 1), nan=0, posinf=1, neginf=0)
    return x[::-1].transpose(1, 2, 0) if len(x) == 3 else x[0]


def shorten(name: str, longest: int) -> str:
    """Return a name on one line; of a longer one the middle is left out."""
    # matplotlib would take text between two dollar signs for a formula
    shown = one_line(name).replace("$", r"\$")
    return shown if len(shown) <= longest else f"{shown[:longest * 2 // 3]}…{shown[-(longest // 3 - 1):]}"


def end_of(key: str) -> str:
    """Return the end of a key, where the name of a file is."""
    shown = one_line(key).replace("$", r"\$")
    return shown if len(shown) <= 20 else f"…{shown[-19:]}"


def save(path: PathLike, whole: Any) -> None:
    """Write a figure as PNG or SVG, as the file's name says."""
    content = io.BytesIO()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph")  # the font may lack a letter of a name, which is then a box
        whole.savefig(content, format=Path(path).suffix[1:].lower(), dpi=130)
    replace_file(path, [content.getvalue()])
