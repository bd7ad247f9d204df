"""A net as an ONNX model: the names of values, the open axes, and what is refused before anything is written."""

import numpy as np
import pytest
from extras import needs
from net_tools import fully_connected, inputs, layer
from onnx_tools import difference, exported, net_of, ops

from minicaffe.convert import onnx_package
from minicaffe.convert.onnx_out.model import model_of, refuse_unknown_types
from minicaffe.errors import LayerError
from minicaffe.testing.random_numbers import random_inputs

X = inputs(x=(2, 3))
NEGATED = "relu_param { negative_slope: -1 }"


def values(model):
    """What each node reads and makes, without the constants: 'x > Relu > y'."""
    constants = {one.name for one in model.graph.initializer}
    return [f"{' '.join(name for name in node.input if name not in constants)} > {node.op_type} > "
            f"{' '.join(node.output)}" for node in model.graph.node]


def assert_numbers(net, model):
    """The outputs of the model, in their order, are those of the net; a name may be another one."""
    needs("onnx").checker.check_model(model, full_check=True)
    needs("onnxruntime")
    random_inputs(net, np.random.default_rng(1))
    given = {name: net.blobs[name].data.copy() for name in net.inputs}
    net.forward()
    for name, found in zip(net.outputs, onnx_package.run(model.SerializeToString(), given).values(), strict=True):
        assert difference(net.blobs[name].data, found) < 1e-6


@pytest.mark.parametrize(("text", "want", "outputs"), [
    # each layer that runs in place makes a value of its own, and the last one has the blob's name
    (fully_connected("x", "c", 4, name="f") + layer("ReLU", "c", "c", NEGATED, "r") + layer("ReLU", "c", "c", name="s"),
     ["x > Gemm > c/f", "c/f > LeakyRelu > c/r", "c/r > Relu > c"], ["c"]),
    # an input keeps its name, and the output gets another one
    (layer("ReLU", "x", "x", NEGATED, "r"), ["x > LeakyRelu > x/r"], ["x/r"]),
    (layer("ReLU", "x", "x", NEGATED, "r") + layer("ReLU", "x", "x", name="s"),
     ["x > LeakyRelu > x/r", "x/r > Relu > x/s"], ["x/s"]),
    (layer("ReLU", "x", "x", NEGATED, "r") + fully_connected("x", "c", 4), ["x > LeakyRelu > x/r", "x/r > Gemm > c"],
     ["c"]),
    (layer("ReLU", "x", "x", NEGATED, "r") + fully_connected("x", "c", 4) + fully_connected("x", "d", 5),
     ["x > LeakyRelu > x/r", "x/r > Gemm > c", "x/r > Gemm > d"], ["c", "d"]),
    # a layer that makes no node leaves the name of its top to the value that it passes on
    (fully_connected("x", "c", 4, name="f") + layer("Dropout", "c", "c", name="d"), ["x > Gemm > c"], ["c"]),
    (fully_connected("x", "c", 4, name="f") + layer("ReLU", "c", "c", name="r") + layer("Dropout", "c", "c", name="d")
     + fully_connected("c", "e", 5), ["x > Gemm > c/f", "c/f > Relu > c", "c > Gemm > e"], ["e"]),
    # but a value has one name, so a second name is a copy
    (layer("Dropout", "x", "y"), ["x > Identity > y"], ["y"]),
    (layer("Dropout", "x", "x", name="d"), ["x > Identity > x/output"], ["x/output"]),
    (fully_connected("x", "c", 4) + layer("Dropout", "c", "p") + layer("Dropout", "c", "q"),
     ["x > Gemm > c", "c > Identity > p", "c > Identity > q"], ["p", "q"]),
    (fully_connected("x", "c", 4) + layer("Dropout", "c", "p") + layer("ReLU", "p", "p", name="r")
     + fully_connected("c", "q", 5), ["x > Gemm > c", "c > Relu > p", "c > Gemm > q"], ["p", "q"]),
    # an input that is read by no layer is an output too
    (inputs(z=(5, 4)) + layer("ReLU", "x", "y"), ["x > Relu > y", "z > Identity > z/output"], ["z/output", "y"]),
    # Softmax does not run in place, so two blobs have the name c
    (fully_connected("x", "c", 4, name="f") + layer("Softmax", "c", "c", name="s") + layer("ReLU", "c", "c", name="r"),
     ["x > Gemm > c/f", "c/f > Softmax > c/s", "c/s > Relu > c"], ["c"]),
])
def test_names(text, want, outputs):
    net, model = exported(X + text)
    assert sorted(want) == sorted(values(model))
    assert sorted(outputs) == sorted(one.name for one in model.graph.output)
    assert_numbers(net, model)


