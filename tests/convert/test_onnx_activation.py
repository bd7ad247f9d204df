"""Activations as ONNX, compared with onnxruntime."""

import numpy as np
import pytest
from extras import needs
from onnx_tools import assert_same, exported, net_of, ops

from minicaffe.convert import onnx_package
from minicaffe.errors import LayerError

pytestmark = pytest.mark.slow  # hundreds of small conversions

X = "layer { name: 'x' type: 'Input' top: 'x' input_param { shape { dim: 2 dim: 4 dim: 3 dim: 7 } } }\n"
B = "layer { name: 'b' type: 'Input' top: 'b' input_param { shape { dim: 4 dim: 3 } } }\n"
STRANGE = np.float32([0, 1, -1, 0.3, -2.5, 40, -40, 100, -100, np.inf, -np.inf, np.nan, 6])


def net(type_, param="", bottom="bottom: 'x'"):
    return f"layer {{ name: 'l' type: '{type_}' {bottom} top: 'y' {param} }}"


@pytest.mark.parametrize(("type_", "param", "written"), [
    ("AbsVal", "", ["Abs"]),
    ("BNLL", "", ["Softplus"]),
    ("Sigmoid", "", ["Sigmoid"]),
    ("TanH", "", ["Tanh"]),
    ("ReLU", "", ["Relu"]),
    ("ReLU", "relu_param { negative_slope: 0.3 }", ["LeakyRelu"]),
    ("ReLU", "relu_param { negative_slope: -0.3 }", ["LeakyRelu"]),
    ("ReLU6", "", ["Clip"]),
    ("ReLU6", "relu6_param { negative_slope: 0.3 }", ["LeakyRelu", "Min"]),
    ("ReLU6", "relu6_param { negative_slope: -9 }", ["LeakyRelu", "Min"]),
    ("ReLU6", "relu_param { negative_slope: 0.3 }", ["LeakyRelu", "Min"]),
    ("ELU", "", ["Elu"]),
    ("ELU", "elu_param { alpha: 0.3 }", ["Elu"]),
    ("ELU", "elu_param { alpha: 0 }", ["Elu"]),
    ("Swish", "", ["Sigmoid", "Mul"]),
    ("Swish", "swish_param { beta: -1.7 }", ["Mul", "Sigmoid", "Mul"]),
    ("Threshold", "", ["Greater", "Cast"]),
    ("Threshold", "threshold_param { threshold: 0.3 }", ["Greater", "Cast"]),
    ("Clip", "clip_param { min: -0.5 max: 0.25 }", ["Clip"]),
    ("Clip", "clip_param { min: -inf max: 0.25 }", ["Clip"]),
    ("Power", "", []),
    ("Power", "power_param { scale: -2 }", ["Mul"]),
    ("Power", "power_param { shift: 3 }", ["Add"]),
    ("Power", "power_param { power: 3 scale: 0.5 shift: 0.2 }", ["Mul", "Add", "Pow"]),
    ("Power", "power_param { power: -1 }", ["Pow"]),
    ("Power", "power_param { power: 0 scale: 2 }", ["Shape", "Expand"]),
    ("Power", "power_param { power: 2 scale: 0 shift: -3 }", ["Shape", "Expand"]),
    ("Exp", "", ["Exp"]),
    ("Exp", "exp_param { base: 2 scale: 0.5 shift: -1 }", ["Mul", "Add", "Exp"]),
    ("Log", "log_param { scale: 3 shift: 20 }", ["Mul", "Add", "Log"]),
    ("Log", "log_param { base: 10 shift: 20 }", ["Add", "Log", "Mul"]),
])
def test_one_number_at_a_time(type_, param, written):
    model = assert_same(X + net(type_, param))
    assert ops(model) == (written or ["Identity"])


@pytest.mark.filterwarnings("ignore:layer 'l'.*above max")
def test_clip_lets_min_win():
    """ONNX's own rule is the opposite one: max wins."""
    assert_same(X + net("Clip", "clip_param { min: 0.5 max: -0.5 }"))


