"""The common family: Dropout and Embed (InnerProduct is tested with the vision family)."""

import numpy as np
import pytest
from run_layer import filled, normal, run_backward, run_forward

from minicaffe import rng
from minicaffe.errors import LayerError
from minicaffe.layers.common.dropout import DropoutLayer
from minicaffe.proto import TEST
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
