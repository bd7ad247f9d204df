"""The losses, their weights and divisors: hand-worked numbers, naive formulas, finite differences, identities."""

import doctest
import itertools
import logging
import math
import sys
from pathlib import Path

import numpy as np
import pytest
from run_layer import filled, normal

from minicaffe import Net, kernels
from minicaffe.blob import Blob
from minicaffe.errors import LayerError, ProtoError
from minicaffe.io.binary import write_blob
from minicaffe.layer import create
from minicaffe.layers import (
    AccuracyLayer,
    ContrastiveLossLayer,
    EuclideanLossLayer,
    HingeLossLayer,
    InfogainLossLayer,
    MultinomialLogisticLossLayer,
    SigmoidCrossEntropyLossLayer,
    SmoothL1LossLayer,
    SoftmaxLayer,
    SoftmaxWithLossLayer,
)
from minicaffe.layers.loss import sigmoid_cross_entropy_loss
from minicaffe.proto import TRAIN, LayerParameter, NetParameter
from minicaffe.proto import text as proto_text
from minicaffe.testing import check_layer

sys.path.insert(0, str(Path(__file__).parents[2] / "docs"))
from loss_page import versions

MODES = ("FULL", "VALID", "BATCH_SIZE", "NONE")
SHAPE = (2, 7, 5, 3)  # N, C, H, W
X4 = np.array([[0, 2, -1], [1, 0, -2]])  # the example of docs/maths/loss.md
T4 = np.array([[1, 1, 0], [0, -1, 1]])


def run(cls, *arrays, dtype=np.float64, tops=1, backward=True, **fields):
    """One pass of a layer alone: (its loss, top data, bottom diffs, the layer)."""
    layer = cls(dtype=dtype, **fields)
    bottom, top = [filled(a, dtype) for a in arrays], [Blob((), dtype) for _ in range(tops)]
    layer.SetUp(bottom, top)
    loss = layer.Forward(bottom, top)
    if backward:
        layer.Backward(top, [layer.allow_force_backward(i) for i in range(len(bottom))], bottom)
    return loss, [t.data for t in top], [b.diff for b in bottom], layer


def gradient(cls, *arrays, tops=1, **fields):
    """Check the gradient of a loss layer by finite differences; the second top too where there is one."""
    layer = cls(dtype=np.float64, **fields)
    return check_layer(layer, [filled(a) for a in arrays], tops)


def labels(shape, classes, seed=3):
    return np.random.default_rng(seed).integers(0, classes, shape).astype(float)


def targets(*shape, seed=4):
    return np.random.default_rng(seed).random(shape)


def message(error):
    return str(error.value)


# --- Softmax -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("axis", [0, 1, 2, -1, -3])
def test_softmax_is_exp_over_sum(axis):
    """Softmax is e^x over the sum of e^x along any axis."""
    x = normal(*SHAPE)
    _, (y,), _, _ = run(SoftmaxLayer, x, backward=False, softmax_param={"axis": axis})

    np.testing.assert_allclose(np.exp(x) / np.exp(x).sum(axis=axis, keepdims=True), y, rtol=1e-12)


@pytest.mark.parametrize("axis", [1, 3])
def test_softmax_gradient(axis):
    """The gradient of softmax agrees with finite differences."""
    gradient(SoftmaxLayer, normal(*SHAPE), softmax_param={"axis": axis})


def test_softmax_in_place_and_extreme():
    """Softmax may overwrite its bottom, and scores of 1e4 do not overflow."""
    x = filled([[1e4, -1e4, 1e4 - 1]], np.float32)
    layer = SoftmaxLayer()
    layer.SetUp([x], [x])
    layer.Forward([x], [x])
    p = 1 / (1 + math.exp(-1))
    np.testing.assert_allclose([[p, 0, 1 - p]], x.data, rtol=1e-6)
    x.diff[...] = [[1, 5, 2]]
    layer.Backward([x], [True], [x])

    np.testing.assert_allclose([[-p * (1 - p), 0, p * (1 - p)]], x.diff, rtol=1e-5)


def test_softmax_axis_error():
    """An axis that x does not have is named with the shape of x."""
    words = r"softmax_param.axis must name an axis of bottom\[0\] \(4, 3\), from -2 to 1, got 2"
    with pytest.raises(LayerError, match=words):
        run(SoftmaxLayer, normal(4, 3), softmax_param={"axis": 2})


# --- SigmoidCrossEntropyLoss: the hand-worked example first --------------------------------------------


def test_the_layer_works_alone():
    """The README's ten lines: two blobs, a loss, and a gradient that a finite difference confirms."""
    layer = SigmoidCrossEntropyLossLayer(dtype=np.float64)
    bottom, top = [Blob((2, 3), np.float64), Blob((2, 3), np.float64)], [Blob((), np.float64)]
    bottom[0].data[...] = [[0, 2, -1], [1, 1e4, -2]]
    bottom[1].data[...] = [[1, 1, 0], [0, 1, 1]]
    layer.SetUp(bottom, top)
    loss = layer.Forward(bottom, top)
    layer.Backward(top, [True, False], bottom)
    bottom[0].data[0, 1] += 1e-6

    assert pytest.approx(2.286763288841168) == loss
    assert pytest.approx((layer.Forward(bottom, top) - loss) / 1e-6, rel=1e-5) == bottom[0].diff[0, 1]


def test_the_example_in_the_docstring():
    """What the docstring of the layer prints is what its code gives."""
    failed, attempted = doctest.testmod(sigmoid_cross_entropy_loss)

    assert 0 == failed
    assert 0 < attempted


@pytest.mark.parametrize(("mode", "z", "want"), [
    ("FULL", 6, 0.7623), ("VALID", 5, 0.9147), ("BATCH_SIZE", 2, 2.2868), ("NONE", 1, 4.5735)])
def test_the_four_divisors_by_hand(mode, z, want):
    """The four divisors on the 2×3 example of docs/maths/loss.md, one cell of it ignored."""
    loss, _, (dx, _), _ = run(SigmoidCrossEntropyLossLayer, X4, T4,
                              loss_param={"ignore_label": -1, "normalization": mode})

    assert pytest.approx(want, abs=5e-5) == loss
    assert pytest.approx((1 / (1 + math.exp(-2)) - 1) / z) == dx[0, 1]
    assert 0 == dx[1, 1]


@pytest.mark.parametrize(("fields", "z"), [
    ({}, 2), ({"normalize": True}, 5), ({"normalize": False}, 2), ({"normalization": "FULL", "normalize": True}, 6)])
def test_sigmoid_divisor_defaults(fields, z):
    """Z is the batch size where nothing is said; the deprecated normalize chooses VALID or BATCH_SIZE."""
    loss, _, _, _ = run(SigmoidCrossEntropyLossLayer, X4, T4, loss_param={"ignore_label": -1, **fields})

    assert pytest.approx(4.573526577682337 / z) == loss


def test_deprecated_normalize_is_reported(caplog):
    """`normalize` is reported as deprecated, with the line to write instead."""
    with caplog.at_level(logging.WARNING, "minicaffe"):
        run(SigmoidCrossEntropyLossLayer, X4, T4, loss_param={"ignore_label": -1, "normalize": True})

    assert "write normalization: VALID for normalize: true" in caplog.text


@pytest.mark.parametrize("shape", [(6,), (3, 4), SHAPE])
def test_sigmoid_is_the_bernoulli_likelihood(shape):
    """The loss is −t log σ − (1 − t) log(1 − σ), summed cell by cell over the batch size."""
    x, t = normal(*shape), targets(*shape)
    want = 0.0
    for i in itertools.product(*map(range, shape)):
        p = 1 / (1 + math.exp(-x[i]))
        want -= t[i] * math.log(p) + (1 - t[i]) * math.log(1 - p)
    loss, (y,), (dx, _), _ = run(SigmoidCrossEntropyLossLayer, x, t)

    assert pytest.approx(want / shape[0], rel=1e-12) == loss
    assert () == y.shape
    np.testing.assert_allclose((1 / (1 + np.exp(-x)) - t) / shape[0], dx, rtol=1e-9, atol=1e-15)


@pytest.mark.parametrize("options", [
    {}, {"pos_weight": 3.5}, {"focal_gamma": 2}, {"focal_gamma": 0.5, "pos_weight": 0.25},
    {"class_weight": [1, 2, 3, 0.5, 0, 4, 5]}, {"normalization": "VALID", "ignore_label": 0, "exact_ignore": True}])
