"""The recurrent family: layers that go through time."""

import logging
import math

import numpy as np
import pytest
from run_layer import filled, normal, run_backward, run_forward

from minicaffe import kernels, rng
from minicaffe.errors import LayerError
from minicaffe.layers.recurrent.lstm import LSTMLayer
from minicaffe.layers.recurrent.lstm_of_forks import LstmLayer
from minicaffe.layers.recurrent.lstm_unit import LSTMUnitLayer
from minicaffe.layers.recurrent.rnn import RNNLayer
from minicaffe.testing import check_gradient, check_layer

T, N, F, S, D = 5, 3, 4, 2, 6
BEGINS = np.ones((T, N))
BEGINS[0] = 0
BEGINS[2, 1] = 0
WEIGHTS = {"type": "gaussian", "std": 0.5}
STATES = {LSTMLayer: 2, RNNLayer: 1}
BOTH = pytest.mark.parametrize("cls", [LSTMLayer, RNNLayer])


def make(cls, num_output=D, **param):
    """A float64 layer with random weights and biases."""
    return cls(dtype=np.float64, recurrent_param=dict(num_output=num_output, weight_filler=WEIGHTS,
                                                      bias_filler=WEIGHTS, **param))


def start(layer, *arrays, tops=1):
    """Set the layer up with the same weights each time, and run it forward: (bottom, top)."""
    rng.seed(1701)
    return run_forward(layer, *arrays, tops=tops)


def lstm_unit(c0, x, cont):
    """One LSTM step for one stream, by the kernel's definition: (c, h)."""
    gates, c, h = np.empty((1, len(x))), np.empty((1, len(c0))), np.empty((1, len(c0)))
    kernels.lstm_unit.definition(c0[None], x[None], np.array([cont]), gates, c, h)
    return c[0], h[0]


def naive(layer, x, cont, static=None, states=None):
    """A recurrent layer stream by stream and step by step, from the formulas: (y, last states)."""
    w_x, b, *w_s, w_h = [blob.data for blob in layer.blobs[:3 if static is None else 4]]
    y = np.empty((T, N, D))
    last = np.zeros((STATES[type(layer)], N, D)) if states is None else np.array(states)
    for n in range(N):
        for t in range(T):
            z = w_x @ x[t, n].ravel() + b + w_h @ (cont[t, n] * last[0, n])
            if static is not None:
                z += w_s[0] @ static[n].ravel()
            if isinstance(layer, LSTMLayer):
                last[1, n], last[0, n] = lstm_unit(last[1, n], z, cont[t, n])
                y[t, n] = last[0, n]
            else:
                last[0, n] = np.tanh(z)
                y[t, n] = np.tanh(layer.blobs[-2].data @ last[0, n] + layer.blobs[-1].data)
    return y, last


# --- LSTMUnit ------------------------------------------------------------------------------------


def test_lstm_unit_by_hand():
    """Open gates (x = 0 means half open) by hand: c = ½·2 + ½·tanh(1), h = ½·tanh(c); δ = 0 forgets the 2."""
    x = [0, 0, 0, 1.0]
    _, (c, h) = run_forward(LSTMUnitLayer(dtype=np.float64), [[[2.0], [2.0]]], [[x, x]], [[1, 0]], tops=2)
    want = [1 + 0.5 * math.tanh(1), 0.5 * math.tanh(1)]

    np.testing.assert_allclose(c.data.ravel(), want, rtol=1e-14)
    np.testing.assert_allclose(h.data.ravel(), [0.5 * math.tanh(v) for v in want], rtol=1e-14)


def test_lstm_unit_formula():
    """Every stream follows the formula."""
    c0, x = normal(1, N, D), normal(1, N, 4 * D)
    cont = [[1, 0, 1]]
    _, (c, h) = run_forward(LSTMUnitLayer(dtype=np.float64), c0, x, cont, tops=2)

    for n in range(N):
        want_c, want_h = lstm_unit(c0[0, n], x[0, n], cont[0][n])
        np.testing.assert_allclose(c.data[0, n], want_c, rtol=1e-12)
        np.testing.assert_allclose(h.data[0, n], want_h, rtol=1e-12)


