"""Kernels by hand: numbers that can be followed on paper, on every engine, the definitions first of all."""

import itertools

import numpy as np
import pytest

from minicaffe import kernels
from minicaffe.kernels.definitions.im2col import window_pixels


@pytest.fixture(params=kernels.available_engines(), autouse=True)
def _engine(request):
    kernels.use_engine(request.param)


def floats(values):
    """An array of the number type of a net."""
    return np.array(values, np.float32)


@pytest.mark.parametrize(("name", "history", "numbers", "step", "remembered"), [
    # dw = 2 and -4 everywhere
    ("sgd_update", [[1, 0]], (0.5, 0.25), [0.25 + 1, -2], [[1.25, -2]]),
    ("nesterov_update", [[1, 0]], (0.5, 0.25), [1.25 * 1.25 - 0.25, 1.25 * -2], [[1.25, -2]]),
    ("adagrad_update", [[5, 0]], (0.5, 1.0), [0.5 * 2 / (3 + 1), 0.5 * -4 / (4 + 1)], [[9, 16]]),
    ("rmsprop_update", [[14, 16]], (0.5, 0.5, 1.0), [0.5 * 2 / (3 + 1), 0.5 * -4 / (4 + 1)], [[9, 16]]),
    # s = 9 and 16, (t + 0) / s = 1 / 9 and 1 / 4, so u = 2/3 and -2
    ("adadelta_update", [[14, 16], [1, 4]], (0.5, 0.5, 0.0), [1 / 3, -1], [[9, 16], [(1 + 4 / 9) / 2, 4]]),
    ("adam_update", [[6, 0], [14, 16]], (0.5, 0.5, 0.5, 1.0), [0.5 * 4 / (3 + 1), 0.5 * -2 / (4 + 1)],
     [[4, -2], [9, 16]]),
])
def test_updates(name, history, numbers, step, remembered):
    """The step of two weights, and what the solver remembers of them."""
    dw, history = floats([2, -4]), [floats(h) for h in history]
    getattr(kernels, name)(dw, *history, *numbers)

    np.testing.assert_allclose(dw, step, rtol=1e-6)
    np.testing.assert_allclose(history, remembered, rtol=1e-6)


def test_take_step():
    """The gradient gets the decay, the rule turns it into a step, and the weights are reduced by the step."""
    w, dw, v = floats([4, -8]), floats([2, 1]), floats([0, 1])
    kernels.take_step(kernels.sgd_update, (0.5, 0.5), 0.25, w, dw, v)

    np.testing.assert_array_equal(dw, [1.5, 0.5 - 0.5])  # 0.5 · (2 + 0.25 · 4), 0.5 · 1 + 0.5 · (1 − 0.25 · 8)
    np.testing.assert_array_equal(v, dw)
    np.testing.assert_array_equal(w, [2.5, -8])


def test_take_step_without_decay_of_an_infinite_weight():
    """Without decay the gradient of an infinite weight stays a number, because 0 · ∞ is not added."""
    w, dw, v = floats([np.inf]), floats([2]), floats([0])
    kernels.take_step(kernels.sgd_update, (0.5, 0.5), 0.0, w, dw, v)

    assert (dw.item(), w.item()) == (1, np.inf)


def test_decays():
    """L2 adds decay · w, L1 decay · sign(w), nothing where w is 0."""
    w, l2, l1 = floats([-2, 0, 5]), floats([1, 1, 1]), floats([1, 1, 1])
    kernels.add_l2_decay(l2, w, 0.5)
    kernels.add_l1_decay(l1, w, 0.5)

    np.testing.assert_array_equal(l2, [0, 1, 3.5])
    np.testing.assert_array_equal(l1, [0.5, 1, 1.5])


def test_im2col_and_back():
    """Two taps, two apart, slide over three pixels with one of padding; back, each pixel counts its columns."""
    x, columns = floats([[[1, 2, 3]]]), np.full((1, 2, 1, 3), np.nan, np.float32)
    kernels.im2col(x, (1,), (1,), (2,), columns)
    back = floats([[[10, 10, 10]]])
    kernels.col2im(columns, (1,), (1,), (2,), back)

    np.testing.assert_array_equal(columns[0, :, 0], [[0, 1, 2], [2, 3, 0]])
    np.testing.assert_array_equal(back, [[[11, 14, 13]]])