@pytest.mark.parametrize("weight_shape", [None, (2, 1), SHAPE])
def test_sigmoid_gradient(options, weight_shape):
    """Every option's gradient, through both tops, agrees with finite differences."""
    t = targets(*SHAPE)
    t[:, ::3] = np.round(t[:, ::3])
    arrays = [normal(*SHAPE) * 3, t]
    if weight_shape:
        arrays += [targets(*weight_shape, seed=9)]
    gradient(SigmoidCrossEntropyLossLayer, *arrays, loss_param=options)
    gradient(SigmoidCrossEntropyLossLayer, *arrays, tops=2, loss_param=options)


def test_symmetry_lower_bound_and_minimum():
    """l(x, t) = l(−x, 1 − t), l ≥ H(t), and σ(x) = t is the minimum."""
    t = np.linspace(0.02, 0.98, 13).reshape(1, 13)
    for x in (normal(1, 13) * 5, np.log(t / (1 - t))):
        l, _, (dx, _), _ = run(SigmoidCrossEntropyLossLayer, x, t)
        mirrored, _, (mirrored_dx, _), _ = run(SigmoidCrossEntropyLossLayer, -x, 1 - t)
        entropy = -(t * np.log(t) + (1 - t) * np.log(1 - t)).sum()

        assert pytest.approx(mirrored, rel=1e-12) == l
        np.testing.assert_allclose(mirrored_dx, -dx, rtol=1e-9, atol=1e-12)
        assert entropy <= l + 1e-12
    assert pytest.approx(entropy, rel=1e-12) == l  # the last x has σ(x) = t
    np.testing.assert_allclose(0, dx, atol=1e-12)


def test_sigmoid_is_the_softmax_of_two_classes():
    """Softmax over the scores (0, x) and the label t give the same loss and gradient."""
    x, t = normal(5, 1), labels((5, 1), 2)
    one = run(SigmoidCrossEntropyLossLayer, x, t)
    two = run(SoftmaxWithLossLayer, np.hstack([0 * x, x]), t, loss_param={"normalization": "BATCH_SIZE"})

    assert pytest.approx(two[0], rel=1e-12) == one[0]
    np.testing.assert_allclose(two[2][0][:, 1:], one[2][0], rtol=1e-9)


def test_loss_weight_scales_and_zero_contributes_nothing():
    """loss_weight is the last factor of loss and gradient, and 0 gives a gradient of 0."""
    x, t = normal(3, 4), targets(3, 4)
    base, (y, ), (dx, _), _ = run(SigmoidCrossEntropyLossLayer, x, t)
    loss, (scaled_y,), (scaled, _), _ = run(SigmoidCrossEntropyLossLayer, x, t, loss_weight=[2.5])
    none, _, (zero, _), _ = run(SigmoidCrossEntropyLossLayer, x, t, loss_weight=[0])

    assert pytest.approx(2.5 * base) == loss
    assert y == scaled_y
    np.testing.assert_allclose(2.5 * dx, scaled, rtol=1e-12)
    assert 0 == none
    np.testing.assert_array_equal(0, zero)


def test_a_loss_of_weight_zero_leaves_the_net_alone():
    """A second loss on the same scores with weight 0 changes no gradient (BVLC/caffe#2895)."""
    one = """
      force_backward: true
      layer { name: "in" type: "Input" top: "x" top: "t" input_param { shape { dim: 3 dim: 4 } } }
      layer { name: "l1" type: "SigmoidCrossEntropyLoss" bottom: "x" bottom: "t" top: "l1" }"""
    two = one + ' layer { name: "l2" type: "SigmoidCrossEntropyLoss" bottom: "x" bottom: "t" top: "l2" loss_weight: 0 }'
    diffs = []
    for definition in (one, two):
        net = Net(proto_text.parse(definition, NetParameter()), TRAIN)
        net.blobs["x"].data[...], net.blobs["t"].data[...] = normal(3, 4), targets(3, 4)
        net.forward()
        net.backward()
        diffs += [net.blobs["x"].diff.copy()]

    assert np.abs(diffs[0]).max() > 0.1
    np.testing.assert_array_equal(diffs[0], diffs[1])


# --- extremes: five versions, of which four fail ---------------------------------------------------------

ROUNDS = np.float32(16.635532)  # 24 ln 2: 1 + exp(−x) rounds to 1
STANDS = np.float32(15.536921)  # 23 ln 2 − ln 1.5: σ(x) rounds to 1 − 2⁻²³, which is 1 − 1e-7 in float32
OVERFLOWS = np.float32(88.72284)  # ln of the largest float32


def below(x):
    """A float32 a few steps under x, where every C library agrees."""
    return np.float32(x) * np.float32(1 - 5e-7)


def of_one_cell(formula, x, t):
    """A formula of the page docs/loss.html, for one cell in float32."""
    with np.errstate(all="ignore"):
        return formula(np.array([x], np.float32), np.array([t], np.float32))[0]


def layer_loss(x, t):
    """The layer's own loss and gradient of one cell, float32."""
    _, (y,), (dx, _), _ = run(SigmoidCrossEntropyLossLayer, [[x]], [[t]], dtype=np.float32)
    return float(y), float(dx[0, 0])


@pytest.mark.parametrize(("version", "x", "t", "seen", "true"), [
    (versions.loss_1, ROUNDS, 0, math.inf, 16.635532),
    (versions.loss_1, ROUNDS, 1, math.nan, 5.96e-8),
    (versions.loss_1, -OVERFLOWS, 1, math.inf, 88.72284),
    (versions.loss_1, -OVERFLOWS, 0, math.nan, 2.9e-39),
    (versions.loss_1, 16, 0, 15.942385, 16.0),
    (versions.loss_2, STANDS, 0, 15.942385, 15.536921),
    (versions.loss_2, ROUNDS, 0, 15.942385, 16.635532),
    (versions.loss_2, 80, 0, 15.942385, 80.0),
    (versions.loss_2, -16.118097, 1, 16.118095, 16.118097),
    (versions.loss_2, -80, 1, 16.118095, 80.0),
    (versions.loss_3, -OVERFLOWS, 1, math.inf, 88.72284),
    (versions.loss_4, ROUNDS, 1, 0.0, 5.96e-8),
    (versions.loss_4, -ROUNDS, 0, 0.0, 5.96e-8),
    (versions.loss_4, np.inf, 1, math.nan, 0.0),
    (versions.loss_4, -np.inf, 0, math.nan, 0.0)])
def test_where_each_version_fails(version, x, t, seen, true):
    """Four naive versions fail at the x of docs/maths/loss.md, and the layer is right there."""
    got = of_one_cell(version, x, t)

    assert pytest.approx(seen, rel=1e-6, nan_ok=True) == got
    assert pytest.approx(true, rel=2e-3, abs=1e-38) == layer_loss(x, t)[0]


@pytest.mark.parametrize(("version", "x", "t"), [
    (versions.loss_1, below(ROUNDS), 0), (versions.loss_1, below(ROUNDS), 1), (versions.loss_1, -below(OVERFLOWS), 1),
    (versions.loss_3, -below(OVERFLOWS), 1), (versions.loss_4, below(ROUNDS), 1)])
def test_the_failures_begin_there(version, x, t):
    """A few float32 steps nearer to 0 the same versions still give a finite number above 0."""
    got = of_one_cell(version, x, t)

    assert np.isfinite(got)
    assert got > 0


@pytest.mark.parametrize(("t", "stands", "slope_ends", "height"), [
    (0, STANDS, ROUNDS, 15.942385), (1, np.float32(-16.118097), np.float32(-16.118097), 16.118095)])
def test_clipping_stops_learning(t, stands, slope_ends, height):
    """The clipped version is flat from some x on, and its slope is 0; the layer's slope is 1 in size there."""
    for x in (stands, slope_ends, *np.linspace(slope_ends, 80 * np.sign(stands), 500, dtype=np.float32)):
        assert pytest.approx(height, rel=1e-7) == of_one_cell(versions.loss_2, x, t)
    assert of_one_cell(versions.loss_2, below(stands), t) != of_one_cell(versions.loss_2, stands, t)
    assert pytest.approx(1 - 2 * t, rel=1e-6) == of_one_cell(versions.slope_2, below(slope_ends), t)
    assert of_one_cell(versions.slope_2, slope_ends, t) == 0
    assert pytest.approx(1 - 2 * t, rel=1e-6) == layer_loss(slope_ends, t)[1]


