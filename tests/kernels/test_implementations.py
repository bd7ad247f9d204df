"""Each engine writes what the definition writes, on shapes that fill no register, block or piece evenly.

Kernels that copy and combine arrays, or treat their channels, have their cases in test_array_kernels.py.
"""

import numpy as np
import pytest

from minicaffe import kernels
from minicaffe.kernels import registry

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
    ((2, 3, 7, 10), (1, 1), (3, 2), (0, 0), (3, 5)),  # no window reads every second pixel
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
SLID = [  # x, w, pad, group: more images than the 16 of a register and fewer, filters that do not fill their four
    ((9, 3, 7, 6), (5, 3, 3, 3), (1, 1), 1),
    ((17, 4, 11, 9), (6, 2, 5, 5), (2, 2), 2),
    ((16, 2, 8, 7), (50, 2, 5, 5), (0, 0), 1),
    ((23, 6, 10, 12), (9, 2, 2, 3), (1, 0), 3),
    ((8, 64, 9, 10), (70, 64, 3, 5), (0, 4), 1),
    ((33, 5, 6, 13), (70, 5, 4, 3), (3, 2), 1),
    ((7, 3, 6, 5), (4, 3, 3, 3), (1, 1), 1),
    ((2, 97, 9, 30), (96, 97, 3, 3), (1, 2), 1),
    ((5, 128, 14, 13), (192, 64, 3, 3), (1, 2), 2),  # by Winograd's minimal filtering
    ((3, 7, 5, 11), (6, 7, 1, 1), (0, 0), 1),
]
DEPTHWISE = [  # x, w, stride, pad, dilation, group: one channel a filter, and one filter a channel, or more
    ((2, 5, 9, 37), (5, 1, 3, 3), (1, 1), (1, 1), (1, 1), 5),
    ((1, 7, 6, 4), (7, 1, 3, 3), (1, 1), (0, 2), (1, 1), 7),
    ((3, 4, 11, 38), (8, 1, 3, 3), (2, 2), (1, 1), (1, 1), 4),
    ((1, 6, 10, 35), (6, 1, 3, 3), (1, 2), (2, 0), (1, 1), 6),
    ((2, 3, 13, 8), (9, 1, 3, 3), (1, 1), (2, 2), (2, 2), 3),
    ((17, 4, 7, 9), (4, 1, 5, 3), (1, 1), (2, 1), (1, 1), 4),
    ((2, 5, 12, 19), (5, 1, 2, 4), (2, 3), (0, 1), (3, 1), 5),
    ((1, 66, 23, 57), (66, 1, 3, 3), (1, 1), (1, 1), (1, 1), 66),  # several pieces
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


def softmax_grads(normal):
    """Along the same axes."""
    for y, axis, out in softmaxes(normal):
        yield y, normal(*y.shape), axis, out


LENGTHS = ((2, 7, 15), (1, 3, 1), (3, 1000, 1), (2, 5, 700), (1, 512, 1444), (0, 3, 2))  # the shapes of x


def vector_lengths(normal):
    """Of vectors across an image, and of one vector for each image."""
    for N, C, P in LENGTHS:
        yield normal(N, C, P), 0.1, normal(N, P)


def divided_vectors(normal):
    """A length for each vector and one for an image; a scale for each channel, one for all, and none."""
    for N, C, P in LENGTHS:
        for w in (normal(C), normal(1), np.asarray(normal()), None):
            yield normal(N, C, P), 1 + np.abs(normal(N, P)), w, normal(N, C, P)
            yield normal(N, C, P), 1 + np.abs(normal(N, 1)), w, normal(N, C, P)


def boxes_to_keep(normal):
    """Few boxes and many, apart and close together, some of them points or inside out; with and without an eta."""
    for M, spread in ((0, 1), (1, 1), (7, 0.3), (60, 0.5), (300, 2)):
        for threshold, eta, pixel in ((0.45, 1.0, 0.0), (0.9, 0.8, 0.0), (0.3, 1.0, 1.0), (0.0, 1.0, 0.0)):
            low = spread * normal(M, 2)
            boxes = np.concatenate([low, low + 1 + 0.5 * normal(M, 2)], axis=1)
            boxes[2:3, 2:] = boxes[2:3, :2]
            boxes[3:4] = np.nan
            boxes[4:5] = -1e30, -1e30, 1e30, 1e30  # their area is infinite
            yield boxes, threshold, eta, pixel, np.full(M, 7, np.uint8)


def window_sums(normal):
    """Along each axis; windows of one place, and one that is wider than the array."""
    for x, size, axis in (((2, 7, 5, 9), 5, 1), ((3, 2, 20), 5, 1), ((2, 6, 4, 17), 3, 2), ((5, 3), 7, 0),
                          ((1, 9, 40), 1, 1), ((4, 3, 5), 3, 2), ((2, 11, 33), 9, 1)):
        yield normal(*x), size, axis, normal(*x)


def negative_powers(normal):
    """The power that engines compute by two roots, and another."""
    for x in ((2, 7), (5,), (3, 2, 4), (33,)):
        for beta in (0.75, 0.5):
            yield np.abs(normal(*x)) + 1, beta, normal(*x)


def steps(normal):
    """Every rule, with decay and without, in several stretches."""
    for update, histories, numbers in RULES:
        for shape, decay in (((3, 2, 5), 0.3), ((7,), 0.0), ((300, 1011), 0.01)):
            yield (kernels.kernels()[update], numbers, decay, normal(*shape), normal(*shape),
                   *(np.abs(normal(*shape)) for _ in range(histories)))


def updates(histories, numbers):
    """The cases of one rule."""
    def made(normal):
        for shape in ((3, 2, 5), (7,), (300, 1011)):
            yield normal(*shape), *(np.abs(normal(*shape)) for _ in range(histories)), *numbers
    return made


def lstm_units(normal):
    """Streams that go on, and streams that begin anew."""
    for N, D in ((3, 5), (7, 16), (64, 33)):
        cont = (normal(N) > 0).astype(normal(1).dtype)
        yield normal(N, D), normal(N, 4 * D), cont, normal(N, 4 * D), normal(N, D), normal(N, D)


def lstm_unit_grads(normal):
    """Of the same sizes."""
    for c, gates, *_ in lstm_units(normal):
        yield c, gates, normal(*c.shape), normal(*c.shape), normal(*c.shape), normal(*c.shape), normal(*gates.shape)


# T, N, D of the kernels that go through time: blocks that are not full, a single stream, several pieces
TIMES = ((5, 3, 7), (1, 9, 33), (4, 1, 70), (3, 6, 32), (2, 37, 150), (2, 1, 301))


LOOPS = ("lstm", "lstm_grad", "rnn", "rnn_grad")


def recurrent(name):
    """The cases of a loop over time. Some streams begin anew between, and states are neither 0 nor far from it."""
    def made(normal):
        for T, N, D in TIMES:
            wide = 4 * D if name.startswith("lstm") else D
            z, w_h, fed_back, h, dy = (normal(T, N, wide), normal(wide, D) / np.sqrt(D), normal(T, N, D),
                                       normal(T, N, D), normal(T, N, D))
            w_h, cont = w_h.astype(z.dtype), (normal(T, N) > -1).astype(z.dtype)
            c, gates = normal(T + 1, N, D), np.abs(np.tanh(normal(T, N, 4 * D)))
            h_0, c_0 = normal(N, D), normal(N, D)
            yield {"lstm": (z, w_h, cont, h_0, c_0, normal(T, N, 4 * D), c, fed_back, h),
                   "lstm_grad": (dy, gates, c, w_h, cont, T % 2 * 0.1, normal(T, N, 4 * D)),
                   "rnn": (z, w_h, cont, h_0, fed_back, h),
                   "rnn_grad": (dy, np.tanh(h), w_h, cont, normal(T, N, D))}[name]
    return made


def regions_of(name):
    """The cases of a kernel that pools over regions: one region and many, more than one image, bins without a pixel."""
    def made(normal):
        draw = np.random.default_rng(11)
        for (N, D, H, W), R, (oh, ow) in (((1, 3, 5, 7), 1, (2, 1)), ((2, 4, 6, 9), 13, (3, 2)),
                                          ((3, 7, 33, 41), 60, (2, 5))):
            image = draw.integers(N, size=R).astype(np.int32)
            # places up to the edge; about half of the bins end before they begin
            rows, columns = (draw.integers(size + 1, size=(R, count, 2)).astype(np.int32)
                             for size, count in ((H, oh), (W, ow)))
            y, index = normal(R, D, oh, ow), draw.integers(-1, H * W, (R, D, oh, ow)).astype(np.int32)
            x, maps = normal(N, D, H, W).round(1), normal(N, D * oh * ow, H, W)
            h, w = ((draw.uniform(-1, size, (R, count))).astype(x.dtype) for size, count in ((H, oh), (W, ow)))
            if name == "region_max_pool":
                yield x, image, rows, columns, y.copy(), None
            yield {"region_max_pool": (x, image, rows, columns, y, index), "region_max_pool_grad": (y, image, index, x),
                   "region_vote": (maps, image, rows, columns, y), "region_vote_grad": (y, image, rows, columns, maps),
                   "region_samples": (x, image, h, w, y), "region_samples_grad": (y, image, h, w, x)}[name]
    return made


REGIONS = ("region_max_pool", "region_max_pool_grad", "region_vote", "region_vote_grad",
           "region_samples", "region_samples_grad")

RESIZED = [  # x, the rectangle's start and size, sizes of the other image: larger, smaller, one pixel, several pieces
    ((2, 3, 7, 5), (0, 0), (7, 5), (13, 17)), ((2, 3, 9, 20), (1, 2), (6, 15), (4, 3)),
    ((1, 2, 5, 4), (0, 0), (5, 4), (1, 9)), ((3, 1, 6, 8), (2, 3), (1, 1), (5, 7)),
    ((2, 40, 33, 21), (0, 0), (33, 21), (65, 41))]


def interpolations(normal):
    """Whole images, and parts of them."""
    for x, start, size, sizes in RESIZED:
        yield normal(*x), start, size, normal(*x[:2], *sizes)


def interpolation_grads(normal):
    """The same, the other way round."""
    for x, start, size, dy in interpolations(normal):
        yield dy, start, size, normal(*x.shape)


def repeats(normal):
    """Both directions by one number, and by two."""
    for x, scale in (((2, 3, 7, 5), (2, 2)), ((1, 4, 3, 2), (1, 3)), ((3, 2, 5, 9), (4, 1)), ((2, 60, 21, 33), (2, 3))):
        yield normal(*x), scale, normal(*x[:2], x[2] * scale[0], x[3] * scale[1])


OTHERS = {"interpolate": interpolations, "interpolate_grad": interpolation_grads, "repeat_pixels": repeats,
          "prelu": prelus, **{name: regions_of(name) for name in REGIONS},
          "crop": crops, "softmax": softmaxes, "softmax_grad": softmax_grads, "matmul": products,
          "add_channel_sums": channel_sums, "lrn": lrns, "lrn_grad": lrn_grads, "window_sum": window_sums,
          "negative_power": negative_powers, "take_step": steps, "lstm_unit": lstm_units,
          "lstm_unit_grad": lstm_unit_grads, "vector_length": vector_lengths, "divide_vectors": divided_vectors,
          "nms": boxes_to_keep, **{name: recurrent(name) for name in LOOPS},
          **{name: updates(histories, numbers) for name, histories, numbers in RULES}}


def columns_shape(x, kernel, positions):
    """The shape of the columns of x."""
    return x[1], *kernel, x[0], *positions


def cases(name, draw, dtype):
    """Lists of arguments for a kernel; what it may write is filled with numbers that must not matter."""
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
                                                   *SPREAD, *DEPTHWISE]:
            y = x[0], w[0], *((s + 2 * p - d * (k - 1) - 1) // t + 1 for s, p, d, k, t in
                              zip(x[2:], pad, dilation, w[2:], stride, strict=True))
            geometry = (stride, pad, dilation, group)
            yield {"correlate": (normal(*x), normal(*w), normal(w[0]), *geometry, normal(*y)),
                   "correlate_data_grad": (normal(*y), normal(*w), *geometry, normal(*x)),
                   "correlate_weight_grad": (normal(*x), normal(*y), *geometry, normal(*w))}[name]
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
        window, pixels = (kernel, stride, pad), np.abs(normal(*x)) - dtype(0.1)
        if name == "max_pool":
            yield normal(*x).round(1), *window, y, None
        if pad != (0, 0) and name in ("stochastic_pool", "expected_pool", "expected_pool_grad"):
            continue
        yield {"max_pool": (normal(*x).round(1), *window, y, index),  # rounded, so that there are ties
               "max_pool_grad": (y, index, normal(*x)),
               "ave_pool": (normal(*x), *window, y),
               "ave_pool_grad": (y, *window, normal(*x)),
               "stochastic_pool": (pixels, draw.random(y.shape).astype(dtype), kernel, stride, y, index),
               "expected_pool": (pixels, kernel, stride, y),
               "expected_pool_grad": (pixels, y, kernel, stride, normal(*x))}[name]


