"""Run a small example of a layer type forward and backward, so that a reader can follow its formula with numbers.

`minicaffe explain` and docs/layers.md show the examples, which are written in examples.prototxt.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from minicaffe import rng
from minicaffe.blob import Blob
from minicaffe.layer import Layer, create
from minicaffe.layers.datasheet import read_sections
from minicaffe.proto import NetParameter
from minicaffe.proto import text as proto_text

# How many digits of a number are shown at most, and how many of them after the point. The examples are computed in
# float64, so that these digits are the same on every machine.
DIGITS, DECIMALS = 4, 6
SEED = 1  # for layers that draw random numbers


class Example(NamedTuple):
    """An example of a type, as it is printed. One without a prototxt has only words."""

    words: str
    prototxt: str = ""
    given: Sequence[tuple[str, np.ndarray]] = ()
    forward: Sequence[tuple[str, np.ndarray]] = ()
    backward: Sequence[tuple[str, np.ndarray]] = ()


def worked_example(name: str) -> Example | None:
    """Return the example of a type from examples.prototxt, computed; None for a type that has none there."""
    section = read_sections("examples.prototxt").get(name)
    if section is None:
        return None
    lines = [line[2:] for line in section.split("\n") if line.startswith("# ")]
    values = {found[1]: np.array(json.loads(found[2]), float)
              for line in lines if (found := re.fullmatch(r"(\w+) = (\[.*\])", line))}
    words = " ".join(line for line in lines if not re.match(r"\w+ = \[", line))
    prototxt = "\n".join(line for line in section.split("\n") if not line.startswith("#"))
    return run(prototxt, values, words) if prototxt else Example(words)


def run(prototxt: str, values: dict[str, np.ndarray], words: str = "") -> Example:
    """Run one layer, given as a prototxt, in float64: forward, and backward where a diff of a top is known.

    values    by name: the bottoms, the diffs of tops (`dy` of a top y), then what the layer learns, in its order
    """
    param = proto_text.parse(prototxt, NetParameter()).layer[0]
    param.name = param.type
    layer = create(param, dtype=np.float64)
    bottom = [_blob(values[name]) for name in param.bottom]
    top = [Blob((), np.float64) for _ in param.top]
    diffs = [f"d{name}" for name in param.top]
    learned = [name for name in values if name not in [*param.bottom, *diffs]]
    before = rng.state()  # an example must not change the numbers that the rest of the process draws
    rng.seed(SEED)
    try:
        layer.SetUp(bottom, top)
        for blob, name in zip(layer.blobs, learned, strict=True):
            blob.data[...] = values[name].reshape(blob.shape)
        layer.Forward(bottom, top)
        # Caffe: BatchNorm's forward changes its blobs, so what it leaves in them is shown too
        changed = [(f"{name} after", blob.data.copy()) for blob, name in zip(layer.blobs, learned, strict=True)
                   if not np.array_equal(blob.data, values[name].reshape(blob.shape))]
        forward = [(name, blob.data.copy()) for name, blob in zip(param.top, top, strict=True)] + changed
        backward = _backward(layer, bottom, top, values, learned)
    finally:
        rng.restore(before)
    return Example(words, prototxt, [(name, array) for name, array in values.items() if name not in diffs],
                   forward, backward)


def _backward(layer: Layer, bottom: Sequence[Blob], top: Sequence[Blob], values: dict[str, np.ndarray],
              learned: Sequence[str]) -> list[tuple[str, np.ndarray]]:
    """Run backward. Return the tops' diffs that the example gives, and the diffs that follow from them.

    There are none where the example gives no diff of a top and the layer is no loss.
    """
    param, shown = layer.layer_param, []
    for blob, name in zip(top, param.top, strict=True):
        if f"d{name}" in values:
            blob.diff[...] = values[f"d{name}"].reshape(blob.shape)
            shown.append((f"d{name}", blob.diff.copy()))
    # a loss has its diff from `Forward`, and a layer without tops needs none
    if not shown and not any(layer.loss_weights) and top:
        return []
    propagate_down = [layer.allow_force_backward(i) and i not in layer.label_bottoms for i in range(len(bottom))]
    layer.Backward(top, propagate_down, bottom)
    shown += [(f"d{name}", blob.diff.copy()) for name, blob, asked in
              zip(param.bottom, bottom, propagate_down, strict=True) if asked]
    return shown + [(f"d{name}", blob.diff.copy()) for name, blob, asked in
                    zip(learned, layer.blobs, layer.param_propagate_down, strict=True) if asked]


def _blob(values: np.ndarray) -> Blob:
    """Return a blob with these values."""
    blob = Blob(values.shape, np.float64)
    blob.data[...] = values
    return blob


# --- as text ----------------------------------------------------------------------------------------------

def as_text(example: Example, width: int = 100) -> list[str]:
    """Return the numbers of an example as lines of text: name, shape, and a line for each row of the array."""
    arrays = [*example.given, *example.forward, *example.backward]
    names = max((len(name) for name, _ in arrays), default=0) + 2
    column = names + max((len(str(array.shape)) for _, array in arrays), default=0) + 2
    lines = []
    for head, group in (("Given", example.given), ("Forward", example.forward), ("Backward", example.backward)):
        lines += [head] if group else []
        for name, array in group:
            begin, rows = f"{name:{names}}{array.shape}", _rows(array)
            if 2 + column + max(map(len, rows)) > width:  # too wide to stand beside name and shape
                lines += [f"  {begin}", *(f"      {row}" for row in rows)]
            else:
                lines += [f"  {begin if i == 0 else '':{column}}{row}".rstrip() for i, row in enumerate(rows)]
    return lines


def _rows(array: np.ndarray) -> list[str]:
    """Return an array as lines of numbers. Each of several matrices begins with its index, such as [0, 1]."""
    cells = array.reshape(-1, array.shape[-1] if array.ndim else 1)
    texts = [[_number(value) for value in row] for row in cells]
    widths = [max(len(row[i]) for row in texts) for i in range(len(texts[0]))] if texts else []
    rows = ["  ".join(text.rjust(width) for text, width in zip(row, widths, strict=True)) for row in texts]
    if array.ndim < 3 or array.shape[:-2] == (1,) * (array.ndim - 2):
        return rows or ["(empty)"]
    places = [str(list(place)) for place in np.ndindex(*array.shape[:-2])]
    high, wide = array.shape[-2], max(map(len, places)) + 2
    return [f"{places[i // high] if i % high == 0 else '':{wide}}{row}" for i, row in enumerate(rows)]


def _number(value: float) -> str:
    """Return a number with a few digits; 0 for a number that is too small for them."""
    rounded = round(float(value), DECIMALS) + 0.0  # adding 0 makes 0 of −0
    return f"{rounded:.0f}" if rounded.is_integer() else f"{rounded:.{DIGITS}g}"
