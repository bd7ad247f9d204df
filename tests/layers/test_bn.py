"""BN in its three kinds, and the BatchNorm of NVIDIA and Intel."""

import numpy as np
import pytest

from minicaffe.errors import LayerError
from minicaffe.layers.normalization.batch_norm import BatchNormLayer
from minicaffe.layers.normalization.bn import CTPN, PSPNET, SEGNET, BNLayer
from minicaffe.net import Net
from minicaffe.proto import TEST, TRAIN, NetParameter, text
from tests.layers.test_normalization import SHAPE, make, normal, run_forward

DATA = 'layer { name: "x" type: "Input" top: "x" input_param { shape { dim: 2 dim: 3 dim: 5 dim: 7 } } }\n'


def column(values):
    """Numbers of channels, shaped to lie along axis 1."""
    return np.reshape(values, (1, -1, 1, 1))


def net_with(fields, arrays, kind="BN"):
    """A TEST net with one layer of this type and a NetParameter that holds these arrays for it."""
    net = text.parse(DATA + f'layer {{ name: "b" type: "{kind}" bottom: "x" top: "y" {fields} }}', NetParameter())
    stored = NetParameter()
    layer = stored.layer.add(name="b", type=kind)
    for array in arrays:
        layer.blobs.add(shape={"dim": array.shape}, data=np.ravel(array))
    return Net(net, phase=TEST, weights=stored)


@pytest.mark.parametrize(("fields", "count", "kind"), [
    ("", 2, SEGNET), ("", 4, PSPNET), ("bn_param { scale_filler { value: 1 } }", 2, SEGNET),
    ("bn_param { scale_filler { value: 1 } }", 4, CTPN), ("bn_param { bn_mode: INFERENCE }", 2, SEGNET),
    ("bn_param { frozen: true }", 4, PSPNET), ("bn_param { decay: 0.1 }", 4, CTPN)])
@pytest.mark.parametrize("shape", [(3,), (1, 3), (1, 3, 1, 1)])
def test_fields_and_weights_tell_the_kind(fields, count, kind, shape):
    """Fields decide; without them the number of stored blobs does. All forks' shapes of the blobs fit."""
    net = net_with(fields, [np.full(shape, k + 1.0) for k in range(count)])

    assert net.layers[1].kind == kind
    assert [blob.data.ravel().tolist() for blob in net.layers[1].blobs] == [[k + 1.0] * 3 for k in range(count)]


def test_fields_of_two_kinds_are_refused():
    """The error names both."""
    with pytest.raises(LayerError, match="SegNet's BN has bn_mode; the BN of PSPNet and TSN has frozen"):
        run_forward(make(BNLayer, bn_mode="LEARN", frozen=True), normal(*SHAPE))


def test_stored_statistics():
    """w (x − mean) / √(variance + eps) + b, with the blobs as they are."""
    x, blobs = normal(2, 3, 5, 7), [np.array(v, float) for v in ([2, 1, -1], [0, 3, 1], [1, 2, -4], [3, 8, 0.5])]
    net = net_with("bn_param { eps: 1 }", blobs)
    net.blobs["x"].data[...] = x
    net.forward()
    w, b, mean, variance = map(column, blobs)

    np.testing.assert_allclose(net.blobs["y"].data, w * (x - mean) / np.sqrt(variance + 1) + b, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(("fields", "share"), [({"momentum": 0.75}, 0.25), ({"decay": 0.25}, 0.25)])
def test_training_remembers_a_share_of_each_batch(fields, share):
    """The blobs go from 0 towards the mean and the biased variance of the batch."""
    x, layer = normal(*SHAPE), make(BNLayer, TRAIN, **fields)
    run_forward(layer, x)

    np.testing.assert_allclose(layer.blobs[2].data.ravel(), share * x.mean(axis=(0, 2, 3)), rtol=1e-12)
    np.testing.assert_allclose(layer.blobs[3].data.ravel(), share * x.var(axis=(0, 2, 3)), rtol=1e-12)
    assert [spec.lr_mult for spec in layer.layer_param.param] == [1, 1, 0, 0]


@pytest.mark.parametrize("phase", [TRAIN, TEST])
def test_segnet_puts_out_the_statistics_of_the_batch(phase):
    """Tops 2 and 3 are the mean and the variance, in TEST as in TRAIN."""
    x = normal(*SHAPE)
    _, (y, mean, variance) = run_forward(
        make(BNLayer, phase, bn_mode="LEARN", scale_filler={"value": 2}, shift_filler={"value": 3}), x, tops=3)

    np.testing.assert_allclose(mean.data, x.mean(axis=(0, 2, 3)).reshape(1, 7, 1, 1), rtol=0, atol=1e-14)
    np.testing.assert_allclose(variance.data, x.var(axis=(0, 2, 3)).reshape(1, 7, 1, 1), rtol=1e-13)
    np.testing.assert_allclose(y.data, 2 * (x - mean.data) / np.sqrt(variance.data + 1e-9) + 3, rtol=1e-12)


@pytest.mark.parametrize(("factor", "fields", "divided"), [
    (4.0, "batch_norm_param { scale_bias: true }", 1), (4.0, "", 4), (1.0, "", 1)])
def test_five_blobs(factor, fields, divided):
    """NVIDIA's takes the statistics as they are; Intel's, known by its five blobs, divides them by the third."""
    x, mean, variance = normal(2, 3, 5, 7), np.array([1., 2, 4]), np.array([3., 8, 15])
    w, b = np.array([2., 1, -1]), np.array([0., 3, 1])
    net = net_with(fields, [mean, variance, np.array([factor]), w, b], "BatchNorm")
    net.blobs["x"].data[...] = x
    net.forward()
    std = np.sqrt(column(variance) / divided + 1e-5)

    np.testing.assert_allclose(net.blobs["y"].data, column(w) * (x - column(mean) / divided) / std + column(b),
                               rtol=1e-5, atol=1e-5)


def test_the_old_order_of_nvidias_blobs():
    """Files with w, b, mean, variance and one number are put into today's order."""
    arrays = [np.array([k, k + 1.0, k + 2]) for k in (1, 4, 7, 10)]
    net = net_with("batch_norm_param { scale_bias: true }", [*arrays, np.array([0.])], "BatchNorm")

    mean, variance, factor, w, b = (blob.data for blob in net.layers[1].blobs)
    for have, want in zip((w, b, mean, variance), arrays, strict=True):
        np.testing.assert_array_equal(have, want)
    assert factor == 1


def test_nvidia_remembers_means():
    """The first batch is copied, later ones count 1 − λ; the third blob stays 1."""
    layer = make(BatchNormLayer, TRAIN, scale_bias=True, moving_average_fraction=0.75)
    first, second = normal(*SHAPE), normal(*SHAPE, seed=5)
    bottom, top = run_forward(layer, first)
    bottom[0].data[...] = second
    layer.Forward(bottom, top)
    want = 0.75 * first.var(axis=(0, 2, 3)) + 0.25 * second.var(axis=(0, 2, 3))

    np.testing.assert_allclose(layer.blobs[1].data, want, rtol=1e-12)
    assert layer.blobs[2].data == 1
