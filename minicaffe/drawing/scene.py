"""Give everything that is drawn its place: boxes with their lines of text, frames around folds, lines, labels."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from minicaffe.drawing import words
from minicaffe.drawing.fold import Fold, Item, Leaf, block_names, by_block, present
from minicaffe.drawing.graph import Box, DrawnLayer, Edge, Graph
from minicaffe.drawing.layout import Line, Node, layout
from minicaffe.drawing.parts import (
    DOT,
    HEIGHT,
    INSET,
    LETTER,
    RIGHT,
    TOP,
    Blob,
    Dot,
    Frame,
    Placed,
    PlacedBox,
    Port,
    Row,
    Scene,
    Text,
    Wire,
)

NARROWEST = 96
MOST_LABELS = 4                         # tops of a box that have a label each
MOST_OUTPUTS = 8                        # of an item that are written one by one
PORT, WIDEST = 14, 480                  # pixels between ports without labels, and between the first and the last
FRAME = 14                              # between a frame and what is in it
PILL = 20                               # height of an output
FAR = 8                                 # a source and a reader that are more boxes apart get no line, but tags


def compose(graph: Graph, items: Sequence[Item]) -> Scene:
    """Place all that is drawn of a net."""
    shown = {box.index: boxes[0].index for item in items for boxes in present(item) for box in boxes}
    return _Level(graph, items, [], [], shown).placed().scene


class _Level:
    """The items that stand in one frame, or in none: the whole net.

    entries    the blobs that come from outside
    exits      the blobs that are read outside
    shown      the index of a box -> that of the box that the whole drawing has in its place
    """

    def __init__(self, graph: Graph, items: Sequence[Item], entries: list[Blob], exits: list[Blob],
                 shown: dict[int, int]) -> None:
        self.graph, self.items, self.entries, self.exits, self.shown = graph, items, entries, exits, shown
        self.holder: dict[int, int] = {}     # the index of a box -> that of the item that holds it
        self.drawn: dict[int, int] = {}      # the index of a box -> that of the box that is drawn for it
        for i, item in enumerate(items):
            for boxes in present(item):
                self.holder.update((box.index, i) for box in boxes)
                self.drawn.update((box.index, boxes[0].index) for box in boxes)
        self.placing = [self._measured(item) for item in items]
        self.tags = self._tags()
        self.before = len(entries) + len(set(self.tags.values()))  # nodes before those of the items
        self.nodes = [Node(DOT, DOT, 0, first=True) for _ in entries]
        self.pills: list[tuple[int, str, bool]] = []  # the node and the text of each, and whether it is a tag
        self.ended: set[Blob] = set()                 # blobs of which a line ends in a pill with their name
        for blob, _ in dict.fromkeys(self.tags.values()):
            self._pill(self._blob_words(blob), tag=True)
        self.nodes += [one.node for one in self.placing]
        self.lines: dict[Line, Wire] = {}  # with what is known of each before it has its way

    def placed(self) -> Placed:
        """Lay the items out, and put all into one scene."""
        self._join()
        self._add_ends()
        first_exit = len(self.nodes)
        for blob in self.exits:
            self.nodes.append(Node(DOT, DOT, 0, last=True))
            self._leave(blob, len(self.nodes) - 1)
        made = min((layout(self.nodes, list(self.lines), late) for late in ([False, True] if self.tags else [False])),
                   key=lambda way: way.width)  # tags stand at the left or at the right of what they belong to
        scene = Scene(cuts=made.cuts, width=made.width, height=made.height)
        scene.wires = _wires([wire._replace(points=points) for points, wire
                              in zip(made.routes, self.lines.values(), strict=True)])
        for i, one in enumerate(self.placing, self.before):
            scene.add(one.scene, made.x[i] - one.node.left, made.y[i])
            _add_ports(scene, one, made.x[i], made.y[i] + one.scene.height, self.ended)
        for node, text, tag in self.pills:
            scene.texts.append(Text(text, made.x[node], made.y[node], 2 * self.nodes[node].left, tag))
        middle = made.width / 2
        return Placed(scene, Node(middle, middle, made.height),
                      {blob: Port(made.x[first_exit + n] - middle, "", []) for n, blob in enumerate(self.exits)},
                      {blob: made.x[n] - middle for n, blob in enumerate(self.entries)})

    def _measured(self, item: Item) -> Placed:
        if isinstance(item, Leaf):
            return _boxed(self.graph, item)
        blocks = {box.index: n for boxes in present(item) for n, box in by_block(boxes, item.count)}
        drawn = {box.index: boxes[0].index for boxes in present(item) for box in boxes}
        entries = {Blob(e.maker, e.top) for e in self.graph.edges
                   if blocks.get(e.reader) == 0 and blocks.get(e.maker) != 0}
        exits = {Blob(drawn[e.maker], e.top) for e in self.graph.edges
                 if e.maker in blocks and blocks.get(e.reader) != blocks[e.maker]}
        inner = _Level(self.graph, item.items, sorted(entries), sorted(exits), self.shown).placed()
        return _framed(self.graph, item, inner)

    def _join(self) -> None:
        """Draw a line for each blob that goes from item to item, or comes from outside."""
        shift = self.before
        tag_of = {tag: n for n, tag in enumerate(dict.fromkeys(self.tags.values()), len(self.entries))}
        outside = {blob: n for n, blob in enumerate(self.entries)}
        for edge, only in self.graph.edges.items():
            blob, reader = Blob(edge.maker, edge.top), self.holder.get(edge.reader)
            if reader is None or reader == self.holder.get(edge.maker):
                continue
            into = self.placing[reader].entries
            if into and blob not in into:  # a later block reads it too: the first one stands for all
                continue
            if edge in self.tags:
                line = Line(tag_of[self.tags[edge]], "", 0.0, reader + shift)
            elif edge.maker in self.holder:
                maker, own = self.holder[edge.maker], Blob(self.drawn[edge.maker], edge.top)
                line = Line(maker + shift, str(own), self.placing[maker].ports[own].out, reader + shift, into.get(blob))
            elif blob in outside:
                line = Line(outside[blob], "", 0.0, reader + shift, into.get(blob))
            else:
                continue
            ends = self.shown[edge.maker], None if into else self.shown[edge.reader]
            self.lines.setdefault(line, Wire([], only, not into, *ends))

    def _add_ends(self) -> None:
        """Draw what the net puts out, which are the tops that no layer reads, and what goes on at a tag."""
        read = {(edge.maker, edge.top) for edge in self.graph.edges}
        for one, item in zip(self.placing, self.items, strict=True):
            last = {boxes[0].index: boxes[-1] for boxes in present(item)}
            unread = [blob for blob in one.ports if (last[blob.box].index, blob.top) not in read]
            for blob in unread[:MOST_OUTPUTS]:
                self._end(blob, self._blob_words(Blob(last[blob.box].index, blob.top)))
            if unread[MOST_OUTPUTS:]:
                self._end(unread[-1], f"{len(unread) - MOST_OUTPUTS} more")
            self.ended.update(unread)
        for blob in sorted({blob for blob, _ in self.tags.values()}):
            self._end(blob, self._blob_words(blob), tag=True)

    def _tags(self) -> dict[Edge, tuple[Blob, int]]:
        """Return the edges that are drawn as tags: labels, and other blobs of sources that layers far below read.

        In their place a wire ends in the blob's name, and others begin there. Readers one behind the other have one
        tag: it is given by the blob and the item of the first of them.
        """
        reading = {edge.reader for edge in self.graph.edges}
        deep = {edge.reader for edge in self.graph.edges if edge.maker in reading}  # they stand far from any source
        far = [(Blob(edge.maker, edge.top), self.holder[edge.reader], edge) for edge in self.graph.edges
               if edge.maker in self.holder and edge.reader in self.holder
               and edge.maker not in reading and edge.reader in deep
               and isinstance(self.items[self.holder[edge.maker]], Leaf)
               and isinstance(self.items[self.holder[edge.reader]], Leaf)
               and edge.reader - edge.maker > FAR]
        found: dict[Edge, tuple[Blob, int]] = {}
        before: tuple[Blob, int, int] | None = None  # the blob, the first reader and the last one of a tag
        for blob, reader, edge in sorted(far):
            if before is None or blob != before[0] or reader > before[2] + 1:
                before = blob, reader, reader
            before = blob, before[1], reader
            found[edge] = blob, before[1]
        return found

    def _blob_words(self, blob: Blob) -> str:
        """Return the name and the shape of a blob."""
        box = self.graph.boxes[blob.box]
        name = words.shortened(list(box.tops)[blob.top], words.WIDEST)
        return f"{name} {words.shape_words(self.graph, [box], blob.top)}".strip()

    def _end(self, blob: Blob, text: str, tag: bool = False) -> None:
        """End a line of a blob in a pill."""
        self.ended.add(blob)
        self._leave(blob, self._pill(text, tag))

    def _pill(self, text: str, tag: bool = False) -> int:
        """Make the node of a pill, and return its number."""
        wide = words.width(text) * LETTER["text"] + 16
        self.pills.append((len(self.nodes), text, tag))
        self.nodes.append(Node(wide / 2, wide / 2, PILL))
        return len(self.nodes) - 1

    def _leave(self, blob: Blob, node: int) -> None:
        """Draw a line from an item to a node that is no item."""
        maker = self.holder[blob.box]
        line = Line(maker + self.before, str(blob), self.placing[maker].ports[blob].out, node, 0.0)
        self.lines[line] = Wire([], maker=blob.box)


def _wires(wires: list[Wire]) -> list[Wire]:
    """Return wires of which those that begin alike share the way: each begins where it leaves the ones before.

    A way that all phases have is drawn first, so that it is not dashed.
    """
    seen, left = set(), []
    for wire in sorted(wires, key=lambda wire: bool(wire.only)):
        steps = list(pairwise(wire.points))
        first = next((n for n, step in enumerate(steps) if step not in seen), len(steps) - 1)
        seen.update(steps)
        left.append(wire._replace(points=wire.points[first:]))
    return left


# --- boxes --------------------------------------------------------------------------------------------------------

def _boxed(graph: Graph, leaf: Leaf) -> Placed:
    """Measure a box: its lines of text decide its size, and its tops leave at its lower edge."""
    rows, y = [], 0.0
    for n in range(len(leaf.boxes[0].layers)):
        layers = [box.layers[n] for box in leaf.boxes]
        texts = _row_texts(graph, layers, attached=n > 0)
        height = 2 * TOP + sum(HEIGHT[kind] for kind, *_ in texts)
        rows.append(Row(layers, texts, y, height))
        y += height
    wide = max(words.width(text) * LETTER[kind] for row in rows for kind, text, _ in row.texts) + INSET + RIGHT
    tops = list(leaf.boxes[0].tops)
    labels = [_label(graph, leaf.boxes, k) for k in range(len(tops))]
    step = max((words.width(label) * LETTER["text"] for label in labels), default=0) + 16
    if len(tops) > MOST_LABELS:
        same = len(set(labels)) == 1
        labels = [""] * (len(tops) - 1) + [labels[0] if same else ""]
        step = min(PORT, WIDEST / len(tops))
    wide = float(round(max(wide, NARROWEST, (len(tops) - 1) * step + 2 * PORT)))
    ports = {Blob(leaf.boxes[0].index, k): Port((k - (len(tops) - 1) / 2) * step, labels[k],
                                                [split for box in leaf.boxes
                                                 for split in box.splits.get(list(box.tops)[k], [])])
             for k in range(len(tops))}
    reach = max((port.out + 8 + words.width(port.label) * LETTER["text"] for port in ports.values()), default=0)
    scene = Scene(boxes=[PlacedBox(leaf, rows, 0, 0, wide, y)], width=wide, height=y)
    return Placed(scene, Node(wide / 2, max(wide / 2, reach), y), ports, {})


def _row_texts(graph: Graph, layers: list[DrawnLayer], attached: bool) -> list[tuple[str, str, bool]]:
    """Return the lines of a layer. One that runs in place is short: its type stands beside its name."""
    name = words.shortened(layers[0].name, words.WIDEST - 4) or "(no name)"
    kind = words.shortened(layers[0].type, words.WIDEST)
    if attached and words.width(name + kind) + 2 <= words.WIDEST:
        texts = [("text", f"{kind}  {name}", False)]
    else:
        texts = [("name", name, False), ("text", kind, False)]
    texts += [("text", line, True) for line in words.lines(graph, layers)]
    if layers[0].only:
        texts.append(("text", words.only_words(layers[0].only), False))
    return texts


def _label(graph: Graph, boxes: Sequence[Box], top: int) -> str:
    """Return the shape of a top, after its name where that is not the name of its layer."""
    shape, name = words.shape_words(graph, boxes, top), list(boxes[0].tops)[top]
    if len(boxes[0].tops) == 1 and (len(boxes) > 1 or any(layer.name == name for layer in boxes[0].layers)):
        return shape
    return f"{words.shortened(name, 20)} {shape}".strip()


def _add_ports(scene: Scene, one: Placed, x: float, y: float, ended: set[Blob]) -> None:
    """Write the labels of an item's ports below it, and draw the points at which blobs fork.

    A blob of which a line ends in a pill has its name there.
    """
    for blob, port in one.ports.items():
        if port.label and blob not in ended:
            scene.texts.append(Text(port.label, x + port.out + 7, y + (16 if one.entries else 13)))
        if port.splits:
            scene.dots.append(Dot(port.splits, x + port.out, y))


# --- frames -------------------------------------------------------------------------------------------------------

def _framed(graph: Graph, fold: Fold, inner: Placed) -> Placed:
    """Put a frame around the block of a fold, and write how often it comes, and from where to where.

    That stands at the left side, where the block is narrow.
    """
    texts = _fold_texts(graph, fold)
    side = _text_width(texts)
    flat = _flat(texts)
    if all(inner.scene.width / 2 + out > _text_width(flat) for out in inner.entries.values()):
        texts, side = flat, 0.0  # a wide block has room in its upper left corner
    wide, high = side + inner.scene.width + 2 * FRAME, max(inner.scene.height, 80) + 2 * FRAME
    scene = Scene(frames=[Frame(fold, texts, 0, 0, wide, high, side)], width=wide, height=high)
    scene.add(inner.scene, side + FRAME, FRAME)
    scene.frames[1:] = [frame._replace(inner=True) for frame in scene.frames[1:]]
    shift = side + FRAME + inner.scene.width / 2 - wide / 2  # from the middle of the frame to that of the block
    entries = {blob: out + shift for blob, out in inner.entries.items()}
    last = {boxes[0].index: boxes[-1] for boxes in present(fold)}
    ports = {blob: Port(port.out + shift, _label(graph, [last[blob.box]], blob.top), [])
             for blob, port in inner.ports.items()}
    for out in entries.values():
        scene.wires.append(Wire([(wide / 2 + out, 0), (wide / 2 + out, FRAME)]))
    for port in ports.values():
        scene.wires.append(Wire([(wide / 2 + port.out, FRAME + inner.scene.height), (wide / 2 + port.out, high)]))
    return Placed(scene, Node(wide / 2, wide / 2, high), ports, entries)


def _text_width(texts: list[tuple[str, str, bool]]) -> float:
    return float(round(max(words.width(text) * LETTER[kind] for kind, text, _ in texts) + 2 * RIGHT))


def _flat(texts: list[tuple[str, str, bool]]) -> list[tuple[str, str, bool]]:
    """Return the texts of a fold on three lines: how often it comes, from where to where, and the rest."""
    times, first, _, last, *others = texts
    rest = ", ".join(text for _, text, _ in others)
    return [times, ("text", f"{first[1]} … {last[1]}", True)] + [("text", rest, False)] * bool(rest)


def _fold_texts(graph: Graph, fold: Fold) -> list[tuple[str, str, bool]]:
    """Return '× 35', the names of the first and the last block, and what all cost together.

    Where no block reads another, it says that they stand side by side.
    """
    groups = list(present(fold))
    names = [words.shortened(name, 18) for name in block_names(fold)]
    layers = [layer for boxes in groups for box in boxes for layer in box.layers]
    costs = [("text", line, False) for line in words.costs([layers])]
    number = {box.index: n for boxes in groups for n, box in by_block(boxes, fold.count)}
    if not any(number.get(e.reader, number[e.maker]) != number[e.maker] for e in graph.edges if e.maker in number):
        costs.insert(0, ("text", "side by side", False))
    return [("name", f"× {fold.count}", False), ("text", names[0], True), ("text", "…", True),
            ("text", names[1], True), *costs]
