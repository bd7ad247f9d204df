"""Layers for images as ONNX, compared with onnxruntime."""

import numpy as np
import pytest
from extras import needs
from onnx_nets import given, grown, layer, many, net
from onnx_tools import TOLERANCE, assert_same, differences, net_of, ops

from minicaffe.convert import onnx_package
from minicaffe.convert.onnx_out.model import model_of
from minicaffe.errors import LayerError

pytestmark = pytest.mark.slow  # hundreds of small conversions

IMAGES = given("x", 2, 4, 7, 9)
LINES, VOLUMES, POINTS = given("x", 2, 4, 9), given("x", 2, 4, 7, 9, 6), given("x", 2, 4)
FRAMES = given("x", 2, 3, 4, 7, 9)  # two axes before the channels, which are at axis 2
WINDOW = "kernel_h: 3 kernel_w: 2 stride_h: 2 stride_w: 1 pad_h: 1 pad_w: 0"
WINDOWS = {
    "plain": (IMAGES, WINDOW),
    "no stride": (IMAGES, "kernel_size: 3"),
    "dilation": (IMAGES, WINDOW + " dilation: 2 dilation: 3"),
    "one number for both sides": (IMAGES, "kernel_size: 3 stride: 2 pad: 1 dilation: 2"),
    "pads longer than the window": (IMAGES, "kernel_size: 2 kernel_size: 3 pad: 3 pad: 4"),
    "stride longer than the window": (IMAGES, "kernel_size: 1 kernel_size: 2 stride: 3 stride: 4"),
    "lines": (LINES, "kernel_size: 4 stride: 2 pad: 1"),
    "volumes": (VOLUMES, many("kernel_size", (3, 2, 4)) + many(" stride", (2, 1, 3)) + many(" pad", (1, 0, 2))),
    "no axis to slide along": (POINTS, "kernel_size: 1"),
    "axis 2": (FRAMES, WINDOW + " axis: 2"),
    "axis from the end": (FRAMES, WINDOW + " axis: -3"),
    "force_nd_im2col": (IMAGES, WINDOW + " force_nd_im2col: true"),
}


def filters(kind, fields, source=IMAGES):
    return net(source, layer(kind, f"convolution_param {{ num_output: 6 {fields} }}"))


@pytest.mark.parametrize("case", WINDOWS)
@pytest.mark.parametrize("kind", ["Convolution", "Deconvolution"])
def test_window(kind, case):
    source, fields = WINDOWS[case]
    model = assert_same(filters(kind, fields + " group: 2", source))

    op = "Conv" if kind == "Convolution" else "ConvTranspose"
    assert ops(model) == ([op] if source in (IMAGES, LINES, VOLUMES) else ["Reshape", op, "Reshape"])


@pytest.mark.parametrize(("source", "fields", "nodes"), [
    (IMAGES, "kernel_size: 1 pad_h: 1 pad_w: 2", ["Pad", "Conv"]),
    (IMAGES, "kernel_size: 1 pad_h: 0 pad_w: 2 dilation: 3 group: 2", ["Pad", "Conv"]),
    (LINES, "kernel_size: 1 pad: 2", ["Pad", "Conv"]),
    (VOLUMES, "kernel_size: 1 pad: 1 pad: 0 pad: 2", ["Pad", "Conv"]),
    (FRAMES, "kernel_size: 1 pad_h: 1 pad_w: 2 axis: 2", ["Reshape", "Pad", "Conv", "Reshape"]),
    (IMAGES, "kernel_size: 1 pad_h: 1 pad_w: 2 stride_h: 1 stride_w: 2", ["Conv"]),
    (IMAGES, "kernel_h: 1 kernel_w: 2 pad_h: 1 pad_w: 2", ["Conv"]),
    (IMAGES, "kernel_size: 1", ["Conv"]),
])
def test_padding_of_filters_of_one_pixel(source, fields, nodes):
    """OpenCV 5.0 pads wrongly there, so a Pad does it."""
    assert ops(assert_same(filters("Convolution", fields, source))) == nodes


