"""Drawings read back: each layer and each way of a blob of the net is there, once, and nothing else is."""

import pytest
from drawing_nets import SIAMESE, googlenet, resnet
from drawing_read import Picture, assert_drawn, random_net, real
from net_tools import make

from minicaffe.drawing import draw


@pytest.mark.parametrize("seed", range(40))
def test_random_nets(seed):
    """Nets in which blobs fork, join, end, and are changed in place."""
    net = make(random_net(seed), shapes_only=True)
    assert_drawn(net, Picture(net, draw(net).svg()))


@pytest.mark.parametrize("text", [SIAMESE, googlenet(4, 5, 6, 7, 8), resnet(3, 4, 6, 3)])
@pytest.mark.parametrize("fold", [False, True])
def test_nets_with_folds(text, fold):
    """In a fold a line stands for those of all blocks. No other line is there, and none is missing."""
    net = make(text, shapes_only=True)
    picture = Picture(net, draw(net, fold=fold).svg())

    assert picture.joined <= real(net, picture)
    leaves = {int(maker) for maker, reader, _ in picture.lines if maker and not reader}  # a block for the next one
    assert all(way in picture.joined or way[0] in leaves for way in real(net, picture))
