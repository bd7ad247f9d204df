"""Write a drawing in the language of graphviz, which places everything itself."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from minicaffe.drawing import words
from minicaffe.drawing.fold import Fold, Item, Leaf, block_names, present
from minicaffe.drawing.graph import Edge, Graph

FILLS = {"data": "#d5edf0", "vision": "#dbe8f7", "recurrent": "#e6def5", "common": "#dfe3fa", "activation": "#dff0dd",
         "normalization": "#f3e7cf", "utility": "#e9eaec", "detection": "#f9dfee", "loss": "#f7dcdc", "": "#ffffff"}


RANKDIRS = ("TB", "BT", "LR", "RL")  # graphviz's names of directions: "TB" is from top to bottom


def write(graph: Graph, items: Sequence[Item], rankdir: str = "TB", labels: bool = True) -> str:
    """Return the drawing as a digraph. A fold is a cluster, whose label is its number of repetitions.

    rankdir    the direction of the drawing, one of RANKDIRS
    labels     whether shapes stand beside the lines
    """
    drawn = {box.index: boxes[0].index for item in items for boxes in present(item) for box in boxes}
    lines = [f"digraph {_quoted(graph.name or 'net')} {{",
             *([f"  rankdir={rankdir};"] if rankdir != "TB" else []),
             '  node [shape=box, style=filled, fontname="monospace", fontsize=10];',
             '  edge [fontname="monospace", fontsize=9];', *_items(graph, items, "  ")]
    for (maker, top, reader), edges in _ways(graph, drawn).items():
        only = edges[0][1]
        boxes = [graph.boxes[edge.maker] for edge, _ in edges]
        names = list(boxes[0].tops)
        blob = " ".join(filter(None, (words.shortened(names[top], 20) if len(names) > 1 else "",
                                      words.shape_words(graph, boxes, top))))
        label = ", ".join(filter(None, (blob, words.only_words(only))))
        # the spaces keep the label off the line
        style = [f"label={_quoted(f' {label} ')}"] * labels + ["style=dashed"] * bool(only)
        lines.append(f"  b{maker} -> b{reader} [{', '.join(style)}];")
    return "\n".join([*lines, "}", ""])


def _ways(graph: Graph, drawn: dict[int, int]) -> dict[tuple[int, int, int], list[tuple[Edge, tuple[str, ...]]]]:
    """Return for each line, given by the box, the top and the box below, the edges that it stands for.

    What a block of a fold reads from the block before has no line.
    """
    ways: dict[tuple[int, int, int], list[tuple[Edge, tuple[str, ...]]]] = {}
    for edge, only in graph.edges.items():
        ends = drawn[edge.maker], edge.top, drawn[edge.reader]
        if ends[0] < ends[2]:
            ways.setdefault(ends, []).append((edge, only))
    return ways


def _items(graph: Graph, items: Sequence[Item], indent: str) -> Iterator[str]:
    for item in items:
        if isinstance(item, Fold):
            first = next(present(item))[0].index
            yield f"{indent}subgraph cluster_{first} {{"
            names = " … ".join(words.shortened(name, 40) for name in block_names(item))
            yield f"{indent}  label={_quoted(f'× {item.count}: {names}')};"
            yield from _items(graph, item.items, indent + "  ")
            yield f"{indent}}}"
        else:
            yield _box(graph, item, indent)


def _box(graph: Graph, leaf: Leaf, indent: str) -> str:
    box = leaf.boxes[0]
    parts = []
    for n, layer in enumerate(box.layers):
        layers = [one.layers[n] for one in leaf.boxes]
        parts += [f"{words.shortened(layer.name, 60)} ({words.shortened(layer.type, 40)})", *words.lines(graph, layers),
                  *([words.only_words(layer.only)] if layer.only else [])]
    family = box.layers[0].family
    return f'{indent}b{box.index} [label={_quoted(*parts)}, fillcolor="{FILLS[family]}"];'


def _quoted(*lines: str) -> str:
    """Return lines of text as a string of graphviz, to which a backslash begins an escape."""
    escaped = (words.shortened(line, 200).replace("\\", "\\\\").replace('"', '\\"') for line in lines)
    return '"' + "\\n".join(escaped) + '"'
