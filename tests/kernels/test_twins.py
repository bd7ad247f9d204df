"""Every twin gives its reference's bits, on ragged shapes; those which add in another order give its numbers."""

import numpy as np
import pytest

from minicaffe import kernels

WINDOWS = [  # x, kernel, stride, pad, dilation, positions
    ((2, 3, 7, 5), (3, 2), (1, 1), (0, 0), (1, 1), (5, 4)),
    ((2, 3, 7, 5), (3, 2), (2, 3), (1, 2), (1, 1), (4, 3)),
    ((3, 2, 9, 11), (2, 3), (1, 2), (3, 1), (4, 2), (11, 5)),
    ((1, 2, 3, 4), (5, 2), (2, 1), (0, 0), (1, 1), (1, 3)),  # one row over the far edge
    ((1, 2, 3, 4), (1, 1), (4, 7), (5, 6), (1, 1), (4, 3)),  # windows that see nothing
    ((2, 3, 9, 5), (3, 2), (2, 1), (-3, 1), (1, 1), (3, 6)),  # the first window begins inside
    ((2, 3, 8), (3,), (2,), (1,), (2,), (3,)),
    ((2, 3, 4, 5, 6), (2, 3, 1), (1, 2, 3), (1, 0, 2), (1, 1, 1), (5, 2, 4)),
    ((4, 5), (), (), (), (), ()),
]
POOLS = [  # x, kernel, stride, pad, sizes of y
    ((2, 3, 6, 8), (2, 2), (2, 2), (0, 0), (3, 4)),
    ((2, 3, 7, 9), (2, 2), (2, 2), (0, 0), (3, 4)),
    ((2, 3, 7, 9), (2, 2), (2, 2), (0, 0), (4, 5)),  # the last windows are clipped
    ((2, 3, 7, 5), (3, 2), (2, 1), (1, 1), (4, 6)),
    ((1, 2, 5, 4), (1, 1), (2, 3), (0, 0), (3, 2)),
    ((1, 2, 4, 6), (1, 1), (2, 3), (0, 0), (3, 3)),  # the last windows are empty
    ((3, 1, 5, 7), (5, 7), (1, 1), (0, 0), (1, 1)),
    ((2, 3, 9, 37), (3, 3), (2, 2), (0, 0), (4, 18)),
    ((2, 3, 8, 36), (3, 3), (2, 2), (0, 0), (4, 18)),  # the last windows are clipped
    ((2, 3, 7, 35), (2, 3), (1, 1), (1, 2), (8, 37)),
    ((2, 3, 5, 2), (3, 3), (2, 1), (1, 1), (3, 2)),
    ((2, 3, 11, 40), (5, 4), (3, 2), (2, 3), (4, 21)),
    ((2, 3, 7, 13), (2, 3), (2, 3), (0, 0), (4, 5)),
    ((7, 11, 29, 34), (3, 3), (2, 2), (1, 1), (15, 18)),  # several pieces
]


