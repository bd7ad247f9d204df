"""Write a scene as SVG. In a page it has the page's colours; in a file of its own it brings colours along."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from minicaffe.drawing import words
from minicaffe.drawing.fold import present
from minicaffe.drawing.graph import DrawnLayer, Graph
from minicaffe.drawing.parts import (
    DOT,
    HEIGHT,
    INSET,
    LETTER,
    RIGHT,
    TOP,
    Dot,
    Frame,
    PlacedBox,
    Scene,
    Text,
    Wire,
)
from minicaffe.layers import FAMILIES
from minicaffe.pages import asset, clean

MARGIN = 16
LEGEND = 22    # height of a line of the legend
NARROWEST = 460
BAR = 6        # width of the bar whose colour is that of the family
TAGS = "a name in grey: the line goes on where the same name stands"


def write(graph: Graph, scene: Scene, *, prefix: str = "", interactive: bool = False) -> str:
    """Return the scene as an <svg>.

    prefix         what ids begin with, where a page holds several drawings
    interactive    whether boxes are buttons; else a screen reader takes the whole drawing for one image
    """
    remarks = words.remarks(graph) + [TAGS] * any(text.tag for text in scene.texts)
    legend, top = _legend(graph, remarks)
    wide = round(max(scene.width, NARROWEST, *(LETTER["text"] * words.width(line) for line in remarks)))
    wide += 2 * MARGIN
    high = top + scene.height + MARGIN
    role = 'role="group"' if interactive else 'role="img"'
    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" class="net-drawing" viewBox="0 0 {wide:g} {high:g}" '
             f'width="{wide:g}" height="{high:g}" {role} aria-labelledby="{prefix}drawing-title {prefix}drawing-desc">',
             f'<title id="{prefix}drawing-title">{clean(_name(graph))}</title>',
             f'<desc id="{prefix}drawing-desc">{clean("; ".join(remarks))}</desc>',
             f"<style>\n{asset('minicaffe.drawing', 'svg.css')}</style>",
             f'<rect class="ground" width="{wide:g}" height="{high:g}"/>', *legend,
             f'<g transform="translate({MARGIN + (wide - 2 * MARGIN - scene.width) / 2:g} {top:g})">']
    for frame in scene.frames:
        parts += _frame(frame, interactive and not frame.inner)
    parts += ['<g class="wires">', *(_wire(graph, wire) for wire in scene.wires), "</g>"]
    parts += [_text(text) for text in scene.texts]
    for box in sorted(scene.boxes, key=lambda box: box.leaf.boxes[0].index):
        parts += _box(graph, box, prefix, interactive)
    parts += [_dot(graph, dot, prefix) for dot in scene.dots]
    parts += _shares(graph, scene)
    return "\n".join([*parts, "</g>", "</svg>", ""])


# --- parts --------------------------------------------------------------------------------------------------------

def _box(graph: Graph, box: PlacedBox, prefix: str, interactive: bool) -> Iterator[str]:
    """Write the layers of a box, each as a group."""
    for n, row in enumerate(box.rows):
        family = row.layers[0].family or "other"
        classes = f"layer {family}" + " in-place" * (n > 0) + " some-phases" * bool(row.layers[0].only)
        button = ' tabindex="-1" role="button"' if interactive else ""
        y = box.y + row.y
        yield f'<g class="{classes}" {_ids(row.layers, prefix)}{button}>'
        yield f"<title>{clean(words.title(graph, row.layers[0]))}</title>"
        yield f'<rect class="box" x="{box.x:g}" y="{y:g}" width="{box.width:g}" height="{row.height:g}" rx="4"/>'
        yield f'<rect class="bar" x="{box.x:g}" y="{y:g}" width="{BAR}" height="{row.height:g}" rx="2"/>'
        yield from _texts(row.texts, box.x + INSET, y + TOP)
        yield "</g>"


def _texts(texts: Sequence[tuple[str, str, bool]], x: float, y: float) -> Iterator[str]:
    """Write lines of text, one below the other."""
    for kind, text, quiet in texts:
        y += HEIGHT[kind]
        classes = kind + " quiet" * quiet
        yield f'<text class="{classes}" x="{x:g}" y="{y - 3.5:g}">{clean(text)}</text>'


def _ids(layers: Sequence[DrawnLayer], prefix: str) -> str:
    """Return the id of a layer; in a fold, `data-layers` names the layers that it stands for too."""
    index = layers[0].index
    every = " ".join(str(layer.index) for layer in layers)
    return f'id="{prefix}layer-{index}" data-layer="{index}" data-layers="{every}"'


def _dot(graph: Graph, dot: Dot, prefix: str) -> str:
    """Write the point at which a blob forks. Where several phases have Splits there, each gets a circle."""
    return "\n".join(f'<g class="layer split" {_ids([split], prefix)}><title>{clean(words.title(graph, split))}</title>'
                     f'<circle cx="{dot.x:g}" cy="{dot.y:g}" r="{DOT:g}"/></g>' for split in dot.splits)


def _frame(frame: Frame, opens: bool) -> Iterator[str]:
    """Write a frame, with sheets behind it that say that it stands for several. data-fold is its first layer."""
    first = next(present(frame.fold))[0].layers[0].index
    button = ' tabindex="-1" role="button"' if opens else ""
    yield f'<g class="fold" data-count="{frame.fold.count}" data-fold="{first}"{button}>'
    said = "; ".join(text for _, text, _ in frame.texts)
    yield f"<title>{clean(said)}{'; open all of them' if opens else ''}</title>"
    for shift in (5, 2.5, 0):
        yield (f'<rect x="{frame.x + shift:g}" y="{frame.y + shift:g}" width="{frame.width:g}" '
               f'height="{frame.height:g}" rx="6"/>')
    if frame.side:
        yield (f'<rect class="side" x="{frame.x:g}" y="{frame.y:g}" width="{frame.side:g}" '
               f'height="{frame.height:g}" rx="6"/>')
    top = frame.y + (frame.height / 2 - 8 * len(frame.texts) if frame.side else TOP)
    yield from _texts(frame.texts, frame.x + RIGHT, top)
    yield "</g>"


def _wire(graph: Graph, wire: Wire) -> str:
    """Write a line: straight where it goes down or to the side, else a bend between two vertical directions.

    data-from and data-to name the layers with which the boxes at its ends begin.
    """
    (x, y), *rest = wire.points
    way = [f"M{x:g} {y:g}"]
    for to, below in rest:
        if to == x:
            way.append(f"V{below:g}")
        elif below == y:
            way.append(f"H{to:g}")
        else:
            half = (y + below) / 2
            way.append(f"C{x:g} {half:g} {to:g} {half:g} {to:g} {below:g}")
        x, y = to, below
    classes = "wire" + (f" some-phases {wire.only[0].lower()}" if wire.only else "")
    ends = "".join(f' data-{word}="{graph.boxes[box].layers[0].index}"'
                   for word, box in (("from", wire.maker), ("to", wire.reader)) if box is not None)
    line = f'<path class="{classes}"{ends} d="{"".join(way)}"/>'
    return line + (f'<path class="tip" d="M{x:g} {y:g}l-3.5 -7h7z"/>' if wire.tip else "")


def _shares(graph: Graph, scene: Scene) -> Iterator[str]:
    """Join the layers that share parameters, from side to side, or around where one stands below the other."""
    at = {layer.index: (box.x, box.x + box.width, box.y + row.y + 14) for box in scene.boxes for row in box.rows
          for layer in row.layers[:1]}
    for layer in graph.layers:
        for owner, names in layer.shares.items():
            if layer.index not in at or owner not in at:
                continue
            left, right = sorted((at[owner], at[layer.index]))
            (_, x1, y1), (x2, other, y2) = left, right
            if x2 >= x1:
                way = f"M{x1:g} {y1:g}C{x1 + 30:g} {y1:g} {x2 - 30:g} {y2:g} {x2:g} {y2:g}"
            else:
                far = max(x1, other) + 24
                way = f"M{x1:g} {y1:g}C{far:g} {y1:g} {far:g} {y2:g} {other:g} {y2:g}"
            said = f"{layer.name} has parameters of {graph.layers[owner].name}: {', '.join(names)}"
            yield f'<path class="shares" d="{way}"><title>{clean(words.shortened(said, 200))}</title></path>'


def _text(text: Text) -> str:
    """Write a label, or an output or a tag in its outline."""
    if not text.pill:
        return f'<text class="text shape" x="{text.x:g}" y="{text.y:g}">{clean(text.text)}</text>'
    kind = "tag" if text.tag else "output"
    return (f'<rect class="{kind}" x="{text.x - text.pill / 2:g}" y="{text.y:g}" width="{text.pill:g}" height="20" '
            f'rx="10"/><text class="text" text-anchor="middle" x="{text.x:g}" y="{text.y + 14:g}">{clean(text.text)}'
            f"</text>")


# --- legend -------------------------------------------------------------------------------------------------------

def _legend(graph: Graph, remarks: Sequence[str]) -> tuple[list[str], float]:
    """Return what stands above the drawing, the net's name, the families with their colours and the sums; and its
    height."""
    x = y = MARGIN
    parts = [f'<text class="heading" x="{x}" y="{y + 14}">{clean(_name(graph))}</text>']
    y += LEGEND
    used = {layer.family for layer in graph.layers if not layer.is_split}
    for family in [family for family in (*FAMILIES, "") if family in used]:
        word = family or "other"
        parts.append(f'<g class="{word}"><rect class="bar" x="{x}" y="{y + 2}" width="{BAR}" height="12" rx="2"/>'
                     f'<text class="text" x="{x + BAR + 4}" y="{y + 12}">{word}</text></g>')
        x += BAR + 22 + round(words.width(word) * LETTER["text"])
    for line in remarks:
        y += LEGEND - 4
        parts.append(f'<text class="text quiet" x="{MARGIN}" y="{y + 12}">{clean(line)}</text>')
    return parts, y + LEGEND + 4


def _name(graph: Graph) -> str:
    return words.shortened(graph.name or "a net without a name", 60)
