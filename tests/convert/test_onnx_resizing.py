"""Layers that give images another size as ONNX, compared with onnxruntime."""

import numpy as np
import pytest
from onnx_nets import given, grown, layer, net
from onnx_tools import assert_same, net_of, ops

from minicaffe.convert.onnx_out.model import model_of
from minicaffe.errors import LayerError

pytestmark = pytest.mark.slow  # hundreds of small conversions

IMAGES = given("x", 2, 3, 7, 9)


@pytest.mark.parametrize("fields", [
    "height: 12 width: 17", "height: 4 width: 6", "height: 1 width: 8", "zoom_factor: 3", "shrink_factor: 3",
    "zoom_factor: 4 shrink_factor: 2", "height: 8 width: 10 zoom_factor: 2", "height: 8 width: 10 zoom_factor: 2 "
    "shrink_factor: 3", "pad_beg: -1 pad_end: -2 zoom_factor: 3", "pad_beg: -2 height: 6 width: 11",
    "pad_end: -3 shrink_factor: 2"])
def test_interp(fields):
    text = net(IMAGES, layer("Interp", f"interp_param {{ {fields} }}"))
    cut = ["Slice"] if "pad" in fields else []

    assert ops(assert_same(text)) == [*cut, "Shape", "Concat", "Resize"]
    assert ops(assert_same(text, larger=False)) == [*cut, "Resize"]


def test_interp_of_one_pixel():
    assert_same(net(given("x", 2, 3, 1, 9), layer("Interp", "interp_param { height: 4 width: 6 }")))
    model = assert_same(net(given("x", 2, 3, 1, 1), layer("Interp", "interp_param { height: 4 width: 6 }")))
    assert "Resize" not in ops(model)  # OpenCV 5.0 computes other numbers by it


@pytest.mark.parametrize("fields", ["", "pad_beg: -1 pad_end: -1"])
def test_interp_to_the_size_of_a_reference(fields):
    assert_same(net(IMAGES, given("r", 4, 8, 12, 6),
                    layer("Interp", f"interp_param {{ use_blob_size: true {fields} }}", "xr")))


@pytest.mark.parametrize("axis", [2, 3])
@pytest.mark.parametrize("part", [layer("Interp", "interp_param { height: 4 width: 6 }"),
                                  layer("Upsample", "", ["x", "x"])], ids=["Interp", "Upsample"])
def test_image_sides_that_grow_with_the_batch_are_refused(part, axis):
    larger = [2, 3, 7, 9]
    larger[axis] += 4
    with pytest.raises(LayerError, match=f"'y' .* needs a fixed size along axis {axis} .* grows with the batch"):
        grown([part], (2, 3, 7, 9), larger)


def test_interp_to_a_size_that_grows_with_the_batch_is_refused():
    interp = layer("Interp", "interp_param { use_blob_size: true }", "xr")
    small, large = (net_of(net(IMAGES, given("r", 4, 8, n, 6), interp)) for n in (12, 13))
    with pytest.raises(LayerError, match="'y' .* takes the size of bottom.1. .* which grows with the batch"):
        model_of(small, large)


@pytest.mark.parametrize(("fields", "nodes"), [("zoom_factor: 1", []), ("zoom_factor: 1 pad_beg: -1", ["Slice"])])
def test_interp_that_keeps_the_size(fields, nodes):
    text = net(IMAGES, layer("Interp", f"interp_param {{ {fields} }}"), layer("ReLU", "", "y", "z"))
    assert ops(assert_same(text, tolerance=0)) == [*nodes, "Relu"]


@pytest.mark.parametrize("fields", ["scale: 3", "scale_h: 4 scale_w: 6", "scale_h: 1 scale_w: 7", ""])
def test_upsample(fields):
    model = assert_same(net(IMAGES, layer("Upsample", f"upsample_param {{ {fields} }}")), tolerance=0)

    assert ops(model) == ["Resize"]


@pytest.mark.parametrize(("pool", "fields"), [
    ("kernel_size: 2 stride: 2", "upsample_h: 7 upsample_w: 9"),
    ("kernel_size: 2 stride: 2", "pad_out_h: true pad_out_w: true"),
    ("kernel_h: 3 kernel_w: 2 stride_h: 3 stride_w: 2", "scale_h: 3 scale_w: 2"),
    ("kernel_h: 3 kernel_w: 4 stride_h: 3 stride_w: 4 pad_h: 1 pad_w: 2", "upsample_h: 7 upsample_w: 9"),
    ("kernel_size: 3 stride: 3", "scale: 3")])
def test_upsample_by_the_mask_of_a_pooling(pool, fields):
    assert_same(net(IMAGES, layer("Pooling", f"pooling_param {{ {pool} }}", "x", "pm"),
                    layer("Upsample", f"upsample_param {{ {fields} }}", "pm")), tolerance=0)


def test_upsample_of_places_that_come_twice():
    m = np.random.default_rng(5).integers(0, 9, (2, 3, 7, 4))
    assert_same(net(given("x", 2, 3, 7, 4), given("m", 2, 3, 7, 4), layer("Upsample", "", "xm")), tolerance=0,
                inputs={"m": m})