def test_correlate_in_groups():
    """Two groups of one channel: each output sees its own channel alone; a stride of 2 skips every other position."""
    x, w, b = floats([[[1, 2, 3], [10, 20, 30]]]), floats([[[1, 2]], [[3, 4]]]), floats([0.5, 0])
    y, dx, dw = np.empty((1, 2, 2), np.float32), np.empty((1, 2, 3), np.float32), np.ones((2, 1, 2), np.float32)
    geometry = (2,), (1,), (1,), 2
    kernels.correlate(x, w, b, *geometry, y)
    dy = floats([[[1, 0], [0, 1]]])
    kernels.correlate_data_grad(dy, w, *geometry, dx)
    kernels.correlate_weight_grad(x, dy, *geometry, dw)

    np.testing.assert_array_equal(y, [[[2 * 1 + 0.5, 2 + 2 * 3 + 0.5], [4 * 10, 3 * 20 + 4 * 30]]])
    np.testing.assert_array_equal(dx, [[[2, 0, 0], [0, 3, 4]]])
    np.testing.assert_array_equal(dw, [[[1, 1 + 1]], [[1 + 20, 1 + 30]]])


def test_window_sum():
    """Each number with its neighbours; beyond the ends there is nothing to add."""
    out = np.empty((1, 4), np.float32)
    kernels.window_sum(floats([[1, 2, 3, 4]]), 3, 1, out)

    np.testing.assert_array_equal(out, [[3, 6, 9, 7]])


def test_negative_power():
    """16^(−3/4) = 1/8 and 4^(−1/2) = 1/2."""
    out = np.empty(1, np.float32)
    kernels.negative_power(floats([16]), 0.75, out)
    assert out.item() == pytest.approx(1 / 8)
    kernels.negative_power(floats([4]), 0.5, out)
    assert out.item() == pytest.approx(1 / 2)


def test_softmax():
    """e^0, e^ln 2 and e^ln 3 of 1 + 2 + 3, also far from 0; the gradient of its second output."""
    x = np.log(floats([[1, 2, 3]])) + floats([[1000]])
    y, dx = np.empty_like(x), np.empty_like(x)
    kernels.softmax(x, 1, y)
    kernels.softmax_grad(floats([[1 / 6, 2 / 6, 3 / 6]]), floats([[0, 1, 0]]), 1, dx)

    np.testing.assert_allclose(y, [[1 / 6, 2 / 6, 3 / 6]], rtol=1e-4)
    np.testing.assert_allclose(dx, [[-2 / 36, 2 / 6 - 4 / 36, -6 / 36]], rtol=1e-6)


@pytest.mark.parametrize(("u", "pixel"), [(0.0, 0), (0.1, 0), (0.11, 1), (0.3, 1), (0.31, 2), (0.61, 3), (0.99, 3)])
def test_stochastic_pool(u, pixel):
    """Of pixels 1, 2, 3 and 4 the first is drawn with probability 1/10, and so on."""
    x, y, index = floats([[[[1, 2], [3, 4]]]]), np.empty((1, 1, 1, 1), np.float32), np.empty((1, 1, 1, 1), np.int32)
    kernels.stochastic_pool(x, np.full_like(y, u), (2, 2), (2, 2), y, index)

    assert (y.item(), index.item()) == (pixel + 1, pixel)


def test_stochastic_pool_of_negative_pixels():
    """The running sums −1, −2, … stay below u · (−10) nowhere; those of 1 and −3 do, so the last pixel is taken."""
    y, index = np.empty((1, 1, 1, 1), np.float32), np.empty((1, 1, 1, 1), np.int32)
    kernels.stochastic_pool(floats([[[[-1, -2], [-3, -4]]]]), np.full_like(y, 0.5), (2, 2), (2, 2), y, index)
    assert (y.item(), index.item()) == (-1, 0)
    kernels.stochastic_pool(floats([[[[-3, 1]]]]), np.full_like(y, 0.25), (1, 2), (1, 2), y, index)
    assert (y.item(), index.item()) == (1, 1)


def test_expected_pool():
    """(1 + 4 + 9 + 16) / 10 = 3, and each pixel's gradient (2x − 3) / 10; a sum that is not positive gives 0."""
    x, y, dx = floats([[[[1, 2, -5], [3, 4, 5]]]]), np.empty((1, 1, 1, 2), np.float32), np.empty((1, 1, 2, 3))
    dx = dx.astype(np.float32)
    kernels.expected_pool(x, (2, 2), (2, 2), y)
    kernels.expected_pool_grad(x, floats([[[[1, 1]]]]), (2, 2), (2, 2), dx)

    np.testing.assert_array_equal(y, [[[[3, 0]]]])
    np.testing.assert_allclose(dx, [[[[-0.1, 0.1, 0], [0.3, 0.5, 0]]]], rtol=1e-6)


