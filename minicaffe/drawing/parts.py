"""What a drawing is made of, each part with its place: boxes with their lines of text, frames, wires, labels."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from minicaffe.drawing.fold import Fold, Leaf
from minicaffe.drawing.graph import DrawnLayer
from minicaffe.drawing.layout import Node

LETTER = {"name": 7.25, "text": 6.65}   # pixels that a letter of each kind takes, in a font of one width
HEIGHT = {"name": 16, "text": 14}       # of a line
INSET, RIGHT, TOP = 14, 9, 5            # between the edge of a box and its text; at the left stands the family's bar
DOT = 4.5                               # radius of the point at which a blob forks


class Blob(NamedTuple):
    """A top of a box; both are given by their index."""

    box: int
    top: int


class Row(NamedTuple):
    """A layer in its box: what is written, and where it begins. In a fold it stands for a layer of each block."""

    layers: list[DrawnLayer]
    texts: list[tuple[str, str, bool]]  # kind of letters, text, whether it is the quieter kind
    y: float
    height: float


class PlacedBox(NamedTuple):
    leaf: Leaf
    rows: list[Row]
    x: float
    y: float
    width: float
    height: float


class Frame(NamedTuple):
    """Around the block of a fold.

    side     the width of the part at the left in which stands what the fold is; 0 where that stands at the top
    inner    whether it is a frame in another one
    """

    fold: Fold
    texts: list[tuple[str, str, bool]]
    x: float
    y: float
    width: float
    height: float
    side: float
    inner: bool = False


class Wire(NamedTuple):
    """A blob's way, or the part of it that lies on one side of a frame.

    only         the phases that have it, where not all do
    tip          whether it ends at a box
    maker        the box that makes the blob, and the one that reads it, each by the index of the box that is drawn;
    reader       None where the blob is an output, or the wire ends at a frame
    """

    points: list[tuple[float, float]]
    only: tuple[str, ...] = ()
    tip: bool = False
    maker: int | None = None
    reader: int | None = None


class Dot(NamedTuple):
    """A point at which a blob forks: its Split layers, for each block of a fold."""

    splits: list[DrawnLayer]
    x: float
    y: float


class Text(NamedTuple):
    """A label beside a wire.

    pill    the width of the outline around it; 0 where it has none, as the shape beside a wire
    tag     whether it stands where a wire is interrupted; else what has an outline is a blob that the net puts out
    """

    text: str
    x: float
    y: float
    pill: float = 0
    tag: bool = False


@dataclass
class Scene:
    boxes: list[PlacedBox] = field(default_factory=list)
    frames: list[Frame] = field(default_factory=list)
    wires: list[Wire] = field(default_factory=list)
    dots: list[Dot] = field(default_factory=list)
    texts: list[Text] = field(default_factory=list)
    cuts: list[float] = field(default_factory=list)  # heights at which every wire goes straight down
    width: float = 0
    height: float = 0

    def add(self, other: Scene, dx: float, dy: float) -> None:
        """Take in another scene, moved."""
        for name in ("boxes", "frames", "dots", "texts"):
            getattr(self, name).extend(one._replace(x=one.x + dx, y=one.y + dy) for one in getattr(other, name))
        self.wires += [wire._replace(points=[(x + dx, y + dy) for x, y in wire.points]) for wire in other.wires]


class Port(NamedTuple):
    """Where a top leaves an item, in pixels from its middle, with its label and the Split layers behind it."""

    out: float
    label: str
    splits: list[DrawnLayer]


class Placed(NamedTuple):
    """An item, measured: its own scene, whose origin is its upper left corner, and where wires join it.

    ports      blob -> where it leaves
    entries    blob -> where it arrives, in pixels from the middle; empty for a box, where the layout may choose
    """

    scene: Scene
    node: Node
    ports: dict[Blob, Port]
    entries: dict[Blob, float]