ELSEWHERE = {  # kernels whose cases stand in test_array_kernels.py
    "add_all", "add_bias", "copy", "crop_and_scale", "divide_by_std", "global_stats", "maximum", "multiply",
    "normalize_channels", "put_slice", "scale_around", "scale_channels", "take_slice", "tanh_grad", "transpose",
    "weighted_sum"}
ENGINES = kernels.available_engines()
BITS = {"relu", "relu_grad", "prelu", "crop", "linear", "clip", "absolute", "tanh", "im2col", "col2im", "max_pool",
        "max_pool_grad", "nms", "divide_vectors", "repeat_pixels", "stochastic_pool", "expected_pool",
        "expected_pool_grad", "take_step",
        "region_max_pool", "region_max_pool_grad", "region_vote_grad", "region_samples",
        *(name for name, _, _ in RULES)}  # every engine gives the definition's bits
ROUNDED = {np.float32: 1e-6, np.float64: 1e-14}  # others add or divide in another order; of the largest number
THROUGH_TIME = {np.float32: 4e-6, np.float64: 4e-14}  # loops over time, in which the rounding of each step goes on
WINOGRAD = {np.float32: 2e-5, np.float64: 1e-13}  # and the correlations, some by Winograd's minimal filtering


def implemented():
    """(engine, kernel) for all that an engine implements."""
    for engine in ENGINES:
        registry.fault(engine)  # imports it
    return [(engine, name) for engine in ENGINES[1:] for name, made in sorted(kernels.kernels().items())
            if engine in made.implementations and name not in ELSEWHERE]