@pytest.mark.parametrize("case", WINDOWS)
def test_im2col(case):
    source, fields = WINDOWS[case]
    if source is not POINTS:
        assert_same(net(source, layer("Im2col", f"convolution_param {{ {fields} }}")), tolerance=0)


@pytest.mark.parametrize("kind", ["Convolution", "Deconvolution"])
@pytest.mark.parametrize("fields", ["", "group: 2", "bias_term: false", "group: 2 bias_term: false"])
def test_filters_and_biases(kind, fields):
    model = assert_same(filters(kind, f"{WINDOW} {fields}"))

    biases = [list(array.dims) for array in model.graph.initializer if len(array.dims) == 1]
    assert biases == ([] if "false" in fields else [[6]])


@pytest.mark.parametrize(("kind", "K"), [("ConvolutionDepthwise", 4), ("ConvolutionDepthwise", 8),
                                         ("DepthwiseConvolution", 4), ("DepthwiseConv", 8)])
def test_filters_of_each_channel(kind, K):
    group = "" if kind == "ConvolutionDepthwise" else "group: 4"
    model = assert_same(net(IMAGES, layer(kind, f"convolution_param {{ num_output: {K} {group} {WINDOW} }}")))

    assert {attribute.name: attribute.i for attribute in model.graph.node[0].attribute}["group"] == 4


@pytest.mark.parametrize("kind", ["Convolution", "Deconvolution"])
@pytest.mark.parametrize("axis", [1, 2])
def test_several_bottoms_share_the_weights(kind, axis):
    sources = [given(name, *(2, 3, 4, 7, 9)[2 - axis:]) for name in "xz"]
    model = assert_same(net(*sources, layer(kind, f"convolution_param {{ num_output: 6 axis: {axis} {WINDOW} }}",
                                            "xz", "yw")))

    of_filters = [list(array.dims)[2:] for array in model.graph.initializer if len(array.dims) == 4]
    assert of_filters == [[3, 2]]


@pytest.mark.parametrize("kind", ["Convolution", "Im2col"])
def test_a_window_that_reaches_over_the_padded_image(kind):
    """The extent is 9 in a row of 6 + 2: Caffe still counts a window, because the stride is longer than the 1 missing.
    """
    count = "num_output: 6 " if kind == "Convolution" else ""
    fields = f"{count}kernel_size: 3 kernel_size: 2 dilation: 4 dilation: 1 stride: 3 stride: 1 pad: 1 pad: 0"
    model = assert_same(net(given("x", 2, 4, 6, 9), layer(kind, f"convolution_param {{ {fields} }}")))

    pads, = (attribute.ints for attribute in model.graph.node[0].attribute if attribute.name == "pads")
    assert [*pads] == [1, 0, 2, 0]


@pytest.mark.parametrize("kind", ["Convolution", "Deconvolution", "Im2col"])
def test_channels_that_grow_with_the_batch_are_refused(kind):
    count = "" if kind == "Im2col" else "num_output: 6 "
    text = net(given("x", 4, 7, 9), layer(kind, f"convolution_param {{ {count}axis: 0 {WINDOW} }}"))
    with pytest.raises(LayerError, match="'y' .* needs a fixed size along axis 0 .* grows with the batch") as error:
        assert_same(text)

    assert error.value.hint == "--batch N writes the model for one batch size"
    assert_same(text, larger=False)


@pytest.mark.parametrize("fields", ["", "offset: 1", "offset: 1 offset: 3", "axis: 1 offset: 1 offset: 0 offset: 2",
                                    "axis: -1 offset: 4", "axis: 3", "axis: 0 offset: 0 offset: 1 offset: 1 offset: 3"])
def test_crop(fields):
    model = assert_same(net(IMAGES, given("r", 2, 3, 6, 4), layer("Crop", f"crop_param {{ {fields} }}", "xr")),
                        tolerance=0)

    assert ops(model) == ["Slice"]


