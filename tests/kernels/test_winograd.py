"""Winograd's minimal filtering of 3×3 filters gives the definition's numbers."""

import numpy as np
import pytest

from minicaffe import kernels
from minicaffe.kernels.numpy_engine import winograd
from minicaffe.kernels.winograd_matrices import worthwhile

CASES = [  # x, w, pad, group
    ((2, 5, 9, 13), (7, 5, 3, 3), (1, 1), 1),
    ((3, 4, 7, 6), (6, 2, 3, 3), (0, 2), 2),
    ((1, 19, 10, 5), (3, 19, 3, 3), (2, 0), 1),
]


def test_a_tile_is_its_definition():
    """A (Gw ⊙ Bx) is the correlation of a 6×6 tile with a 3×3 filter."""
    draw = np.random.default_rng(2)
    A, B, G = winograd.matrices(np.dtype(np.float64))
    x, w = draw.standard_normal((6, 6)), draw.standard_normal((3, 3))
    expected = [[(x[i:i + 3, j:j + 3] * w).sum() for j in range(4)] for i in range(4)]

    np.testing.assert_allclose((A @ ((G @ w.ravel()) * (B @ x.ravel()))).reshape(4, 4), expected, atol=1e-12)


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("most_values", [1, winograd.MOST_VALUES])
def test_the_three_correlations(case, most_values, monkeypatch):
    """Forward and both gradients agree with the definitions, in batches of images too."""
    monkeypatch.setattr(winograd, "MOST_VALUES", most_values)
    x_shape, w_shape, pad, group = case
    draw = np.random.default_rng(3)
    x, w, b = draw.standard_normal(x_shape), draw.standard_normal(w_shape), draw.standard_normal(w_shape[0])
    dy = draw.standard_normal((x_shape[0], w_shape[0], *(s + 2 * p - 2 for s, p in zip(x_shape[2:], pad, strict=True))))
    geometry = ((1, 1), pad, (1, 1), group)
    for ours, theirs, out in (
            (lambda o: winograd.correlate(x, w, b, pad, group, o),
             lambda o: kernels.correlate.definition(x, w, b, *geometry, o), np.full_like(dy, 7)),
            (lambda o: winograd.correlate_data_grad(dy, w, pad, group, o),
             lambda o: kernels.correlate_data_grad.definition(dy, w, *geometry, o), np.full_like(x, 7)),
            (lambda o: winograd.correlate_weight_grad(x, dy, pad, group, o),
             lambda o: kernels.correlate_weight_grad.definition(x, dy, *geometry, o), np.ones_like(w))):
        expected = out.copy()
        theirs(expected)
        ours(out)

        np.testing.assert_allclose(out, expected, rtol=0, atol=1e-12 * np.abs(expected).max())


@pytest.mark.parametrize("most_values", [1, 1 << 30])
def test_a_large_image_is_computed_in_strips(most_values, monkeypatch):
    """Rows of tiles are computed a few at a time, or all at once, with the definitions' numbers."""
    numba_winograd = pytest.importorskip("minicaffe.kernels.numba_engine.winograd")
    monkeypatch.setattr(numba_winograd, "MOST_VALUES", most_values)
    draw, pad, group = np.random.default_rng(4), (2, 1), 2
    x, w, b = (draw.standard_normal(shape, np.float32) for shape in ((2, 32, 47, 45), (64, 16, 3, 3), (64,)))
    dy = draw.standard_normal((2, 64, 49, 45), np.float32)
    geometry = ((1, 1), pad, (1, 1), group)
    for ours, theirs, out in (
            (lambda o: numba_winograd.correlate(x, w, b, pad, group, o),
             lambda o: kernels.correlate.definition(x, w, b, *geometry, o), np.full_like(dy, 7)),
            (lambda o: numba_winograd.correlate_data_grad(dy, w, pad, group, o),
             lambda o: kernels.correlate_data_grad.definition(dy, w, *geometry, o), np.full_like(x, 7)),
            (lambda o: numba_winograd.correlate_weight_grad(x, dy, pad, group, o),
             lambda o: kernels.correlate_weight_grad.definition(x, dy, *geometry, o), np.ones_like(w))):
        expected = out.copy()
        theirs(expected)
        ours(out)

        np.testing.assert_allclose(out, expected, rtol=0, atol=1e-5 * np.abs(expected).max())


def test_large_layers_take_this_way():
    """Wide layers of many tiles are computed so, and others are left alone."""
    def fits(x, w, stride=(1, 1), pad=(1, 1), group=1):
        x, w = np.empty(x), np.empty(w)
        y = np.empty((len(x), len(w), x.shape[2] + 2 * pad[0] - 2, x.shape[3] + 2 * pad[1] - 2))
        return worthwhile(w, stride, pad, (1, 1), group, y)

    assert fits((4, 128, 14, 15), (96, 128, 3, 3))
    assert not fits((4, 128, 14, 15), (96, 128, 3, 3), stride=(2, 2))
    assert not fits((4, 128, 14, 15), (96, 128, 3, 5))
    assert not fits((4, 20, 14, 15), (96, 20, 3, 3))
    assert not fits((1, 128, 7, 6), (96, 128, 3, 3))
