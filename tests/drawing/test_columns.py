"""Tall drawings in columns: how they are cut, and that nothing is lost."""

import xml.etree.ElementTree as ET

import pytest
from drawing_nets import googlenet, resnet
from drawing_read import SVG, Picture, assert_drawn, random_net, real
from net_tools import inputs, layer, make

from minicaffe.drawing import draw


def chain(count, label=False):
    text = inputs(x=(5, 6), t=(5, 6)) + "".join(
        layer("TanH", f"h{n - 1}" if n else "x", f"h{n}") for n in range(count))
    return text + (layer("EuclideanLoss", f"h{count - 1} t", "loss") if label else "")


def size(drawing):
    return drawing.scene.width, drawing.scene.height


def test_a_tall_drawing_is_cut():
    """It takes the width that it may have, and is not cut where it is short or no width is given."""
    net = make(chain(30), shapes_only=True)
    whole, cut = size(draw(net)), size(draw(net, width=900))

    assert cut[0] <= 900
    assert cut[1] < whole[1] / 2
    assert size(draw(net, width=whole[0])) == whole
    short = make(chain(5), shapes_only=True)
    assert size(draw(short, width=900)) == size(draw(short))


@pytest.mark.parametrize("text", [chain(40), resnet(2, 2), googlenet(3, 4, 5, 6), random_net(7), random_net(23)])
def test_no_way_is_lost(text):
    """The lines join what they join in one column, and no box covers another."""
    net = make(text, shapes_only=True)

    assert_drawn(net, Picture(net, draw(net, width=2500).svg()))


def test_a_label_far_away_is_a_tag():
    """In place of a line along the whole drawing, its name stands where it is made and where it is read."""
    def tags(text):
        net = make(text, shapes_only=True)
        svg = draw(net).svg()
        picture = Picture(net, svg)
        assert real(net, picture) == picture.joined
        return len([one for one in ET.fromstring(svg).iter(f"{SVG}rect") if one.get("class") == "tag"]), svg

    count, svg = tags(chain(30, label=True))
    assert 2 == count
    assert 2 == svg.count(">t 5×6<")
    assert "the line goes on where the same name stands" in svg
    assert 0 == tags(chain(30) + layer("Sigmoid", "t", "beside"))[0]  # it stands beside its source
    count, svg = tags(chain(3, label=True))
    assert not count
    assert "the same name" not in svg
