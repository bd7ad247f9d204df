"""Convolutions and poolings of ONNX as layers, compared in numbers with onnxruntime."""

import numpy as np
import pytest
from onnx_models import read_one, refusal

pytestmark = pytest.mark.slow  # hundreds of small conversions

DRAW = np.random.default_rng(5)


def floats(*shape):
    return DRAW.standard_normal(shape).astype(np.float32)


@pytest.mark.parametrize(("given", "types"), [
    ({}, ["Convolution"]),
    ({"pads": [1, 2, 1, 2], "strides": [2, 3]}, ["Convolution"]),
    ({"dilations": [2, 3], "strides": [1, 2]}, ["Convolution"]),
    # what the window does not reach at the end may be padded as one likes
    ({"pads": [1, 0, 0, 1], "strides": [3, 1]}, ["Convolution", "Slice", "Silence"]),
    ({"pads": [0, 3, 2, 1]}, ["Convolution", "Slice", "Slice", "Silence"]),
    ({"auto_pad": "SAME_UPPER", "strides": [2, 3]}, ["Convolution", "Slice", "Slice", "Silence"]),
    ({"auto_pad": "SAME_LOWER", "strides": [2, 3]}, ["Convolution"]),
    ({"auto_pad": "VALID"}, ["Convolution"]),
], ids=str)
def test_conv(given, types):
    """A convolution whose paddings differ gets a larger padding, and a Slice cuts off the rest."""
    assert read_one("Conv", (2, 3, 8, 10), constants=[floats(5, 3, 3, 4), floats(5)], **given) == types


def test_conv_in_groups():
    assert read_one("Conv", (2, 6, 5, 7), constants=[floats(9, 2, 1, 2)], group=3) == ["Convolution"]


@pytest.mark.parametrize("axes", [1, 3])
def test_conv_along_other_numbers_of_axes(axes):
    sizes, kernel = (7, 6, 8)[:axes], (3, 2, 4)[:axes]
    assert read_one("Conv", (2, 3, *sizes), constants=[floats(4, 3, *kernel)]) == ["Convolution"]


@pytest.mark.parametrize(("given", "types"), [
    ({}, ["Deconvolution"]),
    ({"strides": [3, 2], "dilations": [1, 2], "pads": [1, 2, 1, 2]}, ["Deconvolution"]),
    ({"strides": [2, 3], "pads": [1, 0, 0, 2]}, ["Deconvolution", "Slice", "Slice", "Silence"]),
    # PyTorch's usual way to double a size: the filter reaches farther than what is cut off
    ({"strides": [2, 2], "pads": [1, 1, 1, 1], "output_padding": [1, 1]},
     ["Deconvolution", "Slice", "Slice", "Silence"]),
    ({"strides": [2, 3], "auto_pad": "SAME_UPPER"}, ["Deconvolution", "Slice", "Slice", "Silence"]),
    ({"strides": [2, 3], "group": 2}, ["Deconvolution"]),
], ids=str)
def test_conv_transpose(given, types):
    assert read_one("ConvTranspose", (2, 4, 5, 7), constants=[floats(4, 3, 3, 4), floats(3 * given.get("group", 1))],
                    **given) == types


def test_conv_transpose_beyond_its_filter_is_refused():
    said = refusal("ConvTranspose", (2, 4, 5, 7), constants=[floats(4, 3, 2, 3)], strides=[4, 3], output_padding=[3, 0])

    assert "'ConvTranspose of y' (ConvTranspose) has an output that reaches 3 pixels farther than its filter along " \
           "axis 2" in said


POOLINGS = [
    ({"kernel_shape": [2, 3], "strides": [2, 3]}, (9, 10), ["Slice", "Slice"]),
    ({"kernel_shape": [2, 3], "strides": [2, 3]}, (8, 12), []),
    ({"kernel_shape": [3, 2], "strides": [2, 2], "pads": [1, 0, 1, 0]}, (10, 12), ["Slice"]),  # as in ResNet
    ({"kernel_shape": [3, 2], "strides": [2, 3], "pads": [1, 0, 1, 0], "ceil_mode": 1}, (10, 14), []),
    ({"kernel_shape": [4, 3], "strides": [3, 2], "pads": [0, 1, 2, 1]}, (9, 11), []),
    ({"kernel_shape": [3, 4], "strides": [2, 1], "pads": [1, 3, 0, 1]}, (9, 7), ["Slice", "Slice"]),
    ({"kernel_shape": [3, 4], "strides": [2, 3], "auto_pad": "SAME_UPPER"}, (8, 10), []),
    ({"kernel_shape": [1, 2], "strides": [2, 3]}, (8, 9), ["Slice", "Slice"]),  # a window without a pixel
]