def copied(arguments):
    """Copies of the arguments."""
    return [a.copy() if isinstance(a, np.ndarray) else a for a in arguments]


def run(function, arguments):
    """What the arrays hold after a call. The call must not warn of 0 / 0, though some windows have no pixel."""
    with np.errstate(all="ignore"):
        function(*arguments)
    return [a for a in arguments if isinstance(a, np.ndarray)]


@pytest.mark.parametrize(("engine", "name"), implemented())
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_an_engine_writes_what_the_definition_writes(engine, name, dtype):
    """Every array holds the definition's numbers after a call: those that were written, and those that were not."""
    made, count = kernels.kernels()[name], 0
    kernels.use_engine(engine)
    for arguments in cases(name, np.random.default_rng(1701), dtype):
        plain = [a.definition if isinstance(a, kernels.Kernel) else a for a in copied(arguments)]
        expected = run(made.definition, plain)
        got = run(made.implementations[engine], copied(arguments))
        for want, have in zip(expected, got, strict=True):
            if name in BITS and not (engine == "numba" and name == "tanh"):
                np.testing.assert_array_equal(have, want)
            else:
                largest = np.nanmax(np.abs(want), initial=0)
                error = WINOGRAD if "correlate" in name else THROUGH_TIME if name in LOOPS else ROUNDED
                np.testing.assert_allclose(have, want, rtol=0, atol=error[dtype] * largest)
        count += 1

    assert count >= 3


