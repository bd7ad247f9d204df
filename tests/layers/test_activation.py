"""The activation family: layers that map each number by itself, or with one learned number."""

import math

import numpy as np
import pytest
from run_layer import filled, normal, run_backward, run_forward

from minicaffe import kernels
from minicaffe.errors import LayerError
from minicaffe.io.binary import array_to_blob
from minicaffe.layer import create
from minicaffe.layers.activation.abs_val import AbsValLayer
from minicaffe.layers.activation.bias import BiasLayer
from minicaffe.layers.activation.bnll import BNLLLayer
from minicaffe.layers.activation.clip import ClipLayer
from minicaffe.layers.activation.elu import ELULayer
from minicaffe.layers.activation.exp import ExpLayer
from minicaffe.layers.activation.log import LogLayer
from minicaffe.layers.activation.power import PowerLayer
from minicaffe.layers.activation.prelu import PReLULayer
from minicaffe.layers.activation.relu import ReLULayer
from minicaffe.layers.activation.relu6 import ReLU6Layer
from minicaffe.layers.activation.scale import ScaleLayer
from minicaffe.layers.activation.sigmoid import SigmoidLayer
from minicaffe.layers.activation.swish import SwishLayer
from minicaffe.layers.activation.tanh import TanHLayer
from minicaffe.layers.activation.threshold import ThresholdLayer
from minicaffe.proto import LayerParameter
from minicaffe.testing import check_layer

SHAPE = (2, 7, 5, 3)


def make(cls, dtype=np.float64, **param):
    """A layer with these fields in its own message."""
    return cls(dtype=dtype, **({cls.message: param} if cls.message else {}))


def forward(layer, x):
    """y for one bottom."""
    return run_forward(layer, x)[1][0].data


def gradient(layer, x, dy=1.0):
    """dx for one bottom."""
    return run_backward(layer, *run_forward(layer, x), dy)[0]


# --- every layer that maps each number by itself --------------------------------------------------
# layer, its parameters, the map of one number, where it has a corner, whether it takes positive numbers only

MAPS = {
    "AbsVal": (AbsValLayer, {}, abs, [0], False),
    "BNLL": (BNLLLayer, {}, lambda x: math.log(1 + math.exp(x)), [], False),
    "Clip": (ClipLayer, {"min": -0.5, "max": 0.75}, lambda x: sorted([-0.5, x, 0.75])[1], [-0.5, 0.75], False),
    "ELU": (ELULayer, {"alpha": 0.5}, lambda x: x if x > 0 else 0.5 * (math.exp(x) - 1), [0], False),
    "ELU-negative": (ELULayer, {"alpha": -2}, lambda x: x if x > 0 else 2 - 2 * math.exp(x), [0], False),
    "Exp": (ExpLayer, {}, math.exp, [], False),
    "Exp-base": (ExpLayer, {"base": 3, "scale": -0.5, "shift": 0.25}, lambda x: 3 ** (0.25 - 0.5 * x), [], False),
    "Log": (LogLayer, {}, math.log, [], True),
    "Log-base": (LogLayer, {"base": 10, "scale": 2, "shift": 0.5}, lambda x: math.log10(0.5 + 2 * x), [], True),
    "Log-base-below-1": (LogLayer, {"base": 0.5}, lambda x: -math.log2(x), [], True),
    "Power": (PowerLayer, {}, lambda x: x, [], False),
    "Power-0": (PowerLayer, {"power": 0, "scale": 3, "shift": 2}, lambda x: 1, [], False),
    "Power-1": (PowerLayer, {"scale": 3, "shift": -2}, lambda x: 3 * x - 2, [], False),
    "Power-2": (PowerLayer, {"power": 2, "scale": -3, "shift": 0.5}, lambda x: (0.5 - 3 * x) ** 2, [], False),
    "Power-3": (PowerLayer, {"power": 3, "scale": 0.5}, lambda x: (0.5 * x) ** 3, [], False),
    "Power-root": (PowerLayer, {"power": 0.5, "shift": 0.25}, lambda x: math.sqrt(0.25 + x), [], True),
    "Power-inverse": (PowerLayer, {"power": -1.5, "scale": 2, "shift": 1}, lambda x: (1 + 2 * x) ** -1.5, [], True),
    "Power-scale-0": (PowerLayer, {"power": 3, "scale": 0, "shift": -2}, lambda x: -8, [], False),
    "ReLU": (ReLULayer, {}, lambda x: max(x, 0), [0], False),
    "ReLU-leaky": (ReLULayer, {"negative_slope": 0.25}, lambda x: x if x > 0 else 0.25 * x, [0], False),
    "ReLU-negative": (ReLULayer, {"negative_slope": -1}, abs, [0], False),
    "ReLU6": (ReLU6Layer, {}, lambda x: min(max(x, 0), 6), [0, 6], False),
    "ReLU6-leaky": (ReLU6Layer, {"negative_slope": 0.25}, lambda x: min(x if x > 0 else 0.25 * x, 6), [0, 6], False),
    "ReLU6-negative": (ReLU6Layer, {"negative_slope": -8}, lambda x: min(x if x > 0 else -8 * x, 6), [-0.75, 0, 6],
                       False),
    "Sigmoid": (SigmoidLayer, {}, lambda x: 1 / (1 + math.exp(-x)), [], False),
    "Swish": (SwishLayer, {}, lambda x: x / (1 + math.exp(-x)), [], False),
    "Swish-beta": (SwishLayer, {"beta": -1.5}, lambda x: x / (1 + math.exp(1.5 * x)), [], False),
    "TanH": (TanHLayer, {}, lambda x: 1 - 2 / (math.exp(2 * x) + 1), [], False),
}


