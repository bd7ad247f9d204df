"""Kernels that copy and combine arrays or treat their channels: each engine writes what the definition writes."""

from __future__ import annotations

import numpy as np
import pytest

from minicaffe import kernels

SHAPES = [(3, 2, 5), (7,), (), (2, 3, 4, 5), (64, 1), (2, 200), (0, 3), (5, 7, 2011)]  # the last for several pieces
CHANNELS = [  # the shape of x, an axis, and the shape of what lies along x from that axis on
    ((3, 2, 4), 1, (2,)), ((1, 7, 1), 1, (7,)), ((11, 3), 1, (3,)), ((2, 5, 3, 11), 1, (5,)), ((2, 5, 3, 11), 0, ()),
    ((2, 5, 3, 11), 2, (3, 11)), ((2, 5, 3, 11), 0, (2, 5)), ((3, 7, 2011), 1, (7,)), ((700, 150), 1, (150,)),
    ((0, 2, 3), 1, (2,)),
]
SLICES = [  # the larger shape, an axis, where the slice begins and how long it is
    ((3, 7), 1, 0, 7), ((4, 6), 1, 1, 1), ((2, 5), 1, 2, 0), ((5, 3, 4), 0, 1, 3), ((2, 9, 5, 4), 1, 3, 5),
    ((2, 3, 5, 4), 3, 1, 2), ((9,), 0, 4, 3), ((1, 70001), 1, 3, 69000), ((11, 90, 101), 1, 7, 60),
]


def copies(normal):
    """Arrays of any number of axes."""
    for shape in SHAPES:
        yield normal(*shape), normal(*shape)


def pairs(normal):
    """Two arrays, rounded so that some numbers are equal."""
    for shape in SHAPES:
        a, b = (np.asarray(normal(*shape).round(1)) for _ in range(2))
        yield a, b, normal(*shape)


def sums(normal):
    """Of one array, of two and of several."""
    for shape in SHAPES:
        for count in (1, 2, 5):
            yield [normal(*shape) for _ in range(count)], normal(*shape)


def weighted_sums(normal):
    """With coefficients of 1, which engines may leave out, and with others."""
    for shape in SHAPES:
        for c in ((1.0, 1.0), (-2.0, 0.3), (1.0, 0.7, 1.0), (0.5, 1.0, -1.5, 0.0)):
            yield [normal(*shape) for _ in c], c, normal(*shape)


def biases(normal):
    """A bias per channel, one for all, and one for each number of an image."""
    for x, axis, b in CHANNELS:
        yield normal(*x), normal(*b), axis, normal(*x)


def scales(normal):
    """With a bias and without."""
    for x, axis, w in CHANNELS:
        yield normal(*x), normal(*w), normal(*w), axis, normal(*x)
        yield normal(*x), normal(*w), None, axis, normal(*x)


def normalizations(normal):
    """Channels at axis 1."""
    for x, axis, mu in CHANNELS:
        if axis == 1:
            yield normal(*x), normal(*mu), normal(*mu), normal(*x)


def scales_around(normal):
    """With a shift and without."""
    for x, axis, mu in CHANNELS:
        if axis == 1:
            yield normal(*x), normal(*mu), normal(*mu), normal(*mu), normal(*x)
            yield normal(*x), normal(*mu), normal(*mu), None, normal(*x)


def divisions_by_std(normal):
    """Of given numbers, and of 1."""
    for C in (1, 2, 7, 16, 33, 64):
        for w in (normal(C), None):
            yield w, np.abs(normal(C)), 1e-5, normal(C)


def statistics(normal):
    """Of some batches, and of none."""
    for C in (1, 2, 7, 16, 33, 64):
        for factor in (0.0, 0.5, 31.7):
            yield (normal(C), np.abs(normal(C)), np.full_like(normal(1), factor), 1e-5, normal(C), normal(C))