def test_lstm_unit_far_from_zero():
    """Gate inputs of ±1000 saturate without a warning."""
    x = np.array([[[1000, -1000, 1000, -1000.0]]])
    _, (c, h) = run_forward(LSTMUnitLayer(), [[[5.0]]], x, [[1]], tops=2)

    assert (c.data.item(), h.data.item()) == (-1, np.tanh(np.float32(-1)))


def test_lstm_unit_gradient():
    """Backward is the derivative of forward, each of the two bottoms alone too."""
    layer = LSTMUnitLayer(dtype=np.float64)
    bottom = [filled(normal(1, N, D)), filled(normal(1, N, 4 * D)), filled([[1, 0, 1]])]
    check_layer(layer, bottom, num_tops=2)

    for i in (0, 1):
        bottom, top = run_forward(layer, normal(1, N, D), normal(1, N, 4 * D), [[1, 0, 1]], tops=2)
        check_gradient(layer, bottom, top, bottoms=[i])


def test_lstm_unit_errors():
    """Shapes that do not fit and a gradient for δ are refused with the shapes."""
    layer = LSTMUnitLayer(dtype=np.float64)
    good = normal(1, N, D), normal(1, N, 4 * D), np.ones((1, N))
    for i, bad, words in ((0, normal(2, N, D), r"bottom\[0\] must be \(1, N, D\), got \(2, 3, 6\)"),
                          (1, normal(1, N, 23), r"bottom\[1\].*\(1, 3, 24\).*got \(1, 3, 23\)"),
                          (2, normal(1, 2), r"bottom\[2\].*\(1, 3\).*got \(1, 2\)")):
        with pytest.raises(LayerError, match=words):
            run_forward(layer, *good[:i], bad, *good[i + 1:], tops=2)
    bottom, top = run_forward(layer, *good, tops=2)
    with pytest.raises(LayerError, match=r"cannot backpropagate to bottom\[2\]"):
        layer.Backward(top, [True] * 3, bottom)
    assert [layer.allow_force_backward(i) for i in range(3)] == [True, True, False]


# --- LSTM and RNN --------------------------------------------------------------------------------


def test_rnn_by_hand():
    """One unit, all weights 1, no bias: h_1 = tanh(x_1), h_2 = tanh(x_2 + h_1), y = tanh(h)."""
    layer = RNNLayer(dtype=np.float64, recurrent_param={"num_output": 1, "weight_filler": {"value": 1}})
    _, top = start(layer, np.array([0.5, -2]).reshape(2, 1, 1), [[0], [1]])
    h = math.tanh(0.5), math.tanh(-2 + math.tanh(0.5))

    np.testing.assert_allclose(top[0].data.ravel(), np.tanh(h), rtol=1e-14)


@BOTH
@pytest.mark.parametrize("static", [None, (N, S), (N, 2, 3)])
@pytest.mark.parametrize("exposed", [False, True])
@pytest.mark.parametrize("features", [(F,), (2, 3, 4)])
def test_recurrent_formula(cls, static, exposed, features):
    """Outputs and final states follow the formulas, with and without static input and exposed states."""
    layer = make(cls, expose_hidden=exposed)
    states = normal(STATES[cls], 1, N, D) if exposed else None
    x, s = normal(T, N, *features), None if static is None else normal(*static)
    arrays = [x, BEGINS, *([] if s is None else [s]), *(states if exposed else [])]
    _, top = start(layer, *arrays, tops=1 + STATES[cls] * exposed)
    y, last = naive(layer, x, BEGINS, s, states[:, 0] if exposed else None)

    np.testing.assert_allclose(top[0].data, y, rtol=1e-10, atol=1e-12)
    for blob, want in zip(top[1:], last, strict=exposed):
        np.testing.assert_allclose(blob.data[0], want, rtol=1e-10, atol=1e-12)


@BOTH
def test_recurrent_blobs(cls):
    """The blobs come in Caffe's order: input weights, bias, static weights, hidden weights, the RNN's output's."""
    layer, G = make(cls), 4 if cls is LSTMLayer else 1
    start(layer, normal(T, N, F, 2), BEGINS, normal(N, S))
    want = [(G * D, F * 2), (G * D,), (G * D, S), (G * D, D), *([(D, D), (D,)] if cls is RNNLayer else [])]

    assert [b.shape for b in layer.blobs] == want