@pytest.fixture(params=MAPS.values(), ids=MAPS.keys())
def a_map(request):
    """One map at a time: what makes its layer, the same map written naively, where it has kinks, and values for x."""
    cls, param, naive, kinks, positive = request.param
    x = normal(*SHAPE)
    return lambda **options: make(cls, **param, **options), naive, kinks, np.abs(x) + 0.05 if positive else x


def test_maps_follow_the_formula(a_map):
    """Each layer computes its formula, number by number."""
    layer, naive, _, x = a_map
    expected = [float(naive(float(value))) for value in x.ravel()]

    np.testing.assert_allclose(forward(layer(), x).ravel(), expected, rtol=1e-12, atol=1e-14)


def test_maps_have_the_right_gradient(a_map):
    """Backward is the derivative of forward, and the contract of diffs is kept."""
    layer, naive, kinks, x = a_map
    zeros = [0] if naive(0.25) == naive(0.5) else []

    assert check_layer(layer(), [filled(x)], kinks=kinks, tolerance=1e-7, zeros=zeros) < 1e-7


def test_maps_in_place(a_map):
    """In place, a layer gives the same values and the same gradient as out of place."""
    make_layer, _, _, x = a_map
    results = []
    for in_place in (False, True):
        layer = make_layer()
        bottom, top = run_forward(layer, x, in_place=in_place)
        y = top[0].data.copy()
        results.append((y, run_backward(layer, bottom, top, normal(*SHAPE, seed=1))[0]))

    for expected, got in zip(*results, strict=True):
        np.testing.assert_array_equal(got, expected)


def test_maps_in_float32(a_map):
    """Single precision agrees with double precision to rounding, in values and gradients."""
    layer, _, _, x = a_map
    x = x.astype(np.float32)
    double, single = layer(), layer(dtype=np.float32)
    want, got = run_forward(double, x.astype(np.float64)), run_forward(single, x)
    dx_want, dx_got = run_backward(double, *want, 1.0)[0], run_backward(single, *got, 1.0)[0]

    assert np.float32 == got[1][0].data.dtype == dx_got.dtype
    np.testing.assert_allclose(got[1][0].data, want[1][0].data, rtol=2e-6, atol=1e-6)
    np.testing.assert_allclose(dx_got, dx_want, rtol=4e-6, atol=1e-6)


def test_maps_follow_a_changing_batch(a_map):
    """The batch may shrink and grow between passes, in place too."""
    layer, naive, _, x = a_map
    blob, layer = filled(x), layer()
    layer.SetUp([blob], [blob])
    for n in (1, 2, 3):
        blob.reshape(n, *SHAPE[1:])
        blob.data[...] = start = np.resize(x, blob.shape)
        layer.Forward([blob], [blob])
        blob.diff.fill(1)
        layer.Backward([blob], [True], [blob])

        np.testing.assert_allclose(blob.data.ravel(), [naive(v) for v in start.ravel()], rtol=1e-12, atol=1e-14)
        assert np.isfinite(blob.diff).all()


@pytest.mark.parametrize("shape", [(), (0, 3), (5,)])
def test_maps_take_any_shape(a_map, shape):
    """Scalars and empty blobs pass through as well."""
    layer = a_map[0]()
    bottom, top = run_forward(layer, np.full(shape, 0.5))

    assert shape == top[0].shape
    assert shape == run_backward(layer, bottom, top, 1.0)[0].shape


# --- ReLU -----------------------------------------------------------------------------------------


def test_relu_by_hand():
    """Positive numbers and their gradients pass; at 0 the gradient takes the negative side, as in Caffe."""
    x, dy = np.array([-2, 0, 3.0]), np.array([10, 20, 30.0])

    np.testing.assert_array_equal(forward(make(ReLULayer), x), [0, 0, 3])
    np.testing.assert_array_equal(gradient(make(ReLULayer), x, dy), [0, 0, 30])
    np.testing.assert_array_equal(forward(make(ReLULayer, negative_slope=0.5), x), [-1, 0, 3])
    np.testing.assert_array_equal(gradient(make(ReLULayer, negative_slope=0.5), x, dy), [5, 10, 30])


