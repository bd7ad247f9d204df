"""Transformer: what is done to an image before a net, in Caffe's order, and back."""

import numpy as np
import pytest

from minicaffe import pycaffe as caffe
from minicaffe.pycaffe.errors import ImageError
from minicaffe.pycaffe.io import resize_image

IMAGE = np.random.default_rng(6).random((4, 6, 3)).astype(np.float32)
MEAN = np.random.default_rng(7).random((3, 4, 6)) * 100


def transformer(*shape):
    return caffe.io.Transformer({"data": shape or (2, 3, 4, 6)})


def full(mean=MEAN):
    made = transformer()
    made.set_transpose("data", (2, 0, 1))
    made.set_channel_swap("data", (2, 0, 1))
    made.set_raw_scale("data", 255)
    made.set_mean("data", mean)
    made.set_input_scale("data", 0.5)
    return made


def test_the_order():
    """Transposed, swapped, times the raw scale, minus the mean, times the input scale."""
    expected = (IMAGE.transpose(2, 0, 1)[[2, 0, 1]] * 255 - MEAN) * 0.5
    got = full().preprocess("data", IMAGE)

    assert np.float32 == got.dtype
    np.testing.assert_allclose(expected, got, rtol=1e-5, atol=1e-5)


def test_there_and_back():
    """deprocess undoes every step, with and without the batch axis. The swap is not its own inverse."""
    made = full()
    ready = made.preprocess("data", IMAGE)
    before = ready.copy()

    np.testing.assert_allclose(IMAGE, made.deprocess("data", ready), atol=1e-6)
    np.testing.assert_allclose(IMAGE, made.deprocess("data", ready[None]), atol=1e-6)
    np.testing.assert_allclose(IMAGE, made.deprocess("data", ready.tolist()), atol=1e-6)
    np.testing.assert_array_equal(before, ready)


def test_the_callers_image_stays_as_it_is():
    """The image needs no other size or type, and still the result is a new array and the image is not written to."""
    image = IMAGE.copy()
    ready = full().preprocess("data", image)
    plain = transformer().preprocess("data", image)
    plain += 1

    np.testing.assert_array_equal(IMAGE, image)
    assert not np.shares_memory(ready, image)


def test_another_size_is_resized():
    """The image is resized first, as float32."""
    image = np.random.default_rng(8).integers(0, 256, (9, 5, 3)).astype(np.uint8)

    np.testing.assert_array_equal(resize_image(image.astype(np.float32), (4, 6)),
                                  transformer().preprocess("data", image))


def test_one_channel_there_and_back():
    """An image of one channel comes back with its channel. Caffe fails here."""
    made = transformer(1, 1, 4, 6)
    made.set_transpose("data", (2, 0, 1))
    made.set_raw_scale("data", 2)
    ready = made.preprocess("data", IMAGE[:, :, :1])

    np.testing.assert_allclose(IMAGE[:, :, :1], made.deprocess("data", ready[None]))


@pytest.mark.parametrize("shape", [(3,), (3, 1, 1)], ids=str)
def test_a_mean_for_each_channel(shape):
    """Each channel has a number of its own, in whichever shape."""
    got = full(np.array([10.0, 20, 30]).reshape(shape)).preprocess("data", IMAGE)
    expected = (IMAGE.transpose(2, 0, 1)[[2, 0, 1]] * 255 - np.array([[[10]], [[20]], [[30]]])) * 0.5

    np.testing.assert_allclose(expected, got, rtol=1e-5, atol=1e-5)


def test_a_mean_of_another_size_is_resized():
    """A mean image is resized as an image is, whatever its values, and a constant one stays constant."""
    mean = np.random.default_rng(9).standard_normal((3, 7, 5)) * 50
    made = transformer()
    made.set_mean("data", mean)
    np.testing.assert_allclose(resize_image(mean.transpose(1, 2, 0), (4, 6)).transpose(2, 0, 1), made.mean["data"],
                               rtol=1e-5, atol=1e-4)

    made.set_mean("data", np.full((3, 7, 5), 117.0))  # Caffe's is NaN
    np.testing.assert_array_equal(np.full((3, 4, 6), 117), made.mean["data"])


@pytest.mark.parametrize("shape", [(4, 6), (5, 3)], ids=str)
def test_a_mean_without_channels(shape):
    """Of one channel, a mean (H, W) is enough, in any size. Caffe takes it in the input's size alone."""
    made = transformer(1, 1, 4, 6)
    made.set_transpose("data", (2, 0, 1))
    made.set_mean("data", np.full(shape, 0.5))

    np.testing.assert_allclose(IMAGE[None, :, :, 0] - 0.5, made.preprocess("data", IMAGE[:, :, :1]))


def test_errors():
    """Caffe raises a plain Exception for names and orders, and ValueError for means; ours are both."""
    made = transformer()
    for call in (lambda: made.set_mean("x", MEAN), lambda: made.preprocess("x", IMAGE),
                 lambda: made.deprocess("x", IMAGE), lambda: made.set_raw_scale("x", 1)):
        with pytest.raises(RuntimeError, match="'x' is not one of the inputs 'data'"):
            call()
    with pytest.raises(RuntimeError, match="2 axes, but .* 'data' has 3"):
        made.set_transpose("data", (1, 0))
    with pytest.raises(RuntimeError, match="2 channels, but the input 'data' has 3"):
        made.set_channel_swap("data", (1, 0))
    for mean, words in ((np.ones(2), "2 channels"), (np.ones((1, 3, 4, 6)), r"\(1, 3, 4, 6\)"),
                        (np.ones((4, 6)), "1 channel,"), (np.ones((5, 4, 6)), "5 channels")):
        with pytest.raises(ValueError, match=words):
            made.set_mean("data", mean)


def test_errors_of_preprocess():
    """What would be numpy's error about shapes says which shapes, and the usual cause."""
    made = transformer()
    made.set_mean("data", MEAN)
    with pytest.raises(ImageError, match=r"\(3, 4, 6\), but the image has \(4, 6, 3\)\n.*set_transpose"):
        made.preprocess("data", IMAGE)
    made = full()
    with pytest.raises(ImageError, match=r"order \(2, 0, 1\), but the image has 1"):
        made.preprocess("data", IMAGE[:, :, :1])
    with pytest.raises(ImageError, match=r"shape \(2, 5\), but an image needs"):
        transformer(2, 5).preprocess("data", IMAGE)