@pytest.mark.parametrize(("type_", "param"), [
    ("AbsVal", ""), ("BNLL", ""), ("Sigmoid", ""), ("TanH", ""), ("ReLU", ""),
    ("ReLU", "relu_param { negative_slope: 0.3 }"), ("ReLU6", ""), ("ELU", ""), ("Swish", ""), ("Threshold", ""),
    ("Clip", "clip_param { min: -1 max: 2 }"),
    ("Power", "power_param { scale: 0 shift: 3 power: 2 }"), ("Power", "power_param { power: 0 }"),
    ("Power", "power_param { power: -1 }"), ("Power", "power_param { power: 1.5 }"),
    ("Power", "power_param { scale: 0 shift: -3 power: 0.7 }"), ("Exp", ""), ("Exp", "exp_param { scale: 0 }"),
    ("Log", ""), ("Log", "log_param { base: 0.5 }"),
])
def test_infinity_and_what_is_no_number(type_, param):
    """Where Caffe gives ∞ or NaN, such as for log −1, the model does."""
    needs("onnxruntime")
    x = f"layer {{ name: 'x' type: 'Input' top: 'x' input_param {{ shape {{ dim: {STRANGE.size} }} }} }}"
    one, model = exported(x + net(type_, param), larger=False)
    one.blobs["x"].data[...] = STRANGE
    one.forward()

    found = onnx_package.run(model.SerializeToString(), {"x": STRANGE})["y"]

    np.testing.assert_allclose(found, one.blobs["y"].data, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("sizes", ["dim: 2 dim: 4", "dim: 2 dim: 4 dim: 3", "dim: 2 dim: 4 dim: 3 dim: 7"])
def test_prelu(sizes):
    x = f"layer {{ name: 'x' type: 'Input' top: 'x' input_param {{ shape {{ {sizes} }} }} }}"
    model = assert_same(x + net("PReLU"))

    assert [list(one.dims) for one in model.graph.initializer] == [[4, *[1] * (sizes.count("dim") - 2)]]


def test_prelu_with_one_slope():
    model = assert_same(X + net("PReLU", "prelu_param { channel_shared: true }"))

    assert [list(one.dims) for one in model.graph.initializer] == [[1]]


@pytest.mark.parametrize(("type_", "message"), [("Scale", "scale_param"), ("Bias", "bias_param")])
@pytest.mark.parametrize(("param", "shape"), [
    ("", [4, 1, 1]), ("axis: 2", [3, 1]), ("axis: -1", [7]), ("num_axes: 2", [4, 3, 1]), ("num_axes: -1", [4, 3, 7]),
    ("axis: -2 num_axes: -1", [3, 7]), ("num_axes: 0", [])])
def test_learned_factor_lies_along_its_axes(type_, message, param, shape):
    model = assert_same(X + net(type_, f"{message} {{ {param} }}"))

    assert ops(model) == ["Mul" if type_ == "Scale" else "Add"]
    assert [list(one.dims) for one in model.graph.initializer] == [shape]


def test_scale_with_bias():
    model = assert_same(X + net("Scale", "scale_param { axis: 1 num_axes: 2 bias_term: true }"))

    assert ops(model) == ["Mul", "Add"]


@pytest.mark.parametrize(("type_", "param"), [("Scale", "scale_param { axis: 1 bias_term: true }"), ("Scale", ""),
                                              ("Bias", "bias_param { axis: -3 }")])
def test_factor_from_a_bottom(type_, param):
    model = assert_same(X + B + net(type_, param, "bottom: 'x' bottom: 'b'"), larger=False)

    assert ops(model)[0] == "Unsqueeze"


def test_factor_with_the_batch():
    """The factors (N, C) of a squeeze-and-excitation block are of each sample."""
    x = "layer { name: 'a' type: 'Input' top: 'a' input_param { shape { dim: 2 dim: 4 } } }" + X
    assert_same(x + net("Scale", "scale_param { axis: 0 }", "bottom: 'x' bottom: 'a'"))


def test_scalar_from_a_bottom():
    scalar = "layer { name: 'p' type: 'Parameter' top: 'p' }\n"
    assert_same(X + scalar + net("Bias", "", "bottom: 'x' bottom: 'p'"))


@pytest.mark.parametrize(("type_", "param", "what"), [
    ("Scale", "scale_param { axis: 0 }", "a learned number"),
    ("Scale", "scale_param { axis: 0 bias_term: true num_axes: 2 }", "a learned number"),
    ("Bias", "bias_param { axis: 0 }", "a learned number")])
def test_refuses_a_factor_for_each_sample(type_, param, what):
    """It can be written for one batch size."""
    with pytest.raises(LayerError, match=f"'l'.*has {what} for each place of an axis of 'x' that grows") as error:
        exported(X + net(type_, param))
    assert "--batch N" in error.value.hint
    assert_same(X + net(type_, param), larger=False)


def test_refuses_a_slope_for_each_stream():
    """Behind a Permute the channels may be the samples."""
    turned = "layer { name: 't' type: 'Permute' bottom: 'x' top: 't' permute_param { order: 1 order: 0 } }"
    with pytest.raises(LayerError, match="has a slope for each place of an axis of 't' that grows"):
        exported(X + turned + net("PReLU", bottom="bottom: 't'"))


def test_in_place():
    text = X + net("AbsVal") + "layer { name: 'm' type: 'Log' bottom: 'y' top: 'y' }" \
        + "layer { name: 'n' type: 'Scale' bottom: 'y' top: 'y' }"
    assert ops(assert_same(text)) == ["Abs", "Log", "Mul"]
    assert net_of(text).outputs == ["y"]
