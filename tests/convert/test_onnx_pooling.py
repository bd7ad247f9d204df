"""Poolings as ONNX, compared with onnxruntime."""

import numpy as np
import pytest
from onnx_nets import given, grown, layer, net
from onnx_tools import TOLERANCE, assert_same, differences, net_of, ops

from minicaffe.errors import LayerError

pytestmark = pytest.mark.slow  # hundreds of small conversions

IMAGES = given("x", 2, 3, 8, 9)
SIDES = "kernel_h: 3 kernel_w: 4 stride_h: 2 stride_w: 3"
WINDOWS = {
    "plain": SIDES,
    "one number for both sides": "kernel_size: 3 stride: 2",
    "stride 1": "kernel_h: 3 kernel_w: 4",
    "the last window reaches over the edge": "kernel_h: 3 kernel_w: 4 stride_h: 3 stride_w: 4",
    "FLOOR": SIDES + " round_mode: FLOOR",
    "ceil_mode false": SIDES + " ceil_mode: false",
    "ceil_mode true": SIDES + " ceil_mode: true",
    "pixels that no window has": "kernel_h: 1 kernel_w: 2 stride_h: 4 stride_w: 5 round_mode: FLOOR",
    "the whole image": "kernel_h: 8 kernel_w: 9",
}
PADDED = {
    "pads": SIDES + " pad_h: 1 pad_w: 2",
    "one pad": "kernel_size: 3 stride: 2 pad: 1",
    "a pad on one side": SIDES + " pad_h: 0 pad_w: 3",
    "clipped at the padded edge": "kernel_h: 3 kernel_w: 4 stride_h: 3 stride_w: 5 pad_h: 1 pad_w: 2",
    "a window is left out": "kernel_h: 2 kernel_w: 3 stride_h: 3 stride_w: 2 pad_h: 1 pad_w: 1",
    "pads with FLOOR": SIDES + " pad_h: 1 pad_w: 2 round_mode: FLOOR",
    "pads longer than the image": "kernel_h: 9 kernel_w: 12 stride_h: 2 stride_w: 3 pad_h: 8 pad_w: 11",
}
# where a window reaches over the edge of the padded image
REACHES_OVER = ["pads", "one pad", "a pad on one side", "clipped at the padded edge"]


def pooled(fields, tops=("y",), source=IMAGES):
    return net(source, layer("Pooling", f"pooling_param {{ {fields} }}", tops=tops))


def positive(*shape):
    return np.random.default_rng(3).uniform(0.5, 2, shape).astype(np.float32)


@pytest.mark.parametrize("case", [*WINDOWS, *PADDED])
def test_max(case):
    model = assert_same(pooled("pool: MAX " + (WINDOWS | PADDED)[case]), tolerance=0)

    assert ops(model) == ["MaxPool"]


@pytest.mark.parametrize("case", [*WINDOWS, *PADDED])
def test_mask(case):
    """The places of the largest pixels, as Caffe counts them: within one channel of one image."""
    model = assert_same(pooled("pool: MAX " + (WINDOWS | PADDED)[case], ["y", "m"]), tolerance=0)

    assert ops(model) == ["MaxPool", "Mod", "Cast"]


def test_mask_has_the_first_of_equal_pixels():
    assert_same(pooled("pool: MAX " + PADDED["pads"], ["y", "m"]), tolerance=0,
                inputs={"x": np.random.default_rng(2).integers(0, 2, (2, 3, 8, 9))})


@pytest.mark.parametrize("case", WINDOWS)
def test_mean(case):
    assert ops(assert_same(pooled("pool: AVE " + WINDOWS[case]))) == ["AveragePool"]


@pytest.mark.parametrize("case", PADDED)
def test_mean_with_pads(case):
    """A Mul follows only where a window reaches over the edge of the padded image."""
    model = assert_same(pooled("pool: AVE " + PADDED[case]))

    assert ops(model) == ["AveragePool", *(["Mul"] if case in REACHES_OVER else [])]


@pytest.mark.parametrize("case", WINDOWS)
def test_stochastic(case):
    assert_same(pooled("pool: STOCHASTIC " + WINDOWS[case]), inputs={"x": positive(2, 3, 8, 9)})


def test_stochastic_where_the_sum_is_not_positive():
    x = positive(2, 3, 8, 9)
    x[:, 0], x[:, 1] = -x[:, 0], 0
    model = assert_same(pooled("pool: STOCHASTIC " + WINDOWS["plain"]), inputs={"x": x})

    assert ops(model)[-1] == "Where"


@pytest.mark.parametrize(("fields", "op"), [("MAX", "GlobalMaxPool"), ("AVE", "GlobalAveragePool"),
                                            ("STOCHASTIC", "Where")])
def test_global_pooling(fields, op):
    inputs = {"x": positive(2, 3, 8, 9)} if op == "Where" else None
    assert ops(assert_same(pooled(f"pool: {fields} global_pooling: true"), inputs=inputs))[-1] == op


def test_mask_of_global_pooling():
    assert_same(pooled("global_pooling: true", ["y", "m"]), tolerance=0)


def test_image_sides_that_grow_with_the_batch_are_refused():
    with pytest.raises(LayerError, match="'y' .* needs a fixed size along axis 3 .* grows with the batch"):
        grown([layer("Pooling", "pooling_param { kernel_size: 2 }")], (2, 3, 8, 9), (2, 3, 8, 11))


@pytest.mark.parametrize("method", ["MAX", "AVE"])
def test_global_pooling_of_image_sides_that_grow_with_the_batch(method):
    pooling = layer("Pooling", f"pooling_param {{ pool: {method} global_pooling: true }}")
    model = grown([pooling], (2, 3, 8, 9), (2, 3, 8, 11))

    assert max(differences(net_of(net(given("x", 2, 3, 8, 11), pooling)), model).values()) < TOLERANCE


@pytest.mark.parametrize("height", [1, 2, 3])
@pytest.mark.parametrize("method", ["MAX", "AVE", "STOCHASTIC"])
def test_spp(method, height):
    """STOCHASTIC takes no padding, so its sides are such that no level needs any."""
    shape = (2, 3, 8, 4) if method == "STOCHASTIC" else (2, 3, 9, 11)
    spp = layer("SPP", f"spp_param {{ pyramid_height: {height} pool: {method} }}")
    model = assert_same(net(given("x", *shape), spp), inputs={"x": positive(*shape)})

    assert ("Concat" in ops(model)) == (height > 1)


def test_spp_of_a_batch_of_any_size():
    assert_same(net(given("x", 2, 3, 9, 11), layer("SPP", "spp_param { pyramid_height: 3 }")), tolerance=0)
