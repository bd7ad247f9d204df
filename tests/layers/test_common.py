"""The common family: Dropout and Embed (InnerProduct is tested with the vision family)."""

import re

import numpy as np
import pytest
from run_layer import filled, normal, run_backward, run_forward

from minicaffe import kernels, rng
from minicaffe.errors import LayerError
from minicaffe.layers.common.dropout import DropoutLayer
from minicaffe.layers.common.embed import EmbedLayer
from minicaffe.proto import TEST, TRAIN
from minicaffe.testing import check_layer

SHAPE = (2, 7, 5, 3)


# --- Dropout -------------------------------------------------------------------------------------


def dropout(ratio, **fields):
    """A float64 Dropout layer."""
    return DropoutLayer(dtype=np.float64, dropout_param={"dropout_ratio": ratio}, **fields)


def test_dropout_keeps_a_share_and_scales_it():
    """A quarter of 100,000 values become 0 and the others grow by 4/3, in y and in dx alike."""
    rng.seed(1701)
    layer = dropout(0.25)
    bottom, top = run_forward(layer, np.full((200, 500), 3.0))
    y = top[0].data

    assert sorted({0.0, 4.0}) == np.unique(y).tolist()
    assert abs((y == 0).mean() - 0.25) < 0.007  # five standard deviations
    dx, = run_backward(layer, bottom, top, np.full((200, 500), 6.0))
    np.testing.assert_array_equal(np.where(y == 0, 0.0, 8.0), dx)


def test_dropout_draws_anew():
    """Every forward pass draws its own mask, from the generator that `rng.seed` seeds."""
    layer = dropout(0.5)
    rng.seed(5)
    bottom, top = run_forward(layer, normal(*SHAPE))
    first = top[0].data.copy()
    layer.Forward(bottom, top)
    second = top[0].data.copy()
    rng.seed(5)
    layer.Forward(bottom, top)

    assert not np.array_equal(first, second)
    np.testing.assert_array_equal(first, top[0].data)


def test_dropout_ratio_zero():
    """A ratio of 0 keeps everything."""
    _, top = run_forward(dropout(0), normal(*SHAPE))

    np.testing.assert_array_equal(normal(*SHAPE), top[0].data)


def test_dropout_without_scale_in_training():
    """scale_train: false keeps values as they are in TRAIN, and multiplies them by 1 - ratio in TEST."""
    rng.seed(1701)
    for phase, values, gradients in ((TRAIN, {0.0, 4.0}, {0.0, 8.0}), (TEST, {3.0}, {6.0})):
        layer = DropoutLayer(dtype=np.float64, dropout_param={"dropout_ratio": 0.25, "scale_train": False}, phase=phase)
        bottom, top = run_forward(layer, np.full((20, 50), 4.0))
        dx, = run_backward(layer, bottom, top, np.full((20, 50), 8.0))

        assert (set(np.unique(top[0].data)), set(np.unique(dx))) == (values, gradients)
        np.testing.assert_array_equal(dx, 2 * top[0].data)


def test_dropout_by_chance_in_testing():
    """sample_weights_test: true draws in TEST as in TRAIN, anew for each pass."""
    rng.seed(1701)
    param = {"dropout_ratio": 0.25, "sample_weights_test": True}
    layer = DropoutLayer(dtype=np.float64, dropout_param=param, phase=TEST)
    bottom, top = run_forward(layer, np.full((20, 50), 3.0))
    first = top[0].data.copy()
    layer.Forward(bottom, top)

    assert set(np.unique(first)) == set(np.unique(top[0].data)) == {0.0, 4.0}
    assert not np.array_equal(first, top[0].data)
    assert not layer.recordable


@pytest.mark.parametrize("in_place", [False, True])
def test_dropout_test_phase(in_place):
    """TEST hands values and gradients through."""
    layer = dropout(0.5, phase=TEST)
    bottom, top = run_forward(layer, normal(*SHAPE), in_place=in_place)

    np.testing.assert_array_equal(normal(*SHAPE), top[0].data)
    np.testing.assert_array_equal(normal(*SHAPE, seed=1), run_backward(layer, bottom, top, normal(*SHAPE, seed=1))[0])


def test_dropout_in_place():
    """In place drops the same values as separate blobs, forward and backward."""
    results = []
    for in_place in (False, True):
        rng.seed(3)
        layer = dropout(0.4)
        bottom, top = run_forward(layer, normal(*SHAPE), in_place=in_place)
        results.append((top[0].data, *run_backward(layer, bottom, top, normal(*SHAPE, seed=1))))

    np.testing.assert_array_equal(results[0], results[1])


@pytest.mark.parametrize("phase", [0, TEST])
def test_dropout_gradient(phase):
    """Backward is the derivative of forward for a mask that stays."""
    layer = dropout(0.4, phase=phase)

    assert check_layer(layer, [filled(normal(*SHAPE))]) < 1e-8


@pytest.mark.parametrize("ratio", [1.0, -0.25])
def test_dropout_errors(ratio):
    """A ratio outside [0, 1) is refused."""
    with pytest.raises(LayerError, match=rf"dropout_param\.dropout_ratio must be at least 0 and below 1, got {ratio}"):
        run_forward(dropout(ratio), normal(*SHAPE))


