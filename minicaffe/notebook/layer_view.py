"""How a Layer shows itself: what is set in it, its learned blobs, and its formulas from the datasheet."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator

from minicaffe import layout
from minicaffe.layer import Layer
from minicaffe.layers import datasheet
from minicaffe.log import one_line, shape_text
from minicaffe.notebook.frame import facts, frame
from minicaffe.pages import clean
from minicaffe.proto import is_repeated
from minicaffe.proto import text as proto_text

FORMULAS = ("Forward", "Backward")
IN_TITLE = ("name", "type", "bottom", "top")
LEFT_OUT = (*IN_TITLE, "blobs", "phase", "include", "exclude")
LONGEST = 400  # letters of a field: a list may have thousands of values
WIDTH = 100  # letters of a line in a notebook
COLUMN = 10  # where a text begins behind its label, as in datasheets


def text(layer: Layer) -> str:
    """Return the lines for a terminal."""
    width, lines = layout.terminal_width(), [_title(layer)]
    rows = [*(("Set", field) for field in set_fields(layer)), *_blobs(layer)]
    for k, (label, words) in enumerate(rows):
        shown = "" if k and rows[k - 1][0] == label else label
        lines += layout.wrap(words, width, shown.ljust(COLUMN), " " * COLUMN)
    return "\n".join([*lines, *([layout.prose(sheet, width)] if (sheet := formulas(layer)) else [])])


def html(layer: Layer) -> str:
    """Return the HTML for a notebook."""
    rows = [("set", "<br>".join(f"<code>{clean(field)}</code>" for field in set_fields(layer))),
            *((label.lower(), clean(words)) for label, words in _blobs(layer))]
    told, sheet = summary(layer), formulas(layer)
    return frame(_title(layer), f"<p>{clean(told)}</p>" if told else "", facts([row for row in rows if row[1]]),
                 f"<pre>{clean(layout.prose(sheet, WIDTH))}</pre>" if sheet else "")


def summary(layer: Layer) -> str:
    """Return the first sentence of the docstring of the layer's class."""
    return " ".join(_sheet(layer).split("\n\n")[0].split())


def formulas(layer: Layer) -> str:
    """Return the formulas of the layer's datasheet; an empty string for a user's layer that has none."""
    others = "|".join(label for label in datasheet.LABELS if label not in FORMULAS)
    found = re.search(rf"^({'|'.join(FORMULAS)})  .*?(?=^({others})(  |$)|\Z)", _sheet(layer), re.MULTILINE | re.DOTALL)
    return found[0].rstrip() if found else ""


def set_fields(layer: Layer) -> Iterator[str]:
    """Yield each field that is set in the definition, as prototxt on one line; without what the title says."""
    for field, value in layer.layer_param.ListFields():
        if field.name in LEFT_OUT:
            continue
        alone = type(layer.layer_param)()
        if is_repeated(field):
            getattr(alone, field.name).extend(value)
        elif field.message_type is not None:
            getattr(alone, field.name).CopyFrom(value)
        else:
            setattr(alone, field.name, value)
        line = " ".join(part.strip() for part in proto_text.format(alone).splitlines())
        yield line if len(line) <= LONGEST else line[:LONGEST] + " …"


def _title(layer: Layer) -> str:
    """Return the layer's type, name, bottoms and tops."""
    param = layer.layer_param
    way = " → ".join(", ".join(map(one_line, names)) for names in (param.bottom, param.top) if names)
    return f"{type(layer).type or type(layer).__name__} layer {layer.name!r}" + (f": {way}" if way else "")


def _blobs(layer: Layer) -> list[tuple[str, str]]:
    return [("Blobs", ", ".join(shape_text(blob.shape) for blob in layer.blobs))] if layer.blobs else []


def _sheet(layer: Layer) -> str:
    """Return the docstring of the layer's class, not that of a base, which describes another type."""
    return inspect.cleandoc(vars(type(layer)).get("__doc__") or "")