def test_sign_of_zero():
    """d − sign(x) · r is σ(x) − t at 0 too if sign(0) counts as 1, as docs/maths/loss.md says."""
    d, r, t = 1 - 0.25, 0.5, 0.25

    assert d - r == 0.5 - t == layer_loss(0.0, t)[1] == layer_loss(-0.0, t)[1]


@pytest.mark.parametrize("x", [0, 1e-30, 16, 17, 88, 89, 1e3, 1e4, 1e30, 3e38])
@pytest.mark.parametrize("t", [0, 1, 0.25])
def test_every_finite_score(x, t):
    """Loss and gradient are right from ±0 to the largest float32, with no warning."""
    for sign in (1, -1):
        v = sign * float(np.float32(x))
        loss, dx = layer_loss(v, t)
        wrong = 1 - t if v >= 0 else t
        tail = math.exp(-abs(v))
        rest = tail / (1 + tail)

        assert pytest.approx(abs(v) * wrong + math.log1p(tail), rel=1e-6, abs=1e-38) == loss
        assert pytest.approx((wrong - rest) * (1 if v >= 0 else -1), rel=1e-5, abs=1e-38) == dx


@pytest.mark.parametrize("options", [{}, {"focal_gamma": 2}, {"pos_weight": 2}])
def test_infinite_scores(options):
    """A score of ±∞ costs 0 on the right side, ∞ on the wrong one, and never gives NaN."""
    for x, t, want in ((np.inf, 1, 0), (-np.inf, 0, 0), (np.inf, 0, np.inf), (-np.inf, 1, np.inf)):
        loss, _, (dx, _), _ = run(SigmoidCrossEntropyLossLayer, [[x]], [[t]], dtype=np.float32, loss_param=options)
        slope = 0 if want == 0 else {1: -options.get("pos_weight", 1), 0: 1}[t]

        assert want == loss
        assert slope == dx[0, 0]


def test_not_a_number_is_passed_on():
    """A NaN among the scores is not hidden: the loss is NaN."""
    assert math.isnan(run(SigmoidCrossEntropyLossLayer, [[np.nan, 1]], [[0, 1]], backward=False)[0])


# --- sums ------------------------------------------------------------------------------------------------


class Zeros:
    """Stands for a blob of n zeros without holding them."""

    def __init__(self, n):
        self.shape, self.count, self.num_axes = (n,), n, 1
        self.data = np.broadcast_to(np.float32(0), (n,))


@pytest.mark.parametrize("n", [10**6, pytest.param(10**8, marks=pytest.mark.slow)])
def test_sums_are_exact_for_large_maps(n):
    """The sum over 1e6 (1e8) cells is right to 1e-6, where a float32 running sum is not."""
    layer, top = SigmoidCrossEntropyLossLayer(loss_param={"normalization": "FULL"}), [Blob()]
    x = Zeros(n)
    layer.SetUp([x, x], top)

    assert pytest.approx(math.log(2), rel=1e-6) == layer.Forward([x, x], top)
    running = np.add.accumulate(np.full(10**6, math.log(2), np.float32))[-1] / 10**6
    assert abs(running - math.log(2)) > 4e-3


@pytest.mark.parametrize("n", [65535, 65536, 65537, 200003])
def test_blocks_do_not_show(n):
    """Loss and gradient are those of one pass, whatever the number of blocks."""
    x, t = normal(n) * 4, targets(n)
    loss, _, (dx, _), _ = run(SigmoidCrossEntropyLossLayer, x, t)

    assert pytest.approx((np.logaddexp(0, x) - t * x).sum() / n, rel=1e-12) == loss
    np.testing.assert_allclose((1 / (1 + np.exp(-x)) - t) / n, dx, rtol=1e-8, atol=1e-18)


# --- ignoring ----------------------------------------------------------------------------------------------


def test_truncated_and_exact_ignore():
    """ignore_label 0 leaves out all of (−1, 1), and with exact_ignore the 0 alone."""
    x, t = np.zeros((1, 4)), [[0, 0.3, 0.9, 1]]
    truncated = run(SigmoidCrossEntropyLossLayer, x, t, loss_param={"ignore_label": 0, "normalization": "NONE"})
    exact = run(SigmoidCrossEntropyLossLayer, x, t,
                loss_param={"ignore_label": 0, "normalization": "NONE", "exact_ignore": True})

    assert pytest.approx(1 * math.log(2)) == truncated[0]
    assert pytest.approx(3 * math.log(2)) == exact[0]
    np.testing.assert_array_equal([[0, 0, 0, -0.5]], truncated[2][0])
    np.testing.assert_allclose([[0, 0.2, -0.4, -0.5]], exact[2][0], rtol=1e-12)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(("cls", "x", "t"), [
    (SigmoidCrossEntropyLossLayer, (2, 3), (2, 3)), (SoftmaxWithLossLayer, (2, 3), (2,)),
    (HingeLossLayer, (2, 3), (2,)), (MultinomialLogisticLossLayer, (2, 3), (2,))])
def test_a_batch_of_ignored_cells(cls, x, t, mode):
    """A batch with nothing but ignored labels has loss 0 and gradient 0, even from NaN scores."""
    loss, _, (dx, _), _ = run(cls, np.full(x, np.nan), np.full(t, 255.0),
                              loss_param={"ignore_label": 255, "normalization": mode})

    assert 0 == loss
    np.testing.assert_array_equal(0, dx)


# --- weights -------------------------------------------------------------------------------------------------


def sigmoid_cells(x, t):
    return np.logaddexp(0, x) - t * x


@pytest.mark.parametrize("mode", MODES)
def test_sigmoid_weights(mode):
    """w = sample weight · channel weight, and Z = Σ w for VALID alone."""
    x, t, w = normal(*SHAPE), labels(SHAPE, 2), np.array([0.5, 3])
    t[0, 0] = -1
    c = np.array([1, 2, 3, 0.5, 0, 4, 5])
    all_w = w[:, None, None, None] * c[None, :, None, None] * (t != -1)
    z = {"FULL": x.size, "VALID": all_w.sum(), "BATCH_SIZE": 2, "NONE": 1}[mode]
    loss, (_, cells), (dx, _, _), _ = run(
        SigmoidCrossEntropyLossLayer, x, t, w, tops=2,
        loss_param={"ignore_label": -1, "normalization": mode, "class_weight": c.tolist()})

    np.testing.assert_allclose(all_w * sigmoid_cells(x, t), cells, rtol=1e-9, atol=1e-12)
    assert pytest.approx((all_w * sigmoid_cells(x, t)).sum() / z, rel=1e-12) == loss
    np.testing.assert_allclose(all_w * (1 / (1 + np.exp(-x)) - t) / z, dx, rtol=1e-9, atol=1e-15)


@pytest.mark.parametrize("mode", MODES)
def test_softmax_weights(mode):
    """w = cell weight · class weight of the label, and Z = Σ w for VALID alone."""
    x, k, w = normal(*SHAPE), labels((2, 5, 3), 7), targets(2, 5, 3, seed=8)
    k[1, 2] = 255
    c = np.array([1, 2, 3, 0.5, 0, 4, 5])
    p = np.exp(x) / np.exp(x).sum(axis=1, keepdims=True)
    want, sum_w, want_dx = 0.0, 0.0, np.zeros_like(x)
    for n, i, j in itertools.product(range(2), range(5), range(3)):
        if k[n, i, j] != 255:
            label = int(k[n, i, j])
            weight = w[n, i, j] * c[label]
            want -= weight * math.log(p[n, label, i, j])
            want_dx[n, :, i, j] = weight * (p[n, :, i, j] - (np.arange(7) == label))
            sum_w += weight
    z = {"FULL": 30, "VALID": sum_w, "BATCH_SIZE": 2, "NONE": 1}[mode]
    loss, _, (dx, _, _), _ = run(SoftmaxWithLossLayer, x, k, w, loss_param={
        "ignore_label": 255, "normalization": mode, "class_weight": c.tolist()})

    assert pytest.approx(want / z, rel=1e-9) == loss
    np.testing.assert_allclose(want_dx / z, dx, rtol=1e-9, atol=1e-15)


def test_valid_divides_by_small_weights():
    """Σ w below 1 is divided by, while a count below 1 is not: weights are relative."""
    x, t = normal(2, 3), labels((2, 3), 2)
    plain = run(SigmoidCrossEntropyLossLayer, x, t, loss_param={"normalization": "VALID"})
    light = run(SigmoidCrossEntropyLossLayer, x, t, [0.001, 0.001], loss_param={"normalization": "VALID"})
    none = run(SigmoidCrossEntropyLossLayer, x, t, [0, 0], loss_param={"normalization": "VALID"})

    assert pytest.approx(plain[0], rel=1e-9) == light[0]
    assert 0 == none[0]
    np.testing.assert_array_equal(0, none[2][0])