def test_relu_is_two_relus():
    """Positive and negative part add up: x = relu(x) − relu(−x)."""
    x = normal(*SHAPE)

    np.testing.assert_array_equal(forward(make(ReLULayer), x) - forward(make(ReLULayer), -x), x)


def test_relu_backward_needs_no_data():
    """A later layer may overwrite ReLU's top and bottom: the gradient stays right."""
    layer, x = make(ReLULayer, negative_slope=0.5), np.array([-2, 3.0])
    blob, top = run_forward(layer, x, in_place=True)
    blob[0].data.fill(-7)

    assert ReLULayer.backward_reads == ()
    np.testing.assert_array_equal(run_backward(layer, blob, top, 1.0)[0], [0.5, 1])


def test_relu_lets_nan_through():
    """NaN stays NaN; it does not become 0."""
    assert np.isnan(forward(make(ReLULayer), np.array([math.nan]))).all()
    assert np.isnan(forward(make(ReLULayer, negative_slope=0.1), np.array([math.nan]))).all()


@pytest.mark.parametrize("engine", kernels.available_engines())
@pytest.mark.parametrize("alpha", [0, 0.25, -2])
@pytest.mark.parametrize("in_place", [False, True])
def test_relu_kernels(engine, alpha, in_place):
    """Every engine rectifies alike, into another array and into the same one."""
    x, dy = normal(3, 1001).astype(np.float32), normal(3, 1001, seed=1).astype(np.float32)
    positive = np.zeros(x.shape, bool)
    y, dx = (x.copy(), dy.copy()) if in_place else (np.empty_like(x), np.empty_like(dy))
    before = kernels.engine()
    kernels.use_engine(engine)
    try:
        kernels.relu(y if in_place else x, alpha, positive, y)
        kernels.relu_grad(dx if in_place else dy, alpha, positive, dx)
    finally:
        kernels.use_engine(before)

    np.testing.assert_array_equal(positive, x > 0)
    np.testing.assert_array_equal(y, np.where(x > 0, x, np.float32(alpha) * x))
    np.testing.assert_array_equal(dx, np.where(x > 0, dy, np.float32(alpha) * dy))


# --- ReLU6 ----------------------------------------------------------------------------------------


def test_relu6_by_hand():
    """Numbers between 0 and 6 and their gradients pass; at 6 itself no gradient does."""
    x, dy = np.array([-2, 0, 3, 6, 7.0]), np.array([10, 20, 30, 40, 50.0])

    np.testing.assert_array_equal(forward(make(ReLU6Layer), x), [0, 0, 3, 6, 6])
    np.testing.assert_array_equal(gradient(make(ReLU6Layer), x, dy), [0, 0, 30, 0, 0])
    np.testing.assert_array_equal(forward(make(ReLU6Layer, negative_slope=0.5), x), [-1, 0, 3, 6, 6])
    np.testing.assert_array_equal(gradient(make(ReLU6Layer, negative_slope=0.5), x, dy), [5, 10, 30, 0, 0])
    np.testing.assert_array_equal(gradient(make(ReLU6Layer, negative_slope=-8), np.array([-0.5, -1]), 1.0), [-8, 0])


def test_relu6_under_the_name_of_relu():
    """The slope may stand in relu_param, as in some nets; beside another one in relu6_param it is an error."""
    x = np.array([-2, 3, 7.0])
    layer = ReLU6Layer(dtype=np.float64, relu_param={"negative_slope": 0.5})
    np.testing.assert_array_equal(forward(layer, x), [-1, 3, 6])
    both = ReLU6Layer(dtype=np.float64, name="unit7", relu_param={"negative_slope": 0.5}, relu6_param={})
    with pytest.raises(LayerError, match=r"layer 'unit7' \(ReLU6\): relu_param.negative_slope must be that of "
                                         r"relu6_param, 0, or not be given, got 0.5"):
        forward(both, x)


def test_relu6_is_a_clipped_relu():
    """It is what Clip makes of ReLU's top, and NaN stays NaN."""
    x = 5 * normal(*SHAPE)
    np.testing.assert_array_equal(forward(make(ReLU6Layer), x),
                                  forward(make(ClipLayer, min=0, max=6), forward(make(ReLULayer), x)))

    for slope in (0, 0.1):
        assert np.isnan(forward(make(ReLU6Layer, negative_slope=slope), np.array([math.nan]))).all()


# --- Sigmoid, TanH, Swish, BNLL -------------------------------------------------------------------


def test_sigmoid_by_hand():
    """σ(0) = 1/2 with slope 1/4, σ(ln 3) = 3/4 with slope 3/16."""
    x = np.array([0, math.log(3)])

    np.testing.assert_allclose(forward(make(SigmoidLayer), x), [1 / 2, 3 / 4], rtol=1e-15)
    np.testing.assert_allclose(gradient(make(SigmoidLayer), x), [1 / 4, 3 / 16], rtol=1e-15)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_sigmoid_never_overflows(dtype):
    """Huge scores saturate at exactly 0 and 1, with gradient 0 and without a warning."""
    x = np.array([-math.inf, -1e30, -1000, 1000, 1e30, math.inf])

    np.testing.assert_array_equal(forward(make(SigmoidLayer, dtype), x), [0, 0, 0, 1, 1, 1])
    np.testing.assert_array_equal(gradient(make(SigmoidLayer, dtype), x), 0)