SLID = [  # x, w, pad, group: more images than lanes and fewer, filters that do not fill their four
    ((9, 3, 7, 6), (5, 3, 3, 3), (1, 1), 1),
    ((17, 4, 11, 9), (6, 2, 5, 5), (2, 2), 2),
    ((16, 2, 8, 7), (50, 2, 5, 5), (0, 0), 1),
    ((23, 6, 10, 12), (9, 2, 2, 3), (1, 0), 3),
    ((8, 64, 9, 10), (70, 64, 3, 5), (0, 4), 1),
    ((33, 5, 6, 13), (70, 5, 4, 3), (3, 2), 1),
    ((7, 3, 6, 5), (4, 3, 3, 3), (1, 1), 1),
    ((2, 97, 9, 30), (96, 97, 3, 3), (1, 2), 1),
    ((5, 128, 14, 13), (192, 64, 3, 3), (1, 2), 2),  # by Winograd's way
    ((3, 7, 5, 11), (6, 7, 1, 1), (0, 0), 1),
]
RULES = [  # an update, its histories, its numbers
    ("sgd_update", 1, (0.01, 0.9)), ("nesterov_update", 1, (0.01, 0.9)), ("adagrad_update", 1, (0.01, 1e-3)),
    ("rmsprop_update", 1, (0.01, 0.98, 1e-3)), ("adadelta_update", 2, (1.0, 0.95, 1e-6)),
    ("adam_update", 2, (0.01, 0.9, 0.999, 1e-8)),
]
SPREAD = [  # x, w, stride, pad, dilation, group: taps that lie on several planes, or on some only
    ((19, 6, 13, 11), (9, 2, 3, 5), (2, 3), (1, 2), (1, 1), 3),
    ((2, 3, 17, 14), (5, 3, 4, 2), (3, 1), (0, 1), (2, 3), 1),
    ((16, 4, 9, 8), (7, 4, 1, 1), (2, 2), (0, 0), (1, 1), 1),
    ((33, 2, 10, 7), (6, 1, 2, 3), (4, 2), (3, 4), (1, 2), 2),  # windows that see zeros alone
    ((5, 3, 8, 9), (4, 3, 3, 2), (1, 1), (2, 3), (3, 2), 1),
    ((32, 5, 23, 6), (11, 5, 2, 2), (5, 4), (1, 0), (2, 1), 1),
]
ROUNDING = {np.float32: 2e-5, np.float64: 1e-13}  # of the largest number


def relus(normal, x):
    """Slopes, with and without a mask."""
    for alpha in (0.0, 0.25, -1.5):
        yield normal(*x).round(1), alpha, normal(*x) > 0, normal(*x)
        yield normal(*x).round(1), alpha, None, normal(*x)


def relu_grads(normal, x):
    """Slopes."""
    for alpha in (0.0, 0.25, -1.5):
        yield normal(*x), alpha, normal(*x) > 0, normal(*x)


MAPS = {  # of arrays of one shape
    "relu": relus,
    "relu_grad": relu_grads,
}
ROUNDED_MAPS = ("sigmoid", "tanh", "elu", "exponential")
for _name, _numbers in {"sigmoid": [()], "tanh": [()], "elu": [(1.0,), (-0.3,)], "linear": [(0.3, -2.0)],
                        "exponential": [(1.0, 0.0), (-0.7, 1.5)], "clip": [(-0.5, 1.0), (1.0, 0.5)],
                        "absolute": [()]}.items():
    MAPS[_name] = lambda normal, x, _numbers=_numbers: [(5 * normal(*x), *some, normal(*x)) for some in _numbers]
PLANES = ((3, 2, 4), (1, 7, 1), (11, 3, 1), (2, 5, 33), (1, 6, 200), (3, 7, 2011), (0, 2, 3))  # N, C, P


def prelus(normal):
    """A slope a channel, and one for all."""
    for N, C, P in PLANES:
        yield normal(N, C, P).round(1), normal(C), normal(N, C, P)
        yield normal(N, C, P), normal(1), normal(N, C, P)


def crops(normal):
    """Of some axes, of all and of none."""
    for x, start, out in (((2, 7, 5, 9), (0, 0, 1, 3), (2, 7, 3, 5)), ((2, 7, 5, 9), (1, 2, 0, 0), (1, 3, 5, 9)),
                          ((9,), (4,), (3,)), ((3, 5), (0, 0), (3, 5)), ((4, 5), (1, 2), (0, 3)),
                          ((2, 3, 4, 5, 6), (1, 0, 2, 1, 3), (1, 3, 1, 4, 2)),
                          ((3, 11, 70, 91), (0, 1, 5, 7), (3, 10, 64, 80))):
        yield normal(*x), start, normal(*out)


def channel_sums(normal):
    """Of rows of channels, and of planes."""
    for dy in ((3, 2), (7, 5, 3), (2, 3, 5, 7), (64, 11), (1, 33, 2), (100, 10), (31, 7, 40, 41)):
        yield normal(*dy), normal(dy[1])


def products(normal):
    """Tall, wide and small matrices."""
    for M, K, N in ((3, 2, 5), (1, 70, 9), (17, 33, 1), (64, 5, 130), (7, 300, 11), (50, 49, 48), (300, 64, 99)):
        yield normal(M, K), normal(K, N), normal(M, N)


