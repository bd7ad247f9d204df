"""Nodes that need not run: those of constants, and those that nothing reads."""

import numpy as np
import pytest
from extras import needs
from net_tools import inputs, layer
from onnx_tools import assert_same, ops

from minicaffe.convert.onnx_out.graph import Graph
from minicaffe.convert.onnx_out.tidy import compute_constants, drop_unread


@pytest.fixture
def graph():
    """The graph of c = a + b, d and e = parts of c, y = d + x."""
    needs("onnx.reference")
    made = Graph()
    made.constant("a", np.array([1, 2, 3], np.float32))
    made.constant("b", np.array([10, 20, 30], np.float32))
    made.node("Add", "1", ["a", "b"], ["c"])
    made.node("Split", "2", ["c", made.constant("sizes", np.array([1, 2]))], ["d", "e"])
    made.node("Add", "3", ["d", "x"], ["y"])
    return made


def left(graph):
    return [node.name for node in graph.nodes]


def test_constants_are_computed(graph):
    compute_constants(graph, ["y"])
    assert left(graph) == ["3"]
    np.testing.assert_array_equal(graph.constants["d"], np.array([11], np.float32))
    np.testing.assert_array_equal(graph.constants["e"], np.array([22, 33], np.float32))
    assert graph.constants["e"].dtype == np.float32


@pytest.mark.parametrize(("outputs", "want"), [(["e", "y"], ["2", "3"]), (["c", "y"], ["1", "2", "3"])])
def test_what_the_model_puts_out_is_made_by_a_node(graph, outputs, want):
    compute_constants(graph, outputs)
    assert left(graph) == want


def test_repeated_numbers_are_no_constant(graph):
    graph.node("Tile", "4", ["a", graph.constant("times", np.array([1000]))], ["z"])
    compute_constants(graph, ["y"])
    assert left(graph) == ["3", "4"]


def test_inputs_that_are_left_out(graph):
    graph.node("Clip", "4", ["a", "", graph.constant("most", np.array(2, np.float32))], ["z"])
    graph.node("Clip", "5", ["a", "", "x"], ["w"])
    compute_constants(graph, ["y"])
    assert left(graph) == ["3", "5"]
    np.testing.assert_array_equal(graph.constants["z"], [1, 2, 2])


@pytest.mark.parametrize(("outputs", "want"), [(["y"], ["1", "2", "3"]), (["e"], ["1", "2"]), (["c"], ["1"])])
def test_what_nothing_reads_is_left_out(graph, outputs, want):
    drop_unread(graph, outputs)
    assert left(graph) == want


def test_what_is_computed_of_prior_boxes_is_constant():
    """No node of the model reads constants alone. The others are those that other programs can read."""
    model = assert_same(
        inputs(map=(2, 4, 3, 5), image=(2, 1, 60, 80), loc=(2, 60), conf=(2, 45))
        + layer("PriorBox", "map image", "one", "prior_box_param { min_size: 20 }")
        + layer("Concat", "one", "all", "concat_param { axis: 2 }")
        + layer("DetectionOutput", "loc conf all", "y", "detection_output_param { num_classes: 3 keep_top_k: 5 "
                "nms_param { top_k: 7 } }"))
    constants = {one.name for one in model.graph.initializer}
    for node in model.graph.node:
        assert not constants.issuperset(node.input), node.name
    assert "Compress" not in ops(model)
    assert all(node.attribute[0].i > 0 for node in model.graph.node if node.op_type == "ScatterElements")