def test_sigmoid_identities():
    """σ(−x) = 1 − σ(x), and tanh(x) = 2σ(2x) − 1."""
    x = normal(*SHAPE)

    np.testing.assert_allclose(forward(make(SigmoidLayer), -x), 1 - forward(make(SigmoidLayer), x), atol=1e-15)
    np.testing.assert_allclose(forward(make(TanHLayer), x), 2 * forward(make(SigmoidLayer), 2 * x) - 1, atol=1e-15)


def test_swish_by_hand():
    """Swish of ln 3 is ln 3 · 3/4, and its slope 3/4 · (1 + ln 3 / 4)."""
    x = np.array([0, math.log(3)])

    np.testing.assert_allclose(forward(make(SwishLayer), x), [0, x[1] * 3 / 4], rtol=1e-15)
    np.testing.assert_allclose(gradient(make(SwishLayer), x), [1 / 2, 3 / 4 * (1 + x[1] / 4)], rtol=1e-15)


def test_swish_limits():
    """β = 0 halves, and a large β makes a ReLU."""
    x = normal(*SHAPE)

    np.testing.assert_array_equal(forward(make(SwishLayer, beta=0), x), x / 2)
    np.testing.assert_allclose(forward(make(SwishLayer, beta=1e6), x), np.maximum(x, 0), atol=1e-6)


def test_bnll_identities():
    """BNLL(x) − BNLL(−x) = x; its slope is the sigmoid; at 0 it is ln 2."""
    x = normal(*SHAPE)

    np.testing.assert_allclose(forward(make(BNLLLayer), x) - forward(make(BNLLLayer), -x), x, atol=1e-15)
    np.testing.assert_allclose(gradient(make(BNLLLayer), x), forward(make(SigmoidLayer), x), rtol=1e-14)
    assert math.log(2) == pytest.approx(float(forward(make(BNLLLayer), np.array(0.0))), rel=1e-15)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_bnll_never_overflows(dtype):
    """Far from 0 it is x or 0, with slope 1 or 0, without a warning."""
    x = np.array([-1e30, -1000, 1000, 1e30], dtype)

    np.testing.assert_array_equal(forward(make(BNLLLayer, dtype), x), np.maximum(x, 0))
    np.testing.assert_array_equal(gradient(make(BNLLLayer, dtype), x), [0, 0, 1, 1])


# --- AbsVal, Clip, ELU, Threshold -----------------------------------------------------------------


def test_abs_val_by_hand():
    """The gradient takes the sign of x, and 0 at 0."""
    x = np.array([-2, 0, 3.0])

    np.testing.assert_array_equal(forward(make(AbsValLayer), x), [2, 0, 3])
    np.testing.assert_array_equal(gradient(make(AbsValLayer), x, np.array([5, 6, 7.0])), [-5, 0, 7])


def test_clip_by_hand():
    """Both limits belong to the interval that gradients pass through."""
    x = np.array([-3, -1, 0.5, 2, 4])
    layer = make(ClipLayer, min=-1, max=2)

    np.testing.assert_array_equal(forward(layer, x), [-1, -1, 0.5, 2, 2])
    np.testing.assert_array_equal(gradient(make(ClipLayer, min=-1, max=2), x, np.full(5, 3.0)), [0, 3, 3, 3, 0])


def test_clip_with_crossed_limits():
    """Where min lies above max, everything becomes min and no gradient passes, as in Caffe."""
    x = normal(5)

    np.testing.assert_array_equal(forward(make(ClipLayer, min=1, max=-1), x), 1)
    np.testing.assert_array_equal(gradient(make(ClipLayer, min=1, max=-1), x), 0)


@pytest.mark.parametrize(("param", "message"), [
    ({}, r"clip_param\.min must be set.*got 0"),
    ({"min": -2}, r"clip_param\.max must be set.*got 0"),
])
def test_clip_errors(param, message):
    """A limit that is not given is named."""
    with pytest.raises(LayerError, match=r"layer 'Clip' \(Clip\): " + message):
        run_forward(make(ClipLayer, **param), normal(3))


def test_elu_by_hand():
    """At −ln 2 with α = 3 the value is 3 · (1/2 − 1) and the slope 3/2; at 0 the slope is α, as in Caffe."""
    x = np.array([-math.log(2), 0, 3])

    np.testing.assert_allclose(forward(make(ELULayer, alpha=3), x), [-1.5, 0, 3], rtol=1e-15)
    np.testing.assert_allclose(gradient(make(ELULayer, alpha=3), x), [1.5, 3, 1], rtol=1e-15)


