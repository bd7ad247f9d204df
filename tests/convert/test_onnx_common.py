"""Common layers as ONNX, compared with onnxruntime."""

import numpy as np
import pytest
from onnx_tools import assert_same, exported, ops

from minicaffe.errors import LayerError

pytestmark = pytest.mark.slow  # hundreds of small conversions

X = "layer { name: 'x' type: 'Input' top: 'x' input_param { shape { dim: 2 dim: 4 dim: 3 dim: 7 } } }\n"
FLAT = "layer { name: 'x' type: 'Input' top: 'x' input_param { shape { dim: 2 dim: 4 } } }\n"


def product(param=""):
    return f"layer {{ name: 'ip' type: 'InnerProduct' bottom: 'x' top: 'y' " \
           f"inner_product_param {{ num_output: 6 {param} }} }}"


@pytest.mark.parametrize("rest", ["", "bias_term: false", "transpose: true", "transpose: true bias_term: false"])
@pytest.mark.parametrize(("x", "axis", "written"), [
    (FLAT, "", ["Gemm"]), (FLAT, "axis: -1", ["Gemm"]), (X, "", ["Flatten", "Gemm"]),
    (X, "axis: 2", ["Reshape", "MatMul"]), (X, "axis: -1", ["MatMul"])])
def test_inner_product(x, axis, written, rest):
    model = assert_same(x + product(f"{axis} {rest}"))

    assert ops(model) == written + ["Add"] * ("Gemm" not in written and "bias_term" not in rest)


def test_inner_product_of_the_whole_batch():
    """With axis 0 the samples are features, so that the batch size cannot be free."""
    with pytest.raises(LayerError, match="'ip'.*has weights for each place of an axis of 'x' that grows") as error:
        exported(X + product("axis: 0"))
    assert "--batch N" in error.value.hint
    assert ops(assert_same(X + product("axis: 0"), larger=False)) == ["Reshape", "MatMul", "Add"]


def test_inner_product_of_two_open_axes():
    """Both axes before the features may grow with the batch."""
    text = "layer {{ name: 'x' type: 'Input' top: 'x' input_param {{ shape {{ dim: {} dim: {} dim: 3 dim: 7 }} }} }}" \
        + product("axis: 2").replace("{", "{{").replace("}", "}}")
    assert_same(text.format(2, 4), larger=text.format(5, 8))


@pytest.mark.parametrize("sizes", ["dim: 2", "dim: 2 dim: 3"])
@pytest.mark.parametrize("bias", ["", "bias_term: false"])
def test_embed(sizes, bias):
    x = f"layer {{ name: 'x' type: 'Input' top: 'x' input_param {{ shape {{ {sizes} }} }} }}"
    model = assert_same(x + f"""layer {{ name: 'e' type: 'Embed' bottom: 'x' top: 'y'
                        embed_param {{ num_output: 6 input_dim: 9 {bias} }} }}""")

    assert ops(model) == ["Cast", "Gather", *["Add"] * (not bias)]


def test_embed_cuts_fractions_off():
    """Caffe turns an index into a whole number as C does: 2.9 is 2, and −0.5 is 0."""
    x = "layer { name: 'x' type: 'Input' top: 'x' input_param { shape { dim: 4 } } }"
    assert_same(x + """layer { name: 'e' type: 'Embed' bottom: 'x' top: 'y'
                embed_param { num_output: 6 input_dim: 9 } }""", inputs={"x": np.float32([2.9, -0.5, 8.999, 0])})


def test_dropout_is_left_out():
    text = X + "layer { name: 'd' type: 'Dropout' bottom: 'x' top: 'y' dropout_param { dropout_ratio: 0.3 } }" \
        + "layer { name: 'a' type: 'AbsVal' bottom: 'y' top: 'z' }"
    assert ops(assert_same(text)) == ["Abs"]


def test_dropout_of_forks_scales():
    """With scale_train: false the numbers of the phase TEST are made smaller."""
    text = X + """layer { name: 'd' type: 'Dropout' bottom: 'x' top: 'y' dropout_param { dropout_ratio: 0.3
                  scale_train: false } }"""
    assert ops(assert_same(text)) == ["Mul"]


def test_refuses_dropout_by_chance():
    with pytest.raises(LayerError, match=r"'d' \(Dropout\) has sample_weights_test") as error:
        exported(X + """layer { name: 'd' type: 'Dropout' bottom: 'x' top: 'y'
                        dropout_param { sample_weights_test: true } }""")
    assert "remove sample_weights_test" in error.value.hint
