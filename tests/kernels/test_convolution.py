"""The composites of convolution, and the products and sums beside them."""

import itertools

import numpy as np
import pytest
from extras import needs_tiles

from minicaffe import kernels
from minicaffe.kernels.numpy_engine import convolution

CASES = [  # x, K, kernel, stride, pad, dilation, group
    ((2, 4, 7, 5), 6, (3, 2), (1, 1), (0, 0), (1, 1), 1),
    ((5, 4, 7, 9), 6, (3, 2), (2, 1), (1, 3), (1, 2), 2),
    ((3, 4, 8, 9), 6, (1, 1), (1, 1), (0, 0), (1, 1), 2),  # large enough to need no columns
    ((19, 4, 3, 2), 6, (1, 1), (1, 1), (0, 0), (1, 1), 1),
    ((19, 6, 7), 4, (3,), (2,), (1,), (2,), 2),
    ((2, 2, 3, 4, 5), 3, (2, 1, 3), (1, 2, 1), (0, 1, 1), (1, 1, 1), 1),
    ((7, 4), 6, (), (), (), (), 2),
    ((3, 2, 4, 5), 2, (4, 5), (1, 1), (0, 0), (1, 1), 2),
]


@pytest.fixture(params=kernels.available_engines(), autouse=True)
def _engine(request):
    kernels.use_engine(request.param)