def test_weights_count_like_repeated_samples():
    """A sample of weight 3 is a sample seen three times, for every loss with weights."""
    x, w, many = normal(3, 4), np.array([1, 3, 2]), [0, 1, 1, 1, 2, 2]
    for cls, t in ((SigmoidCrossEntropyLossLayer, targets(3, 4)), (SoftmaxWithLossLayer, labels((3,), 4)),
                   (HingeLossLayer, labels((3,), 4)), (EuclideanLossLayer, normal(3, 4, seed=1)),
                   (MultinomialLogisticLossLayer, labels((3,), 4))):
        scores = np.exp(x) / np.exp(x).sum(axis=1, keepdims=True)
        weighted = run(cls, scores, t, w, loss_param={"normalization": "VALID"})[0]
        repeated = run(cls, scores[many], t[many], loss_param={"normalization": "VALID"})[0]

        assert pytest.approx(repeated, rel=1e-9) == weighted, cls


def test_a_weight_of_zero_silences_even_infinity():
    """A cell of weight 0 counts nothing, be its own loss infinite: 0 · ∞ is 0 here."""
    loss, _, (dx, _, _), _ = run(SigmoidCrossEntropyLossLayer, [[np.inf, 0]], [[0, 1]], [0, 1], dtype=np.float32)

    assert pytest.approx(math.log(2)) == loss
    np.testing.assert_array_equal([[0, -0.5]], dx)


@pytest.mark.parametrize(("cls", "x"), [
    (HingeLossLayer, [[np.inf, np.inf, 0], [1, 2, -1]]), (EuclideanLossLayer, [[np.inf, -np.inf, 0], [1, 2, -1]]),
    (SigmoidCrossEntropyLossLayer, [[np.inf, -np.inf, np.nan], [1, 2, -1]]),
    (SoftmaxWithLossLayer, [[np.nan, np.inf, 0], [1, 2, -1]]),
    (MultinomialLogisticLossLayer, [[np.nan, 0, 0], [0.3, 0.2, 0.5]])])
def test_a_sample_of_weight_zero_is_as_if_it_was_not_there(cls, x):
    """Neither infinity nor NaN comes through a weight of 0."""
    labels = cls not in (EuclideanLossLayer, SigmoidCrossEntropyLossLayer)
    t = np.array([0, 2]) if labels else np.array([[1, 1, 0], [0, 1, 0]])
    loss, _, (dx, *_), _ = run(cls, x, t, [0, 1], loss_param={"normalization": "NONE"})
    want, _, (slope, *_), _ = run(cls, x[1:], t[1:], loss_param={"normalization": "NONE"})

    assert loss == pytest.approx(want)
    np.testing.assert_array_equal(dx[0], 0)
    np.testing.assert_allclose(dx[1:], slope)


def test_pos_weight_counts_like_repeated_yes():
    """pos_weight multiplies the cells whose answer is yes and leaves Z alone."""
    x, t = normal(4, 3), labels((4, 3), 2)
    loss, _, _, _ = run(SigmoidCrossEntropyLossLayer, x, t, loss_param={"pos_weight": 3, "normalization": "VALID"})

    assert pytest.approx((np.where(t == 1, 3, 1) * sigmoid_cells(x, t)).sum() / 12, rel=1e-9) == loss


def test_focal_turns_down_what_is_right():
    """The focal factor: 0.01 at p = 0.9 and γ = 2, in the sigmoid and in the softmax loss."""
    x = math.log(9)  # σ(x) = 0.9
    for cls, score, label in ((SigmoidCrossEntropyLossLayer, [[x]], [[1]]), (SoftmaxWithLossLayer, [[0, x]], [1])):
        loss, _, _, _ = run(cls, score, label, loss_param={"focal_gamma": 2})

        assert pytest.approx(-0.01 * math.log(0.9), rel=1e-9) == loss


@pytest.mark.parametrize(("cls", "arrays", "fields", "words"), [
    (SigmoidCrossEntropyLossLayer, (normal(4, 3), targets(4, 3), [1, 2, -3, 4]), {},
     r"the weight -3 at index \(2,\) of bottom\[2\] \(4,\) must be finite"),
    (SoftmaxWithLossLayer, (normal(4, 3), labels((4,), 3), [1, np.nan, 3, 4]), {}, r"the weight nan at index \(1,\)"),
    (HingeLossLayer, (normal(4, 3), labels((4,), 3), [1, np.inf, 3, 4]), {}, r"the weight inf at index \(1,\)"),
    (EuclideanLossLayer, (normal(4, 3), normal(4, 3), [-1, 0, 3, 4]), {}, r"the weight -1 at index \(0,\)"),
    (MultinomialLogisticLossLayer, (targets(4, 3), labels((4,), 3), [1, 2, 3, -4]), {}, r"the weight -4 at"),
    (SigmoidCrossEntropyLossLayer, (normal(4, 3), targets(4, 3), [1, 2, 3]), {},
     r"bottom\[2\] must hold 4 weights, one for each sample, or 12, one for each cell, but its shape is \(3,\)"),
    (SoftmaxWithLossLayer, (normal(4, 3, 2), labels((4, 2), 3), [1, 2, 3]), {}, r"4 weights, .* or 8,"),
    (EuclideanLossLayer, (normal(4, 3), normal(4, 3), [1, 2]), {}, r"4 weights, .* or 12,"),
    (HingeLossLayer, (normal(4, 3), labels((4,), 3), [1, 2]), {}, r"4 weights, .* or 4,"),
    (MultinomialLogisticLossLayer, (targets(4, 3), labels((4,), 3), [1, 2]), {}, r"4 weights"),
    (SigmoidCrossEntropyLossLayer, (normal(4, 3), targets(4, 3)), {"class_weight": [1, 2]},
     r"loss_param.class_weight must be given once for each of the 3 classes, got \[1.0, 2.0\]"),
    (SoftmaxWithLossLayer, (normal(4, 3), labels((4,), 3)), {"class_weight": [1, 2, 3, 4]}, "each of the 3 classes"),
    (HingeLossLayer, (normal(4, 3), labels((4,), 3)), {"class_weight": [1, 2]}, "each of the 3 classes"),
    (MultinomialLogisticLossLayer, (targets(4, 3), labels((4,), 3)), {"class_weight": [1]}, "each of the 3 classes"),
    (SoftmaxWithLossLayer, (normal(4, 3), labels((4,), 3)), {"class_weight": [1, -2, 3]},
     r"loss_param.class_weight must be finite and ≥ 0, got \[1.0, -2.0, 3.0\]"),
    (SoftmaxWithLossLayer, (normal(4, 3), labels((4,), 3)), {"focal_gamma": -1}, "focal_gamma must be finite and ≥ 0"),
    (SigmoidCrossEntropyLossLayer, (normal(4, 3), targets(4, 3)), {"pos_weight": -1}, "pos_weight must be finite"),
])
def test_weight_errors(cls, arrays, fields, words):
    """Weights of a wrong number or value are named."""
    with pytest.raises(LayerError, match=words):
        run(cls, *arrays, loss_param=fields)


# --- targets outside [0, 1] --------------------------------------------------------------------------------


@pytest.mark.parametrize(("t", "words"), [
    ([[0, 255, 255]], r"2 of 3 targets lie outside \[0, 1\], between 255 and 255, the first 255 at index \(0, 1\)"),
    ([[0, 255, 255]], "scale: 0.00390625"),
    ([[-1, 1, -1]], r"2 of 3 targets .* between -1 and -1, .*labels of -1 and 1 must become 0 and 1"),
    ([[0.5, 1.25, -0.5]], r"2 of 3 targets .* between -0.5 and 1.25"),
    ([[0.5, np.nan, 2]], r"2 of 3 targets .* between 2 and 2, the first nan at index \(0, 1\)")])
def test_targets_outside_are_warned_of(t, words):
    """The warning for targets that are no probabilities: count, range, first place and a hint."""
    with pytest.warns(UserWarning, match=words):
        run(SigmoidCrossEntropyLossLayer, [[1, -2, 0.5]], t)


