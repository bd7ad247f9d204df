"""Layers that read, move or choose regions as ONNX, compared with onnxruntime."""

import numpy as np
import pytest
from onnx_tools import assert_same, exported, net_of, ops

pytestmark = pytest.mark.slow  # hundreds of small conversions

C, H, W = 3, 8, 11
SPREAD = "bbox_reg_param { bbox_mean: 0.1 bbox_mean: -0.2 bbox_mean: 0.3 bbox_mean: 0.05 " \
         "bbox_std: 0.1 bbox_std: 0.2 bbox_std: 0.4 bbox_std: 0.3 }"


def given(name, *shape):
    """An Input of this name and shape."""
    return f"layer {{ name: '{name}' type: 'Input' top: '{name}' input_param {{ shape {{ " \
           f"{' '.join(f'dim: {size}' for size in shape)} }} }} }}\n"


def regions(R, N, width, height, seed=0, kind="any"):
    """Regions (R, 5) of N images; some of them reach over the edges, and some have their corners in the wrong order."""
    draw = np.random.default_rng(seed)
    corners = draw.uniform(-0.2, 1.2, (R, 2, 2)) * (width, height)
    if kind == "halves":
        corners = np.round(corners) + 0.5
    if kind == "whole":
        corners = np.round(corners)
    if seed:
        corners.sort(axis=1)
    image = draw.integers(N, size=(R, 1)) + draw.choice([0, 0.4], (R, 1))  # the number of the image is truncated
    return np.hstack([image, corners.reshape(R, 4)])


def pooling(kind, fields, N=2, R=9, tail=()):
    """A net with a layer that reads regions of a map."""
    channels = C * 4 if kind == "PSROIPooling" else C
    message = "psroi_pooling_param" if kind == "PSROIPooling" else "roi_pooling_param"
    return given("x", N, channels, H, W) + given("roi", R, 5, *tail) + \
        f"layer {{ name: 'pool' type: '{kind}' bottom: 'x' bottom: 'roi' top: 'y' {message} {{ {fields} }} }}"


def numbers(scale, seed=0, kind="any"):
    """What makes a map and regions of it for a net."""
    def of(net):
        x, roi = (net.blobs[name].shape for name in ("x", "roi"))
        size = (1, 1) if scale == -1 else (W / scale, H / scale)
        return {"x": np.random.default_rng(seed).standard_normal(x),
                "roi": regions(roi[0], x[0], *size, seed, kind).reshape(roi)}
    return of


def same(kind, fields, scale, **how):
    """Compare for a free number of images and regions, and for a fixed one; return the model."""
    for seed, at in ((0, "any"), (1, "any"), (2, "halves"), (3, "whole")):
        assert_same(pooling(kind, fields, 2, 9, **how), larger=pooling(kind, fields, 4, 13, **how),
                    inputs=numbers(scale, seed, "any" if scale == -1 else at))
    return assert_same(pooling(kind, fields, **how), larger=False, inputs=numbers(scale))


@pytest.mark.parametrize("fields", ["pooled_h: 4 pooled_w: 5", "pooled_size: 4 pooled_size: 5",
                                    "pooled_h: 1 pooled_w: 14"])
@pytest.mark.parametrize("scale", [0.0625, 1, 0.37])
def test_roi_pooling(fields, scale):
    assert ops(same("ROIPooling", f"{fields} spatial_scale: {scale}", scale)) == ["MaxRoiPool"]


def test_roi_pooling_of_parts_of_the_image():
    same("ROIPooling", "pooled_h: 4 pooled_w: 5 spatial_scale: -1", -1)


@pytest.mark.parametrize("kind", ["ROIPooling", "ROIAlign"])
def test_padded_regions(kind):
    same(kind, "pooled_h: 4 pooled_w: 5 spatial_scale: 0.25 pad_ratio: 0.25", 0.25)


@pytest.mark.parametrize("kind", ["ROIPooling", "ROIAlign", "PSROIPooling"])
def test_regions_of_four_axes(kind):
    """So the layers of cascade-rcnn put them out."""
    fields = "output_dim: 3 group_size: 2" if kind == "PSROIPooling" else "pooled_h: 4 pooled_w: 5"
    same(kind, f"{fields} spatial_scale: 0.25", 0.25, tail=(1, 1))


@pytest.mark.parametrize("fields", ["pooled_h: 4 pooled_w: 6", "pooled_h: 1 pooled_w: 13"])
@pytest.mark.parametrize("scale", [0.0625, 1, 0.37])
def test_roi_align(fields, scale):
    same("ROIAlign", f"{fields} spatial_scale: {scale}", scale)


