"""What BatchNorm and BN measure goes into their blobs at once, or later, when a solver calls `remember`.

The numbers that the blobs must hold are computed here from the formulas alone, in float32, one operation after the
other as a layer does it. So they are compared bit by bit.
"""

import numpy as np
import pytest
from run_layer import normal, run_backward, run_forward

from minicaffe.layers.normalization.batch_norm import BatchNormLayer
from minicaffe.layers.normalization.bn import BNLayer
from minicaffe.proto import TEST, TRAIN
from minicaffe.testing import check_layer
from tests.layers.test_normalization import filled, make

BATCHES = [normal(n, 3, 5, 7, seed=n).astype(np.float32) * n + 1 for n in (2, 4, 6)]  # of unequal sizes


def measured(x):
    """μ, v and m of each channel, summed over the places of an image first."""
    x = x.reshape(len(x), 3, -1)
    m = x.shape[0] * x.shape[2]
    mu = x.sum(axis=2).sum(axis=0) / m
    away = x - mu[:, np.newaxis]
    return mu, (away * away).sum(axis=2).sum(axis=0) / m, m


def of_bvlc(share):
    """BatchNorm as Caffe has it: decaying sums, and how much they weigh."""
    mean, variance, factor = np.zeros(3, np.float32), np.zeros(3, np.float32), np.zeros(1, np.float32)
    for mu, v, m in map(measured, BATCHES):
        mean = mean * share + mu
        variance = variance * share + v * (m / (m - 1))
        factor = factor * share + 1
    return [mean, variance, factor]


def of_nvidia(share):
    """NVIDIA's: means, which begin with a copy of the first batch's statistics."""
    mean, variance, _ = measured(BATCHES[0])
    for mu, v, _ in map(measured, BATCHES[1:]):
        mean = mean * share + (1 - share) * mu
        variance = variance * share + (1 - share) * v
    return [mean, variance, np.ones(1, np.float32)]


def of_bn(share):
    """PSPNet's and CTPN's: means, which begin with 0."""
    mean, variance = np.zeros(3, np.float32), np.zeros(3, np.float32)
    for mu, v, _ in map(measured, BATCHES):
        mean = share * mean + (1 - share) * mu
        variance = share * variance + (1 - share) * v
    return [mean, variance]


# the layer, its phase and fields, the first of the blobs that hold statistics, and what they hold in the end
KINDS = {
    "BVLC": (BatchNormLayer, TRAIN, {"moving_average_fraction": 0.75}, 0, of_bvlc(0.75)),
    "BVLC, a test": (BatchNormLayer, TEST, {"use_global_stats": False}, 0, of_bvlc(np.float32(0.999))),
    "NVIDIA": (BatchNormLayer, TRAIN, {"scale_bias": True, "moving_average_fraction": 0.75}, 0, of_nvidia(0.75)),
    "Intel": (BatchNormLayer, TRAIN, {"use_weight_bias": True, "moving_average_fraction": 0.75}, 0, of_bvlc(0.75)),
    "PSPNet": (BNLayer, TRAIN, {"momentum": 0.75}, 2, of_bn(0.75)),
    "CTPN": (BNLayer, TRAIN, {"decay": 0.25}, 2, of_bn(0.75)),
}
kinds = pytest.mark.parametrize(("cls", "phase", "fields", "first", "want"), KINDS.values(), ids=KINDS)


def passes(cls, phase, fields, **attributes):
    """A layer that has run on all batches, and what it said to have measured in each pass."""
    layer = make(cls, phase, np.float32, **fields)
    for name, value in attributes.items():
        setattr(layer, name, value)
    bottom, top = run_forward(layer, BATCHES[0])
    said = [layer.measured]
    for x in BATCHES[1:]:
        bottom[0].reshape(*x.shape)
        bottom[0].data[...] = x
        layer.Reshape(bottom, top)
        layer.Forward(bottom, top)
        said.append(layer.measured)
    return layer, said


def statistics(layer, first, want):
    """Those of the layer's blobs that hold statistics."""
    return [layer.blobs[first + i].data.reshape(-1) for i in range(len(want))]


@kinds
def test_each_pass_remembers(cls, phase, fields, first, want):
    """Without a solver that does it, forward adds what it has measured to the blobs."""
    layer, _ = passes(cls, phase, fields)

    for have, numbers in zip(statistics(layer, first, want), want, strict=True):
        np.testing.assert_array_equal(have, numbers)


@kinds
def test_remembered_later_in_the_order_of_the_passes(cls, phase, fields, first, want):
    """Nothing changes until `remember` is called. Then the blobs hold the same bits, also those of another layer."""
    here, said = passes(cls, phase, fields, remembers_later=True)
    there = make(cls, phase, np.float32, **fields)
    there.remembers_later = True
    run_forward(there, BATCHES[2])  # the part that the other process runs itself
    fresh = [blob.copy() for blob in statistics(here, first, want)]

    assert not any(blob.any() for blob in fresh[:2])
    for layer in (here, there):
        for one in said:
            layer.remember(one)
        for have, numbers in zip(statistics(layer, first, want), want, strict=True):
            np.testing.assert_array_equal(have, numbers)


@pytest.mark.parametrize(("cls", "phase", "fields"), [
    (BatchNormLayer, TEST, {}), (BatchNormLayer, TRAIN, {"use_global_stats": True}), (BNLayer, TRAIN, {"frozen": True}),
    (BNLayer, TEST, {"momentum": 0.75}), (BNLayer, TRAIN, {"bn_mode": "LEARN"}), (BNLayer, TEST, {"decay": 0.25})])
def test_no_statistics_to_remember(cls, phase, fields):
    """A layer that goes by stored statistics, or stores none, has measured nothing."""
    _, said = passes(cls, phase, fields)

    assert [None] * 3 == said


@pytest.mark.parametrize(("cls", "fields"), [(BatchNormLayer, {}), (BatchNormLayer, {"scale_bias": True}),
                                             (BNLayer, {"momentum": 0.75, "slope_filler": {"value": 2}})])
def test_the_gradient_is_that_of_the_pass(cls, fields):
    """Backward is the derivative of forward, and does not depend on when the statistics are remembered."""
    at_once, later = make(cls, TRAIN, **fields), make(cls, TRAIN, **fields)
    later.remembers_later = True
    diffs = [run_backward(layer, *run_forward(layer, BATCHES[0]), normal(2, 3, 5, 7)) for layer in (at_once, later)]
    np.testing.assert_array_equal(*diffs)

    later = make(cls, TRAIN, **fields)
    later.remembers_later = True
    assert check_layer(later, [filled(BATCHES[0])]) < 1e-6