def test_no_kernel_is_left_out():
    """Each kernel that an engine implements has cases, here or in test_array_kernels.py."""
    assert all(list(cases(name, np.random.default_rng(0), np.float32)) for _, name in implemented())


ROUNDED_BY_NUMBA = {  # kernels to which numba does not give numpy's bits -> relative and absolute error
    "softmax": (1e-6, 0), **dict.fromkeys(("sigmoid", "tanh", "elu", "exponential"), (1e-6, 1e-7)),
    **dict.fromkeys(("add_channel_sums", "vector_length", "matmul", "ave_pool", "ave_pool_grad", "interpolate",
                     "interpolate_grad", "region_vote", "region_samples_grad"), (0, 1e-6)),
    **dict.fromkeys(LOOPS, (0, 4e-6)),
    **dict.fromkeys(("correlate", "correlate_data_grad", "correlate_weight_grad"), (0, 2e-5))}


@pytest.mark.parametrize("name", [name for engine, name in implemented() if engine == "numba"] or [
    pytest.param("", marks=pytest.mark.skip(reason="needs the package 'numba': pip install 'minicaffe[fast]'"))])
def test_numba_gives_numpys_bits(name):
    """Where it adds in the same order, numba gives the bits of the numpy engine, so that both train to the same net."""
    made, (relative, absolute) = kernels.kernels()[name], ROUNDED_BY_NUMBA.get(name, (0, 0))
    for arguments in cases(name, np.random.default_rng(1701), np.float32):
        expected, got = run(made.on("numpy"), copied(arguments)), run(made.on("numba"), copied(arguments))
        for want, have in zip(expected, got, strict=True):
            largest = 1 if relative else np.nanmax(np.abs(want), initial=0)
            np.testing.assert_allclose(have, want, rtol=relative, atol=absolute * largest)