def taken(normal):
    """Slices along the first axis, the last and one between."""
    for shape, axis, start, size in SLICES:
        yield normal(*shape), axis, start, normal(*shape[:axis], size, *shape[axis + 1:])


def put(normal):
    """Slices of out along the same axes."""
    for shape, axis, start, size in SLICES:
        yield normal(*shape[:axis], size, *shape[axis + 1:]), axis, start, normal(*shape)


def transposed(normal):
    """Orders that move all axes, some and none; axes of one number; and one that is copied in several pieces."""
    for x, order in (((3, 2), (1, 0)), ((2, 7, 5, 3), (0, 2, 3, 1)), ((2, 7, 5, 3), (3, 1, 0, 2)), ((4,), (0,)),
                     ((), ()), ((2, 3, 5), (0, 1, 2)), ((2, 1, 5, 1), (3, 2, 1, 0)), ((1, 6, 4, 5), (2, 3, 0, 1)),
                     ((0, 3), (1, 0)), ((1, 1), (1, 0)), ((3, 24, 70, 41), (0, 2, 3, 1)),
                     ((2, 3, 1, 4, 5), (3, 4, 0, 2, 1))):
        yield normal(*x), order, normal(*(x[axis] for axis in order))


def images(normal):
    """Images in one array and in a list, planar and with the channels of a pixel side by side, of several sizes."""
    draw = np.random.default_rng(3)
    for C, h, w in ((3, 7, 5), (3, 4, 70), (1, 5, 33), (2, 3, 37), (4, 2, 1), (3, 60, 71)):
        planar = draw.integers(0, 256, (6, C, h + 2, w + 3), dtype=np.uint8)
        side_by_side = list(np.ascontiguousarray(planar.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2))
        of_two_sizes = [*side_by_side[:5], np.pad(planar[5], ((0, 0), (1, 2), (0, 9)))]
        for x in (planar, side_by_side, of_two_sizes):
            corners, mirrored = (draw.integers(0, 3, 6), draw.integers(0, 4, 6)), draw.integers(0, 2, 6)
            for mean in (None, normal(C, 1, 1), normal(1, 1, 1), normal(C, h + 2, w + 3)):
                if mean is None or mean.shape[1] == 1 or x[5].shape == mean.shape:
                    yield x, *corners, mirrored, mean, 0.7, normal(6, C, h, w)
    yield planar, *np.zeros((2, 6), int), np.zeros(6, bool), None, 1.0, normal(*planar.shape)
    yield planar[:0], *np.zeros((2, 0), int), np.zeros(0, int), None, 1.0, normal(0, *planar.shape[1:])


CASES = {"copy": copies, "take_slice": taken, "put_slice": put, "add_all": sums, "weighted_sum": weighted_sums,
         "multiply": pairs, "maximum": pairs, "tanh_grad": pairs, "add_bias": biases, "scale_channels": scales,
         "normalize_channels": normalizations, "global_stats": statistics, "crop_and_scale": images,
         "transpose": transposed, "scale_around": scales_around, "divide_by_std": divisions_by_std}
IN_PLACE = ("multiply", "tanh_grad", "maximum", "weighted_sum", "add_bias", "scale_channels", "normalize_channels",
            "scale_around")


def cases(name, dtype, seed=1701):
    """Lists of arguments for a kernel; what it writes comes last, filled with numbers that must not matter."""
    draw = np.random.default_rng(seed)

    def normal(*shape):
        return np.asarray(draw.standard_normal(shape)).astype(dtype)

    return CASES[name](normal)


def copied(arguments):
    """The same arguments in memory of their own, whose axes lie in the same order."""
    return [[a.copy("K") for a in one] if isinstance(one, list) else one.copy("K") if isinstance(one, np.ndarray)
            else one for one in arguments]