# --- Embed ---------------------------------------------------------------------------------------


def embed(num_output=4, input_dim=7, **param):
    """A float64 Embed layer with random weights."""
    weights = {"type": "gaussian"}
    return EmbedLayer(dtype=np.float64, embed_param=dict(num_output=num_output, input_dim=input_dim,
                                                         weight_filler=weights, bias_filler=weights, **param))


def test_embed_by_hand():
    """Index 2 takes row 2 of w, and the diffs of both places that name row 2 add up in dw."""
    layer = embed(num_output=2, input_dim=3)
    bottom, top = run_forward(layer, [2, 0, 2])
    w, b = layer.blobs
    w.data[...] = [[1, 2], [3, 4], [5, 6]]
    b.data[...] = [10, 20]
    layer.Forward(bottom, top)
    assert top[0].data.tolist() == [[15, 26], [11, 22], [15, 26]]

    w.diff.fill(1)
    b.diff.fill(1)
    run_backward(layer, bottom, top, [[1, 2], [3, 4], [5, 6]], asked=[False])
    assert w.diff.tolist() == [[4, 5], [1, 1], [7, 9]]
    assert b.diff.tolist() == [10, 13]


@pytest.mark.parametrize("bias_term", [True, False])
@pytest.mark.parametrize("shape", [(), (5,), (2, 5, 3)])
def test_embed_gradient(shape, bias_term):
    """Backward is the derivative of forward, with and without a bias, for any number of axes."""
    layer = embed(bias_term=bias_term)
    x = filled(np.arange(np.prod(shape, dtype=int)).reshape(shape) % 4)

    assert check_layer(layer, [x]) < 1e-8
    assert len(layer.blobs) == 1 + bias_term
    assert not layer.allow_force_backward(0)


def test_embed_is_inner_product_of_one_hot_vectors():
    """Looking a row up equals multiplying w by a one-hot vector, and so does the gradient."""
    layer, x, dy = embed(bias_term=False), np.array([[3, 6, 3], [0, 1, 3]]), normal(2, 3, 4)
    bottom, top = run_forward(layer, x)
    one_hot = np.eye(7)[x]
    run_backward(layer, bottom, top, dy, asked=[False])

    np.testing.assert_allclose(top[0].data, one_hot @ layer.blobs[0].data, rtol=1e-14)
    np.testing.assert_allclose(layer.blobs[0].diff, one_hot.reshape(6, 7).T @ dy.reshape(6, 4), rtol=1e-12, atol=1e-14)


def test_embed_cuts_fractions_off():
    """1.9 names row 1, as in Caffe."""
    layer = embed(bias_term=False)
    _, top = run_forward(layer, [1.9, 0.2])

    np.testing.assert_array_equal(layer.blobs[0].data[:2][::-1], top[0].data)


def test_embed_frozen_blobs():
    """A blob whose param_propagate_down is unset keeps its diff."""
    layer = embed()
    bottom, top = run_forward(layer, [1, 2])
    layer.param_propagate_down = [False, False]
    run_backward(layer, bottom, top, normal(2, 4), asked=[False])

    assert not layer.blobs[0].diff.any()
    assert not layer.blobs[1].diff.any()


@pytest.mark.parametrize(("value", "text"), [(7, "7"), (-1, "-1"), (1e30, "1e+30"), (np.nan, "nan"), (-np.inf, "-inf")])
def test_embed_index_out_of_range(value, text):
    """An index outside the table is named with its place, its value and the range."""
    with pytest.raises(LayerError, match=re.escape(f"from 0 to 6 (input_dim 7), but value 3 of 6 is {text}")):
        run_forward(embed(), [[0, 1, 2], [value, 6, value]])


def test_embed_errors():
    """Sizes of 0 and a gradient for the indices are refused."""
    with pytest.raises(LayerError, match=r"embed_param\.num_output must be positive, got 0"):
        run_forward(embed(num_output=0), [0])
    with pytest.raises(LayerError, match=r"embed_param\.input_dim must be positive, got 0"):
        run_forward(embed(input_dim=0), [0])
    layer = embed()
    bottom, top = run_forward(layer, [0])
    with pytest.raises(LayerError, match=r"cannot backpropagate to bottom\[0\]"):
        layer.Backward(top, [True], bottom)


@pytest.mark.parametrize("engine", kernels.available_engines())
def test_scatter_add(engine):
    """Every engine adds each row where its index says, repeated ones all, in their order."""
    values, out, want = normal(11, 3), normal(5, 3, seed=1), normal(5, 3, seed=1)
    index = np.array([4, 0, 4, 4, 1, 0, 4, 2, 2, 4, 1])
    for i, row in zip(index, values, strict=True):
        want[i] += row
    before = kernels.engine()
    kernels.use_engine(engine)
    try:
        kernels.scatter_add(values, index, out=out)
    finally:
        kernels.use_engine(before)

    np.testing.assert_array_equal(want, out)
