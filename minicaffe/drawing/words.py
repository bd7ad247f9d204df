"""The short texts in the boxes of a drawing and beside its lines."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Sequence
from typing import Any

from minicaffe.drawing.graph import Box, DrawnLayer, Graph, Shape
from minicaffe.log import one_line, plural, shape_text
from minicaffe.proto import is_repeated

WIDEST = 28          # letters in a line of a box
MOST_LINES = 4       # of fields in a box
MOST_VALUES = 6      # of a repeated field
LONGEST_VALUE = 24   # letters of a path or another text
UNITS = ((10**12, "T"), (10**9, "G"), (10**6, "M"), (10**3, "K"))


def count(number: int) -> str:
    """Return 431 as '431', 23520 as '23.5 K', 118013952 as '118 M'."""
    for size, unit in UNITS:
        if number >= size:
            value = number / size
            return f"{value:.1f} {unit}" if value < 100 else f"{value:.0f} {unit}"
    return str(number)


def shortened(text: object, most: int) -> str:
    """Return a text on one line; of one that is too long its middle is left out, since names differ at their ends."""
    line = one_line(text)
    if width(line) <= most:
        return line
    head, tail = most // 2, most - most // 2 - 1
    while width(line[:head] + line[-tail:]) > most - 1 and head > 1:  # wide letters, such as Chinese ones
        head, tail = head - 1, tail - 1
    return f"{line[:head]}…{line[-tail:]}"


def width(text: str) -> int:
    """Return how many places a text takes in letters of one width; Chinese and Japanese letters take two."""
    return sum(2 if unicodedata.east_asian_width(letter) in "WF" else not unicodedata.combining(letter)
               for letter in text)


def range_of(texts: Iterable[str]) -> str:
    """Return texts as one: a single one as it is, several numbers as '64…256', other texts as 'MAX, AVE, …'."""
    distinct = list(dict.fromkeys(texts))
    if len(distinct) == 1:
        return distinct[0]
    if all(text.isdigit() for text in distinct):
        return f"{min(distinct, key=int)}…{max(distinct, key=int)}"
    return ", ".join(distinct[:2]) + ", …" * (len(distinct) > 2)


# --- shapes ---------------------------------------------------------------------------------------------------

def shape_words(graph: Graph, boxes: Sequence[Box], top: int) -> str:
    """Return the shape of a top, given by its number, in words, '64×20×24×24'; '' where it is not known.

    Where phases have batches of different sizes, the batch is N. Where the boxes of a fold differ, an axis is '64…256'.
    """
    shapes = [(label, shape) for box in boxes for label, shape in list(box.tops.values())[top].items()
              if shape is not None]
    return shapes_in_words(graph, shapes)


def shapes_in_words(graph: Graph, shapes: Sequence[tuple[str, Shape]]) -> str:
    """Return the shapes that a blob has in several phases as one."""
    known = list(dict.fromkeys(shape for _, shape in shapes))
    if not known:
        return ""
    if len({len(shape) for shape in known}) > 1:
        return " or ".join(map(shape_text, known[:2]))
    axes = [range_of(str(shape[k]) for shape in known) for k in range(len(known[0]))]
    if axes and batches_differ(graph) and all(shape[0] == graph.batches[label] for label, shape in shapes):
        axes[0] = "N"
    return "×".join(axes) or "scalar"


def batches_differ(graph: Graph) -> bool:
    """Whether the phases have batches of different sizes."""
    return len({size for size in graph.batches.values() if size}) > 1


# --- layers ---------------------------------------------------------------------------------------------------

def only_words(only: Sequence[str]) -> str:
    """Return 'TRAIN only', or '' for a layer of all phases."""
    return f"{' and '.join(only)} only" if only else ""


def settings(layers: Sequence[DrawnLayer]) -> list[str]:
    """Return what is set in layers that are drawn as one: 'num_output 64', 'kernel_size 3', ... Fillers are left out.
    """
    found: dict[str, list[str]] = {}
    for layer in layers:
        for name, value in fields(layer.given):
            found.setdefault(name, []).append(value)
    return [f"{name} {range_of(values)}" for name, values in found.items()]


def lines(graph: Graph, layers: Sequence[DrawnLayer]) -> list[str]:
    """Return what stands below the type in a box: settings, costs, and whose parameters the layer uses."""
    found: list[str] = []
    for part in settings(layers):
        _append(found, part)
    if len(found) > MOST_LINES:
        found[MOST_LINES - 1:] = ["…"]
    if mults := [text for layer in layers if layer.type in graph.lr_mult and (text := lr_mults(layer.given))]:
        found.append(f"lr_mult {range_of(mults)}")
    costly = costs([[layer] for layer in layers])
    if len(costly) > 1 and width(", ".join(costly)) <= WIDEST + 3:  # 9.5 K params, 118 M mult-adds
        found.append(", ".join(costly))
    else:
        for part in costly:
            _append(found, part)
    return found + ([share_line(graph, layers[0])] if layers[0].shares else [])


def lr_mults(given: Any) -> str:
    """Return the lr_mult of a layer's weights and of its bias, '1, 2'; '' where neither learns."""
    mults = [param.lr_mult for param in given.param[:2]]
    mults += [1.0] * (2 - len(mults))
    return ", ".join(f"{mult:g}" for mult in mults) if any(mults) else ""


