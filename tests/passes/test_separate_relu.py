"""A ReLU that Intel's fork sets inside another layer becomes a layer of its own."""

import numpy as np
import pytest

from minicaffe import passes
from minicaffe.net import Net
from minicaffe.passes.separate_relu import separate_relu
from minicaffe.proto import TEST, NetParameter
from minicaffe.proto import text as proto_text

INPUT = 'layer { name: "in" type: "Input" top: "x" input_param { shape { dim: 2 dim: 3 dim: 5 dim: 4 } } }'
LAYERS = {
    "Convolution": "convolution_param {{ num_output: 6 kernel_size: 2 weight_filler {{ type: 'gaussian' }} {} }}",
    "InnerProduct": "inner_product_param {{ num_output: 7 weight_filler {{ type: 'gaussian' }} {} }}",
    "BatchNorm": "batch_norm_param {{ {} }}",
}


def definition(kind, fields="", behind=""):
    text = f'{INPUT} layer {{ name: "a" type: "{kind}" bottom: "x" top: "y" {LAYERS[kind].format(fields)} }} {behind}'
    return proto_text.parse(text, NetParameter())


@pytest.mark.parametrize("kind", LAYERS)
def test_it_computes_what_a_relu_layer_does(kind):
    """A layer with `relu` puts out what it puts out without it, and 0 in place of what is negative."""
    x = np.linspace(-3, 4, 120).reshape(2, 3, 5, 4)
    plain, fused = (Net(definition(kind, fields), phase=TEST) for fields in ("", "relu: true"))
    for one in (plain, fused):
        for number, blob in enumerate(one.params.get("a", [])):
            blob.data[...] = np.linspace(-1, 1.5, blob.count).reshape(blob.shape) if number < 1 else 1
        one.blobs["x"].data[...] = x
        one.forward()

    y = plain.blobs["y"].data
    assert (y < 0).any()
    np.testing.assert_array_equal(np.maximum(y, 0), fused.blobs["y"].data)


def test_the_slope_goes_to_the_relu_layer():
    """The layer loses both fields, and the layer behind it has the slope."""
    once = separate_relu(definition("Convolution", "relu: true negative_slope: 0.25"))

    _, convolution, relu = once.layer
    assert not convolution.convolution_param.HasField("relu")
    assert not convolution.convolution_param.HasField("negative_slope")
    assert ("a_relu", "ReLU", ["y"], ["y"]) == (relu.name, relu.type, relu.bottom, relu.top)
    assert 0.25 == relu.relu_param.negative_slope
    assert once == separate_relu(once)


def test_each_top_has_its_relu_and_each_relu_its_name():
    """A Convolution may have several tops, and a layer of the net may have the name already."""
    net = definition("Convolution", "relu: true", 'layer { name: "a_relu" type: "TanH" bottom: "y" top: "t" }')
    net.layer[1].bottom.append("x")
    net.layer[1].top.append("z")

    found = [(layer.name, list(layer.top)) for layer in separate_relu(net).layer if layer.type == "ReLU"]

    assert [("a_relu2", ["y"]), ("a_relu3", ["z"])] == found


def test_a_net_without_it_stays_as_it_is():
    """`relu: false` is the default, and makes no layer."""
    net = definition("InnerProduct", "relu: false")

    assert net == separate_relu(net)
    assert 2 == len(passes.apply(net).layer)
