"""How a Blob shows itself: its shape, ranges and a few numbers; in a notebook also pictures."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from minicaffe import layout
from minicaffe.blob import Blob
from minicaffe.log import shape_text
from minicaffe.notebook import numbers
from minicaffe.notebook.frame import facts, frame
from minicaffe.pages import clean, grey_levels, heat_map, image

MOST = 16  # pictures of one blob
GREY = 12  # rows and columns of the smallest array that is taken for a grey image rather than for a filter
COLOUR = 5  # the same for an array with three channels
SHOWN = 84  # pixels of the longer side up to which a small picture is enlarged
LARGEST = 168  # pixels of the longer side of the largest picture
NO_VALUES = "no values yet"


def text(blob: Blob) -> str:
    """Return the lines for a terminal."""
    width, rows = layout.terminal_width(), [("data", data_words(blob)), ("diff", diff_words(blob))]
    return "\n".join([_title(blob), *(line for name, words in rows
                                      for line in layout.wrap(f"{name}  {words}", width, hanging=" " * 6))])


def html(blob: Blob) -> str:
    """Return the HTML for a notebook."""
    data, diff = _arrays(blob)
    return frame(_title(blob), facts([("data", clean(data_words(blob)) + _pictures("data", data)),
                                      ("diff", clean(diff_words(blob)) + _pictures("diff", diff, slopes=True))]))


def data_words(blob: Blob) -> str:
    """Return the range of the data and its first numbers."""
    data = _arrays(blob)[0]
    return NO_VALUES if data is None else numbers.in_words(data)


def diff_words(blob: Blob) -> str:
    """Return the range of the diff and its first numbers."""
    diff = _arrays(blob)[1]
    if diff is None:
        return "all 0" if blob.storages[1].cleared else NO_VALUES
    return numbers.in_words(diff)


def _title(blob: Blob) -> str:
    return f"Blob {shape_text(blob.shape)}, {np.dtype(blob.dtype)}"


def _arrays(blob: Blob) -> tuple[np.ndarray | None, np.ndarray | None]:
    """Return data and diff where they have been computed, without making memory for them or writing into it."""
    data, diff = blob.storages
    return data.peek(blob.shape), None if diff.cleared else diff.peek(blob.shape)


def _pictures(name: str, values: np.ndarray | None, slopes: bool = False) -> str:
    """Return an array as images, or as heat maps where it is not likely to hold images or where it holds `slopes`.

    An array that has no plane of at least 2 × 2 numbers gives an empty string.
    """
    if values is None or values.ndim < 2 or min(values.shape[-2:]) < 2 or not values.size:
        return ""
    if not slopes and _is_image(values.shape):
        return _row(f"{name}[:{min(MOST, len(values))}]" if len(values) > 1 else name, _images(values[:MOST]))
    where, planes = _planes(name, values)
    limit = float(np.abs(planes, where=np.isfinite(planes), out=np.zeros(planes.shape)).max())
    return _row(f"{where}, from {numbers.short(-limit)} in blue to {numbers.short(limit)} in red" if limit else where,
                (heat_map(plane, limit or None) for plane in planes))


def _is_image(shape: tuple[int, ...]) -> bool:
    """Return whether (N, C, H, W) is likely to be images, in grey or in colour."""
    if len(shape) != 4 or shape[1] not in (1, 3):
        return False
    low, high = sorted(shape[2:])
    return low >= (GREY if shape[1] == 1 else COLOUR) and high <= 8 * low


def _images(values: np.ndarray) -> Iterator[tuple[str, int, int]]:
    """Yield images, with the darkest of all values in black and the brightest in white."""
    step = -(-max(values.shape[2:]) // LARGEST)
    for one in grey_levels(values[:, :, ::step, ::step]):
        yield image(one[0] if len(one) == 1 else one)


def _planes(name: str, values: np.ndarray) -> tuple[str, np.ndarray]:
    """Return up to MOST planes (H, W) of an array as one array, and the expression that gives them.

    They are the channels of the first sample. Where there is one channel only, they are the first samples.
    """
    if values.ndim == 2:
        return name, values[None]
    at: list[int | slice] = [0] * (values.ndim - 2)
    axis = max((k for k in range(values.ndim - 2) if values.shape[k] > 1), default=0)
    at[axis] = slice(MOST)
    said = ", ".join(f":{min(MOST, values.shape[k])}" if k == axis else "0" for k in range(values.ndim - 2))
    return f"{name}[{said}]", values[tuple(at)]


def _row(caption: str, pictures: Iterator[tuple[str, int, int]]) -> str:
    """Return pictures side by side; small ones are enlarged by a whole number."""
    shown = []
    for url, width, height in pictures:
        scale = max(1, SHOWN // max(width, height))
        shown.append(f'<img src="{url}" width="{width * scale}" height="{height * scale}" alt="">')
    return f'<div class="pictures">{"".join(shown)}</div><span class="quiet">{clean(caption)}</span>'
