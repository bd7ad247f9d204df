"""What the layers that put out boxes share: which boxes stay, and the rows that they become.

NonMaxSuppression was measured in onnxruntime 1.32. It agrees with `kernels.nms`: a box goes when its overlap is above
the threshold, boxes without an area overlap nothing, and of equal scores the smaller index comes first. What it keeps
stands by image, then class, then score. Two things differ:

- A box whose far corner lies before its near one is turned round there, and has no area here. `without_negative_sizes`
  makes both agree.
- Where two boxes reach to infinity, as those of a net that is not trained do, their overlap is no number. Then it
  keeps both, and we keep the first. So corners are limited to ±FAR for it. Boxes that reach there in one direction
  alone may still be kept, where we leave them out.
"""

from collections.abc import Sequence

import numpy as np

from minicaffe.convert.onnx_out.given import Given
from minicaffe.convert.onnx_out.nodes import FLOAT, INT64, needs_fixed

FAR = 1e18  # the area of a box with such corners is still a number of float32
LOWEST = float(np.finfo(np.float32).min)  # the score of a box that is not looked at


def needs_known_sizes(g: Given) -> None:
    """Refuse the layer where another axis than the first of a bottom grows with the batch."""
    for j, shape in enumerate(g.x_shapes):
        needs_fixed(g, range(1, len(shape)), j)


def split(g: Given, x: str, parts: int, axis: int = -1) -> list[str]:
    """Return the names of equal parts of x."""
    names = g.new_names("Split", parts)
    g.node("Split", [x], names, axis=axis, num_outputs=parts)
    return names


def from_centres(g: Given, centre: str, half: str) -> str:
    """Return boxes, corners on the last axis, from their centres and half of their sizes."""
    return g.node("Concat", [g.node("Sub", [centre, half]), g.node("Add", [centre, half])], axis=-1)


def without_negative_sizes(g: Given, boxes: str) -> str:
    """Return the boxes, whose far corners are moved to the near ones where they lie before them."""
    near, far = split(g, boxes, 2)
    return g.node("Concat", [near, g.node("Max", [near, far])], axis=-1)


def best_of(g: Given, scores: str, k: int, axis: int) -> str:
    """Return the scores with LOWEST in place of all but the k best along an axis; of equal ones the first stay."""
    values, places = g.new_names("TopK", 2)
    g.node("TopK", [scores, g.ints("k", [k])], [values, places], axis=axis)
    # the axis is not counted from the end, because OpenCV 5.0 fails there
    return g.node("ScatterElements", [lowest_as(g, scores), places, values], axis=axis)


def lowest_as(g: Given, x: str) -> str:
    """Return a value in the shape of x that holds LOWEST."""
    return g.node("Expand", [g.floats("lowest", LOWEST), g.node("Shape", [x])])


def suppressed(g: Given, boxes: str, scores: str, most: int, overlap: float, least: float) -> str:
    """Return (M, 3), image, class and box of the boxes that stay, by image, class and score.

    boxes, scores   (N, P, 4) and (N, C, P)
    most            how many may stay of each class of an image
    overlap         boxes that overlap a better one by more than this go
    least           only scores above this are looked at
    """
    limits = [g.ints("most", [most]), g.floats("overlap", [min(overlap, 1)]), g.floats("least", [max(least, LOWEST)])]
    limited = g.node("Clip", [boxes, g.floats("nearest", -FAR), g.floats("farthest", FAR)])
    return g.node("NonMaxSuppression", [limited, scores, *limits])


def as_floats(g: Given, whole: str) -> str:
    """Return whole numbers as float32."""
    return g.node("Cast", [whole], to=FLOAT)


def rows_of(g: Given, *columns: str) -> str:
    """Return one value that has these columns, (M, 1) or more, side by side."""
    return g.node("Concat", list(columns), axis=1)


def write_rows(g: Given, rows: str) -> None:
    """Make the top (1, 1, D, 7) of the rows (M, 7) or, where there is none, of n, −1, −1, ... for each image n."""
    if g.is_open(0, 0):
        N = g.node("Shape", [g.x[0]], start=0, end=1)
        n = g.node("Range", [g.ints("zero", 0), g.node("Squeeze", [N]), g.ints("one", 1)])
        column = g.node("Reshape", [as_floats(g, n), g.ints("column", [-1, 1])])
        nothing = g.node("Pad", [column, g.ints("pads", [0, 0, 0, 6]), g.floats("minus one", -1)])
    else:
        N = g.ints("images", [g.x_shapes[0][0]])
        nothing = g.floats("nothing", [[n, *[-1] * 6] for n in range(g.x_shapes[0][0])])
    g.node("Reshape", [unless_empty(g, rows, nothing, N), g.ints("y", [1, 1, -1, 7])], g.y[:1])
    g.open_top(0, 2)


def unless_empty(g: Given, rows: str, nothing: str, count: str) -> str:
    """Return the rows, or `nothing` where there are none. `count` is how many rows `nothing` has, a value (1,).

    The rows of `nothing` are put behind the others, and are cut off where there are any.
    """
    M = g.node("Shape", [rows], start=0, end=1)
    empty = g.node("Cast", [g.node("Equal", [M, g.ints("none", [0])])], to=INT64)
    end = g.node("Add", [M, g.node("Mul", [empty, count])])
    both = g.node("Concat", [rows, nothing], axis=0)
    return g.node("Slice", [both, g.ints("begin", [0]), end, g.ints("rows", [0])])


def where(g: Given, stays: str, rows: str) -> str:
    """Return the rows for which `stays`, a value (M,), is true."""
    # Compress does the same in one node, but OpenCV 5.0 has no Compress
    places = g.node("Squeeze", [g.node("NonZero", [stays]), g.ints("first", [0])])
    return g.node("Gather", [rows, places], axis=0)


def picked(g: Given, x: str, indices: Sequence[int], axis: int) -> str:
    """Return the places of an axis of x that have these indices, in this order."""
    return g.node("Gather", [x, g.ints("indices", list(indices))], axis=axis)