def test_elu_limits():
    """α = 0 makes a ReLU, and far below 0 the floor is −α, without a warning."""
    x = normal(*SHAPE)

    np.testing.assert_array_equal(forward(make(ELULayer, alpha=0), x), np.maximum(x, 0))
    np.testing.assert_array_equal(forward(make(ELULayer, alpha=0.5), np.array([-1e30, 1e30])), [-0.5, 1e30])


def test_threshold_by_hand():
    """What lies above the threshold becomes 1; what equals it does not."""
    x = np.array([0.5, 1, 1.5])

    np.testing.assert_array_equal(forward(make(ThresholdLayer, threshold=1), x), [0, 0, 1])
    np.testing.assert_array_equal(forward(make(ThresholdLayer), -x), 0)
    _, top = run_forward(make(ThresholdLayer, threshold=1), x, in_place=True)
    np.testing.assert_array_equal(top[0].data, [0, 0, 1])


def test_threshold_has_no_gradient():
    """Backward refuses to compute a gradient, and does nothing where nobody asks for one."""
    layer = make(ThresholdLayer)
    bottom, top = run_forward(layer, normal(5))

    np.testing.assert_array_equal(run_backward(layer, bottom, top, 1.0, asked=[False]), [np.zeros(5)])
    with pytest.raises(LayerError, match=r"layer 'Threshold' \(Threshold\): has no gradient for bottom\[0\]"):
        run_backward(layer, bottom, top, 1.0)


# --- Exp, Log, Power ------------------------------------------------------------------------------


def test_exp_by_hand():
    """2^(3x + 1) at x = 1 is 16, with slope 16 · 3 · ln 2."""
    layer = make(ExpLayer, base=2, scale=3, shift=1)

    np.testing.assert_allclose(forward(layer, np.array([1.0])), [16], rtol=1e-15)
    np.testing.assert_allclose(gradient(layer, np.array([1.0])), [48 * math.log(2)], rtol=1e-15)


def test_log_by_hand():
    """log2(3x + 2) at x = 2 is 3, with slope 3 / (8 ln 2); log2(0) is −∞, of −1 no number."""
    layer = make(LogLayer, base=2, scale=3, shift=2)

    np.testing.assert_allclose(forward(layer, np.array([2.0])), [3], rtol=1e-15)
    np.testing.assert_allclose(gradient(layer, np.array([2.0])), [3 / (8 * math.log(2))], rtol=1e-15)
    with np.errstate(divide="ignore", invalid="ignore"):
        np.testing.assert_array_equal(forward(make(LogLayer), np.array([0, -1.0])), [-math.inf, math.nan])


def test_log_undoes_exp():
    """With the same base, the logarithm of the power is the number itself."""
    x = normal(*SHAPE)

    np.testing.assert_allclose(forward(make(LogLayer, base=7), forward(make(ExpLayer, base=7), x)), x, atol=1e-14)


@pytest.mark.parametrize(("cls", "base", "message"), [
    (ExpLayer, 0, r"exp_param\.base must be above 0 and finite, or -1 for e, got 0"),
    (ExpLayer, -2, r"exp_param\.base must be above 0.*got -2"),
    (ExpLayer, math.inf, r"exp_param\.base must be above 0 and finite.*got inf"),
    (ExpLayer, math.nan, r"exp_param\.base must be above 0 and finite.*got nan"),
    (LogLayer, 0, r"log_param\.base must be above 0.*got 0"),
    (LogLayer, -0.5, r"log_param\.base must be above 0.*got -0.5"),
    (LogLayer, 1, r"log_param\.base must not be 1.*got 1"),
])
def test_base_errors(cls, base, message):
    """A base without a logarithm is refused, with its value."""
    with pytest.raises(LayerError, match=message):
        run_forward(make(cls, base=base), normal(3))


def test_power_by_hand():
    """(2x + 1)² at x = 3 is 49, with slope 2 · 2 · 7."""
    layer = make(PowerLayer, power=2, scale=2, shift=1)

    np.testing.assert_array_equal(forward(layer, np.array([3.0])), [49])
    np.testing.assert_array_equal(gradient(layer, np.array([3.0]), np.array([10.0])), [280])


def test_power_ignores_x_where_it_can():
    """With power 0 or scale 0, x does not matter, whatever it is."""
    x = np.array([math.inf, math.nan, 0, -2])

    np.testing.assert_array_equal(forward(make(PowerLayer, power=0), x), 1)
    np.testing.assert_array_equal(forward(make(PowerLayer, power=2, scale=0, shift=3), x), 9)
    np.testing.assert_array_equal(gradient(make(PowerLayer, power=0), x), 0)
    np.testing.assert_array_equal(gradient(make(PowerLayer, power=2, scale=0, shift=3), x), 0)


@pytest.mark.parametrize(("power", "want"), [(0.5, math.inf), (1.5, math.inf), (-0.5, 0), (3, -math.inf)])
def test_power_of_minus_infinity_is_as_in_c(power, want):
    x = np.array([-math.inf, 4.0])
    np.testing.assert_array_equal(forward(make(PowerLayer, power=power), x), [want, 4.0 ** power])