def test_crop_that_keeps_all():
    text = net(IMAGES, given("r", 2, 3, 7, 9), layer("Crop", "", "xr"), layer("ReLU", "", "y", "z"))
    assert ops(assert_same(text, tolerance=0)) == ["Relu"]


def test_crop_of_a_batch_of_any_size():
    """The reference is one image at every batch size."""
    small, large = (net(given("x", n, 4, 9), given("r", 2, 3, 7), layer("Crop", "crop_param { axis: 0 }", "xr"))
                    for n in (2, 5))
    larger = net_of(large)
    model = model_of(net_of(small), larger)

    assert differences(larger, model) == {"y": 0}


def test_crop_to_a_size_that_grows_with_the_batch_is_refused():
    text = net(given("x", 6, 4, 9), given("r", 2, 3, 7), layer("Crop", "crop_param { axis: 0 }", "xr"))
    with pytest.raises(LayerError, match="'y' .* cuts axis 0 to a size that grows with the batch"):
        assert_same(text)

    assert_same(text, larger=False)


@pytest.mark.parametrize("cut", [(0, 1, 2, 3), (0, 0, 0, 4), (0, 0, 1, 0)])
def test_crop_center(cut):
    model = assert_same(net(IMAGES, layer("CropCenter", f"crop_center_param {{ {many('crop_size', cut)} }}")),
                        tolerance=0)

    assert ops(model) == ["Slice"]


@pytest.mark.parametrize(("shape", "fields"), [((2, 4, 6, 8), "stride: 2"), ((2, 12, 9, 6), "stride: 2 reverse: true"),
                                               ((2, 9, 6, 12), "stride: 3"), ((2, 4, 7, 9), "stride: 1")])
def test_reorg(shape, fields):
    model = assert_same(net(given("x", *shape), layer("Reorg", f"reorg_param {{ {fields} }}")), tolerance=0)

    assert ops(model) == ["Reshape", "Transpose", "Reshape"]


@pytest.mark.parametrize("axis", [1, 2, 3])
def test_reorg_of_images_that_grow_with_the_batch_is_refused(axis):
    larger = [2, 4, 6, 8]
    larger[axis] *= 2
    with pytest.raises(LayerError, match=f"'y' .* needs a fixed size along axis {axis}"):
        grown([layer("Reorg", "reorg_param { stride: 2 }")], (2, 4, 6, 8), larger)


def test_image_sides_may_grow_with_the_batch():
    convolution = layer("Convolution", f"convolution_param {{ num_output: 6 {WINDOW} }}")
    model = grown([convolution], (2, 4, 7, 9), (2, 4, 8, 9))
    larger = net_of(net(given("x", 2, 4, 8, 9), convolution))
    for k, array in enumerate(model.graph.initializer):
        larger.layers[1].blobs[k].data[...] = needs("onnx.numpy_helper").to_array(array)

    assert differences(larger, model)["y"] < TOLERANCE


def test_a_window_that_only_larger_images_hold_is_refused():
    """How much padding makes it fit follows from the size of the image."""
    fields = "num_output: 6 kernel_size: 9 kernel_size: 2 stride: 3 stride: 1 pad: 1 pad: 0"
    with pytest.raises(LayerError, match="'y' .* needs a fixed size along axis 2"):
        grown([layer("Convolution", f"convolution_param {{ {fields} }}")], (2, 4, 6, 8), (2, 4, 12, 8))


def test_pixels_of_im2col_are_in_caffes_order():
    """Against places that are counted by hand: channel (c, i) at o is pixel o + i of channel c."""
    needs("onnxruntime")
    model = assert_same(net(given("x", 2, 3, 4, 6), layer("Im2col", "convolution_param { kernel_h: 1 kernel_w: 2 }")))
    x = np.arange(144, dtype=np.float32).reshape(2, 3, 4, 6)
    y = onnx_package.run(model.SerializeToString(), {"x": x})["y"]

    np.testing.assert_array_equal(y[1, 5], x[1, 2, :, 1:])