def test_targets_outside_keep_caffes_value_and_warn_once():
    """The value is that of Caffe's CPU code (not its GPU's), and the warning comes once."""
    layer = SigmoidCrossEntropyLossLayer(name="edges")
    bottom, top = [filled([[1, -2, 0.5]], np.float32), filled([[255, 0, 255]], np.float32)], [Blob()]
    layer.SetUp(bottom, top)
    with pytest.warns(UserWarning, match="layer 'edges'"):
        loss = layer.Forward(bottom, top)

    assert pytest.approx(-380.09, abs=0.01) == loss
    assert loss == layer.Forward(bottom, top)  # a second warning would be an error here


def test_ignored_targets_are_not_warned_of():
    """A target named by ignore_label may lie anywhere."""
    run(SigmoidCrossEntropyLossLayer, X4, np.where(T4 < 0, 255, T4), loss_param={"ignore_label": 255})


# --- SoftmaxWithLoss -------------------------------------------------------------------------------------------


def test_softmax_loss_by_hand():
    """−ln p of the label: scores (0, ln 3) are the probabilities 1/4 and 3/4."""
    loss, _, (dx, _), _ = run(SoftmaxWithLossLayer, [[0, math.log(3)], [0, math.log(3)]], [1, 0])

    assert pytest.approx((math.log(4 / 3) + math.log(4)) / 2) == loss
    np.testing.assert_allclose([[0.125, -0.125], [-0.375, 0.375]], dx, rtol=1e-12)


@pytest.mark.parametrize(("shape", "axis", "label_shape", "outer"), [
    ((4, 3), 1, (4,), 4), (SHAPE, 1, (2, 1, 5, 3), 2), (SHAPE, 2, (2, 7, 3), 14), (SHAPE, -1, (2, 7, 5), 70)])
@pytest.mark.parametrize("mode", [None, *MODES])
def test_softmax_loss_along_an_axis(shape, axis, label_shape, outer, mode):
    """Loss and divisor along any axis; BATCH_SIZE is the product of the axes before it."""
    x = normal(*shape)
    classes = shape[axis]
    k = labels(label_shape, classes)
    p = np.moveaxis(np.exp(x) / np.exp(x).sum(axis=axis, keepdims=True), axis, -1).reshape(-1, classes)
    picked = [p[i, int(c)] for i, c in enumerate(k.reshape(-1))]
    z = {"FULL": len(picked), "BATCH_SIZE": outer, "NONE": 1}.get(mode, len(picked))
    fields = {"loss_param": {"normalization": mode} if mode else {}, "softmax_param": {"axis": axis}}

    assert pytest.approx(-np.log(picked).sum() / z) == run(SoftmaxWithLossLayer, x, k, **fields)[0]
    gradient(SoftmaxWithLossLayer, x, k, **fields)


@pytest.mark.parametrize("fields", [
    {"focal_gamma": 2}, {"focal_gamma": 0.5}, {"focal_gamma": 1, "class_weight": [1, 2, 3, 0.5, 0.1, 4, 5]},
    {"ignore_label": 3}, {"ignore_label": 3, "normalization": "FULL"}])
def test_softmax_loss_gradient(fields):
    """The gradient under each option agrees with finite differences."""
    gradient(SoftmaxWithLossLayer, normal(*SHAPE), labels((2, 5, 3), 7), loss_param=fields)
    gradient(SoftmaxWithLossLayer, normal(*SHAPE), labels((2, 5, 3), 7), [0.5, 2], loss_param=fields)


def test_softmax_loss_is_clipped_where_caffe_clips():
    """No cell costs more than 87.3365, and its gradient is whole."""
    for gamma in (0, 2):
        loss, _, (dx, _), _ = run(SoftmaxWithLossLayer, [[0, 1e4]], [0], dtype=np.float32,
                                  loss_param={"focal_gamma": gamma})

        assert pytest.approx(87.3365, abs=1e-4) == loss
        np.testing.assert_array_equal([[-1, 1]], dx)


@pytest.mark.parametrize(("weights", "want"), [([], 1), ([2], 2), ([2, 0], 2)])
def test_softmax_loss_with_two_tops(weights, want):
    """The second top is softmax, with or without loss_weight, where Caffe aborts."""
    x, k = normal(4, 3), labels((4,), 3)
    base, _, (dx, _), _ = run(SoftmaxWithLossLayer, x, k)
    loss, (_, p), (scaled, _), layer = run(SoftmaxWithLossLayer, x, k, tops=2, loss_weight=weights)

    assert pytest.approx(want * base) == loss
    assert [want, 0] == layer.loss_weights
    np.testing.assert_allclose(np.exp(x) / np.exp(x).sum(axis=1, keepdims=True), p, rtol=1e-12)
    np.testing.assert_allclose(want * dx, scaled, rtol=1e-12)


@pytest.mark.parametrize("weight", ["", "loss_weight: 2", "loss_weight: 2 loss_weight: 0"])
def test_softmax_loss_with_two_tops_in_a_net(weight):
    """A net with "loss" and "prob" from one layer trains, whatever way loss_weight is given."""
    net = Net(proto_text.parse("""
      force_backward: true
      layer { name: "in" type: "Input" top: "x" top: "k" input_param { shape { dim: 4 dim: 3 } shape { dim: 4 } } }
      layer { name: "l" type: "SoftmaxWithLoss" bottom: "x" bottom: "k" top: "loss" top: "prob" LW }
      """.replace("LW", weight), NetParameter()), TRAIN)
    net.blobs["x"].data[...], net.blobs["k"].data[...] = normal(4, 3), labels((4,), 3)
    net.forward()
    net.backward()
    p = np.exp(normal(4, 3)) / np.exp(normal(4, 3)).sum(axis=1, keepdims=True)
    want = (p - np.eye(3)[labels((4,), 3).astype(int)]) / 4 * (2 if weight else 1)

    np.testing.assert_allclose(p, net.blobs["prob"].data, rtol=1e-5)
    np.testing.assert_allclose(want, net.blobs["x"].diff, rtol=1e-4, atol=1e-7)


def test_three_loss_weights_for_two_tops():
    """Loss weights of another number than the tops are an error that counts both."""
    with pytest.raises(LayerError, match="each of the 2 tops or not at all, got 3"):
        run(SoftmaxWithLossLayer, normal(4, 3), labels((4,), 3), tops=2, loss_weight=[1, 2, 3])


# --- labels ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("cls", [SoftmaxWithLossLayer, AccuracyLayer, HingeLossLayer, MultinomialLogisticLossLayer,
                                 InfogainLossLayer])
@pytest.mark.parametrize(("value", "shown"), [(3, "3"), (-1, "-1"), (255, "255"), (np.nan, "nan"), (np.inf, "inf")])
def test_a_label_that_is_no_class(cls, value, shown):
    """A bad label is named with its value, its index and the number of classes."""
    k = np.array([0, 2, value, value])
    extra = [np.eye(3)] if cls is InfogainLossLayer else []
    with pytest.raises(LayerError) as error:
        run(cls, targets(4, 3), k, *extra)

    assert (f"the label {shown} at index (2,) of bottom[1] (4,) (and 1 more) is none of the 3 classes 0 to 2"
            in message(error))
    assert "ignore_label" in message(error)


def test_labels_are_truncated():
    """2.9 is class 2 and −0.9 class 0, as a C++ cast has it; exact_ignore compares as it is."""
    x = normal(4, 3)
    want = run(SoftmaxWithLossLayer, x, [0, 2, 1, 0])[0]

    assert want == run(SoftmaxWithLossLayer, x, [0.5, 2.9, 1, -0.9])[0]
    ignored = run(SoftmaxWithLossLayer, x, [0.5, 2.9, 1, 2], loss_param={"ignore_label": 2})[3]
    exact = run(SoftmaxWithLossLayer, x, [0.5, 2.9, 1, 2], loss_param={"ignore_label": 2, "exact_ignore": True})[3]
    assert [2, 3] == [ignored.cells.valid, exact.cells.valid]