def test_power_at_zero_is_as_in_caffe():
    """y / t makes the gradient of t³ at 0 no number, and the shortcut for t² gives 0."""
    x = np.array([0.0, 2])

    with np.errstate(invalid="ignore"):
        np.testing.assert_array_equal(gradient(make(PowerLayer, power=3), x), [math.nan, 12])
    np.testing.assert_array_equal(gradient(make(PowerLayer, power=2), x), [0, 4])


# --- PReLU ----------------------------------------------------------------------------------------


def test_prelu_by_hand():
    """Two channels with slopes 1/2 and 3: values, gradient of x and of the slopes; 0 counts as negative."""
    layer = make(PReLULayer)
    x, dy = np.array([[[-2, 4, 0.0], [-1, -3, 0]]]), np.array([[[10, 20, 50.0], [30, 40, 60]]])
    bottom, top = run_forward(layer, x)
    np.testing.assert_array_equal(layer.blobs[0].data, [0.25, 0.25])
    layer.blobs[0].data[...] = [0.5, 3]
    layer.Forward(bottom, top)
    dx, = run_backward(layer, bottom, top, dy)

    np.testing.assert_array_equal(top[0].data, [[[-1, 4, 0], [-3, -9, 0]]])
    np.testing.assert_array_equal(dx, [[[5, 20, 25], [90, 120, 180]]])
    np.testing.assert_array_equal(layer.blobs[0].diff, [-20, -150])


@pytest.mark.parametrize("shape", [(4, 3), (2, 7, 5, 3), (2, 3, 1, 4, 5)])
@pytest.mark.parametrize("shared", [False, True])
def test_prelu_against_the_formula(shape, shared):
    """Any number of axes, with slopes of its own for each channel or one for all; gradients included."""
    layer, x = make(PReLULayer, channel_shared=shared, filler={"type": "uniform"}), normal(*shape)
    _, top = run_forward(layer, x)
    a = np.broadcast_to(layer.blobs[0].data, (shape[1],))
    expected = [v if v > 0 else a[i[1]] * v for i, v in np.ndenumerate(x)]

    assert layer.blobs[0].shape == (() if shared else shape[1:2])
    np.testing.assert_allclose(top[0].data.ravel(), expected, rtol=1e-14)
    assert check_layer(make(PReLULayer, channel_shared=shared), [filled(x)], kinks=[0]) < 1e-6


@pytest.mark.parametrize("shared", [False, True])
def test_prelu_in_place(shared):
    """In place gives the same values and gradients, with negative slopes too."""
    results = []
    for in_place in (False, True):
        layer = make(PReLULayer, channel_shared=shared, filler={"value": -2})
        bottom, top = run_forward(layer, normal(*SHAPE), in_place=in_place)
        y = top[0].data.copy()
        results.append((y, run_backward(layer, bottom, top, normal(*SHAPE, seed=1))[0], layer.blobs[0].diff))

    for expected, got in zip(*results, strict=True):
        np.testing.assert_array_equal(got, expected)


def test_prelu_with_fixed_slope():
    """Without param_propagate_down the slope gets no gradient; with equal slopes it is a leaky ReLU."""
    layer, x, dy = make(PReLULayer), normal(*SHAPE), normal(*SHAPE, seed=1)
    bottom, top = run_forward(layer, x)
    layer.param_propagate_down = [False]
    dx, = run_backward(layer, bottom, top, dy)
    leaky = make(ReLULayer, negative_slope=0.25)

    np.testing.assert_array_equal(top[0].data, forward(leaky, x))
    np.testing.assert_array_equal(dx, gradient(leaky, x, dy))
    np.testing.assert_array_equal(layer.blobs[0].diff, 0)


def test_prelu_errors():
    """Too few axes and a changed number of channels are named with what was seen."""
    with pytest.raises(LayerError, match=r"layer 'PReLU' \(PReLU\): bottom\[0\] must have at least 2 axes.*got \(5,\)"):
        run_forward(make(PReLULayer), normal(5))
    layer = make(PReLULayer)
    bottom, top = run_forward(layer, normal(2, 7))
    bottom[0].reshape(2, 5)
    with pytest.raises(LayerError, match=r"bottom\[0\] \(2, 5\) has 5 channels, but there are 7 learned slopes"):
        layer.Forward(bottom, top)


# --- Bias and Scale -------------------------------------------------------------------------------


def naive_affine(x, w, b, axis):
    """x · w + b, number by number: blob number (i, j, …) is for x[…, i, j, …] with i at `axis`."""
    y = np.empty_like(x)
    for index in np.ndindex(x.shape):
        y[index] = x[index] * w[index[axis:axis + w.ndim]] + b[index[axis:axis + b.ndim]]
    return y