def test_region_max_pool():
    """The region is both rows and the last two columns; its two bins share a column, where 5 is the largest number."""
    x, y, index = floats([[[[9, 1, 2], [9, 5, 3]]]]), floats([[[[0, 0, 0]]]]), np.zeros((1, 1, 1, 3), np.int32)
    rows, columns = np.array([[[0, 2]]], np.int32), np.array([[[1, 2], [1, 3], [3, 3]]], np.int32)  # the last is empty
    image, dx = np.array([0], np.int32), floats([[[[7, 7, 7], [7, 7, 7]]]])
    kernels.region_max_pool(x, image, rows, columns, y, index)
    kernels.region_max_pool_grad(floats([[[[1, 10, 100]]]]), image, index, dx)

    np.testing.assert_array_equal(y, [[[[5, 5, 0]]]])
    np.testing.assert_array_equal(index, [[[[4, 4, -1]]]])
    np.testing.assert_array_equal(dx, [[[[0, 0, 0], [0, 11, 0]]]])


def test_region_vote():
    """Two bins side by side: the first reads channel 0, the second channel 1; each is the mean of its pixels."""
    x, y, dx = floats([[[[1, 3, 9]], [[9, 4, 8]]]]), floats([[[[0, 0]]]]), floats([[[[7, 7, 7]], [[7, 7, 7]]]])
    rows, columns = np.array([[[0, 1]]], np.int32), np.array([[[0, 2], [1, 3]]], np.int32)
    image = np.array([0], np.int32)
    kernels.region_vote(x, image, rows, columns, y)
    kernels.region_vote_grad(floats([[[[4, 10]]]]), image, rows, columns, dx)

    np.testing.assert_array_equal(y, [[[[2, 6]]]])
    np.testing.assert_array_equal(dx, [[[[2, 2, 0]], [[0, 5, 5]]]])


def test_region_samples():
    """Halfway between 2 and 4 the value is 3; at the outer edge of the last pixel it is 8; beyond there is nothing."""
    x, y, dx = floats([[[[2, 4, 8]]]]), floats([[[[7, 7, 7]]]]), floats([[[[7, 7, 7]]]])
    image, h, w = np.array([0], np.int32), floats([[0]]), floats([[0.5, 2.5, 2.75]])
    kernels.region_samples(x, image, h, w, y)
    kernels.region_samples_grad(floats([[[[2, 10, 100]]]]), image, h, w, dx)

    np.testing.assert_array_equal(y, [[[[3, 8, 0]]]])
    np.testing.assert_array_equal(dx, [[[[1, 1, 10]]]])


def test_scatter_add():
    """A row that is named twice gets both of its values."""
    out = floats([[1, 1], [1, 1], [1, 1]])
    kernels.scatter_add(floats([[1, 2], [3, 4], [5, 6]]), np.array([2, 0, 2]), out)

    np.testing.assert_array_equal(out, [[4, 5], [1, 1], [7, 9]])


def test_row_sum_of_many():
    """The last of many small numbers counts as much as the first: 2²⁴ + 1 + 1 + … in float32 would not move."""
    x, out = np.ones((2, 1 << 12), np.float32), np.empty(2, np.float32)
    x[0, 0] = 1 << 24
    kernels.row_sum(x, out)

    np.testing.assert_array_equal(out, [(1 << 24) + (1 << 12), 1 << 12])


def test_window_pixels():
    """The triples (i, o, q) are exactly those with q = o·stride + i·dilation − pad, and q in the image."""
    kernel, dilation, positions, size = 3, 2, 4, 5
    for stride, pad in itertools.product((1, 2, 3, 7), range(-9, 10)):
        found = window_pixels((kernel,), (stride,), (pad,), (dilation,), (positions,), (size,))
        listed = [(i, o, q) for (i,), at, pixels in found
                  for o, q in zip(np.arange(positions)[at], np.arange(size)[pixels], strict=True)]

        assert listed == [(i, o, q) for i, o, q in itertools.product(range(kernel), range(positions), range(size))
                          if q == o * stride + i * dilation - pad]


def test_crop_and_scale():
    """A crop of each image, the second one mirrored, with a mean for each channel and with one for each pixel."""
    x = np.arange(24, dtype=np.uint8).reshape(2, 1, 3, 4)
    out, mean = np.zeros((2, 1, 2, 3), np.float32), floats(range(12)).reshape(1, 3, 4)
    corners, mirrored = ([0, 1], [1, 0]), [0, 1]
    kernels.crop_and_scale(list(x), *np.array(corners), np.array(mirrored), floats([[[4]]]), 0.5, out)
    np.testing.assert_array_equal(out, [[[[-1.5, -1, -0.5], [0.5, 1, 1.5]]], [[[7, 6.5, 6], [9, 8.5, 8]]]])

    kernels.crop_and_scale(x, *np.array(corners), np.array(mirrored), mean, 2.0, out)
    np.testing.assert_array_equal(out, [np.zeros((1, 2, 3)), np.full((1, 2, 3), 24)])


