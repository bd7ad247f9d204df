"""Layers that rescale by statistics as ONNX, compared with onnxruntime."""

import numpy as np
import pytest
from onnx_nets import given, grown, in_place, layer, net
from onnx_tools import assert_same, ops

from minicaffe.errors import LayerError

pytestmark = pytest.mark.slow  # hundreds of small conversions

IMAGES = given("x", 2, 4, 7, 9)
SHAPES = [(2, 4, 7, 9), (2, 4, 7, 9, 6), (2, 4, 9), (2, 4)]


def statistics(factor):
    """Give BatchNorm's blob `factor` this value."""
    def fill(net):
        net.layers[-1].blobs[2].data[...] = factor
    return fill


@pytest.mark.parametrize("shape", [*SHAPES, (2,)])
@pytest.mark.parametrize("fields", ["", "eps: 0.01", "use_global_stats: true", "moving_average_fraction: 0.5"])
def test_batch_norm(shape, fields):
    model = assert_same(net(given("x", *shape), layer("BatchNorm", f"batch_norm_param {{ {fields} }}")),
                        statistics(2.5))

    assert [op for op in ops(model) if op != "Reshape"] == ["BatchNormalization"]


def test_factor_0_means_statistics_of_0():
    """The divisor is √ε then, and what is stored of the mean and the variance does not count."""
    assert_same(net(IMAGES, layer("BatchNorm", "batch_norm_param { eps: 0.25 }")), statistics(0))


@pytest.mark.parametrize("fields", ["scale_bias: true", "scale_bias: true eps: 1e-9", "use_weight_bias: true",
                                    "use_weight_bias: true bias_term: false"])
@pytest.mark.parametrize("of_batch", [False, True])
def test_batch_norm_of_forks(fields, of_batch):
    """NVIDIA's scale_bias never divides by the blob `factor`."""
    stats = "use_global_stats: false" if of_batch else ""
    assert_same(net(IMAGES, layer("BatchNorm", f"batch_norm_param {{ {fields} {stats} }}")), statistics(2.5))


@pytest.mark.parametrize("shape", [*SHAPES, (2,)])
def test_batch_norm_by_the_batch(shape):
    text = net(given("x", *shape), layer("BatchNorm", "batch_norm_param { use_global_stats: false eps: 0.1 }"))
    model = assert_same(text)

    assert ops(model)[-1] == "Div"


def test_batch_norm_in_place():
    assert_same(net(IMAGES, in_place("BatchNorm")), statistics(2.5))


@pytest.mark.parametrize("kind", ["BatchNorm", "BN"])
def test_channels_that_grow_with_the_batch_are_refused(kind):
    with pytest.raises(LayerError, match="'y' .* needs a fixed size along axis 1"):
        grown([layer(kind)], (2, 4, 7), (2, 5, 7))


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("fields", ["momentum: 0.5", "eps: 0.1", "frozen: true", "var_eps: 0.1 moving_average: true",
                                    "var_eps: 0.1", "bn_mode: INFERENCE", "bn_mode: LEARN"])
def test_bn(shape, fields):
    model = assert_same(net(given("x", *shape), layer("BN", f"bn_param {{ {fields} }}")))

    measures, scales = fields in ("var_eps: 0.1", "bn_mode: LEARN"), fields == "bn_mode: INFERENCE"
    assert ("ReduceMean" in ops(model)) == measures
    assert (ops(model) == ["Mul", "Add"]) == scales
    assert (ops(model) == ["BatchNormalization"]) == (not measures and not scales)


@pytest.mark.parametrize("shape", SHAPES[:3])
@pytest.mark.parametrize("fields", ["axis: 2", "axis: 2 moving_average: true"])
def test_bn_along_axis_2(shape, fields):
    assert_same(net(given("x", *shape), layer("BN", f"bn_param {{ var_eps: 0.1 {fields} }}")))


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("tops", [("y", "mean"), ("y", "mean", "variance")])
def test_bn_puts_out_the_statistics(shape, tops):
    assert_same(net(given("x", *shape), layer("BN", "bn_param { bn_mode: LEARN }", tops=tops)))


@pytest.mark.parametrize("fields", ["", "local_size: 3 alpha: 0.8 beta: 0.6 k: 2", "local_size: 1 alpha: 2",
                                    "local_size: 11 alpha: 2"])
def test_lrn(fields):
    model = assert_same(net(IMAGES, layer("LRN", f"lrn_param {{ {fields} }}")))

    assert ops(model) == ["LRN"]


@pytest.mark.parametrize("fields", ["beta: -0.5 alpha: 0.8 k: 2", "alpha: 0 k: 2", "k: 0.001 alpha: 2 local_size: 1",
                                    "beta: 0"])
def test_lrn_with_values_that_onnxruntime_does_not_take(fields):
    assert "LRN" not in ops(assert_same(net(IMAGES, layer("LRN", f"lrn_param {{ {fields} }}"))))


@pytest.mark.parametrize("fields", ["", "local_size: 3 alpha: 0.8 beta: 0.6", "local_size: 1 alpha: 2",
                                    "local_size: 19 alpha: 2", "beta: -0.5", "k: 2"])
def test_lrn_within_a_channel(fields):
    assert_same(net(IMAGES, layer("LRN", f"lrn_param {{ norm_region: WITHIN_CHANNEL {fields} }}")))


@pytest.mark.parametrize("shape", [(2, 4, 7, 9), (2, 4, 9), (2, 4), (2,)])
@pytest.mark.parametrize("fields", ["", "eps: 0.5", "across_channels: true eps: 0.5", "normalize_variance: false",
                                    "normalize_variance: false across_channels: true"])
@pytest.mark.parametrize("place", [layer, in_place])
def test_mvn(shape, fields, place):
    assert_same(net(given("x", *shape), place("MVN", f"mvn_param {{ {fields} }}")))


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("fields", ["", "across_spatial: false", "channel_shared: false eps: 0.5",
                                    "across_spatial: false channel_shared: false"])
@pytest.mark.parametrize("place", [layer, in_place])
def test_normalize(shape, fields, place):
    assert_same(net(given("x", *shape), place("Normalize", f"norm_param {{ {fields} }}")))


@pytest.mark.parametrize("shape", [(2, 4, 7, 9), (2, 4, 9), (2, 4)])
@pytest.mark.parametrize("kind", ["L1", "L2"])
@pytest.mark.parametrize("tops", [("y",), ("y", "length")])
def test_normalize_of_faces(shape, kind, tops):
    text = net(given("x", *shape), layer("Normalize", f'normalize_param {{ normalize_type: "{kind}" }}', tops=tops))
    assert_same(text)
    assert_same(text, inputs={"x": np.linspace(1e-6, 1e-3, np.prod(shape)).reshape(shape)})  # here eps counts
