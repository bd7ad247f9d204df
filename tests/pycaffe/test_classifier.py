"""Classifier and Detector: crops and windows of images through a net."""

import numpy as np
import pytest
from extras import needs

from minicaffe import pycaffe as caffe
from minicaffe.errors import DataError, NetError
from minicaffe.pycaffe.errors import ImageError
from minicaffe.pycaffe.io import oversample, resize_image

NET = """
  name: "n"
  layer { name: "data" type: "Input" top: "data" input_param { shape { dim: 4 dim: 3 dim: 6 dim: 8 } } }
  layer { name: "ip" type: "InnerProduct" bottom: "data" top: "ip"
          inner_product_param { num_output: 5 weight_filler { type: "gaussian" std: 0.01 } } }
  layer { name: "prob" type: "Softmax" bottom: "ip" top: "prob" }
"""
OPTIONS = {"mean": np.array([104.0, 117, 123]), "raw_scale": 255, "channel_swap": (2, 1, 0), "input_scale": 0.5}
IMAGES = [np.random.default_rng(k).random((11 + k, 13, 3)).astype(np.float32) for k in range(3)]


@pytest.fixture
def files(tmp_path):
    """The files of a net with weights."""
    path, weights = tmp_path / "net.prototxt", tmp_path / "net.caffemodel"
    path.write_text(NET)
    caffe.Net(str(path), caffe.TEST).save(weights)
    return str(path), str(weights)


def probabilities(files, ready):
    """What the net says of arrays that are ready for it, one at a time."""
    net = caffe.Net(files[0], files[1], caffe.TEST)
    for one in ready:
        net.blobs["data"].data[...] = one
        yield net.forward()["prob"][0].copy()


def ready(image):
    """What OPTIONS make of an image in the size of the input."""
    return ((image * 255)[:, :, ::-1] - OPTIONS["mean"]).transpose(2, 0, 1) * 0.5


def test_the_middle(files):
    """Without oversampling, the net reads the middle of each resized image."""
    classifier = caffe.Classifier(*files, image_dims=(9, 10), **OPTIONS)
    got = classifier.predict(IMAGES, oversample=False)
    crops = [resize_image(image, (9, 10))[1:7, 1:9] for image in IMAGES]

    assert isinstance(classifier, caffe.Net)
    assert (3, 5) == got.shape
    np.testing.assert_allclose(list(probabilities(files, map(ready, crops))), got, rtol=1e-4)


def test_ten_crops(files):
    """By default the answer is the mean over ten crops. Thirty crops do not fill batches of four."""
    classifier = caffe.Classifier(*files, image_dims=(9, 10), **OPTIONS)
    crops = oversample([resize_image(image, (9, 10)) for image in IMAGES], (6, 8))
    expected = np.array(list(probabilities(files, map(ready, crops)))).reshape(3, 10, 5).mean(1)

    np.testing.assert_allclose(expected, classifier.predict(IMAGES), rtol=1e-4)


def test_without_options(files):
    """Without image_dims nothing is cut off, and without the others nothing is done to the values."""
    classifier = caffe.Classifier(*files)
    expected = list(probabilities(files, [resize_image(image, (6, 8)).transpose(2, 0, 1) for image in IMAGES]))

    assert [6, 8] == list(classifier.image_dims) == list(classifier.crop_dims)
    np.testing.assert_allclose(expected, classifier.predict(IMAGES, False), rtol=1e-5)


def test_its_transformer_may_be_changed(files):
    """What a script sets on `transformer` afterwards takes effect."""
    classifier = caffe.Classifier(*files)
    classifier.transformer.set_raw_scale("data", 3)
    expected = list(probabilities(files, [3 * resize_image(image, (6, 8)).transpose(2, 0, 1) for image in IMAGES]))

    np.testing.assert_allclose(expected, classifier.predict(IMAGES, False), rtol=1e-5)


def test_errors_of_the_classifier(files, tmp_path):
    """No image, a single one, a name, other channels, a size below the input's and a net without an input are named."""
    classifier = caffe.Classifier(*files)
    with pytest.raises(ImageError, match="no image"):
        classifier.predict([])
    with pytest.raises(ImageError, match=r"shape \(1, 6, 8\), but the input 'data' has \(3, 6, 8\)\n  hint: "
                                         r"io.load_image\(file\) gives a grey image three"):
        classifier.predict([IMAGES[0][:, :, :1]])
    for single in (IMAGES[0], "cat.jpg"):
        with pytest.raises(ImageError, match=r"a list of images, got a single one\n  hint: write predict\(\[image\]\)"):
            classifier.predict(single)
    with pytest.raises(ImageError, match=r"an array, got the name 'cat.jpg'\n  hint: io.load_image\(name\) reads"):
        classifier.predict(["cat.jpg"])
    with pytest.raises(ImageError, match=r"an array, got the name 'mean.npy'\n  hint: np.load\(name\) reads"):
        caffe.Classifier(*files, mean="mean.npy")
    with pytest.raises(ImageError, match="6×8 pixels .* resized to 5×10"):
        caffe.Classifier(*files, image_dims=(5, 10)).predict(IMAGES)
    trained = tmp_path / "trained.prototxt"
    trained.write_text('layer { name: "d" type: "DummyData" top: "d" dummy_data_param { shape { dim: 2 } } }')
    with pytest.raises(NetError, match="no input into which images could go"):
        caffe.Classifier(str(trained), files[1])


