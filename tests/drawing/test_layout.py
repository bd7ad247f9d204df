"""Places of boxes and lines: below what they read, apart from each other, and lines straight where they can be."""

import random
from itertools import pairwise

import pytest

from minicaffe.drawing.layout import Line, Node, layout

BOX = Node(40, 60, 30)


def chain(*pairs):
    return [Line(a, "top", 0.0, b) for a, b in pairs]


def random_lines(nodes, seed):
    draw = random.Random(seed)
    return list(dict.fromkeys(Line(draw.randrange(b), str(draw.randrange(2)), 0.0, b)
                              for b in range(1, nodes) for _ in range(draw.randrange(3))))


@pytest.mark.parametrize("seed", range(6))
def test_nothing_overlaps_and_lines_go_down(seed):
    """In nets joined at random, boxes keep apart, lines go down, and a line begins and ends at its boxes."""
    draw = random.Random(seed)
    nodes = [Node(draw.randrange(10, 90), draw.randrange(10, 90), draw.randrange(10, 60)) for _ in range(40)]
    lines = random_lines(40, seed)
    made = layout(nodes, lines)

    for i in range(40):
        assert 0 <= made.x[i] - nodes[i].left
        assert made.x[i] + nodes[i].right <= made.width
        assert made.y[i] + nodes[i].height <= made.height
        for j in range(i):
            beside = made.x[j] + nodes[j].right <= made.x[i] - nodes[i].left \
                or made.x[i] + nodes[i].right <= made.x[j] - nodes[j].left
            below = made.y[j] + nodes[j].height <= made.y[i] or made.y[i] + nodes[i].height <= made.y[j]
            assert beside or below
    for line, points in zip(lines, made.routes, strict=True):
        assert points[0] == (made.x[line.source], made.y[line.source] + nodes[line.source].height)
        assert made.y[line.target] == points[-1][1]
        assert made.x[line.target] - nodes[line.target].left < points[-1][0] < made.x[line.target] + nodes[
            line.target].right
        assert all(above[1] < below[1] for above, below in pairwise(points))


def test_no_line_passes_through_a_box():
    """Where a line passes a rank, it goes straight down between the boxes of that rank."""
    lines = random_lines(40, 3)
    made = layout([BOX] * 40, lines)
    passed = 0
    for points in made.routes:
        for (x, top), (below, bottom) in pairwise(points):
            for i in range(40):
                if x == below and top <= made.y[i] < made.y[i] + BOX.height <= bottom:
                    passed += 1
                    assert not made.x[i] - BOX.left < x < made.x[i] + BOX.right
    assert passed


def test_a_chain_is_a_column():
    """Boxes of different widths, one below the other, and straight lines between them."""
    nodes = [Node(10 + 7 * i, 12 + 5 * i, 20) for i in range(6)]
    made = layout(nodes, chain(*pairwise(range(6))))

    assert 1 == len(set(made.x))
    assert made.y == sorted(made.y)
    assert all(1 == len({x for x, _ in points}) for points in made.routes)


def test_fork_and_join():
    """Four ways stand side by side around the middle, and what joins them stands below the fork."""
    made = layout([BOX] * 6, chain((0, 1), (0, 2), (0, 3), (0, 4), (1, 5), (2, 5), (3, 5), (4, 5)))

    assert abs(made.x[0] - made.x[5]) < 2
    assert abs(made.x[0] - sum(made.x[1:5]) / 4) < 2
    assert 4 == len(set(made.x[1:5]))


def test_a_line_beside_boxes_does_not_move_them():
    """The identity of a residual block goes around the column, straight down."""
    made = layout([BOX] * 5, chain((0, 1), (1, 2), (2, 3), (3, 4), (0, 4)))
    around = [x for x, _ in made.routes[4][2:-1]]

    assert max(made.x) - min(made.x) < 3
    assert 1 == len(set(around))


def test_lines_do_not_cross_where_they_need_not():
    """Boxes are reordered: the readers of two boxes come in the order of these."""
    made = layout([BOX] * 6, chain((0, 5), (1, 4), (2, 3)))

    assert (made.x[0] < made.x[1]) == (made.x[5] < made.x[4])
    assert (made.x[1] < made.x[2]) == (made.x[4] < made.x[3])


def test_what_reads_nothing_stands_above_its_reader():
    """A source that is read far down does not stand in the first rank."""
    made = layout([BOX] * 5, chain((0, 1), (1, 2), (2, 4), (3, 4)))

    assert made.y[3] == made.y[2]


def test_no_nodes():
    """Nothing has no size."""
    assert (0, 0, []) == (layout([], []).width, layout([], []).height, layout([], []).routes)