@BOTH
def test_recurrent_carries_its_state(cls):
    """Two forward passes of T steps equal one of 2T, and δ = 0 forgets the first."""
    x = normal(2 * T, N, F)
    whole, half, other = make(cls), make(cls), make(cls)
    _, long = start(whole, x, np.ones((2 * T, N)))
    bottom, top = start(half, x[:T], np.ones((T, N)))
    bottom[0].data[...] = x[T:]
    half.Forward(bottom, top)
    np.testing.assert_allclose(top[0].data, long[0].data[T:], rtol=1e-12)

    bottom[1].data[0] = 0
    half.Forward(bottom, top)
    np.testing.assert_allclose(top[0].data, start(other, x[T:], np.ones((T, N)))[1][0].data, rtol=1e-12)


@BOTH
def test_recurrent_exposed_states_begin_each_pass(cls):
    """Final states of one pass, fed to the next as initial ones, equal one pass over all steps."""
    x, zero = normal(2 * T, N, F), [np.zeros((1, N, D))] * STATES[cls]
    whole, half = make(cls), make(cls, expose_hidden=True)
    _, long = start(whole, x, np.ones((2 * T, N)))
    bottom, top = start(half, x[:T], np.ones((T, N)), *zero, tops=1 + len(zero))
    for state, final in zip(bottom[2:], top[1:], strict=True):
        state.data[...] = final.data
    bottom[0].data[...] = x[T:]
    half.Forward(bottom, top)

    np.testing.assert_allclose(top[0].data, long[0].data[T:], rtol=1e-12)


@BOTH
def test_recurrent_static_input_is_input_of_every_step(cls):
    """A static input equals its concatenation to x at every step."""
    layer, joined = make(cls), make(cls)
    x, s = normal(T, N, F), normal(N, S)
    bottom, top = start(layer, x, BEGINS, s)
    both = np.concatenate([x, np.broadcast_to(s, (T, N, S))], axis=2)
    _, want = start(joined, both, BEGINS)
    blobs = [b.data for b in layer.blobs]
    for blob, values in zip(joined.blobs, [np.hstack([blobs[0], blobs[2]]), blobs[1], *blobs[3:]], strict=True):
        blob.data[...] = values
    joined.Forward([filled(both), bottom[1]], want)

    np.testing.assert_allclose(top[0].data, want[0].data, rtol=1e-12)


@BOTH
@pytest.mark.parametrize("static", [False, True])
@pytest.mark.parametrize("exposed", [False, True])
def test_recurrent_gradient(cls, static, exposed):
    """Backward through time is the derivative of forward, for the inputs and every blob."""
    layer = make(cls, num_output=2, expose_hidden=exposed)
    states = [normal(1, N, 2)] * (STATES[cls] * exposed)
    bottom, top = start(layer, normal(T, N, F), BEGINS, *[normal(N, S)] * static, *states, tops=1 + len(states))

    check_gradient(layer, bottom, top, bottoms=[0, 2] if static else [0], tops=[0])


@BOTH
def test_recurrent_gradient_after_in_place_layer(cls):
    """Backward does not need the output, which the next layer may overwrite."""
    layer, dy = make(cls), normal(T, N, D, seed=1)
    bottom, top = start(layer, normal(T, N, F), BEGINS)
    asked = [True, False]
    dx = run_backward(layer, bottom, top, dy, asked=asked)[0]
    top[0].data.fill(9)

    np.testing.assert_array_equal(dx, run_backward(layer, bottom, top, dy, asked=asked)[0])


@BOTH
def test_recurrent_states_pass_no_gradient(cls):
    """As in Caffe, initial states get the diff 0, final states' diffs are ignored, and x's is always written."""
    layer, n = make(cls, expose_hidden=True), STATES[cls]
    bottom, top = start(layer, normal(T, N, F), BEGINS, *[normal(1, N, D)] * n, tops=1 + n)
    dy, last = normal(T, N, D, seed=1), normal(1, N, D, seed=2)
    dx, _, *states = run_backward(layer, bottom, top, dy, *[last] * n, asked=[True, False] + [True] * n)
    again = run_backward(layer, bottom, top, dy, *[0 * last] * n, asked=[False] * (2 + n))

    assert all((s == 0).all() for s in states)
    assert np.abs(dx).max() > 0.01
    np.testing.assert_array_equal(dx, again[0])