def test_names_that_a_layer_would_take_twice():
    """The blob 'c/f' is another one than the value that layer f makes of c."""
    net, model = exported(X + layer("ReLU", "x", "c/f", NEGATED) + fully_connected("c/f", "c", 4, name="f")
                          + layer("ReLU", "c", "c", name="r"))
    assert values(model) == ["x > LeakyRelu > c/f", "c/f > Gemm > c/f_2", "c/f_2 > Relu > c"]
    assert_numbers(net, model)


def test_nodes_are_named_after_their_layers():
    _, model = exported(X + fully_connected("x", "c", 4, name="first") + layer("ReLU", "c", "c", name="second"))
    assert ["first/Gemm", "second/Relu"] == [node.name for node in model.graph.node]


def test_the_outputs_that_are_wanted():
    """They may be read by other layers, and stand in the order in which they are asked for."""
    needs("onnx")
    net = net_of(X + fully_connected("x", "c", 4) + layer("ReLU", "c", "y"))
    model = model_of(net, outputs=["y", "c"])
    assert ["y", "c"] == [one.name for one in model.graph.output]


def sizes(value):
    return [size.dim_param or size.dim_value for size in value.type.tensor_type.shape.dim]


def test_open_axes():
    _, model = exported(X + fully_connected("x", "c", 4))
    assert ["batch", 3] == sizes(model.graph.input[0])
    assert ["batch", 4] == sizes(model.graph.output[0])


def test_an_axis_that_is_no_batch():
    """How many rows Filter keeps follows from the numbers, and so it does behind it."""
    _, model = exported(X + inputs(keep=(2, 1)) + layer("Filter", "x keep", "y") + layer("ReLU", "y", "z")
                        + layer("ReLU", "x", "w"))
    assert [["batch", 3], ["z_0", 3]] == [sizes(one) for one in model.graph.output]


def test_one_batch_size():
    _, model = exported(X + fully_connected("x", "c", 4), larger=False)
    assert [[2, 3], [2, 4]] == [sizes(model.graph.input[0]), sizes(model.graph.output[0])]


def test_metadata():
    needs("onnx")
    model = model_of(net_of(X + layer("ReLU", "x", "y")), metadata={"scale": "0.5"})
    assert [("scale", "0.5")] == [(one.key, one.value) for one in model.metadata_props]
    assert (8, 18) == (model.ir_version, model.opset_import[0].version)


@pytest.fixture
def strange(monkeypatch):
    """A net in which no function writes the types Power and Sigmoid."""
    from minicaffe.convert.onnx_out import model

    monkeypatch.setattr(model, "WRITERS", {name: one for name, one in model.WRITERS.items()
                                           if name not in ("Power", "Sigmoid")})
    return net_of(X + fully_connected("x", "c", 4) + layer("ReLU", "c", "d") + layer("Power", "d", "p")
                  + layer("Sigmoid", "c", "q") + layer("ReLU", "q", "r") + layer("ReLU", "x", "s"))


def test_types_that_no_function_writes_are_refused_together(strange):
    with pytest.raises(LayerError) as caught:
        refuse_unknown_types(strange, {"p": "net.prototxt:4", "q": "net.prototxt:5"}.__getitem__)
    assert str(caught.value) == (
        "net.prototxt:4: layer 'p' (Power) has no form in ONNX; nor has 'q' (Sigmoid, net.prototxt:5)\n"
        "  hint: --outputs d,c,s ends the model before it; compute the rest outside")


def test_model_of_refuses_before_it_writes(strange):
    with pytest.raises(LayerError, match="layer 'p' \\(Power\\) has no form in ONNX; nor has 'q' \\(Sigmoid\\)"):
        model_of(strange)


def test_nothing_is_left_before_the_first_layer(monkeypatch):
    from minicaffe.convert.onnx_out import model

    monkeypatch.setattr(model, "WRITERS", {})
    with pytest.raises(LayerError) as caught:
        refuse_unknown_types(net_of(X + layer("ReLU", "x", "y")))
    assert caught.value.hint == "nothing can be computed before it"


def test_split_makes_no_node():
    _, model = exported(X + layer("ReLU", "x", "y") + layer("ReLU", "x", "z", NEGATED))
    assert ["LeakyRelu", "Relu"] == sorted(ops(model))