@pytest.mark.parametrize("name", ["ave_pool", "im2col", "take_step", "tanh"])
def test_threads_do_not_change_what_numpy_writes(name):
    """An engine that shares out its work writes the same bits on one thread and on several."""
    made, written = kernels.kernels()[name], []
    kernels.use_engine("numpy")
    for threads in (1, 3):
        kernels.set_threads(threads)
        written.append([run(made, a) for a in cases(name, np.random.default_rng(5), np.float32)])

    for one, several in zip(*written, strict=True):
        for want, have in zip(one, several, strict=True):
            np.testing.assert_array_equal(have, want)


@pytest.mark.parametrize("name", LOOPS)
def test_threads_do_not_change_what_goes_through_time(name):
    """The steps of a loop are shared out among threads, and give the same bits on one, two and three."""
    made, written = kernels.kernels()[name], []
    kernels.use_engine("auto")
    for threads in (1, 2, 3):
        kernels.set_threads(threads)
        written.append([run(made, a) for a in cases(name, np.random.default_rng(5), np.float32)])

    for several in written[1:]:
        for one, other in zip(written[0], several, strict=True):
            for want, have in zip(one, other, strict=True):
                np.testing.assert_array_equal(have, want)


@pytest.mark.parametrize("engine", ENGINES)
def test_max_pool_of_nan(engine):
    """No comparison with NaN holds, so a window of NaN gives the lowest float32 and no index, on every engine."""
    kernels.use_engine(engine)
    for kernel in ((2, 2), (2, 3)):
        x = np.full((1, 1, *kernel), np.nan, np.float32)
        y, index = np.zeros((1, 1, 1, 1), np.float32), np.zeros((1, 1, 1, 1), np.int32)
        kernels.max_pool(x, kernel, (2, 2), (0, 0), y, index)

        assert np.finfo(np.float32).min == y.item()
        assert index.item() == -1


IN_PLACE = {  # kernel -> (where `out` stands among the arguments, which argument it may be)
    **{name: [(-1, 0)] for name in ("relu", "relu_grad", "prelu", "softmax", "lrn", "sigmoid", "tanh", "elu", "linear",
                                    "exponential", "clip", "absolute")},
    "divide_vectors": [(-1, 0)], "softmax_grad": [(-1, 1)], "lrn_grad": [(-1, 2)],
    "lstm": [(5, 0)], "rnn": [(5, 0)], "rnn_grad": [(4, 0)], "lstm_unit": [(3, 1), (4, 0)], "lstm_unit_grad": [(5, 3)]}


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("name", IN_PLACE)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_in_place(engine, name, dtype):
    """Where its docstring allows it, a kernel gives in place what it gives between two arrays."""
    kernels.use_engine(engine)
    made = kernels.kernels()[name]
    for arguments in cases(name, np.random.default_rng(7), dtype):
        apart, inside = copied(arguments), copied(arguments)
        for out, given in IN_PLACE[name]:
            inside[out] = inside[given]
        made(*apart)
        made(*inside)
        written = {out % len(apart) for out, _ in IN_PLACE[name]} | {len(apart) - 1}

        for i in written:
            np.testing.assert_array_equal(inside[i], apart[i], err_msg=str(i))


@pytest.mark.skipif("numba" not in kernels.available_engines(), reason="needs the package 'numba'")
def test_the_steps_of_lrn_run_on_the_engine_in_use(monkeypatch):
    """Where the numba engine leaves LRN to the numpy engine, the two steps that are kernels run on numba again."""
    kernels.use_engine("numba")
    x, s, y = (np.ones((2, 5, 6, 16), np.float32) for _ in range(3))
    ran = []
    for step in (kernels.window_sum, kernels.negative_power):
        compiled = step.implementations["numba"]
        monkeypatch.setattr(step, "active", lambda *args, step=step, run=compiled: ran.append(step.name) or run(*args))
    kernels.lrn(x, (2, 3), 3, 0.5, 1.0, 0.75, s, y)
    kernels.lrn_grad(x, s, x, (2, 3), 3, 0.5, 0.75, y)

    assert ran == ["window_sum"] * 2 + ["negative_power"] * 2 + ["window_sum"] * 2