@pytest.mark.parametrize(("cls", "x", "t", "words"), [
    (SoftmaxWithLossLayer, (4, 3), (5,), r"\(4, 3\) and bottom\[1\] \(5,\) must have the same first size"),
    (SoftmaxWithLossLayer, (4, 3, 2), (4,),
     r"\(4, 3, 2\) needs 8 labels, one for each place beside axis 1, .* \(4,\) has 4"),
    (SigmoidCrossEntropyLossLayer, (4, 3), (3, 4), "must have the same first size"),
    (SigmoidCrossEntropyLossLayer, (4, 3), (4,), r"\(4, 3\) has 12 values, but bottom\[1\] \(4,\) has 4"),
    (EuclideanLossLayer, (4, 3), (3, 4), "must have the same first size"),
    (EuclideanLossLayer, (4, 3), (4, 2), r"\(4, 3\) has 12 values, but bottom\[1\] \(4, 2\) has 8"),
    (HingeLossLayer, (4, 3), (3,), "must have the same first size"),
    (HingeLossLayer, (4, 3, 2), (4, 2),
     r"\(4, 3, 2\) needs 4 labels, one for each sample, but bottom\[1\] \(4, 2\) has 8"),
    (MultinomialLogisticLossLayer, (4, 3), (3,), "must have the same first size"),
    (MultinomialLogisticLossLayer, (4, 3), (4, 2), r"needs 4 labels, one for each sample"),
    (AccuracyLayer, (4, 3), (5,),
     r"\(4, 3\) needs 4 labels, one for each place beside axis 1, but bottom\[1\] \(5,\) has 5"),
])
def test_shapes_that_do_not_fit(cls, x, t, words):
    """Shapes that do not fit are both named."""
    with pytest.raises(LayerError, match=words):
        run(cls, np.zeros(x), np.zeros(t))


@pytest.mark.parametrize(("cls", "fields", "words"), [
    (SoftmaxWithLossLayer, {"softmax_param": {"axis": 2}}, r"softmax_param.axis must name an axis .*, got 2"),
    (AccuracyLayer, {"accuracy_param": {"axis": -3}}, r"accuracy_param.axis must name an axis .*, got -3"),
    (AccuracyLayer, {"accuracy_param": {"top_k": 4}}, "accuracy_param.top_k must not exceed the 3 classes, got 4")])
def test_parameters_that_do_not_fit(cls, fields, words):
    """A parameter that does not fit the blobs is named with its value."""
    with pytest.raises(LayerError, match=words):
        run(cls, normal(4, 3), labels((4,), 3), **fields)


@pytest.mark.parametrize("cls", [SoftmaxWithLossLayer, SigmoidCrossEntropyLossLayer, HingeLossLayer,
                                 MultinomialLogisticLossLayer])
def test_no_gradient_for_labels(cls):
    """Asking for the gradient of the labels is an error, not a crash."""
    shape = (4, 3) if cls is SigmoidCrossEntropyLossLayer else (4,)
    layer, bottom, top = cls(), [filled(targets(4, 3), np.float32), filled(np.ones(shape), np.float32)], [Blob()]
    layer.SetUp(bottom, top)
    layer.Forward(bottom, top)
    with pytest.raises(LayerError, match=r"cannot backpropagate to bottom\[1\], which holds labels"):
        layer.Backward(top, [True, True], bottom)


@pytest.mark.parametrize(("type_name", "field"), [
    ("EuclideanLoss", "ignore_label: 1"), ("EuclideanLoss", "focal_gamma: 1"), ("HingeLoss", "pos_weight: 2"),
    ("SoftmaxWithLoss", "pos_weight: 2"), ("InfogainLoss", "normalize: true"), ("InfogainLoss", "class_weight: 2"),
    ("MultinomialLogisticLoss", "focal_gamma: 2")])
def test_fields_that_a_loss_does_not_read(type_name, field):
    """A field of loss_param without effect is an error, and a warning where one is permissive."""
    definition = f'name: "l" type: "{type_name}" loss_param {{ {field} }}'
    words = f"loss_param.{field.split(':')[0]} is set, but this layer does not read it"
    with pytest.raises(LayerError, match=words):
        create(proto_text.parse(definition, LayerParameter()))
    with pytest.warns(UserWarning, match=words):
        create(proto_text.parse(definition, LayerParameter()), permissive=True)


# --- Infogain ----------------------------------------------------------------------------------------------------

H = np.array([[1, 0.2, 0], [0.1, 2, 0.3], [0, 0.5, 1.5]])


@pytest.mark.parametrize(("shape", "axis", "label_shape"), [((4, 3), 1, (4,)), ((2, 5, 3), -1, (2, 5)),
                                                            ((2, 3, 5, 4), 1, (2, 5, 4))])
@pytest.mark.parametrize("mode", MODES)
def test_infogain(shape, axis, label_shape, mode):
    """−Σ H[k, c] log p[c] over Z along an axis, with an ignored class, and its gradient."""
    x, k = normal(*shape), labels(label_shape, 3)
    p = np.moveaxis(np.exp(x) / np.exp(x).sum(axis=axis, keepdims=True), axis, -1).reshape(-1, 3)
    want = -sum(H[int(c), j] * math.log(p[i, j]) for i, c in enumerate(k.reshape(-1)) for j in range(3) if c != 1)
    z = {"FULL": k.size, "VALID": (k != 1).sum(), "BATCH_SIZE": math.prod(shape[:axis]), "NONE": 1}[mode]
    fields = {"loss_param": {"ignore_label": 1, "normalization": mode}, "infogain_loss_param": {"axis": axis}}

    assert pytest.approx(want / z) == run(InfogainLossLayer, x, k, H, **fields)[0]
    gradient(InfogainLossLayer, x, k, H, **fields)


def test_infogain_with_the_identity_is_softmax_with_loss(tmp_path):
    """H from a file works, and H = I is SoftmaxWithLoss, its second top too."""
    write_blob(tmp_path / "H.binaryproto", np.eye(3, dtype=np.float32).reshape(1, 1, 3, 3))
    x, k = normal(4, 3), labels((4,), 3)
    want = run(SoftmaxWithLossLayer, x, k, tops=2)
    got = run(InfogainLossLayer, x, k, tops=2, infogain_loss_param={"source": str(tmp_path / "H.binaryproto")})

    assert pytest.approx(want[0], rel=1e-12) == got[0]
    np.testing.assert_allclose(want[1][1], got[1][1], rtol=1e-12)
    np.testing.assert_allclose(want[2][0], got[2][0], rtol=1e-9, atol=1e-15)


def test_infogain_threshold():
    """A probability of 0 counts as 1e-20, though SoftmaxWithLoss takes 1.18e-38."""
    loss, _, (dx, _, _), _ = run(InfogainLossLayer, [[0, 1e4]], [0], np.eye(2), dtype=np.float32)

    assert pytest.approx(20 * math.log(10)) == loss
    np.testing.assert_array_equal([[-1, 1]], dx)


def test_infogain_errors(tmp_path):
    """H missing, given twice, of another size or unreadable is named."""
    x, k, source = normal(4, 3), labels((4,), 3), str(tmp_path / "none.binaryproto")
    with pytest.raises(LayerError, match="H is missing"):
        run(InfogainLossLayer, x, k)
    with pytest.raises(LayerError, match="source cannot be given beside"):
        run(InfogainLossLayer, x, k, H, infogain_loss_param={"source": source})
    with pytest.raises(LayerError, match=r"H must hold 3 · 3 values for .* \(4, 3\), but its shape is \(3, 2\)"):
        run(InfogainLossLayer, x, k, H[:, :2])
    with pytest.raises(LayerError, match=r"infogain_loss_param.axis must name an axis .* got 2"):
        run(InfogainLossLayer, x, k, H, infogain_loss_param={"axis": 2})
    with pytest.raises(LayerError, match="must have the same first size"):
        run(InfogainLossLayer, x, k[:3], H)
    with pytest.raises(LayerError, match="needs 4 labels"):
        run(InfogainLossLayer, x, labels((4, 2), 3), H)
    with pytest.raises(ProtoError, match="no such file"):
        run(InfogainLossLayer, x, k, infogain_loss_param={"source": source})


# --- Hinge, Euclidean, Multinomial, Contrastive --------------------------------------------------------------------


@pytest.mark.parametrize("norm", ["L1", "L2"])
def test_hinge_by_hand(norm):
    """The margins of one sample: 1 − 0.25 for the label, 1 + 0.5 and 0 for the others."""
    power = 1 if norm == "L1" else 2
    loss, _, (dx, _), _ = run(HingeLossLayer, [[0.25, 0.5, -3]], [0], hinge_loss_param={"norm": norm})

    assert 0.75 ** power + 1.5 ** power == loss
    np.testing.assert_array_equal([[-1, 1, 0]] if norm == "L1" else [[-1.5, 3, 0]], dx)


@pytest.mark.parametrize("norm", ["L1", "L2"])
@pytest.mark.parametrize("fields", [{}, {"ignore_label": 2}, {"class_weight": range(30), "normalization": "VALID"}])
def test_hinge_gradient(norm, fields):
    """The gradient agrees with finite differences, and all features of a sample are classes."""
    gradient(HingeLossLayer, normal(7, 2, 5, 3), labels((7, 1), 30), loss_param=fields, hinge_loss_param={"norm": norm})