def test_roi_align_at_the_edges():
    """A point half a pixel outside of the map is read, and one further out is 0; without a height all are 0."""
    text = pooling("ROIAlign", "pooled_h: 2 pooled_w: 4 spatial_scale: 1", N=1, R=5)
    roi = np.array([[0, 0, 0, W, H], [0, -0.01, 0, W + 0.01, H], [0, 1, 2, 7, 2], [0, 5, 1, 3, 4], [0, 2, -3, 4, 20]])

    assert_same(text, larger=False, inputs={"roi": roi, "x": np.arange(C * H * W).reshape(1, C, H, W) + 1})


@pytest.mark.parametrize("scale", [0.0625, 1, 0.37])
def test_psroi_pooling(scale):
    same("PSROIPooling", f"output_dim: 3 group_size: 2 spatial_scale: {scale}", scale)


def test_psroi_pooling_of_one_bin():
    same("PSROIPooling", f"output_dim: {4 * C} group_size: 1 spatial_scale: 0.25", 0.25)


@pytest.mark.parametrize("kind", ["ROIPooling", "ROIAlign", "PSROIPooling"])
def test_no_region(kind):
    """A layer in front may find none."""
    fields = "output_dim: 3 group_size: 2" if kind == "PSROIPooling" else "pooled_h: 4 pooled_w: 5"
    nets = [pooling(kind, f"{fields} spatial_scale: 0.25", N, R) for N, R in ((2, 9), (4, 0))]
    assert_same(nets[0], larger=nets[1], inputs=numbers(0.25))


# --- regions that are moved or chosen --------------------------------------------------------------


@pytest.mark.parametrize("tail", [(), (1, 1)])
@pytest.mark.parametrize("spread", ["", SPREAD])
def test_decode_bbox(spread, tail):
    def net(R):
        return given("t", R, 8) + given("roi", R, 5, *tail) + \
            f"layer {{ name: 'd' type: 'DecodeBBox' bottom: 't' bottom: 'roi' top: 'y' {spread} }}"

    def inputs(made):
        R = made.blobs["t"].shape[0]
        return {"t": np.random.default_rng(1).normal(0, 0.5, (R, 8)),
                "roi": regions(R, 4, 90, 70).reshape(R, 5, *tail)}

    assert_same(net(9), larger=net(13), inputs=inputs)
    assert_same(net(9), larger=False, inputs=inputs)


def route(fields, R=9):
    return given("roi", R, 5) + given("x", R, 3) + given("z", R, 2, 4, 6) + \
        f"layer {{ name: 's' type: 'ScaleRoute' bottom: 'roi' bottom: 'x' bottom: 'z' top: 'a' top: 'b' top: 'c' " \
        f"scale_route_param {{ {fields} }} }}"


@pytest.mark.parametrize(("fields", "count"), [
    ("low_scale: 20 high_scale: 40", 4), ("low_scale: 40", 3), ("high_scale: 40", 6), ("", 9),
    ("low_scale: 900", 1), ("low_scale: 3 high_scale: 4", 1), ("high_scale: 0.5", 1)])
def test_scale_route(fields, count):
    """The regions of a range of sizes go on; where there is none, the one that fits best."""
    sides = np.array([20, 39, 5, 40, 25, 60, 20, 200, 0])  # the last one has its corners in the wrong order

    def inputs(net):
        R = net.blobs["x"].shape[0]
        size = np.resize(sides, R)[:, None]
        near = np.full((R, 2), 7.0)
        return {"roi": np.hstack([np.zeros((R, 1)), near, near + size - 1]),
                "x": np.arange(3 * R).reshape(R, 3) + 1, "z": np.random.default_rng(0).standard_normal((R, 2, 4, 6))}

    net = net_of(route(fields))
    for name, values in inputs(net).items():
        net.blobs[name].data[...] = values
    net.forward()
    assert net.blobs["a"].shape == (count, 5, 1, 1)
    assert_same(route(fields), larger=route(fields, 13), inputs=inputs)
    model = assert_same(route(fields), larger=False, inputs=inputs)
    assert all(output.type.tensor_type.shape.dim[0].dim_param for output in model.graph.output)


def test_the_number_of_regions_is_open_behind_a_layer_that_chooses_them():
    """What reads the regions makes as many rows, also where the batch size of the net is fixed."""
    text = given("x", 2, C, H, W) + given("all", 9, 5) + """
        layer { name: 's' type: 'ScaleRoute' bottom: 'all' top: 'roi' scale_route_param { low_scale: 20 } }
        layer { name: 'pool' type: 'ROIPooling' bottom: 'x' bottom: 'roi' top: 'p' roi_pooling_param {
          pooled_h: 4 pooled_w: 5 spatial_scale: 0.1 } }
        layer { name: 'score' type: 'InnerProduct' bottom: 'p' top: 'y' inner_product_param { num_output: 7 } }"""
    inputs = {"all": regions(9, 2, 110, 80, 1)}
    _, model = exported(text, larger=False)
    dims = model.graph.output[0].type.tensor_type.shape.dim

    assert dims[0].dim_param
    assert dims[1].dim_value == 7
    assert_same(text, larger=False, inputs=inputs)
