"""Write a drawing as a page: the drawing on the left, and everything about the chosen layer on the right."""

from __future__ import annotations

import html
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from minicaffe.drawing import svg, words
from minicaffe.drawing.columns import in_columns
from minicaffe.drawing.fold import Fold, Item, opened, present, unfolded
from minicaffe.drawing.graph import DrawnLayer, Graph
from minicaffe.drawing.scene import compose
from minicaffe.layer import registered_types
from minicaffe.layers import datasheet
from minicaffe.log import shape_text
from minicaffe.pages import page
from minicaffe.pages.page import asset
from minicaffe.proto import text as proto_text

if TYPE_CHECKING:
    from minicaffe.drawing.drawing import Drawing

MOST_BOXES = 800     # of a folded net whose page also holds the drawing with all blocks
MOST_FOLDS = 6       # that can be opened one by one
LONGEST_FIELDS = 20_000  # letters of a layer's definition; weights in it may have millions


def write(drawing: Drawing) -> str:
    """Return the page."""
    graph = drawing.graph
    return page(graph.name or "A net", _body(graph, list(_views(drawing))),
                styles=[asset("minicaffe.drawing", "page.css")],
                scripts=[asset("minicaffe.drawing", "page.js")], data=_data(drawing))


def _views(drawing: Drawing) -> Iterator[str]:
    """Yield the drawing, then again with each fold open, then with all of them open, as far as that is not too much."""
    graph, folds = drawing.graph, [item for item in drawing.items if isinstance(item, Fold)]
    yield _view(svg.write(graph, drawing.scene, interactive=True))
    if not folds or len(graph.boxes) > MOST_BOXES:
        return
    for fold in folds if 1 < len(folds) <= MOST_FOLDS else []:
        first = next(present(fold))[0].layers[0].index
        yield _opened(drawing, opened(drawing.items, fold), str(first))
    yield _opened(drawing, unfolded(graph), "all")


def _opened(drawing: Drawing, items: Sequence[Item], name: str) -> str:
    """Return a view of some items. Its name begins the ids in it."""
    scene = in_columns(compose(drawing.graph, items), drawing.width)
    drawn = svg.write(drawing.graph, scene, prefix=f"{name}-", interactive=True)
    return _view(drawn, f' data-open="{name}" hidden')


def _view(drawn: str, more: str = "") -> str:
    return f'<div class="view"{more}>{drawn}</div>'


def _body(graph: Graph, views: list[str]) -> str:
    """Return the page's HTML: buttons, the drawing, and the room for the chosen layer."""
    names = "".join(f'<option value="{html.escape(words.shortened(layer.name, 100))}">' for layer in graph.layers
                    if not layer.is_split)
    and_opens = "; on a frame, it opens the frame" if len(views) > 1 else ""
    unfold = '<button id="unfold">All blocks</button>' if len(views) > 1 else ""
    return f"""<main class="draw">
<header>
<label>Find a layer <input id="find" list="names" autocomplete="off"></label><datalist id="names">{names}</datalist>
<span class="zoom" role="group" aria-label="Size of the drawing"><button id="smaller" aria-label="Smaller">−</button>
<button id="fit">Fit the width</button><button id="natural">100 %</button>
<button id="larger" aria-label="Larger">+</button></span>
{unfold}
<span class="keys">A click on a layer, or <kbd>Enter</kbd>, shows all about it{and_opens}. <kbd>↑</kbd>
<kbd>↓</kbd> go from layer to layer, <kbd>+</kbd> <kbd>−</kbd> change the size, <kbd>Esc</kbd> closes.</span>
</header>
<section id="drawing" aria-label="Drawing of the net">{"".join(views)}</section>
<aside id="sheet" aria-live="polite" aria-label="The chosen layer" tabindex="0" hidden></aside>
</main>"""


def _data(drawing: Drawing) -> dict[str, Any]:
    """Return what the script shows of each layer, and the datasheet of each type once."""
    graph = drawing.graph
    known = registered_types()
    types = {layer.type: [[label, text] for label, text in _sheet(layer.type)] for layer in graph.layers
             if layer.type in known}
    groups = [[layer.index for layer in same] for item in drawing.items for boxes in present(item) if len(boxes) > 1
              for same in zip(*(box.layers for box in boxes), strict=True)]
    group_of = {index: n for n, group in enumerate(groups) for index in group}
    return {"layers": [_layer(graph, layer, group_of.get(layer.index)) for layer in graph.layers], "groups": groups,
            "types": types}


def _sheet(kind: str) -> list[tuple[str, str]]:
    """Return the parts of a type's datasheet: ('', its first words), then label by label."""
    sheet = datasheet.datasheet(kind)
    return [("", datasheet.introduction(sheet)), *datasheet.sections(sheet).items()]


def _layer(graph: Graph, layer: DrawnLayer, group: int | None) -> dict[str, Any]:
    """Return what the page shows of a layer; `group` is the number of its group of layers that are drawn as one."""
    fields = type(layer.given)()
    fields.CopyFrom(layer.given)
    fields.ClearField("blobs")  # weights
    text = proto_text.format(fields)
    if len(text) > LONGEST_FIELDS:
        text = text[:LONGEST_FIELDS] + "\n…"
    return {"name": layer.name, "type": layer.type, "only": words.only_words(layer.only), "fields": text,
            "group": group,
            "shares": [[owner, ", ".join(names)] for owner, names in layer.shares.items()],
            "facts": [{"phase": label if len(graph.labels) > 1 else "",
                       "bottoms": [[name, _shape(shape)] for name, shape in facts.bottoms],
                       "tops": [[name, _shape(shape)] for name, shape in facts.tops],
                       "parameters": facts.parameters, "multiplyAdds": facts.multiply_adds}
                      for label, facts in layer.facts.items()]}


def _shape(shape: tuple[int, ...] | None) -> str:
    return "" if shape is None else shape_text(shape)
