"""Draw nets."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from minicaffe.drawing import svg
from minicaffe.drawing.fold import unfolded
from minicaffe.drawing.graph import Graph, Version, build, version_of_net
from minicaffe.drawing.scene import compose
from minicaffe.proto import Phase

if TYPE_CHECKING:
    from minicaffe.net import Net


def draw(net: Net, *, fold: bool | None = False) -> Drawing:
    """Return the drawing of a net, in which each layer has its index in net.layers.

    fold    whether blocks that repeat are drawn once; None does so where the net is large
    """
    return draw_versions(net.name, [version_of_net(net, Phase.Name(net.phase))], fold=fold)


def draw_versions(name: str, versions: Sequence[Version], *, fold: bool | None = None) -> Drawing:
    """Return one drawing of several versions of a net, such as those of TRAIN and TEST."""
    return Drawing(build(name, versions), fold)


class Drawing:
    """A net's boxes and lines, to be written as SVG."""

    def __init__(self, graph: Graph, fold: bool | None) -> None:
        self.graph = graph
        self.scene = compose(graph, unfolded(graph))

    def svg(self) -> str:
        """Return the drawing as the text of an <svg>, which may stand in a page or alone in a file.

        Layer i is the group with the id "layer-i" and the attribute data-layer="i"; the class "lit" lights it. Where
        blocks that repeat are folded, the group of the first block names in data-layers the layers that it stands for.
        """
        return svg.write(self.graph, self.scene)
