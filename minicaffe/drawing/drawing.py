"""The drawing of a net, from the net itself to the text of a file. ARCHITECTURE.md names the steps."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from functools import cached_property
from typing import TYPE_CHECKING

from minicaffe.drawing import dot, page, svg, words
from minicaffe.drawing.columns import in_columns
from minicaffe.drawing.fold import LARGE, Fold, folded, unfolded
from minicaffe.drawing.graph import Graph, Version, build, version_of_net
from minicaffe.drawing.parts import Scene
from minicaffe.drawing.scene import compose
from minicaffe.proto import Phase

if TYPE_CHECKING:
    from minicaffe.net import Net

ENDINGS = (".html", ".svg", ".dot")  # of files that hold a drawing


def draw(net: Net, *, fold: bool | None = False, width: float = 0) -> Drawing:
    """Return the drawing of a net, in which each layer has its index in net.layers.

    fold     whether blocks that repeat are drawn once; None does so where the net is large
    width    pixels; a tall drawing is cut into as many columns as fit in them. 0 keeps one column
    """
    return draw_versions(net.name, [version_of_net(net, Phase.Name(net.phase))], fold=fold, width=width)


def draw_versions(name: str, versions: Sequence[Version], *, fold: bool | None = None, width: float = 0,
                  lr_mult: Collection[str] = ()) -> Drawing:
    """Return one drawing of several versions of a net, such as those of TRAIN and TEST.

    lr_mult    the layer types whose boxes show the lr_mult of their weights and bias
    """
    return Drawing(build(name, versions, lr_mult), fold, width)


class Drawing:
    """A net's boxes and lines, to be written as SVG, as an HTML page or in the language of graphviz.

    fold    whether blocks that repeat are drawn once; None does so where the net is large
    """

    def __init__(self, graph: Graph, fold: bool | None, width: float = 0) -> None:
        self.graph, self.width = graph, width
        fold = len(graph.boxes) > LARGE if fold is None else fold
        self.items = folded(graph) if fold else unfolded(graph)

    @cached_property
    def scene(self) -> Scene:
        """All that is drawn, each with its place."""
        return in_columns(compose(self.graph, self.items), self.width)

    @property
    def layers(self) -> str:
        """How many layers the net has, in words; Split layers, which are inserted, are counted for themselves."""
        return words.number_of_layers(layer.is_split for layer in self.graph.layers)

    @property
    def folds(self) -> int:
        """How many blocks that repeat are drawn once."""
        return sum(isinstance(item, Fold) for item in self.items)

    def text(self, ending: str) -> str:
        """Return the drawing as a file of one of the ENDINGS."""
        return {".html": self.html, ".svg": self.svg, ".dot": self.dot}[ending]()

    def _repr_svg_(self) -> str:
        """Return what a notebook shows."""
        return self.svg()

    def dot(self, rankdir: str = "TB", labels: bool = True) -> str:
        """Return the drawing in the language of graphviz.

        rankdir    its direction: "TB" (from top to bottom), "BT", "LR" (from left to right) or "RL"
        labels     whether shapes stand beside the lines
        """
        return dot.write(self.graph, self.items, rankdir, labels)

    def html(self) -> str:
        """Return the drawing as a page, in which a click on a layer shows its datasheet."""
        return page.write(self)

    def svg(self, prefix: str = "") -> str:
        """Return the drawing as the text of an <svg>, which may stand in a page or alone in a file.

        Layer i is the group with the id "layer-i" and the attribute data-layer="i"; the class "lit" lights it. Where
        blocks that repeat are folded, the group of the first block names in data-layers the layers that it stands for.
        A page that holds several drawings gives each a prefix, with which its ids begin.
        """
        return svg.write(self.graph, self.scene, prefix=prefix)