def test_forward_leaves_diffs_alone():
    """No loss uses a bottom's diff as scratch in forward, as Caffe's HingeLoss does."""
    for cls, *arrays in ((HingeLossLayer, normal(4, 3), labels((4,), 3)),
                         (EuclideanLossLayer, normal(4, 3), normal(4, 3)),
                         (SmoothL1LossLayer, normal(4, 3), normal(4, 3), normal(4, 3, seed=2), normal(4, 3, seed=3)),
                         (SigmoidCrossEntropyLossLayer, normal(4, 3), targets(4, 3)),
                         (SoftmaxWithLossLayer, normal(4, 3), labels((4,), 3)),
                         (MultinomialLogisticLossLayer, targets(4, 3), labels((4,), 3)),
                         (InfogainLossLayer, normal(4, 3), labels((4,), 3), H),
                         (ContrastiveLossLayer, normal(4, 3), normal(4, 3), [0, 1, 1, 0])):
        layer, bottom, top = cls(dtype=np.float64), [filled(a) for a in arrays], [Blob((), np.float64)]
        for b in bottom:
            b.diff[...] = 7
        layer.SetUp(bottom, top)
        layer.Forward(bottom, top)

        for b, a in zip(bottom, arrays, strict=True):
            np.testing.assert_array_equal(7, b.diff, err_msg=cls.type)
            np.testing.assert_array_equal(a, b.data, err_msg=cls.type)


def test_euclidean_by_hand():
    """Half the squared distance over N, and opposite gradients for both bottoms."""
    loss, _, (da, db), _ = run(EuclideanLossLayer, [[1, 2], [3, 4]], [[0, 2], [5, 4]], loss_weight=[0.5])

    assert 0.5 * (1 + 4) / 4 == loss
    np.testing.assert_array_equal([[0.25, 0], [-0.5, 0]], da)
    np.testing.assert_array_equal(-da, db)


@pytest.mark.parametrize("mode", [None, *MODES])
def test_euclidean_gradient(mode):
    """Both gradients under each divisor and with weights, for blobs of unlike shapes."""
    fields = {"loss_param": {"normalization": mode} if mode else {}}
    a, b = normal(2, 7, 5, 3), normal(2, 35, 3)
    z = {"FULL": 210, "VALID": 210, "NONE": 1}.get(mode, 2)

    assert pytest.approx(((a.reshape(b.shape) - b) ** 2).sum() / 2 / z) == run(EuclideanLossLayer, a, b, **fields)[0]
    gradient(EuclideanLossLayer, a, b, **fields)
    gradient(EuclideanLossLayer, a, b, [0.3, 2], **fields)


def smooth_l1(x, t, w_in, w_out, sigma):
    """Σ w_out · l, one number at a time."""
    total = 0.0
    for values in zip(*(np.ravel(a) for a in (x, t, w_in, w_out)), strict=True):
        x_i, t_i, inside, outside = map(float, values)
        d = abs(inside * (x_i - t_i))
        total += outside * (0.5 * (sigma * d) ** 2 if d < 1 / sigma ** 2 else d - 0.5 / sigma ** 2)
    return total


def test_smooth_l1_by_hand():
    """With σ = 2 the square ends at 1/4: 0.1 costs 2 · 0.1², and 3 costs 3 − 1/8. The batch of 2 divides."""
    loss, _, (dx, dt), _ = run(SmoothL1LossLayer, [[0.1, 5], [-3, 1]], [[0, 2], [0, 1]], loss_weight=[0.5],
                               smooth_l1_loss_param={"sigma": 2})

    assert 0.5 * (0.02 + 2.875 + 2.875) / 2 == pytest.approx(loss)
    np.testing.assert_allclose(dx, [[0.1, 0.25], [-0.25, 0]])
    np.testing.assert_array_equal(-dx, dt)


@pytest.mark.parametrize("sigma", [1, 3, 0.5])
@pytest.mark.parametrize("shape", [(7,), (5, 8), (2, 7, 5, 3)])
def test_smooth_l1_formula(sigma, shape):
    """The weights stand inside and outside of the function; the first axis divides. Finite differences agree."""
    x, t, w_in, w_out = (normal(*shape, seed=i) for i in range(4))
    w_in[0] = 0  # a number that is left out
    param = {"smooth_l1_loss_param": {"sigma": sigma}}

    plain = run(SmoothL1LossLayer, x, t, **param)[0]
    assert pytest.approx(smooth_l1(x, t, np.ones(shape), np.ones(shape), sigma) / shape[0]) == plain
    loss, _, (dx, *_), _ = run(SmoothL1LossLayer, x, t, w_in, w_out, **param)
    assert pytest.approx(smooth_l1(x, t, w_in, w_out, sigma) / shape[0]) == loss
    assert not dx[0].any()
    gradient(SmoothL1LossLayer, x, t, w_in, w_out, **param)


def test_smooth_l1_with_the_inner_weights_alone():
    """With three bottoms the outer weights are 1, and finite differences agree."""
    x, t, w_in = (normal(4, 3, seed=i) for i in range(3))
    want = run(SmoothL1LossLayer, x, t, w_in, np.ones((4, 3)))
    got = run(SmoothL1LossLayer, x, t, w_in)

    assert got[0] == want[0]
    np.testing.assert_array_equal(got[2][0], want[2][0])
    gradient(SmoothL1LossLayer, x, t, w_in)


def test_smooth_l1_is_euclidean_near_zero():
    """Where every difference is below 1 / σ², it is σ² times the Euclidean loss; a large σ makes it Σ |d|."""
    x, t = normal(4, 3), normal(4, 3) + np.random.default_rng(1).uniform(-0.2, 0.2, (4, 3))
    want = run(EuclideanLossLayer, x, t)
    near = run(SmoothL1LossLayer, x, t, smooth_l1_loss_param={"sigma": 2})
    far = run(SmoothL1LossLayer, x, t, smooth_l1_loss_param={"sigma": 1e6})

    assert near[0] == pytest.approx(4 * want[0])
    np.testing.assert_allclose(near[2][0], 4 * want[2][0])
    assert far[0] == pytest.approx(np.abs(x - t).sum() / 4)


def test_smooth_l1_of_each_place():
    """The second top has the sum over the channels for each place, not divided; the batch makes the loss of it."""
    x, t = normal(2, 7, 5, 3), normal(2, 7, 5, 3, seed=1)
    loss, (_, places), diffs, _ = run(SmoothL1LossLayer, x, t, tops=2)

    assert places.shape == (2, 1, 5, 3)
    assert loss == pytest.approx(places.sum() / 2)
    np.testing.assert_array_equal(diffs[0], run(SmoothL1LossLayer, x, t)[2][0])


def test_smooth_l1_of_four_axes_and_two():
    """Caffe's blobs of (N, K) and (N, K, 1, 1) are one thing, and an empty batch has the loss 0."""
    x, t = normal(4, 3), normal(4, 3, seed=1)

    assert run(SmoothL1LossLayer, x, t.reshape(4, 3, 1, 1))[0] == run(SmoothL1LossLayer, x, t)[0]
    assert run(SmoothL1LossLayer, x[:0], t[:0])[0] == 0


@pytest.mark.parametrize(("shapes", "fields", "message"), [
    ([(4, 3), (3, 4)], {}, r"bottom\[1\] \(3, 4\) must have the shape of bottom\[0\] \(4, 3\)"),
    ([(4, 3), (4, 3), (4, 3), (4, 1)], {}, r"bottom\[3\] \(4, 1\) must have the shape of bottom\[0\] \(4, 3\)"),
    ([(), ()], {}, r"bottom\[0\] must have an axis for the batch"),
    ([(4, 3), (4, 3)], {"smooth_l1_loss_param": {"sigma": 0}}, "sigma must be positive, got 0"),
])
def test_smooth_l1_errors(shapes, fields, message):
    """Other shapes and a σ of 0 are errors."""
    with pytest.raises(LayerError, match=message):
        run(SmoothL1LossLayer, *(np.ones(shape) for shape in shapes), **fields)


def test_smooth_l1_of_each_place_needs_channels():
    """A second top is refused for one number a sample."""
    with pytest.raises(LayerError, match=r"bottom\[0\] \(4,\) must have a channel axis for a second top"):
        run(SmoothL1LossLayer, np.ones(4), np.ones(4), tops=2)


