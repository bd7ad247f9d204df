"""Images are scaled as Caffe's Python did: without smoothing, and with the image's minimum beyond the border."""

import numpy as np
import pytest

from minicaffe.pycaffe.errors import ImageError
from minicaffe.pycaffe.io import resize, resize_image


def linear(x, h, w):
    """The definition: each output pixel's centre in x, between four pixels; those outside have the minimum."""
    H, W, K = x.shape
    out = np.empty((h, w, K))
    low = x.min()
    for i, j in np.ndindex(h, w):
        y, z = (i + 0.5) * H / h - 0.5, (j + 0.5) * W / w - 0.5
        total = np.zeros(K)
        for a in (int(np.floor(y)), int(np.floor(y)) + 1):
            for b in (int(np.floor(z)), int(np.floor(z)) + 1):
                pixel = x[a, b] if 0 <= a < H and 0 <= b < W else np.full(K, low)
                total += pixel * (1 - abs(y - a)) * (1 - abs(z - b))
        out[i, j] = total
    return out


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("size", [(4, 6), (13, 19), (5, 17), (1, 2)], ids=str)
def test_linear_with_one_or_three_channels(size, channels):
    """Smaller, larger, and one of each: the definition, written with loops. Values lie on both sides of [0, 1]."""
    x = (5 * np.random.default_rng(0).standard_normal((7, 11, channels))).astype(np.float32)
    got = resize_image(x, size)

    assert np.float32 == got.dtype
    np.testing.assert_allclose(linear(x, *size), got, rtol=0, atol=5e-6)


def test_the_border_fades():
    """A row 0 8 4 of twice the width begins with 0 and ends with 3: a quarter of the last pixel lies outside."""
    x = np.array([0.0, 8, 4]).reshape(1, 3, 1)

    np.testing.assert_allclose([0, 2, 6, 7, 5, 3], resize_image(x, (1, 6)).ravel())


def test_nothing_is_smoothed():
    """Of every third pixel, an image that is made three times smaller keeps the value: the others count nothing."""
    x = np.random.default_rng(1).random((6, 9, 3))

    np.testing.assert_allclose(x[1::3, 1::3], resize_image(x, (2, 3)), rtol=1e-6)


def test_the_nearest_pixel():
    """Order 0 takes the pixel in which the centre lies, the later one on an edge."""
    x = np.arange(4.0).reshape(1, 4, 1)

    np.testing.assert_array_equal([1, 3], resize_image(x, (1, 2), interp_order=0).ravel())
    np.testing.assert_array_equal([0, 1, 1, 2, 3, 3], resize_image(x, (1, 6), interp_order=0).ravel())


def cubic(values, places):
    """The values of a cubic spline through `values` at places, by its linear equations; far outside it is 0."""
    n, pad = len(values), 40
    matrix = np.diag(np.full(n + 2 * pad, 4 / 6)) + np.diag(np.full(n + 2 * pad - 1, 1 / 6), 1) \
        + np.diag(np.full(n + 2 * pad - 1, 1 / 6), -1)
    c = np.linalg.solve(matrix, np.pad(values, pad))

    def bump(t):
        t = abs(t)
        return 2 / 3 - t**2 + t**3 / 2 if t < 1 else max(2 - t, 0)**3 / 6

    return np.array([sum(c[i] * bump(place + pad - i) for i in range(len(c))) for place in places])


def test_a_cubic_spline():
    """Order 3 goes through the pixels with a spline, which is cut off where it swings beyond their values."""
    x = np.array([0, 7.0, 1, 3, 9])
    expected = cubic(x, (np.arange(8) + 0.5) * 5 / 8 - 0.5)
    got = resize_image(x.reshape(1, 5, 1), (1, 8), interp_order=3).ravel()

    assert expected.min() < 0  # so that something is cut off
    np.testing.assert_allclose(np.clip(expected, 0, 9), got, atol=2e-5)


@pytest.mark.parametrize("order", [0, 1, 3])
def test_the_same_size_changes_nothing(order):
    """An image that has the size already stays as it is, up to rounding."""
    x = np.random.default_rng(2).random((5, 8, 3)).astype(np.float32)

    np.testing.assert_allclose(x, resize_image(x, (5, 8), order), atol=1e-6)