@BOTH
def test_recurrent_number_of_streams_may_change(cls):
    """N may shrink and grow between passes; new streams begin with zero states."""
    layer, x = make(cls), normal(T, N, F)
    bottom, top = start(layer, x[:, :1], np.ones((T, 1)))
    bottom[0].reshape(T, N, F)
    bottom[1].reshape(T, N)
    bottom[0].data[...] = x
    bottom[1].data[...] = BEGINS
    layer.Forward(bottom, top)

    np.testing.assert_allclose(top[0].data, naive(layer, x, BEGINS)[0], rtol=1e-10)


@BOTH
def test_recurrent_debug_info(cls, caplog):
    """debug_info prints a line for each step's output, and for each step's input gradient."""
    with caplog.at_level(logging.INFO, "minicaffe"):
        layer = make(cls, debug_info=True)
        bottom, top = start(layer, normal(T, N, F), BEGINS)
        run_backward(layer, bottom, top, normal(T, N, D), asked=[True, False])
    lines = [r.getMessage() for r in caplog.records]
    step = "unit_1, top blob h_1" if cls is LSTMLayer else "o_neuron_1, top blob o_1"
    mean = np.abs(top[0].data[0]).mean()

    assert len(lines) == 2 * T
    assert lines[0] == f"    [Forward] Layer {cls.type}_{step} data: {mean:.6g}"
    assert lines[T].startswith("    [Backward] Layer ")


@BOTH
def test_recurrent_errors(cls):
    """Every wrong shape, size or count is refused with what was seen and what was expected."""
    x, n = normal(T, N, F), STATES[cls]
    for bottoms, words in (
            ((x,), "takes 2 .*bottom blobs, got 1"),
            ((x[..., 0], BEGINS), r"bottom\[0\] must have at least 3 axes \(T, N, features\), got \(5, 3\)"),
            ((x, BEGINS[1:]), r"bottom\[1\] must be \(5, 3\) with bottom\[0\] \(5, 3, 4\), got \(4, 3\)"),
            ((x, BEGINS, normal(N)), r"bottom\[2\], the static input, must have at least 2 axes.* got \(3,\)"),
            ((x, BEGINS, normal(2, S)), r"bottom\[2\] must be \(3, 2\).* got \(2, 2\)")):
        with pytest.raises(LayerError, match=words):
            start(make(cls), *bottoms)
    with pytest.raises(LayerError, match=r"recurrent_param\.num_output must be positive, got 0"):
        start(make(cls, num_output=0), x, BEGINS)
    with pytest.raises(LayerError, match=rf"takes {2 + n} to {3 + n} bottom blobs, got 2"):
        start(make(cls, expose_hidden=True), x, BEGINS)
    with pytest.raises(LayerError, match=rf"takes {1 + n} top blobs, got 1"):
        start(make(cls, expose_hidden=True), x, BEGINS, *[normal(1, N, D)] * n)
    with pytest.raises(LayerError, match=r"bottom\[2\] must be \(1, 3, 6\).* got \(1, 3, 7\)"):
        start(make(cls, expose_hidden=True), x, BEGINS, *[normal(1, N, 7)] * n, tops=1 + n)


@BOTH
def test_recurrent_errors_later(cls):
    """A changed number of steps or features and a gradient for δ are refused."""
    layer = make(cls)
    bottom, top = start(layer, normal(T, N, F), BEGINS)
    with pytest.raises(LayerError, match=r"cannot backpropagate to bottom\[1\]"):
        layer.Backward(top, [True, True], bottom)
    assert [True, False, True] == [layer.allow_force_backward(i) for i in range(3)]
    for shape in ((4, N, F), (T, N, 7)):
        bottom[0].reshape(shape)
        with pytest.raises(LayerError, match="T = 5 and 4 features, got"):
            layer.Forward(bottom, top)


# --- Lstm ----------------------------------------------------------------------------------------


