"""Boxes and edges: what stands in one box, what joins boxes, and what belongs to which phase."""

from drawing_nets import SIAMESE
from net_tools import inputs, layer, make

from minicaffe.drawing.graph import build, version_of_net


def graph_of(text, **options):
    return build("net", [version_of_net(make(text, shapes_only=True, **options), "TRAIN")])


def boxes(graph):
    return [[one.name for one in box.layers] for box in graph.boxes]


def edges(graph):
    """The edges as (first layer of the maker, top, first layer of the reader)."""
    return [(graph.boxes[e.maker].layers[0].name, list(graph.boxes[e.maker].tops)[e.top],
             graph.boxes[e.reader].layers[0].name) for e in graph.edges]


FORK = inputs(x=(2, 3), t=(2, 3)) + layer("InnerProduct", "x", "f", "inner_product_param { num_output: 3 }") + layer(
    "ReLU", "f", "f", name="relu") + layer("Dropout", "f", "f", name="drop") + layer("TanH", "f", "g") + layer(
    "EuclideanLoss", "f t", "l1") + layer("EuclideanLoss", "g t", "l2")


def test_in_place_layers_and_splits():
    """Layers that run in place stand in the box of their blob's maker, and a Split is looked through."""
    graph = graph_of(FORK)

    assert [["x"], ["t"], ["f", "relu", "drop"], ["g"], ["l1"], ["l2"]] == boxes(graph)
    assert {("x", "x", "f"), ("f", "f", "g"), ("f", "f", "l1"), ("t", "t", "l1"), ("g", "g", "l2"),
            ("t", "t", "l2")} == set(edges(graph))
    assert ["f_drop_0_split"] == [split.name for split in graph.boxes[2].splits["f"]]
    assert {"f": {"TRAIN": (2, 3)}} == graph.boxes[2].tops


def test_indices_are_those_of_the_net():
    """Layer i of the drawing is net.layers[i], Split layers included."""
    net = make(FORK, shapes_only=True)
    graph = build("net", [version_of_net(net, "TRAIN")])

    assert net.layer_names == [one.name for one in graph.layers]
    assert list(range(len(net.layers))) == [one.index for one in graph.layers]


def test_costs_of_a_sample():
    """Parameters, and the multiply-adds of one sample: 3·3 + 3, and 3·3."""
    facts = graph_of(FORK).boxes[2].layers[0].facts["TRAIN"]

    assert (12, 9) == (facts.parameters, facts.multiply_adds)
    assert ([("x", (2, 3))], [("f", (2, 3))]) == (facts.bottoms, facts.tops)


def test_shared_parameters():
    """The second of two layers with one `param { name }` names the first."""
    graph = graph_of(SIAMESE)
    named = {one.name: one for one in graph.layers}

    assert {named["conv"].index: ["conv_w", "conv_b"]} == named["conv_p"].shares
    assert 0 == named["conv_p"].facts["TRAIN"].parameters
    assert {} == named["conv"].shares


def test_a_loss_without_a_top():
    """The top that Caffe adds for itself is there."""
    text = inputs(x=(2, 3), t=(2, 3)) + 'layer { name: "l" type: "EuclideanLoss" bottom: "x" bottom: "t" }'

    assert {"(automatic)": {"TRAIN": ()}} == graph_of(text).boxes[2].tops