def _append(lines: list[str], part: str) -> None:
    """Add to the last line what fits into it, else begin a new one."""
    if lines and width(lines[-1]) + 2 + width(part) <= WIDEST:
        lines[-1] += f", {part}"
    else:
        lines.append(shortened(part, WIDEST))


def fields(given: Any) -> Iterable[tuple[str, str]]:
    """Yield the name and the value of each field that is set, of those that say what a layer computes."""
    if given.loss_weight:
        yield "loss_weight", ",".join(f"{weight:g}" for weight in given.loss_weight)
    for message, param in given.ListFields():
        if message.message_type is None or not message.name.endswith("_param"):
            continue
        for field, value in param.ListFields():
            kind = field.message_type.name if field.message_type else ""
            if kind != "FillerParameter" and field.name != "engine":
                yield field.name, _value(field, value)


def _value(field: Any, value: Any) -> str:
    """Return the value of a field on one line."""
    if is_repeated(field):
        shown = ",".join(_single(field, one) for one in value[:MOST_VALUES])
        return shown + ",…" * (len(value) > MOST_VALUES)
    return _single(field, value)


def _single(field: Any, value: Any) -> str:
    if field.message_type is not None:
        if field.message_type.name == "BlobShape":
            return shape_text(value.dim)
        return "{" + " ".join(f"{inner.name} {_value(inner, held)}" for inner, held in value.ListFields()) + "}"
    if field.enum_type is not None:
        return str(field.enum_type.values_by_number[value].name)
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return f"{value:g}"
    return shortened(value if not isinstance(value, str) else value.rstrip("/").rpartition("/")[2], LONGEST_VALUE)


def costs(groups: Sequence[Sequence[DrawnLayer]]) -> list[str]:
    """Return ['23.5 K params', '118 M mult-adds'], each only where there are any, summed over the layers of a group.

    Of groups that differ the least and the most are given.
    """
    said = []
    for which, what in (("parameters", "params"), ("multiply_adds", "mult-adds")):
        sums = sorted({sum(getattr(next(iter(layer.facts.values())), which) for layer in group) for group in groups})
        if sums[-1]:
            said.append(f"{'…'.join(count(number) for number in dict.fromkeys((sums[0], sums[-1])))} {what}")
    return said


def share_line(graph: Graph, layer: DrawnLayer) -> str:
    """Return whose parameters a layer uses; '' where it has its own."""
    if not layer.shares:
        return ""
    return shortened("parameters of " + ", ".join(graph.layers[owner].name for owner in layer.shares), WIDEST)


def title(graph: Graph, layer: DrawnLayer) -> str:
    """Return a layer in one sentence, for a pointer that rests on its box and for screen readers."""
    parts = [f"{shortened(layer.name, 200)}, {shortened(layer.type, 60)}"]
    facts = [(label, f) for label, f in layer.facts.items()]
    for side, word in (("bottoms", "reads"), ("tops", "makes")):
        names = list(dict.fromkeys(name for _, f in facts for name, _ in getattr(f, side)))
        said = []
        for name in names[:MOST_VALUES]:
            shapes = [(label, s) for label, f in facts for n, s in getattr(f, side) if n == name and s is not None]
            said.append(f"{shortened(name, 60)} {shapes_in_words(graph, shapes)}".strip())
        if said:
            parts.append(f"{word} {', '.join(said)}" + ", …" * (len(names) > MOST_VALUES))
    parts += filter(None, (*costs([[layer]]), only_words(layer.only), share_line(graph, layer)))
    return "; ".join(parts)


def number_of_layers(splits: Iterable[bool]) -> str:
    """Return '11 layers and 2 Splits'. For each layer it is given whether it is a Split."""
    inserted = list(splits)
    layers = plural(inserted.count(False), "layer")
    return f"{layers} and {plural(sum(inserted), 'Split')}" if any(inserted) else layers


def remarks(graph: Graph) -> list[str]:
    """Return what stands above a drawing: the sums, and what its signs mean that occur in it."""
    known = " a sample" if any(graph.batches.values()) else ""
    found = [", ".join([number_of_layers(layer.is_split for layer in graph.layers), *costs([graph.layers])]) + known]
    if batches_differ(graph):
        found.append("N is " + ", ".join(f"{size} in {label}" for label, size in graph.batches.items()))
    if any(layer.only for layer in graph.layers):
        found.append("dashed: one phase only")
    if any(layer.is_split for layer in graph.layers):
        found.append("dot: several layers read the blob, by a Split")
    if any(layer.shares for layer in graph.layers):
        found.append("dotted: layers that share parameters")
    return found


def block_name(names: Sequence[str]) -> str:
    """Return what the names of a block's layers begin with, 'inception_4b'; else the first of them."""
    begin = beginning(names).rstrip("/_-. ")
    return begin if len(begin) > 1 else names[0]


def beginning(names: Sequence[str]) -> str:
    """Return the letters with which all names begin."""
    first, last = min(names), max(names)
    same = next((k for k, (a, b) in enumerate(zip(first, last, strict=False)) if a != b), min(len(first), len(last)))
    return first[:same]