@pytest.fixture
def photograph(tmp_path):
    """The name of an image file, and its pixels as load_image gives them."""
    cv2 = needs("cv2")
    pixels = np.random.default_rng(11).integers(0, 256, (20, 30, 3)).astype(np.uint8)
    path = str(tmp_path / "photograph.png")
    cv2.imwrite(path, pixels)
    return path, caffe.io.load_image(path)


def test_windows(files, photograph):
    """Each window (ymin, xmin, ymax, xmax) is resized to the input. The answers come in the order of the windows."""
    path, pixels = photograph
    windows = np.array([(2, 3, 15, 30), (0, 0, 20, 30)])
    found = caffe.Detector(*files, **OPTIONS).detect_windows([(path, windows), (path, [(4, 5, 9, 11)])])
    parts = [pixels[2:15, 3:30], pixels, pixels[4:9, 5:11]]
    expected = list(probabilities(files, [ready(resize_image(part, (6, 8))) for part in parts]))

    assert [path] * 3 == [one["filename"] for one in found]
    assert [[2, 3, 15, 30], [0, 0, 20, 30], [4, 5, 9, 11]] == [list(one["window"]) for one in found]
    np.testing.assert_allclose(expected, [one["prediction"] for one in found], rtol=1e-4)
    assert [] == caffe.Detector(*files).detect_windows([])


def test_the_context_of_a_window(files):
    """With a pixel of context on each side, a window of 4 × 6 pixels, its last ones counted, fills 4 × 6 of the input.

    So nothing is scaled. At the corner of the image, the context above and on the left is the mean, here none.
    """
    pixels = np.random.default_rng(12).random((20, 30, 3)).astype(np.float32)
    detector = caffe.Detector(*files, context_pad=1)
    corner = detector.crop(pixels, np.array([0, 0, 3, 5]))

    np.testing.assert_allclose(pixels[6:12, 8:16], detector.crop(pixels, np.array([7, 9, 10, 14])), rtol=1e-5)
    np.testing.assert_allclose(pixels[:5, :7], corner[1:, 1:], rtol=1e-5)
    np.testing.assert_array_equal(0, np.concatenate([corner[0], corner[1:, 0]]))


def test_a_window_that_is_scaled(files):
    """Rows 2 to 16, the last one counted, need rows −2 to 21 with their context, four for each row of the input.

    The two above the image are half a row, which is rounded to none; the 20 of the image and the one that is counted
    after them are five; so the last row is the mean.
    """
    pixels = np.random.default_rng(13).random((20, 30, 3)).astype(np.float32)
    got = caffe.Detector(*files, context_pad=1).crop(pixels, np.array([2, 4, 16, 9]))

    np.testing.assert_allclose(resize_image(pixels[:20, 3:11], (5, 8)), got[:5], rtol=1e-5)
    np.testing.assert_array_equal(0, got[5])


def test_the_mean_lies_outside_the_image(files):
    """Where a window's context goes beyond the image, it shows the mean, as a loaded image would have it."""
    pixels = np.ones((20, 30, 3), np.float32)
    got = caffe.Detector(*files, context_pad=2, **OPTIONS).crop(pixels, np.array([0, 0, 9, 9]))

    np.testing.assert_allclose(np.array([123, 117, 104]) / 255, got[0, 0], rtol=1e-6)
    np.testing.assert_allclose([1, 1, 1], got[-1, -1])
    np.testing.assert_array_equal([0, 0, 0], caffe.Detector(*files, context_pad=2).crop(pixels, [0, 0, 9, 9])[0, 0])


def test_errors_of_the_detector(files, photograph):
    """A window outside the image, a context that leaves nothing, and selective search are named."""
    path = photograph[0]
    for detector in (caffe.Detector(*files), caffe.Detector(*files, context_pad=1)):
        with pytest.raises(ImageError, match="window 40, 50, 60, 70 .* 20×30"):
            detector.detect_windows([(path, [(40, 50, 60, 70)])])
    with pytest.raises(ImageError, match="context_pad of 3 .* 6×8"):
        caffe.Detector(*files, context_pad=3)
    with pytest.raises(DataError, match=r"selective_search_ijcv_with_python.*\n.*--crop_mode list"):
        caffe.Detector(*files).detect_selective_search([path])