LRNS = [  # x, axes, size
    ((2, 7, 5, 9), [1], 5), ((3, 2, 4, 5), [1], 5), ((1, 96, 27, 26), [1], 5), ((2, 11, 33, 3), [1], 9),
    ((2, 5, 3, 4), [1], 1), ((2, 3, 7, 5), [2, 3], 3), ((4, 130, 17, 16), [1], 3),
]


def lrns(normal):
    """Across channels and within; with s and without."""
    for x, axes, size in LRNS:
        for beta in (0.75, 0.5):
            yield normal(*x), axes, size, 0.3, 1.5, beta, normal(*x), normal(*x)
            yield normal(*x), axes, size, 0.3, 1.5, beta, None, normal(*x)


def lrn_grads(normal):
    """Across channels and within."""
    for x, axes, size in LRNS:
        for beta in (0.75, 0.5):
            yield normal(*x), 1 + np.abs(normal(*x)), normal(*x), axes, size, 0.3, beta, normal(*x)


def softmaxes(normal):
    """Along the last axis, the first and one between."""
    for x, axis in (((3, 5), 1), ((2, 7, 3, 11), 1), ((9,), 0), ((4, 1000), 1), ((2, 3, 700), 1), ((5, 2, 3), 2),
                    ((1, 21, 60, 41), 1), ((2, 3, 5), 0)):
        yield 9 * normal(*x), axis, normal(*x)


OTHERS = {"prelu": prelus, "crop": crops,
          "softmax": softmaxes, "add_channel_sums": channel_sums, "matmul": products, "lrn": lrns,
          "lrn_grad": lrn_grads}


def columns_shape(x, kernel, positions):
    """The shape of the columns of x."""
    return x[1], *kernel, x[0], *positions


def cases(name, draw, dtype):
    """Argument lists of a kernel; what it may write comes last, filled with numbers that must not matter."""
    def normal(*shape):
        return draw.standard_normal(shape).astype(dtype)

    if name in ("im2col", "col2im"):
        for x, kernel, stride, pad, dilation, positions in WINDOWS:
            ends = [normal(*x), normal(*columns_shape(x, kernel, positions))]
            source, out = ends if name == "im2col" else reversed(ends)
            yield source, stride, pad, dilation, out
        return
    if name.startswith("correlate"):
        for x, w, stride, pad, dilation, group in [*((x, w, (1, 1), pad, (1, 1), group) for x, w, pad, group in SLID),
                                                   *SPREAD]:
            y = x[0], w[0], *((s + 2 * p - d * (k - 1) - 1) // t + 1 for s, p, d, k, t in
                              zip(x[2:], pad, dilation, w[2:], stride, strict=True))
            geometry = (stride, pad, dilation, group)
            yield {"correlate": (normal(*x), normal(*w), normal(w[0]), *geometry, normal(*y)),
                   "correlate_data_grad": (normal(*y), normal(*w), *geometry, normal(*x)),
                   "correlate_weight_grad": (normal(*x), normal(*y), *geometry, normal(*w))}[name]
        return
    if name == "take_step":
        for update, histories, numbers in RULES:
            for shape, decay in (((3, 2, 5), 0.3), ((7,), 0.0), ((300, 1011), 0.01)):
                yield (kernels.kernels()[update], numbers, decay, normal(*shape), normal(*shape),
                       *(np.abs(normal(*shape)) for _ in range(histories)))
        return
    if name == "window_sum":
        for x, size, axis in (((2, 7, 5, 9), 5, 1), ((3, 2, 20), 5, 1), ((2, 6, 4, 17), 3, 2), ((5, 3), 7, 0),
                              ((1, 9, 40), 1, 1), ((4, 3, 5), 3, 2), ((2, 11, 33), 9, 1)):
            yield normal(*x), size, axis, normal(*x)
        return
    if name == "negative_power":
        for x in ((2, 7), (5,), (3, 2, 4), (33,)):
            for beta in (0.75, 0.5):
                yield np.abs(normal(*x)) + dtype(1), beta, normal(*x)
        return
    if name in OTHERS:
        yield from OTHERS[name](normal)
        return
    if name in MAPS:
        for x in ((3, 2, 5), (7,), (2, 3, 4, 5), (64, 1), (1, 33), (5, 6, 7), (2, 200), (5, 7, 2011)):
            yield from MAPS[name](normal, x)
        return
    for x, kernel, stride, pad, sizes in POOLS:
        y, index = normal(*x[:2], *sizes), draw.integers(-1, x[2] * x[3], (*x[:2], *sizes)).astype(np.int32)
        window = (kernel, stride, pad)
        if name == "max_pool":
            yield normal(*x).round(1), *window, y, None
        yield {"max_pool": (normal(*x).round(1), *window, y, index),  # rounded, so that there are ties
               "max_pool_grad": (y, index, normal(*x)),
               "ave_pool": (normal(*x), *window, y),
               "ave_pool_grad": (y, *window, normal(*x))}[name]