# axis, num_axes and the shape of the learned blob for x (2, 7, 5, 3)
SPANS = [(1, 1, (7,)), (0, 1, (2,)), (0, -1, (2, 7, 5, 3)), (1, 2, (7, 5)), (-1, 1, (3,)), (-2, -1, (5, 3)),
         (-4, 3, (2, 7, 5)), (1, 0, ()), (3, 1, (3,))]


@pytest.mark.parametrize(("axis", "num_axes", "shape"), SPANS)
@pytest.mark.parametrize("bias_term", [False, True])
def test_scale_learned(axis, num_axes, shape, bias_term):
    """The learned blobs lie at the axes that were asked for, and all gradients are right."""
    layer, x = make(ScaleLayer, axis=axis, num_axes=num_axes, bias_term=bias_term), normal(*SHAPE)
    bottom, top = run_forward(layer, x)
    assert [shape] * (2 if bias_term else 1) == [blob.shape for blob in layer.blobs]
    np.testing.assert_array_equal(top[0].data, x)  # w = 1 and b = 0 unless filled otherwise

    w, b = normal(*shape, seed=1), normal(*shape, seed=2) if bias_term else np.zeros(())
    for blob, values in zip(layer.blobs, (w, b), strict=False):
        blob.data[...] = values
    layer.Forward(bottom, top)
    np.testing.assert_allclose(top[0].data, naive_affine(x, w, b, axis % 4), rtol=1e-14)
    assert check_layer(make(ScaleLayer, axis=axis, num_axes=num_axes, bias_term=bias_term), [filled(x)]) < 1e-6


@pytest.mark.parametrize(("axis", "num_axes", "shape"), SPANS)
def test_scale_given(axis, num_axes, shape):
    """A second bottom serves as the scale; its own axes count, and its gradient is overwritten."""
    x, w = normal(*SHAPE), normal(*shape, seed=1)
    layer = make(ScaleLayer, axis=axis, bias_term=True, bias_filler={"value": 0.5})

    _, top = run_forward(layer, x, w)
    assert [shape] == [blob.shape for blob in layer.blobs]
    np.testing.assert_allclose(top[0].data, naive_affine(x, w, np.array(0.5), axis % 4), rtol=1e-14)
    assert check_layer(make(ScaleLayer, axis=axis, bias_term=True), [filled(x), filled(w)]) < 1e-6


@pytest.mark.parametrize(("axis", "num_axes", "shape"), SPANS)
def test_bias(axis, num_axes, shape):
    """A bias, learned or given, lies at the axes that were asked for, and all gradients are right."""
    x, b = normal(*SHAPE), normal(*shape, seed=1)
    expected = naive_affine(x, np.array(1.0), b, axis % 4)
    learned = make(BiasLayer, axis=axis, num_axes=num_axes)
    bottom, top = run_forward(learned, x)
    assert [shape] == [blob.shape for blob in learned.blobs]
    np.testing.assert_array_equal(top[0].data, x)
    learned.blobs[0].data[...] = b
    learned.Forward(bottom, top)

    np.testing.assert_array_equal(top[0].data, expected)
    np.testing.assert_array_equal(run_forward(make(BiasLayer, axis=axis), x, b)[1][0].data, expected)
    assert check_layer(make(BiasLayer, axis=axis, num_axes=num_axes), [filled(x)]) < 1e-6
    assert check_layer(make(BiasLayer, axis=axis), [filled(x), filled(b)]) < 1e-6


def test_scale_by_hand():
    """Two channels, w = (2, 3), b = (10, 20): values, dx, dw and db."""
    layer = make(ScaleLayer, bias_term=True)
    x, dy = np.array([[[1, 2.0], [3, 4.0]]]), np.array([[[1, 1.0], [1, 2.0]]])
    bottom, top = run_forward(layer, x)
    layer.blobs[0].data[...] = [2, 3]
    layer.blobs[1].data[...] = [10, 20]
    layer.Forward(bottom, top)
    dx, = run_backward(layer, bottom, top, dy)

    np.testing.assert_array_equal(top[0].data, [[[12, 14], [29, 32]]])
    np.testing.assert_array_equal(dx, [[[2, 2], [3, 6]]])
    np.testing.assert_array_equal(layer.blobs[0].diff, [3, 11])
    np.testing.assert_array_equal(layer.blobs[1].diff, [2, 3])


@pytest.mark.parametrize("cls", [ScaleLayer, BiasLayer])
@pytest.mark.parametrize("given", [[], [(7, 5)]])
def test_affine_in_place(cls, given):
    """In place, Scale and Bias give the same values and gradients as out of place."""
    results = []
    for in_place in (False, True):
        layer = make(cls, filler={"type": "constant", "value": 1})
        bottom, top = run_forward(layer, normal(*SHAPE), *[normal(*shape, seed=1) for shape in given],
                                  in_place=in_place)
        y = top[0].data.copy()
        results.append([y, *run_backward(layer, bottom, top, normal(*SHAPE, seed=2)), *[b.diff for b in layer.blobs]])

    for expected, got in zip(*results, strict=True):
        np.testing.assert_array_equal(got, expected)


