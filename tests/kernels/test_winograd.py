"""Winograd's minimal filtering of 3×3 filters gives the definition's numbers."""

import numpy as np
import pytest
from extras import needs_tiles

from minicaffe import kernels
from minicaffe.kernels import recording
from minicaffe.kernels.numpy_engine import winograd
from minicaffe.kernels.winograd_matrices import line_matrices, worthwhile

CASES = [  # x, w, pad, group
    ((2, 5, 9, 13), (7, 5, 3, 3), (1, 1), 1),
    ((3, 4, 7, 6), (6, 2, 3, 3), (0, 2), 2),
    ((1, 19, 10, 5), (3, 19, 3, 3), (2, 0), 1),
]


@pytest.mark.parametrize(("taps", "tile"), [(3, 4), (5, 2)])
def test_a_tile_is_its_definition(taps, tile):
    """A (G w Gᵀ ⊙ B x Bᵀ) Aᵀ is the correlation of a 6×6 tile with a filter."""
    draw = np.random.default_rng(2)
    A, B, G = line_matrices(taps)
    x, w = draw.standard_normal((6, 6)), draw.standard_normal((taps, taps))
    expected = [[(x[i:i + taps, j:j + taps] * w).sum() for j in range(tile)] for i in range(tile)]

    np.testing.assert_allclose(A @ ((G @ w @ G.T) * (B @ x @ B.T)) @ A.T, expected, atol=1e-12)


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
    """Rows of tiles are added up a few at a time, or all at once, to the definition's weight gradient."""
    needs_tiles()
    from minicaffe.kernels.numba_engine import winograd as numba_winograd

    monkeypatch.setattr(numba_winograd, "MOST_VALUES", most_values)
    draw, pad, group = np.random.default_rng(4), (2, 1), 2
    x, dy = (draw.standard_normal(shape, np.float32) for shape in ((2, 32, 47, 45), (2, 64, 49, 45)))
    found, expected = (np.ones((64, 16, 3, 3), np.float32) for _ in range(2))
    numba_winograd.correlate_weight_grad(x, dy, pad, group, found)
    kernels.correlate_weight_grad.definition(x, dy, (1, 1), pad, (1, 1), group, expected)

    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5 * np.abs(expected).max())


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


def by_slices():
    """Return numba's module for slices of filters, and how many numbers a vector has."""
    needs_tiles()
    from minicaffe.kernels.numba_engine import registers, winograd_slices

    return winograd_slices, registers.VECTOR