def make_lstm(**param):
    """A float64 Lstm with random weights and biases."""
    return LstmLayer(dtype=np.float64, lstm_param=dict(num_output=D, weight_filler=WEIGHTS, bias_filler=WEIGHTS,
                                                       **param))


def naive_lstm(layer, x, cont, dy=None, states=None):
    """Lstm stream by stream and step by step, from its formulas: (y, dz); dz is empty without dy."""
    w_x, w_h, b = (blob.data for blob in layer.blobs)
    limit = layer.param.clipping_threshold or np.inf
    y, dz = np.zeros((T, N, D)), np.zeros((T, N, 4 * D))
    h0, c0 = np.zeros((2, N, D)) if states is None else states
    for n in range(N):
        steps, h, c = [], h0[n], c0[n]
        for t in range(T):
            z_i, z_f, z_o, z_g = (w_x @ x[t, n].ravel() + b + cont[t, n] * (w_h @ h)).reshape(4, D)
            i, f, o, g = 1 / (1 + np.exp(-z_i)), cont[t, n] / (1 + np.exp(-z_f)), 1 / (1 + np.exp(-z_o)), np.tanh(z_g)
            before, c = c, f * c + i * g
            y[t, n] = h = o * np.tanh(c)
            steps.append((i, f, o, g, c, before))
        dh = dc = np.zeros(D)
        for t in reversed(range(T if dy is not None else 0)):
            i, f, o, g, c, before = steps[t]
            dh = dh + dy[t, n]
            e = dc + dh * o * (1 - np.tanh(c) ** 2)
            dz[t, n] = np.concatenate([e * g * i * (1 - i), e * before * f * (1 - f), dh * np.tanh(c) * o * (1 - o),
                                       e * i * (1 - g * g)]).clip(-limit, limit)
            dc, dh = e * f, cont[t, n] * (w_h.T @ dz[t, n])
    return y, dz


def whole_sequences():
    """The sequence indicators of an Lstm without clip: each stream begins at the first step."""
    cont = np.ones((T, N))
    cont[0] = 0
    return cont