def arrays(case, seed=0):
    """x, w, b, dy and the arguments between."""
    (N, C, *sizes), K, kernel, stride, pad, dilation, group = case
    positions = [(n + 2 * p - d * (k - 1) - 1) // s + 1
                 for n, k, s, p, d in zip(sizes, kernel, stride, pad, dilation, strict=True)]
    draw = np.random.default_rng(seed)
    shapes = (N, C, *sizes), (K, C // group, *kernel), (K,), (N, K, *positions)
    return *(draw.standard_normal(s) for s in shapes), (stride, pad, dilation, group)


@pytest.mark.parametrize("case", CASES)
def test_correlate(case):
    """However the images are cut, correlate gives what its definition does, with and without a bias."""
    x, w, b, y, geometry = arrays(case)
    for bias in (b, None):
        expected = np.empty_like(y)
        kernels.correlate.definition(x, w, bias, *geometry, expected)
        kernels.correlate(x, w, bias, *geometry, y)

        np.testing.assert_allclose(expected, y, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("case", [
    ((2, 6, 16, 48), 34, (1, 1), (1, 1), (0, 0), (1, 1), 2),    # planes of 3 · 256 pixels are copied side by side
    ((1, 5, 32, 64), 17, (1, 1), (1, 1), (0, 0), (1, 1), 1),
    ((2, 6, 15, 29), 134, (1, 1), (1, 1), (0, 0), (1, 1), 2),   # so are the pixels of many filters
    ((1, 3, 31, 57), 5, (6, 7), (4, 4), (1, 2), (1, 1), 1),     # every fourth number of a row is picked, or every third
    ((2, 3, 22, 35), 4, (5, 6), (2, 3), (2, 1), (1, 1), 1),
    ((1, 3, 37, 90), 3, (3, 3), (1, 1), (1, 0), (1, 1), 3),     # depthwise: some columns are away from both borders
    ((2, 3, 41, 119), 6, (3, 3), (2, 2), (0, 1), (1, 1), 3),
    ((3, 4, 9, 13), 6, (5, 3), (1, 1), (2, 1), (1, 1), 2),      # the last vector of a row repeats some of its numbers
    ((3, 2, 6, 7), 5, (3, 1), (1, 1), (1, 0), (1, 1), 1),       # rows are shorter than a vector
    ((2, 3, 12, 20), 9, (4, 5), (1, 1), (0, 0), (1, 1), 1),     # images without padding are their own planes
    ((3, 6, 5, 9), 8, (1, 1), (1, 1), (0, 0), (1, 1), 2),
    ((2, 3, 29, 38), 7, (4, 3), (2, 2), (1, 0), (1, 1), 1),
    ((2, 5, 3, 1), 4, (2, 1), (1, 1), (0, 0), (1, 1), 1),       # rows of one number
    ((2, 3, 48, 31), 10, (3, 5), (1, 1), (1, 2), (1, 1), 1),    # some pieces for each image
])
def test_correlate_of_planes(case):
    """Float32 planes that are wide, narrow, or a multiple of 256 long give what the definition does in float64."""
    x, w, b, y, geometry = arrays(case)
    expected, found = np.empty_like(y), np.empty_like(y, np.float32)
    x, w, b = (a.astype(np.float32) for a in (x, w, b))
    kernels.correlate.definition(*(a.astype(np.float64) for a in (x, w, b)), *geometry, expected)
    kernels.correlate(x, w, b, *geometry, found)

    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("case", CASES)
def test_the_gradients_are_adjoint(case):
    """⟨dy, Kx⟩ = ⟨Kᵀdy, x⟩ = ⟨dw, w⟩: both gradients are the adjoints of the forward map."""
    x, w, _, dy, geometry = arrays(case)
    y, dx, dw = np.empty_like(dy), np.full_like(x, 7), np.zeros_like(w)
    kernels.correlate(x, w, None, *geometry, y)
    kernels.correlate_data_grad(dy, w, *geometry, dx)
    kernels.correlate_weight_grad(x, dy, *geometry, dw)
    expected = np.vdot(dy, y)

    assert expected == pytest.approx(np.vdot(dx, x), rel=1e-11, abs=1e-11)
    assert expected == pytest.approx(np.vdot(dw, w), rel=1e-11, abs=1e-11)


def test_the_weight_gradient_adds():
    """correlate_weight_grad and add_channel_sums add to what is there."""
    x, w, b, dy, geometry = arrays(CASES[1])
    once, onto = np.zeros_like(w), np.full_like(w, 3)
    kernels.correlate_weight_grad(x, dy, *geometry, once)
    kernels.correlate_weight_grad(x, dy, *geometry, onto)
    np.testing.assert_allclose(once + 3, onto, rtol=1e-12)
    sums = np.full_like(b, 3)
    kernels.add_channel_sums(dy, sums)

    np.testing.assert_allclose(3 + dy.sum(axis=(0, 2, 3)), sums, rtol=1e-12)


@pytest.mark.parametrize("limits", [{"CACHED": 1}, {"CACHED": 1, "NARROWEST": 1}, {"CACHED": 1, "NARROWEST": 11},
                                    {"CACHED": 1 << 30, "PIECES": 2}, {"CACHED_INTERLEAVED": 1},
                                    {"CACHED_INTERLEAVED": 1 << 30}, {"PARTIAL_SUMS": 1}, {"PARTIAL_NUMBERS": 1},
                                    {"SEPARATE": 1}, {"SEPARATE": 1 << 30}])
def test_the_cut_does_not_matter(limits, monkeypatch):
    """However the images are cut into pieces, parts and partial sums, the numbers stay."""
    for case in CASES:
        x, w, b, dy, geometry = arrays(case)
        expected, got = [np.zeros_like(dy), np.zeros_like(x), np.zeros_like(w)], []
        for results in (expected, got):
            y, dx, dw = np.zeros_like(dy), np.zeros_like(x), np.zeros_like(w)
            kernels.correlate(x, w, b, *geometry, y)
            kernels.correlate_data_grad(dy, w, *geometry, dx)
            kernels.correlate_weight_grad(x, dy, *geometry, dw)
            results[:] = y, dx, dw
            for name, value in limits.items():
                monkeypatch.setattr(convolution, name, value)
        for want, have in zip(expected, got, strict=True):
            np.testing.assert_allclose(want, have, rtol=1e-11, atol=1e-11)
        monkeypatch.undo()


def test_no_images():
    """A batch of no images gives empty results and adds nothing to the weight gradient."""
    x, w, b, dy, geometry = arrays(((0, 4, 7, 5), 6, (3, 2), (1, 1), (0, 0), (1, 1), 1))
    dw = np.ones_like(w)
    kernels.correlate(x, w, b, *geometry, dy)
    kernels.correlate_data_grad(dy, w, *geometry, x)
    kernels.correlate_weight_grad(x, dy, *geometry, dw)

    np.testing.assert_array_equal(np.ones_like(w), dw)


@pytest.mark.parametrize("shape", [(3, 5, 7), (700, 130, 41), (37, 130, 900), (1, 2, 3), (16, 1 << 15, 17)])
def test_matmul(shape):
    """matmul is a · b, also of transposed views; with `add`, the product is added to out."""
    M, K, N = shape
    draw = np.random.default_rng(0)
    a, b, out = draw.standard_normal((M, K)), draw.standard_normal((K, N)), np.empty((M, N))
    kernels.matmul(a, b, out)
    np.testing.assert_allclose(a @ b, out, rtol=1e-10, atol=1e-10)
    kernels.matmul(np.asfortranarray(a), np.asfortranarray(b), out, add=True)

    np.testing.assert_allclose(2 * (a @ b), out, rtol=1e-10, atol=1e-10)


def laid(draw, rows, columns, order):
    """Normal float32 numbers that lie row after row ("C") or column after column ("F")."""
    return np.asarray(draw.standard_normal((rows, columns)), np.float32, order=order)


@pytest.mark.parametrize("orders", ["CC", "CF", "FC", "FF"])
@pytest.mark.parametrize("shape", list(itertools.product((1, 2, 130), (1, 2, 300), (1, 2, 97))))
def test_matmul_of_thin_matrices(shape, orders):
    """The same if a side is 1 or 2, in whatever order the numbers lie in memory."""
    M, D, N = shape
    draw = np.random.default_rng(0)
    a, b, out = laid(draw, M, D, orders[0]), laid(draw, D, N, orders[1]), np.full((M, N), np.nan, np.float32)
    want = a.astype(np.float64) @ b
    kernels.matmul(a, b, out)
    np.testing.assert_allclose(out, want, rtol=0, atol=2e-5 * np.abs(want).max())
    kernels.matmul(a, b, out, add=True)

    np.testing.assert_allclose(out, 2 * want, rtol=0, atol=4e-5 * np.abs(want).max())


@pytest.mark.parametrize(("product", "shape", "orders", "way"), [
    ("dw of one image", (40, 1, 70), "CC", "_add_rows"),
    ("dw of two images", (40, 2, 70), "FC", "_add_rows"),
    ("dx of one output", (6, 1, 70), "CC", "_add_rows"),
    ("y of one input", (6, 1, 40), "CC", "_add_rows"),
    ("y of one input and one output", (6, 1, 1), "CC", "_add_rows"),
    ("y of one input and one image", (1, 1, 40), "CC", "_add_rows"),
    ("y of one image", (1, 70, 40), "CF", "_dot_row"),
    ("y of one output", (6, 70, 1), "CC", "_dot_row"),
    ("y of one image and one output", (1, 70, 1), "CC", "_dot_row"),
    ("y of one output, x transposed", (6, 70, 1), "FC", "_add_rows"),
    ("dw of one output", (1, 6, 70), "CC", "_add_rows"),
    ("y of some of all", (6, 70, 40), "CF", "_dot_rows"),
    ("dx of some of all", (6, 40, 70), "CC", "_add_rows"),
])
def test_matmul_takes_the_right_way(product, shape, orders, way, monkeypatch):
    """Long dot products are computed where both matrices lie along them, and rows are added where a sum is short:
    a matrix with a side of 1 lies in both orders, and must not be taken for one that only lies in the wrong one."""
    needs_tiles()
    from minicaffe.kernels.numba_engine import matmul as tiled

    taken = []
    for name in ("_dot_row", "_dot_rows", "_add_rows"):
        monkeypatch.setattr(tiled, name, lambda *args, name=name: taken.append(name))
    M, D, N = shape
    draw = np.random.default_rng(0)
    tiled.matmul(laid(draw, M, D, orders[0]), laid(draw, D, N, orders[1]), np.zeros((M, N), np.float32))

    assert [way] == taken, product


def test_im2col_is_its_formula():
    """Every number of the columns is the pixel that the formula of the docstring gives, or 0 in the padding."""
    x = np.random.default_rng(0).standard_normal((2, 3, 7, 5))
    columns = np.full((3, 2, 4, 2, 6, 3), np.nan)
    kernels.im2col(x, (2, 1), (3, 2), (3, 2), columns)
    for c, i, j, n, r, q in np.ndindex(columns.shape):
        h, w = r * 2 + i * 3 - 3, q + j * 2 - 2

        assert (x[n, c, h, w] if 0 <= h < 7 and 0 <= w < 5 else 0) == columns[c, i, j, n, r, q]
