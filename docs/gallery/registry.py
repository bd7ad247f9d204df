"""The drawings by the names of the layer types, and how a drawing runs a layer for its numbers."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from gallery.canvas import Canvas
from minicaffe.layers import datasheet, worked_example

DRAWINGS: dict[str, Callable[[Canvas], None]] = {}


class DrawingError(Exception):
    """A layer type without a drawing, or a drawing without a layer type."""


def drawing(name: str) -> Callable[[Callable[[Canvas], None]], Callable[[Canvas], None]]:
    """Make a function the drawing of a layer type. Its docstring is the caption, and what a screen reader reads."""
    def register(draw: Callable[[Canvas], None]) -> Callable[[Canvas], None]:
        if name in DRAWINGS:
            raise DrawingError(f"docs/gallery has two drawings of {name}")
        DRAWINGS[name] = draw
        return draw
    return register


def caption(name: str) -> str:
    """Return the caption of a drawing, on one line."""
    return " ".join(inspect.cleandoc(DRAWINGS[name].__doc__ or "").split())


def svg(name: str, style: str = "") -> str:
    """Return the drawing of a type. With a style it stands alone."""
    canvas = Canvas()
    DRAWINGS[name](canvas)
    return canvas.svg(datasheet.anchor(name), name, caption(name), style)


def check_complete(types: Iterable[str]) -> None:
    """Raise a DrawingError unless each of the types has a drawing, and each drawing is of one of them."""
    types = set(types)
    if missing := sorted(types - set(DRAWINGS)):
        raise DrawingError(f"docs/gallery has no drawing of {', '.join(missing)}: write one in the module of its "
                           "family, with @drawing(\"TYPE\") above it")
    if unknown := sorted(set(DRAWINGS) - types):
        raise DrawingError(f"docs/gallery draws {', '.join(unknown)}, but there is no such layer type")


def cells_where(mask: np.ndarray) -> list[tuple[int, ...]]:
    """Return the places of an array where a condition holds, as grids take them."""
    return [tuple(int(i) for i in place) for place in np.argwhere(mask)]


# --- numbers ------------------------------------------------------------------------------------------------------

def example(name: str) -> dict[str, np.ndarray]:
    """Return all arrays of a type's worked example by their names."""
    return _arrays(worked_example.worked_example(name))


def run(prototxt: str, **values: Any) -> dict[str, np.ndarray]:
    """Run a layer forward and backward in float64, and return all arrays by their names.

    prototxt    a layer with bottoms and tops
    values      the bottoms, the diffs of tops (`dy` of a top y), then what the layer learns, in its order
    """
    return _arrays(worked_example.run(prototxt, {name: np.array(value, float) for name, value in values.items()}))


def _arrays(found: worked_example.Example | None) -> dict[str, np.ndarray]:
    assert found is not None
    return dict([*found.given, *found.forward, *found.backward])