@pytest.mark.parametrize(("given", "sizes", "more"), POOLINGS, ids=str)
@pytest.mark.parametrize("op", ["MaxPool", "AveragePool"])
def test_pooling_has_the_windows_of_onnx(op, given, sizes, more):
    """Caffe rounds the number of windows up, and cuts them off where ONNX has fewer."""
    types = read_one(op, (2, 3, *sizes), **given)

    assert [name for name in types if name == "Slice"] == more
    assert types.count("Pooling") == 1


def test_pooling_with_round_mode():
    """The last version of BVLC's Caffe need not cut off anything."""
    given = {"kernel_shape": [3, 2], "strides": [2, 3], "pads": [1, 0, 1, 0]}

    assert read_one("MaxPool", (2, 3, 10, 13), dialect="bvlc", **given) == ["Pooling"]
    assert read_one("MaxPool", (2, 3, 10, 13), **given) != ["Pooling"]


@pytest.mark.parametrize("counts", [0, 1])
@pytest.mark.parametrize("ceil", [0, 1])
@pytest.mark.parametrize("pads", [[1, 2, 1, 2], [0, 1, 2, 0], [2, 0, 0, 1]])
def test_average_divides_as_onnx(counts, ceil, pads):
    """Caffe counts the padding; where ONNX does not, or not all of it, each place is scaled."""
    types = read_one("AveragePool", (2, 3, 9, 11), kernel_shape=[3, 4], strides=[2, 3], pads=pads, ceil_mode=ceil,
                     count_include_pad=counts)

    assert ("Scale" in types) or counts


def test_average_that_needs_no_scale():
    assert read_one("AveragePool", (2, 3, 9, 11), kernel_shape=[3, 5], pads=[1, 2, 1, 2], count_include_pad=1) == [
        "Pooling"]


@pytest.mark.parametrize(("op", "given"), [
    ("MaxPool", {"pads": [0, 0, 1, 1]}), ("AveragePool", {"pads": [0, 0, 1, 1]}),
    ("AveragePool", {"pads": [0, 0, 1, 1], "count_include_pad": 1})])
def test_pooling_padded_more_than_caffe_can(op, given):
    """A padding of the end alone, as large as the window: the image itself is made longer."""
    types = read_one(op, (2, 3, 10, 9), kernel_shape=[2, 2], strides=[3, 2], **given)

    assert ("Concat" if op == "MaxPool" else "Convolution") in types or types.count("Pooling") == 1


@pytest.mark.parametrize("op", ["MaxPool", "AveragePool"])
def test_pooling_along_one_axis(op):
    assert read_one(op, (2, 3, 10), kernel_shape=[3], strides=[2], pads=[1, 1])[:2] == ["Reshape", "Pooling"]


@pytest.mark.parametrize("op", ["GlobalAveragePool", "GlobalMaxPool"])
def test_global_pooling(op):
    assert read_one(op, (2, 3, 5, 7)) == ["Pooling"]
    assert read_one(op, (2, 3, 5)) == ["Reshape", "Pooling", "Reshape"]


def test_pooling_with_dilation_is_refused():
    assert "has windows with dilation" in refusal("MaxPool", (2, 3, 9, 11), kernel_shape=[2, 3], dilations=[2, 1])


def test_pooling_along_three_axes_is_refused():
    assert "pools along 3 axes" in refusal("MaxPool", (2, 3, 9, 11, 8), kernel_shape=[2, 3, 4])


@pytest.mark.parametrize("mode", ["constant", "edge", "reflect"])
def test_pad(mode):
    """Constants by a convolution with one pixel, what is repeated or mirrored by Slice and Concat."""
    value = [np.array(1.5, np.float32)] if mode == "constant" else []
    types = read_one("Pad", (2, 3, 5, 7), constants=[np.array([0, 0, 2, 0, 0, 0, 1, 3]), *value], mode=mode)

    assert ("Convolution" in types) == (mode == "constant")


def test_pad_that_cuts_off():
    assert read_one("Pad", (2, 3, 5, 7), opset=10, pads=[0, 0, -2, 0, 0, 0, 0, -3], value=1.0) == [
        "Slice", "Slice", "Silence"]


def test_pad_of_some_axes():
    assert read_one("Pad", (2, 3, 5, 7), constants=[np.array([1, 2]), None, np.array([-1])]) == [
        "Convolution", "Slice", "Silence"]


def test_pad_of_channels_is_refused():
    assert "Caffe pads only height and width" in refusal("Pad", (2, 3, 5, 7), opset=10, pads=[0, 1, 0, 0, 0, 0, 0, 0])