def test_interpolate_and_back():
    """Two pixels become three places: the middle one is their mean, and its gradient is shared by them."""
    x, y = floats([[[[9, 2, 6]]]]), np.full((1, 1, 1, 3), np.nan, np.float32)
    kernels.interpolate(x, (0, 1), (1, 2), y)
    dx = np.full_like(x, np.nan)
    kernels.interpolate_grad(floats([[[[10, 4, 1]]]]), (0, 1), (1, 2), dx)

    np.testing.assert_array_equal(y, [[[[2, 4, 6]]]])
    np.testing.assert_array_equal(dx, [[[[0, 12, 3]]]])


def test_repeat_pixels():
    """Each pixel is three wide and two high."""
    y = np.full((1, 1, 2, 6), np.nan, np.float32)
    kernels.repeat_pixels(floats([[[[5, 7]]]]), (2, 3), y)

    np.testing.assert_array_equal(y[0, 0], [[5, 5, 5, 7, 7, 7]] * 2)


def test_nms():
    """Box 1 shares 12 of 20 with box 0, which is better; box 2 shares 4 of 20 with each of them, and box 3 nothing."""
    boxes = floats([[1, 1, 5, 5], [2, 1, 6, 5], [1, 4, 5, 6], [7, 7, 9, 9]])
    for threshold, kept in ((0.65, [1, 1, 1, 1]), (0.5, [1, 0, 1, 1]), (0.15, [1, 0, 0, 1])):
        keep = np.full(4, 7, np.uint8)
        kernels.nms(boxes, threshold, 1.0, 0.0, keep)

        assert keep.tolist() == kept


def test_nms_of_pixels():
    """Boxes of pixels 0 to 3 and 2 to 5 are 4 wide each and share 2, so they overlap by 2 / 6; as lengths by 1 / 5."""
    boxes, keep = floats([[0, 0, 3, 0], [2, 0, 5, 0]]), np.zeros(2, np.uint8)
    for threshold, second in ((0.3, 0), (0.34, 1)):
        kernels.nms(boxes, threshold, 1.0, 1.0, keep)

        assert keep.tolist() == [1, second]


def test_nms_with_a_falling_threshold():
    """With eta 0.5 the threshold 0.8 becomes 0.4 after the first box, and then stays: it is not above 0.5."""
    boxes, keep = floats([[1, 1, 5, 5], [2, 1, 6, 5], [9, 9, 10, 10], [10, 9, 11, 10]]), np.zeros(4, np.uint8)
    kernels.nms(boxes, 0.8, 0.5, 0.0, keep)
    assert keep.tolist() == [1, 0, 1, 1]
    kernels.nms(boxes, 0.8, 0.9, 0.0, keep)

    assert keep.tolist() == [1, 1, 1, 1]


def test_nms_keeps_boxes_without_an_area():
    """Points, boxes that are turned inside out, and corners that are no numbers overlap nothing."""
    boxes = floats([[0, 0, 4, 4], [1, 1, 1, 1], [3, 3, 1, 1], [np.nan, 0, 4, 4], [0, 0, 4, 4]])
    keep = np.zeros(5, np.uint8)
    kernels.nms(boxes, 0.0, 1.0, 0.0, keep)

    assert keep.tolist() == [1, 1, 1, 1, 0]


def test_vector_length_and_divide_vectors():
    """The vectors (3, 4) and (0, 2), with a scale for each channel, one for all, and none."""
    x, r, out = floats([[[3, 0], [4, 2]]]), floats([[0, 0]]), floats(np.zeros((1, 2, 2)))
    kernels.vector_length(x, 0.0, r)
    np.testing.assert_array_equal(r, [[5, 2]])
    kernels.vector_length(x, 11.0, r)
    np.testing.assert_allclose(r, [[6, np.sqrt(15)]], rtol=1e-6)

    for w, want in ((floats([10, 20]), [[[6, 0], [16, 20]]]), (floats([10]), [[[6, 0], [8, 10]]]),
                    (None, [[[0.6, 0], [0.8, 1]]])):
        kernels.divide_vectors(x, floats([[5, 2]]), w, out)
        np.testing.assert_allclose(out, want, rtol=1e-6)
    kernels.divide_vectors(x, floats([[2]]), None, out)
    np.testing.assert_array_equal(out, x / 2)


def test_transpose():
    """Axis k of the result is axis order[k] of x."""
    out = floats(np.zeros((3, 1, 2)))
    kernels.transpose(floats([[[1, 2, 3], [4, 5, 6]]]), (2, 0, 1), out)

    np.testing.assert_array_equal(out, [[[1, 4]], [[2, 5]], [[3, 6]]])