def test_multinomial_behind_softmax_is_softmax_with_loss():
    """−log p of given probabilities is SoftmaxWithLoss in two steps."""
    x, k = normal(4, 3), labels((4, 1, 1, 1), 3)
    want = run(SoftmaxWithLossLayer, x, k.reshape(4))
    p = np.exp(x) / np.exp(x).sum(axis=1, keepdims=True)
    loss, _, (dp, _), _ = run(MultinomialLogisticLossLayer, p, k)

    assert pytest.approx(want[0], rel=1e-12) == loss
    np.testing.assert_allclose(want[2][0], kernels.softmax_grad(p, dp, 1, out=np.empty_like(p)), rtol=1e-9, atol=1e-15)


def test_multinomial_gradient_and_threshold():
    """The gradient agrees with finite differences, and a probability of 0 counts as 1e-20."""
    gradient(MultinomialLogisticLossLayer, 0.1 + targets(4, 3), labels((4,), 3),
             loss_param={"class_weight": [1, 2, 3], "ignore_label": 0})
    loss, _, (dp, _), _ = run(MultinomialLogisticLossLayer, [[0, 1]], [0], dtype=np.float32)

    assert pytest.approx(20 * math.log(10)) == loss
    np.testing.assert_allclose([[-1e20, 0]], dp, rtol=1e-6)


@pytest.mark.parametrize(("legacy", "want"), [(False, (25 + 4 + 9) / 6), (True, (25 + 0 + 5) / 6)])
def test_contrastive_by_hand(legacy, want):
    """Margin 5: a similar pair at distance 5, others at 3 and 2 (legacy, 5 − d²: at 3 and 0)."""
    a, b = np.array([[3, 4], [3, 0], [0, 2]]), np.zeros((3, 2))
    if legacy:
        a[2] = 0
    loss, _, _, _ = run(ContrastiveLossLayer, a, b, [1, 0, 0.9],
                        contrastive_loss_param={"margin": 5, "legacy_version": legacy})

    assert pytest.approx(want) == loss


@pytest.mark.parametrize("legacy", [False, True])
def test_contrastive_gradient(legacy, monkeypatch):
    """The gradient by finite differences, once Caffe's 1e-4 beside the distance is taken away."""
    monkeypatch.setattr(ContrastiveLossLayer, "epsilon", 0.0)
    gradient(ContrastiveLossLayer, normal(5, 3, 1, 1), normal(5, 3, 1, 1, seed=1), [1, 0, 0, 1, 0],
             contrastive_loss_param={"margin": 3, "legacy_version": legacy})


def test_contrastive_gradient_near_distance_zero():
    """Caffe's 1e-4: at distance 1e-4 the push is half of the margin's, and at distance 0 it is 0."""
    a = np.array([[1e-4, 0], [0, 0]])
    _, _, (da, db, _), _ = run(ContrastiveLossLayer, a, 0 * a, [0, 0], contrastive_loss_param={"margin": 1})

    np.testing.assert_allclose([[-(1 - 1e-4) / 2 / 2, 0], [0, 0]], da, rtol=1e-9)
    np.testing.assert_array_equal(-da, db)


@pytest.mark.parametrize(("a", "b", "s", "words"), [
    ((4, 3), (4, 2), (4,), r"bottom\[0\] \(4, 3\) and bottom\[1\] \(4, 2\) must hold as many features"),
    ((4, 3), (3, 4), (4,), "must hold as many features for as many samples"),
    ((4, 3), (4, 3), (3,), r"bottom\[2\] \(3,\) must say for each of the 4 pairs")])
def test_contrastive_errors(a, b, s, words):
    """Features or pairs that do not fit are named."""
    with pytest.raises(LayerError, match=words):
        run(ContrastiveLossLayer, np.zeros(a), np.zeros(b), np.zeros(s))


def test_contrastive_similarity_is_a_number():
    """NaN for "similar" is an error that names the pair."""
    with pytest.raises(LayerError, match=r"bottom\[2\] \(4,\) says nan of pair 2"):
        run(ContrastiveLossLayer, normal(4, 3), normal(4, 3), [0, 1, np.nan, 1])


# --- Accuracy ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("top_k", "want"), [(1, 0.25), (2, 0.75), (3, 1)])
def test_accuracy_and_its_ties(top_k, want):
    """A tie counts against the prediction: Caffe's rule (it counts the scores not below)."""
    x = [[3, 2, 1], [2, 2, 1], [1, 2, 2], [1, 1, 1]]
    _, (y,), _, _ = run(AccuracyLayer, x, [0, 0, 1, 2], backward=False, accuracy_param={"top_k": top_k})

    assert want == y


def test_accuracy_of_each_class():
    """The second top: each class's accuracy, 0 for one without a cell; ignored ones count nowhere."""
    x = np.moveaxis(np.array([[[9, 1, 1], [1, 9, 1]], [[9, 1, 1], [9, 1, 1]]]), 2, 1)  # (2, 3, 2): argmax 0 1 / 0 0
    _, (y, each), _, _ = run(AccuracyLayer, x, [[0, 1], [0, 1]], tops=2, backward=False)
    _, (y_ignored, each_ignored), _, _ = run(AccuracyLayer, x, [[0, 1], [0, 255]], tops=2, backward=False,
                                             accuracy_param={"ignore_label": 255})

    assert 0.75 == y
    np.testing.assert_array_equal([1, 0.5, 0], each)
    assert 1 == y_ignored
    np.testing.assert_array_equal([1, 1, 0], each_ignored)


@pytest.mark.parametrize("axis", [1, 2, -1])
@pytest.mark.parametrize("top_k", [1, 2])
def test_accuracy_along_an_axis(axis, top_k):
    """The share of cells whose label is among the top_k of the sorted scores."""
    x = normal(*SHAPE)
    k = labels([n for i, n in enumerate(SHAPE) if i != axis % 4], SHAPE[axis])
    order = np.argsort(-np.moveaxis(x, axis, -1).reshape(-1, SHAPE[axis]), axis=1)
    want = np.mean([c in best[:top_k] for c, best in zip(k.reshape(-1), order, strict=True)])
    _, (y,), _, layer = run(AccuracyLayer, x, k, backward=False, accuracy_param={"axis": axis, "top_k": top_k})

    assert pytest.approx(want) == y
    assert [0.0] == layer.loss_weights


def test_accuracy_of_nothing_and_of_nan():
    """0 where every cell is ignored, and a NaN score is not counted as right (Caffe: it is)."""
    _, (none,), _, _ = run(AccuracyLayer, normal(2, 3), [1, 1], backward=False, accuracy_param={"ignore_label": 1})
    _, (nan,), _, _ = run(AccuracyLayer, np.full((2, 3), np.nan), [0, 1], backward=False)

    assert 0 == none
    assert 0 == nan


def test_accuracy_has_no_gradient():
    """Asking Accuracy for a gradient is an error."""
    layer, top = AccuracyLayer(), [Blob()]
    bottom = [filled(normal(4, 3), np.float32), filled(labels((4,), 3), np.float32)]
    layer.SetUp(bottom, top)
    layer.Forward(bottom, top)
    layer.Backward(top, [False, False], bottom)
    with pytest.raises(LayerError, match="is a measure and has no gradient"):
        layer.Backward(top, [True, False], bottom)


# --- all -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("cls", "shapes"), [
    (SigmoidCrossEntropyLossLayer, [(0, 3), (0, 3)]), (EuclideanLossLayer, [(0, 3), (0, 3)]),
    (SoftmaxWithLossLayer, [(0, 3), (0,)]), (HingeLossLayer, [(0, 3), (0,)]),
    (MultinomialLogisticLossLayer, [(0, 3), (0,)]), (InfogainLossLayer, [(0, 3), (0,), (3, 3)]),
    (ContrastiveLossLayer, [(0, 3), (0, 3), (0,)])])
def test_a_batch_of_nothing(cls, shapes):
    """A batch without samples has the loss 0, as one in which every sample is ignored."""
    assert 0 == run(cls, *map(np.zeros, shapes))[0]


def test_the_batch_may_change_between_passes():
    """A loss follows its bottoms to another batch size, up and down."""
    layer, top = SoftmaxWithLossLayer(dtype=np.float64), [Blob((), np.float64)]
    bottom = [filled(normal(4, 3)), filled(labels((4,), 3))]
    layer.SetUp(bottom, top)
    for n in (2, 6, 4):
        x, k = normal(n, 3), labels((n,), 3)
        for blob, values in zip(bottom, (x, k), strict=True):
            blob.reshape(values.shape)
            blob.data[...] = values

        assert run(SoftmaxWithLossLayer, x, k)[0] == layer.Forward(bottom, top)