IN_ARRAY_TESTS = ("add_all", "add_bias", "copy", "global_stats", "maximum", "multiply", "normalize_channels",
                  "put_slice", "scale_channels", "take_slice", "weighted_sum")  # tests/kernels/test_array_kernels.py


def twins():
    """(engine, name) of every twin; the engine in use stays."""
    before = kernels.engine()
    for engine in kernels.available_engines():
        kernels.use_engine(engine)
    kernels.use_engine(before)
    found = [(engine, name) for name, k in sorted(kernels.kernels().items()) for engine in sorted(k.implementations)
             if engine == "numba" and name not in IN_ARRAY_TESTS]
    return found or [pytest.param("numba", "", marks=pytest.mark.skip(
        reason="needs the package 'numba': pip install 'minicaffe[fast]'"))]


@pytest.mark.parametrize(("engine", "name"), twins())
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_twin(engine, name, dtype):
    """A twin writes, bit for bit or to rounding, what its reference writes, and nothing else."""
    made = kernels.kernels()[name]
    count = 0
    for arguments in cases(name, np.random.default_rng(1701), dtype):
        expected, got = ([a.copy() if isinstance(a, np.ndarray) else a for a in arguments] for _ in range(2))
        made.on("numpy")(*expected)
        made.implementations[engine](*got)
        for want, have in zip(expected, got, strict=True):
            if name == "softmax" and isinstance(want, np.ndarray):
                np.testing.assert_allclose(have, want, rtol=1e-6, atol=0)
            elif name in ROUNDED_MAPS and isinstance(want, np.ndarray):
                np.testing.assert_allclose(have, want, rtol=1e-6 if dtype == np.float32 else 0, atol=1e-7)
            elif name.startswith(("correlate", "add_channel", "matmul", "ave_pool")) and isinstance(want, np.ndarray):
                np.testing.assert_allclose(have, want, rtol=0, atol=ROUNDING[dtype] * np.nanmax(np.abs(want)))
            else:
                np.testing.assert_array_equal(want, have)
        count += 1

    assert count >= 7


def test_max_pool_of_nan():
    """NaN is larger than nothing, so a window of NaN gives the lowest float32 and no index, on every engine."""
    for engine in kernels.available_engines()[1:]:
        kernels.use_engine(engine)
        for kernel in ((2, 2), (2, 3)):
            x = np.full((1, 1, *kernel), np.nan, np.float32)
            y, index = np.zeros((1, 1, 1, 1), np.float32), np.zeros((1, 1, 1, 1), np.int32)
            kernels.max_pool(x, kernel, (2, 2), (0, 0), y, index)

            assert np.finfo(np.float32).min == y.item()
            assert index.item() == -1


@pytest.mark.parametrize("name", ["relu", "relu_grad", "prelu",
                                  "softmax", "lrn", "sigmoid", "tanh", "elu", "linear", "exponential", "clip",
                                  "absolute"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_in_place(name, dtype):
    """A twin gives in place what it gives between two arrays."""
    made = kernels.kernels()[name]
    for engine, twin in ((e, f) for e, f in made.implementations.items() if e == "numba"):
        for source, *between, out in cases(name, np.random.default_rng(7), dtype):
            twin(source, *between, out)
            twin(source, *between, source)

            np.testing.assert_array_equal(out, source, err_msg=engine)