@pytest.mark.parametrize("case", [  # taps, N, C, H, W, K, pad, group; C and K count vectors
    (3, 1, 2, 7, 6, 4, (1, 1), 1),
    (3, 3, 4, 9, 5, 2, (0, 2), 2),
    (3, 2, 1, 13, 26, 5, (2, 0), 1),
    (3, 1, 1, 6, 3, 2, (1, 1), 1),
    (3, 5, 3, 1, 2, 7, (1, 1), 1),
    (5, 1, 2, 7, 6, 4, (2, 2), 1),
    (5, 3, 4, 9, 6, 2, (0, 3), 2),
    (5, 2, 1, 13, 26, 5, (4, 1), 1),
    (5, 4, 3, 1, 2, 7, (2, 3), 1),
])
@pytest.mark.parametrize("limits", [{}, {"CHANNELS": 1, "TILES": 3, "PIXELS": 1, "MOST_VALUES": 1}])
@pytest.mark.parametrize("threads", [1, 3])
def test_slices_of_filters(case, limits, threads, monkeypatch):
    """A slice at a time gives the definition's numbers, forward and back, however tiles and channels are cut."""
    slices, vector = by_slices()
    for name, value in limits.items():
        monkeypatch.setattr(slices, name, value * vector if name == "CHANNELS" else value)
    kernels.set_threads(threads)
    taps, N, C, H, W, K, pad, group = case
    draw = np.random.default_rng(3)
    x, w, b, dy = (draw.standard_normal(shape).astype(np.float32) for shape in (
        (N, C * vector, H, W), (K * vector, C * vector // group, taps, taps), (K * vector,),
        (N, K * vector, H + 2 * pad[0] - taps + 1, W + 2 * pad[1] - taps + 1)))
    geometry = ((1, 1), pad, (1, 1), group)
    y, dx = np.full_like(dy, np.nan), np.full_like(x, np.nan)
    slices.correlate(x, w, b, pad, group, y)
    slices.correlate_data_grad(dy, w, pad, group, dx)
    want_y, want_dx = np.empty_like(y, np.float64), np.empty_like(x, np.float64)
    x, w, b, dy = (a.astype(np.float64) for a in (x, w, b, dy))
    kernels.correlate.definition(x, w, b, *geometry, want_y)
    kernels.correlate_data_grad.definition(dy, w, *geometry, want_dx)

    np.testing.assert_allclose(y, want_y, rtol=0, atol=1e-5 * np.abs(want_y).max())
    np.testing.assert_allclose(dx, want_dx, rtol=0, atol=1e-5 * np.abs(want_dx).max())


def test_more_threads_than_when_it_was_recorded():
    """Pieces that find all memory taken wait for it: a recording made for one thread is right on three."""
    slices, vector = by_slices()
    draw = np.random.default_rng(3)
    x, w = (draw.standard_normal(shape).astype(np.float32) for shape in (
        (1, 2 * vector, 9, 14), (16 * vector, 2 * vector, 3, 3)))
    b, y = np.ones(len(w), np.float32), np.empty((1, len(w), 9, 14), np.float32)
    kernels.set_threads(1)
    with recording.recording() as recorded:
        slices.correlate(x, w, b, (1, 1), 1, y)
    want = y.copy()
    kernels.set_threads(3)
    for _ in range(50):
        y.fill(np.nan)
        recorded.as_function()()

        np.testing.assert_array_equal(want, y)


def test_what_slices_are_for():
    """Layers of whole vectors take this way from a few tiles on, unless most outputs of their tiles are cut off."""
    slices, vector = by_slices()

    def fits(N, C, side, K, stride=(1, 1), group=1, taps=3):
        w, y = np.empty((K, C // group, taps, taps)), np.empty((N, K, side, side))
        return slices.fits(w, stride, (1, 1), (1, 1), group, y)

    wide, tiles = 4 * vector, slices.FEWEST_TILES
    assert fits(tiles // 4, wide, 7, 2 * wide)
    assert not fits(tiles // 4, wide, 7, 2 * wide, stride=(2, 2))
    assert not fits(1, wide, 4, 2 * wide)               # one tile
    assert not fits(tiles, wide, 5, 2 * wide)           # 25 of 64 outputs
    assert not fits(tiles, wide, 7, 2 * wide + 1)       # no whole vector
    assert not fits(tiles, wide, 7, 2 * wide, group=8)  # few channels in a group
    assert fits(tiles // 4, wide, 4, 2 * wide, taps=5)
    assert not fits(1, wide, 2, 2 * wide, taps=5)       # one tile
    assert not fits(tiles, wide, 5, 2 * wide, taps=5)   # 25 of 36 outputs
    assert not fits(tiles, wide, 8, 2 * wide, taps=7)


def test_tiles_are_multiplied_by_their_matrices():
    """The factors into which the matrices are split, so that fewer numbers are added up, have them as product."""
    needs_tiles()
    from minicaffe.kernels.numba_engine.transforms import _factors

    for matrix in (*line_matrices(3), line_matrices(5)[2]):
        for M in (matrix, matrix.T):
            factors = _factors(M)

            np.testing.assert_allclose(factors[0] @ factors[1], M, atol=1e-15)
            assert sum(np.count_nonzero(f) - len(f) for f in factors) < np.count_nonzero(M) - len(M)