@pytest.fixture(params=kernels.available_engines()[1:])
def engine(request):
    """The name of an engine besides `plain`. Its implementations are imported, but the process's engine stays."""
    before = kernels.engine()
    kernels.use_engine(request.param)
    yield request.param
    kernels.use_engine(before)


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_engines_write_what_the_definition_writes(name, dtype, engine):
    """Every engine gives the bits of the definition, so that a net trains to the same weights on all; inputs stay."""
    made = kernels.kernels()[name]
    for arguments in cases(name, dtype):
        want, got = copied(arguments), copied(arguments)
        made.definition(*want)
        made.on(engine)(*got)
        for w, g in zip(want, got, strict=True):
            np.testing.assert_equal(g, w)


@pytest.mark.parametrize("name", IN_PLACE)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("run_on", ["plain", *kernels.available_engines()[1:]])
def test_in_place(name, dtype, run_on):
    """A kernel gives in place, over its first array, what it gives between two arrays."""
    made = kernels.kernels()[name]
    for first, *between, out in cases(name, dtype):
        made.on(run_on)(first, *between, out)
        target = first[0] if isinstance(first, list) else first
        made.on(run_on)(first, *between, target)

        np.testing.assert_array_equal(target, out)


def test_transpose_between_number_types(engine):
    """A transposed copy converts each number, as a copy does."""
    x, out = np.arange(6, dtype=np.float32).reshape(2, 3), np.zeros((3, 2), np.int32)
    kernels.transpose(x, (1, 0), out)

    np.testing.assert_array_equal(out, x.T)


def test_maximum_keeps_what_is_not_a_number(engine):
    """NaN in either array gives NaN."""
    a, b = np.array([np.nan, 1, 2], np.float32), np.array([1, np.nan, 3], np.float32)
    out = np.zeros(3, np.float32)
    kernels.maximum(a, b, out)

    np.testing.assert_array_equal(out, [np.nan, np.nan, 3])


def test_copies_between_number_types(engine):
    """Arrays of two types are copied number by number, each number converted."""
    x, out = np.arange(6, dtype=np.float32).reshape(2, 3), np.zeros((2, 3), np.int32)
    kernels.copy(x, out)
    np.testing.assert_array_equal(out, x)
    part = np.zeros((2, 2), np.int32)
    kernels.take_slice(x, 1, 1, part)
    np.testing.assert_array_equal(part, x[:, 1:])
    kernels.put_slice(x[:, :1].copy(), 1, 2, out)
    np.testing.assert_array_equal(out[:, 2], x[:, 0])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("add", [False, True])
def test_matmul_into_a_transposed_view(dtype, add, engine):
    """out may be the transpose of an array that lies in rows, as InnerProduct's dw is with `transpose`."""
    draw = np.random.default_rng(3)
    for M, K, N in ((3, 5, 7), (1, 5, 7), (3, 5, 1), (4, 1, 6), (64, 300, 90)):
        a, b = draw.standard_normal((M, K)).astype(dtype), draw.standard_normal((K, N)).astype(dtype)
        stored = np.ones((N, M), dtype)
        kernels.matmul(a, b, stored.T, add=add)

        np.testing.assert_allclose(stored, (a @ b).T + add, rtol=0, atol=2e-4 if dtype == np.float32 else 1e-12)


@pytest.mark.parametrize("alpha", [0.0, 0.5])
def test_relu_of_special_numbers(alpha):
    """In place or not, ReLU keeps NaN and ∞, and makes of −∞ and −0 what its definition does."""
    special = np.array([-np.inf, np.nan, -0.0, 0.0, np.inf, -2.0, 3.0, -3e38, 1e-45], np.float32)
    x = np.resize(special, 71)
    want, elsewhere, y = np.empty_like(x), np.empty_like(x), x.copy()
    kernels.relu.definition(x, alpha, None, want)
    kernels.relu(x, alpha, None, elsewhere)
    kernels.relu(y, alpha, None, y)

    np.testing.assert_array_equal(want, elsewhere)
    np.testing.assert_array_equal(want, y)