def test_affine_identities():
    """Scale with bias is Scale, then Bias; and ⟨dy, x · w⟩ = ⟨dw, w⟩ = ⟨dx, x⟩."""
    x, w, b, dy = normal(*SHAPE), normal(7, seed=1), normal(7, seed=2), normal(*SHAPE, seed=3)
    both = make(ScaleLayer, bias_term=True)
    bottom, top = run_forward(both, x)
    both.blobs[0].data[...], both.blobs[1].data[...] = w, b
    both.Forward(bottom, top)
    scale = make(ScaleLayer)
    scaled = run_forward(scale, x, w)
    dx, dw = run_backward(scale, *scaled, dy)

    np.testing.assert_array_equal(top[0].data, run_forward(make(BiasLayer), scaled[1][0].data, b)[1][0].data)
    assert (dy * scaled[1][0].data).sum() == pytest.approx((dw * w).sum(), rel=1e-12)
    assert (dy * scaled[1][0].data).sum() == pytest.approx((dx * x).sum(), rel=1e-12)


def test_affine_with_fixed_blobs():
    """Without param_propagate_down the learned blobs get no gradient, each by its own flag."""
    layer, dy = make(ScaleLayer, bias_term=True), normal(*SHAPE, seed=1)
    bottom, top = run_forward(layer, normal(*SHAPE))
    layer.param_propagate_down = [False, True]
    run_backward(layer, bottom, top, dy)
    bias = make(BiasLayer)
    bottom, top = run_forward(bias, normal(*SHAPE))
    bias.param_propagate_down = [False]
    run_backward(bias, bottom, top, dy)

    np.testing.assert_array_equal(layer.blobs[0].diff, 0)
    np.testing.assert_allclose(layer.blobs[1].diff, dy.sum(axis=(0, 2, 3)), rtol=1e-12)
    np.testing.assert_array_equal(bias.blobs[0].diff, 0)


def test_scale_takes_stored_blobs():
    """Blobs in the definition take the place of the fillers, in the old 4-D shape too."""
    param = LayerParameter(name="s", type="Scale", scale_param={"bias_term": True},
                           blobs=[array_to_blob(np.arange(7, dtype=np.float32).reshape(1, 7, 1, 1)),
                                  array_to_blob(np.ones(7, np.float32))])
    layer = create(param)
    run_forward(layer, normal(*SHAPE))

    np.testing.assert_array_equal(layer.blobs[0].data, np.arange(7))
    np.testing.assert_array_equal(layer.blobs[1].data, 1)


@pytest.mark.parametrize(("param", "shapes", "message"), [
    ({"axis": 4}, [SHAPE], r"axis must name an axis of bottom\[0\] \(2, 7, 5, 3\), from -4 to 3, got 4"),
    ({"axis": -5}, [SHAPE], r"axis must name an axis of .*from -4 to 3, got -5"),
    ({"num_axes": -2}, [SHAPE], r"num_axes must be at least 0, or -1.*got -2"),
    ({"axis": 2, "num_axes": 3}, [SHAPE], r"num_axes must be at most 2 for bottom\[0\] \(2, 7, 5, 3\) from axis 2"),
    ({}, [SHAPE, (5,)], r"the (scale|bias) \(5,\) must have the shape of bottom\[0\].*from axis 1 on, .*\(7,\)"),
    ({"axis": 3}, [SHAPE, (3, 4)], r"the (scale|bias) \(3, 4\) must have the shape of bottom\[0\].*from axis 3"),
])
@pytest.mark.parametrize("cls", [ScaleLayer, BiasLayer])
def test_affine_errors(cls, param, shapes, message):
    """An axis or a blob that does not fit is named with both shapes."""
    with pytest.raises(LayerError, match=message):
        run_forward(make(cls, **param), *[normal(*shape) for shape in shapes])


@pytest.mark.parametrize("cls", [ScaleLayer, BiasLayer])
def test_affine_refuses_to_overwrite_its_second_bottom(cls):
    """The top may lie on x, but not on the scale or the bias."""
    x, w = filled(normal(2, 7)), filled(normal(2, 7))

    with pytest.raises(LayerError, match=r"cannot write its top over bottom\[1\]"):
        make(cls, axis=0).SetUp([x, w], [w])


def test_affine_follows_a_changing_batch():
    """The axes before the blob may change size from pass to pass; its own may not."""
    layer = make(ScaleLayer, bias_term=True)
    bottom, top = run_forward(layer, normal(*SHAPE))
    for n in (1, 4):
        bottom[0].reshape(n, 7, 5, 3)
        layer.Forward(bottom, top)
        assert (n, 7, 5, 3) == top[0].shape
    bottom[0].reshape(2, 5, 7, 3)
    with pytest.raises(LayerError, match=r"the scale \(7,\) must have the shape of bottom\[0\] \(2, 5, 7, 3\)"):
        layer.Forward(bottom, top)
