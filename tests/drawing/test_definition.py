"""Drawings of a definition alone: no layer runs, and what is missing does not stop the drawing."""

import re
import sys

import pytest
from drawing_nets import TWO_PHASES
from google.protobuf import text_format
from net_tools import inputs, layer

from minicaffe.drawing import draw_definition
from minicaffe.proto import TEST, TRAIN, NetParameter


def definition(text):
    return text_format.Parse(text, NetParameter())


def shapes(drawing):
    """The shape of each top in the first phase, by its name."""
    return {name: next(iter(shape.values())) for box in drawing.graph.boxes for name, shape in box.tops.items()}


def names(drawing):
    return [layer.name for layer in drawing.graph.layers if not layer.is_split]


def test_with_shapes_and_without_memory():
    """A net whose weights would take 4 TB is drawn with its shapes."""
    net = definition(inputs(data=(2, 1000003)) + layer("InnerProduct", "data", "fc",
                                                       "inner_product_param { num_output: 1000004 }"))

    assert shapes(draw_definition(net)) == {"data": (2, 1000003), "fc": (2, 1000004)}


def test_both_phases_and_one():
    """Without a phase, the nets of both are one drawing."""
    both, test = draw_definition(definition(TWO_PHASES)), draw_definition(definition(TWO_PHASES), phase=TEST)

    assert both.graph.labels == ("TRAIN", "TEST")
    assert test.graph.labels == ("TEST",)
    assert "drop" in names(both)
    assert "drop" not in names(test)
    assert shapes(test)["data"] == (5, 3, 8, 8)  # of its crop_size: the source is not there


def test_a_line_of_one_phase_for_graphviz():
    """The blob's name and shape stand apart from the phase."""
    dot = draw_definition(definition(TWO_PHASES)).dot()

    assert [" N×7, TEST only ", " label N, TEST only "] == re.findall(r'label="([^"]*TEST only )"', dot)


def test_data_that_is_not_there():
    """A data layer without a source and without a size leaves the drawing without shapes."""
    net = definition('layer { name: "d" type: "Data" top: "x" data_param { source: "none" batch_size: 3 } }'
                     + layer("ReLU", "x", "y"))

    assert shapes(draw_definition(net)) == {"x": None, "y": None}


def test_an_old_definition():
    """A definition of 2013 is upgraded first, and stays as it was."""
    net = definition('input: "x" input_dim: [2, 3, 4, 5] layers { name: "r" type: RELU bottom: "x" top: "y" }')
    before = str(net)

    assert names(draw_definition(net)) == ["input", "r"]
    assert str(net) == before


def test_a_part_of_a_net():
    """A bottom that no layer makes is an Input, in the phases that read it alone."""
    part = layer("ReLU", "x", "y") + layer("Accuracy", "y label", "acc", "include { phase: TEST }")
    drawing = draw_definition(definition(part))

    assert [(one.name, one.type, one.only) for one in drawing.graph.layers if one.type == "Input"] == [
        ("label", "Input", ("TEST",)), ("x", "Input", ())]
    assert names(draw_definition(definition(part), phase=TRAIN)) == ["x", "y"]


def test_types_that_are_not_known(tmp_path, monkeypatch):
    """Types of forks and Python layers are drawn, and no code of theirs runs."""
    (tmp_path / "stranger_layers.py").write_text("")
    monkeypatch.syspath_prepend(tmp_path)
    strange = layer("Python", "a", "b", 'python_param { module: "stranger_layers" layer: "X" }')
    python = definition(inputs(a=(2, 3)) + strange)
    net = definition(inputs(data=(2, 3)) + layer("ROIAlign", "data", "a") + strange)

    drawing = draw_definition(net)

    assert names(draw_definition(python)) == ["a", "b"]
    assert names(drawing) == ["data", "a", "b"]
    assert all("ROIAlign" in text for text in (drawing.dot(), drawing.svg(), drawing.html()))
    assert "stranger_layers" not in sys.modules


def test_layers_of_a_stage(caplog):
    """Layers of a stage that is not chosen are named, and state chooses it."""
    net = definition(inputs(data=(2, 3)) + layer("ReLU", "data", "a")
                     + layer("Softmax", "a", "prob", 'include { stage: "deploy" }'))

    assert names(draw_definition(net)) == ["data", "a"]
    assert "not drawn, because their stage or level is not in the net's state: prob; " in caplog.text
    net.state.stage.append("deploy")
    assert names(draw_definition(net)) == ["data", "a", "prob"]


@pytest.mark.parametrize(("params", "line"), [
    ("param { lr_mult: 1 } param { lr_mult: 2 }", "lr_mult 1, 2"), ("param { lr_mult: 0.5 }", "lr_mult 0.5, 1"),
    ("", "lr_mult 1, 1"), ("param { lr_mult: 0 } param { lr_mult: 0 }", "")])
def test_lr_mult(params, line):
    """The box of a layer of a chosen type shows how fast its weights and bias learn, unless neither does."""
    net = definition(inputs(data=(2, 3)) + layer("InnerProduct", "data", "fc",
                                                 f"inner_product_param {{ num_output: 5 }} {params}"))
    text = draw_definition(net, lr_mult=["InnerProduct"]).dot()

    assert (line in text) if line else ("lr_mult" not in text)
    assert "lr_mult" not in draw_definition(net, lr_mult=["Convolution"]).dot()


def test_the_text_for_graphviz():
    """The way of the drawing and the labels can be chosen."""
    net = definition(inputs(data=(2, 3)) + layer("ReLU", "data", "a"))
    drawing = draw_definition(net)

    assert "rankdir" not in drawing.dot()
    assert "\n  rankdir=LR;\n" in drawing.dot("LR")
    assert 'b0 -> b1 [label=" 2×3 "];' in drawing.dot()
    assert "b0 -> b1 [];" in drawing.dot(labels=False)