@pytest.mark.parametrize("order", [0, 1, 3])
def test_other_channels_keep_their_corners(order):
    """With two channels the corners stay the corners, and nothing fades: an enlarged constant row stays constant."""
    x = np.random.default_rng(3).standard_normal((5, 7, 2))
    got = resize_image(x, (9, 4), order)

    np.testing.assert_allclose(x[::4, ::6], got[::8, ::3], atol=1e-6)
    np.testing.assert_allclose(np.full((3, 6, 4), 2.5), resize_image(np.full((2, 5, 4), 2.5), (3, 6), order), atol=1e-6)


def test_other_channels_linear():
    """Between the corners it is linear: five pixels of 0 to 8 make nine of 0 to 8, and two rows a mean row."""
    x = np.stack([np.arange(0, 10, 2.0), np.arange(0, 10, 2.0) + 1]).reshape(2, 5, 1).repeat(2, axis=2)
    got = resize_image(x, (3, 9))

    np.testing.assert_allclose(np.arange(9) + np.array([[0], [0.5], [1]]), got[:, :, 0], rtol=1e-6)


def test_the_last_pixel_at_sizes_that_round():
    """30 pixels made 8: 29 / 7 · 7 is more than 29 in floats, and the last pixel is still the last."""
    x = np.ones((3, 30, 2), np.float32)

    np.testing.assert_array_equal(np.ones((2, 8, 2)), resize_image(x, (2, 8)))


def test_whole_numbers():
    """With one or three channels they become floats; with others they stay whole numbers, as in Caffe."""
    x = np.array([[0, 3]], np.uint8)

    np.testing.assert_allclose([0, 1.5, 2.5], resize_image(x.reshape(1, 2, 1), (1, 3)).ravel())
    np.testing.assert_array_equal([0, 2, 3], resize_image(x.reshape(1, 2, 1).repeat(2, 2), (1, 3))[0, :, 0])


@pytest.mark.parametrize("value", [0.25, -7])
def test_a_constant_image(value):
    """It stays constant: no border fades."""
    got = resize_image(np.full((4, 5, 3), value), (7, 2))

    assert np.float32 == got.dtype
    np.testing.assert_array_equal(np.full((7, 2, 3), value), got)


def test_errors_of_resize_image():
    """A missing axis, no pixels, a size of 0 and another order are named, and are ValueErrors for a script."""
    x = np.ones((3, 4, 1))
    with pytest.raises(ImageError, match=r"\(height, width, channels\), got \(3, 4\).*\n.*newaxis"):
        resize_image(x[:, :, 0], (2, 2))
    with pytest.raises(ImageError, match=r"got \(0, 4, 1\)"):
        resize_image(x[:0], (2, 2))
    with pytest.raises(ValueError, match=r"at least 1, got \(0, 2\)"):
        resize_image(x, (0, 2))
    with pytest.raises(ImageError, match="order 2"):
        resize_image(x, (2, 2), 2)


@pytest.mark.parametrize(("mode", "left"), [("edge", 4), ("symmetric", 4), ("reflect", 5), ("constant", 3)])
def test_what_lies_beyond_the_border(mode, left):
    """A row 4 8 of twice the width: its first pixel is three quarters 4 and one quarter what lies to the left."""
    got = resize(np.array([[4.0, 8.0]]), (1, 4), mode=mode, clip=False)

    np.testing.assert_allclose([left, 5, 7], got[0, :3])


def test_io_resize():
    """It takes an image without channels, scales bytes to [0, 1] or leaves them, and has a value for the outside."""
    x = np.array([[0, 255]], np.uint8)

    np.testing.assert_allclose([[0, 0.25, 0.75, 0.75]], resize(x, (1, 4)))
    np.testing.assert_allclose([[0, 63.75, 191.25, 191.25]], resize(x, (1, 4), preserve_range=True))
    np.testing.assert_allclose([[0.25, 0.25, 0.75, 1]], resize(x, (1, 4), cval=1))
    assert (2, 3, 4) == resize(np.ones((5, 6, 4)), (2, 3, 4)).shape


def test_errors_of_io_resize():
    """What scikit-image could do and this cannot is refused."""
    x = np.ones((3, 4, 2))
    with pytest.raises(ImageError, match="does not smooth"):
        resize(x, (2, 2), anti_aliasing=True)
    with pytest.raises(ImageError, match="mode 'wrap'"):
        resize(x, (2, 2), mode="wrap")
    with pytest.raises(ImageError, match=r"cannot make \(2, 2, 3\)"):
        resize(x, (2, 2, 3))
    with pytest.raises(ImageError, match="int64"):
        resize(x.astype(np.int64), (2, 2))