@pytest.mark.parametrize("features", [(F,), (2, 3, 4)])
@pytest.mark.parametrize("clip", [False, True])
@pytest.mark.parametrize("limit", [0, 0.0625])
def test_lstm_of_forks_formula(features, clip, limit):
    """y and all gradients follow the formulas, with and without clip and with the limit of the gradients."""
    layer, x, dy = make_lstm(batch_size=N, clipping_threshold=limit), normal(T, N, *features), normal(T, N, D, seed=1)
    cont = BEGINS if clip else whole_sequences()
    bottom, top = start(layer, x.reshape(T * N, *features), *[cont.reshape(T * N, 1)] * clip)
    dx, *_ = run_backward(layer, bottom, top, dy.reshape(T * N, D))
    y, dz = naive_lstm(layer, x, cont, dy)
    before = np.concatenate([np.zeros((1, N, D)), y[:-1]]) * cont[..., None]

    assert top[0].shape == (T * N, D)
    np.testing.assert_allclose(top[0].data, y.reshape(T * N, D), rtol=1e-10, atol=1e-12)
    assert (np.abs(dz).max() > 0.0625) == (limit == 0)
    rows = dz.reshape(T * N, -1)
    for got, want in ((dx.reshape(T * N, -1), rows @ layer.blobs[0].data),
                      (layer.blobs[0].diff, rows.T @ x.reshape(T * N, -1)),
                      (layer.blobs[1].diff, rows.T @ before.reshape(T * N, D)),
                      (layer.blobs[2].diff, rows.sum(axis=0))):
        np.testing.assert_allclose(got, want, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("clip", [False, True])
def test_lstm_of_forks_is_bvlcs_with_the_blobs_in_another_order(clip):
    """LSTM gives the same numbers and gradients with w_x, b, w_h, and 0 where sequences begin."""
    x, dy = normal(T, N, F), normal(T, N, D, seed=1)
    cont = BEGINS if clip else whole_sequences()
    mine, bvlc = make_lstm(), make(LSTMLayer)
    bottom, top = start(mine, x, *[cont] * clip)
    other_bottom, other_top = start(bvlc, x, cont)
    for k, blob in zip((0, 2, 1), bvlc.blobs, strict=True):
        blob.data[...] = mine.blobs[k].data
    bvlc.Forward(other_bottom, other_top)
    run_backward(mine, bottom, top, dy)
    run_backward(bvlc, other_bottom, other_top, dy, asked=[True, False])

    assert top[0].shape == (T, N, D)
    np.testing.assert_allclose(top[0].data, other_top[0].data, rtol=1e-14)
    for got, want in ((bottom[0].diff, other_bottom[0].diff),
                      *((mine.blobs[k].diff, blob.diff) for k, blob in zip((0, 2, 1), bvlc.blobs, strict=True))):
        np.testing.assert_allclose(got, want, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("clip", [False, True])
def test_lstm_of_forks_gradient(clip):
    """Backward is the derivative of forward, for x and every blob; the diff of clip is 0."""
    layer = make_lstm()
    bottom, top = start(layer, normal(T, N, F), *[BEGINS] * clip)
    check_gradient(layer, bottom, top, bottoms=[0])
    if clip:
        bottom[1].diff.fill(9)
        assert not run_backward(layer, bottom, top, normal(T, N, D))[1].any()


def test_lstm_of_forks_carries_its_state_with_clip_alone():
    """With clip, the next forward pass goes on, also with fewer steps; without it, each pass begins anew."""
    x = normal(2 * T, N, F)
    whole, half = make_lstm(), make_lstm()
    _, long = start(whole, x, np.ones((2 * T, N)))
    bottom, top = start(half, x[:T], np.ones((T, N)))
    for t in range(T, 2 * T):  # one step at a time
        for blob, values in zip(bottom, (x[t:t + 1], np.ones((1, N))), strict=True):
            blob.reshape(*values.shape)
            blob.data[...] = values
        half.Forward(bottom, top)
        np.testing.assert_allclose(top[0].data[0], long[0].data[t], rtol=1e-12)

    bottom, top = start(make_lstm(), x[:T])
    first = top[0].data.copy()
    layer = make_lstm()
    bottom, top = start(layer, x[:T])
    layer.Forward(bottom, top)
    np.testing.assert_array_equal(top[0].data, first)


@pytest.mark.parametrize(("shape", "batch_size", "top", "w_x"), [
    ((15, 4), None, (15, D), (4 * D, 4)),            # one stream of 15 steps
    ((15,), 3, (15, D), (4 * D, 1)),
    ((15, 2, 4), 3, (15, D), (4 * D, 8)),            # junhyukoh's, with batch_size
    ((5, 3, 2, 4), None, (5, 3, D), (4 * D, 8)),     # CTPN's, without
])
def test_lstm_of_forks_shapes(shape, batch_size, top, w_x):
    """The fork that x is made for is told by batch_size and by the number of axes; blobs in the order w_x, w_h, b."""
    layer = make_lstm(**({} if batch_size is None else {"batch_size": batch_size}))
    _, (y,) = start(layer, normal(*shape))

    assert y.shape == top
    assert [blob.shape for blob in layer.blobs] == [w_x, (4 * D, D), (4 * D,)]


def test_lstm_of_forks_errors():
    """Sizes that do not fit are refused with what was seen and what was expected."""
    for fields, arrays, words in (
            ({"num_output": 0}, [normal(T, N, F)], "num_output must be positive"),
            ({"batch_size": 0}, [normal(T, F)], "batch_size must be positive"),
            ({"batch_size": 2}, [normal(T, F)], r"batch_size must divide the rows of bottom\[0\] \(5, 4\)"),
            ({}, [3.0], r"bottom\[0\] must have an axis of T · N rows, but it is a scalar"),
            ({}, [normal(T, N, F), BEGINS[1:]], r"bottom\[1\] must have one number for each of 5 steps of 3 streams, "
             r"got \(4, 3\) with bottom\[0\] \(5, 3, 4\)")):
        with pytest.raises(LayerError, match=words):
            start(LstmLayer(dtype=np.float64, lstm_param={"num_output": D} | fields), *arrays)
    layer = make_lstm()
    bottom, top = start(layer, normal(T, N, F))
    bottom[0].reshape(T, N, 7)
    with pytest.raises(LayerError, match=r"must keep its 4 features in each step, got \(5, 3, 7\)"):
        layer.Forward(bottom, top)
