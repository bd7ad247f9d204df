"""How a Net shows itself: a table of its layers; in a notebook also its drawing."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from itertools import count as counting

import numpy as np

from minicaffe import layout
from minicaffe.drawing import draw
from minicaffe.drawing.words import number_of_layers
from minicaffe.log import one_line, shape_text
from minicaffe.net import Net
from minicaffe.notebook.frame import frame, table
from minicaffe.passes.insert_splits import is_split
from minicaffe.proto import TRAIN

HEAD = ("layer", "type", "blobs", "shapes", "parameters")
RIGHT = (4,)  # columns that are aligned to the right
MOST_LINES = 60  # in a terminal. Of a longer net, the layers in the middle are left out
MOST_ROWS = 500  # the same in a notebook, where a table can be scrolled
MOST_DRAWN = 400  # a larger drawing takes seconds; `minicaffe draw` makes it
_numbers = counting()  # of the drawings that were shown
MOST_BLOBS = 3  # of a layer with more bottoms or tops, the others are counted


def text(net: Net) -> str:
    """Return the lines for a terminal."""
    return "\n".join([_title(net), *layout.table([HEAD, *_rows(net, MOST_LINES)], right=RIGHT, lead=2)])


def html(net: Net) -> str:
    """Return the HTML for a notebook."""
    drawing = f'<div class="scroll">{_drawing(net)}</div>' if len(net.layers) <= MOST_DRAWN else ""
    rows = table([(*HEAD[:2], "bottoms → tops", *HEAD[3:]), *_rows(net, MOST_ROWS)], RIGHT)
    return frame(_title(net), f'<div class="beside">{drawing}{rows}</div>')


def _drawing(net: Net) -> str:
    """Return the drawing. A notebook is one page with many drawings, some from an earlier run: no two share ids."""
    drawing = draw(net, fold=None)
    return drawing.svg(f"n{zlib.crc32(drawing.svg().encode()):08x}-{next(_numbers)}-")


def _title(net: Net) -> str:
    count = sum(param.blob.count for param in net.learnable_params)
    layers = number_of_layers(is_split(layer) for layer in net.layers)
    return (f"Net {net.name!r}: {layers}, {count:,} parameters, "
            f"{'TRAIN' if net.phase == TRAIN else 'TEST'}, {np.dtype(net.dtype)}"
            + (", shapes only" if net.shapes_only else ""))


def _rows(net: Net, most: int) -> list[tuple[str, ...]]:
    """Return a row for each layer. Where these are more than `most`, a row in the middle counts those left out."""
    layers, half = range(len(net.layers)), most // 2
    owned = {id(param.blob) for param in net.learnable_params}
    if len(layers) <= most:
        return [_row(net, i, owned) for i in layers]
    gap = ("…", f"{len(layers) - 2 * half:,} more layers", "", "", "")
    return [*(_row(net, i, owned) for i in layers[:half]), gap, *(_row(net, i, owned) for i in layers[-half:])]


def _row(net: Net, i: int, owned: set[int]) -> tuple[str, ...]:
    layer, names = net.layers[i], net.wiring.blob_names
    way = [_few([one_line(names[b]) for b in ids]) for ids in (net.wiring.bottoms[i], net.wiring.tops[i])]
    count = sum(blob.count for blob in layer.blobs if id(blob) in owned)
    parameters = f"{count:,}" if count else "shared" if layer.blobs else layout.NOTHING
    return (one_line(layer.name), layer.type, " → ".join(way).strip(),
            _few([shape_text(top.shape) for top in net.tops[i]]), parameters)


def _few(words: Sequence[str]) -> str:
    return ", ".join(words) if len(words) <= MOST_BLOBS else f"{words[0]}, … ({len(words)})"
