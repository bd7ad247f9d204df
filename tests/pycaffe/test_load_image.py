"""load_image: files and open files of every kind, as floats between 0 and 1; and the crops of oversample."""

import io
import sys

import numpy as np
import pytest
from extras import needs

from minicaffe import pycaffe as caffe
from minicaffe.pycaffe.errors import ImageError, UnreadableImageError
from minicaffe.pycaffe.io import load_image, oversample

RGB = np.random.default_rng(4).integers(0, 256, (5, 7, 3)).astype(np.uint8)


@pytest.fixture
def cv2():
    return needs("cv2")


def png(cv2, pixels):
    """The bytes of a PNG of an image in red, green, blue (and alpha)."""
    swapped = pixels if pixels.ndim == 2 else pixels[:, :, [2, 1, 0, 3][:pixels.shape[2]]]
    return io.BytesIO(cv2.imencode(".png", np.ascontiguousarray(swapped))[1].tobytes())


def test_colour(cv2, tmp_path):
    """Red, green and blue, each divided by 255: by the name of a file, by a Path, and from an open file."""
    path = tmp_path / "a.png"
    path.write_bytes(png(cv2, RGB).getvalue())
    expected = (RGB / 255).astype(np.float32)

    with path.open("rb") as file:
        for source in (str(path), path, file):
            got = load_image(source)
            assert np.float32 == got.dtype
            np.testing.assert_array_equal(expected, got)


def test_grey_files(cv2):
    """A file in grey is (H, W, 3) with three equal channels, or (H, W, 1)."""
    grey = RGB[:, :, 0]

    np.testing.assert_array_equal((grey / 255).astype(np.float32)[:, :, None].repeat(3, 2), load_image(png(cv2, grey)))
    np.testing.assert_array_equal((grey / 255).astype(np.float32)[:, :, None], load_image(png(cv2, grey), color=False))


def test_colour_made_grey(cv2):
    """The brightness has weights of its own, not those with which OpenCV makes an image grey."""
    expected = (RGB / 255) @ np.array([0.2125, 0.7154, 0.0721])
    got = load_image(png(cv2, RGB), color=False)

    assert (5, 7, 1) == got.shape
    np.testing.assert_allclose(expected, got[:, :, 0], rtol=1e-6)


def test_transparency(cv2):
    """In colour it is dropped, and what is hidden is seen; in grey, white lies behind it."""
    pixels = np.array([[[255, 0, 0, 255], [255, 0, 0, 0], [255, 0, 0, 51]]], np.uint8)

    np.testing.assert_array_equal([[[1, 0, 0]] * 3], load_image(png(cv2, pixels)))
    np.testing.assert_allclose([[0.2125, 1, 0.2 * 0.2125 + 0.8]], load_image(png(cv2, pixels), color=False)[:, :, 0],
                               rtol=1e-6)


def test_16_bits(cv2):
    """Sixteen bits are divided by 65535, also in colour."""
    grey = np.array([[0, 1, 30000, 65535]], np.uint16)

    np.testing.assert_allclose(grey / 65535, load_image(png(cv2, grey), color=False)[:, :, 0], rtol=1e-6)
    np.testing.assert_allclose(RGB.astype(float) / 255, load_image(png(cv2, RGB.astype(np.uint16) * 257)), rtol=1e-6)


def test_floats_stay_as_they_are(cv2, tmp_path):
    """A file of floats may go beyond [0, 1]."""
    values = np.array([[-1.5, 0.25, 300]], np.float32)
    path = tmp_path / "a.tiff"
    cv2.imwrite(str(path), values)

    np.testing.assert_array_equal(values, load_image(path, color=False)[:, :, 0])


def test_a_photograph_is_turned(cv2):
    """A JPEG whose camera says that it lies on its side stands upright."""
    jpeg = cv2.imencode(".jpg", np.repeat(np.arange(0, 240, 10, np.uint8)[None], 16, 0))[1].tobytes()
    turned = b"Exif\0\0MM\0*\0\0\0\x08\0\1\1\x12\0\3\0\0\0\1\0\6\0\0\0\0\0\0"
    marked = jpeg[:2] + b"\xff\xe1" + (len(turned) + 2).to_bytes(2, "big") + turned + jpeg[2:]

    assert (16, 24, 3) == load_image(io.BytesIO(jpeg)).shape
    upright = load_image(io.BytesIO(marked))
    assert (24, 16, 3) == upright.shape
    assert upright[0].max() < 0.1 < 0.8 < upright[-1].min()


def test_errors_of_load_image(cv2, tmp_path):
    """A file that is missing, no image or text is named. A script's `except IOError` catches it."""
    with pytest.raises(FileNotFoundError, match="no such file: nothing.png"):
        load_image("nothing.png")
    with pytest.raises(UnreadableImageError, match="download it first"):
        load_image("https://example.org/cat.jpg")
    path = tmp_path / "text.png"
    path.write_bytes(b"text")
    with pytest.raises(UnreadableImageError, match=r"text\.png is no image that can be decoded"):
        load_image(path)
    with pytest.raises(UnreadableImageError, match="the image is a PNG image that is damaged"):
        load_image(io.BytesIO(png(cv2, RGB).getvalue()[:20]))
    with pytest.raises(ImageError, match="gives text"):
        load_image(io.StringIO("text"))


def test_without_opencv(monkeypatch):
    """The error names the extra to install."""
    from minicaffe.io import image

    monkeypatch.setattr(image, "cv2", None)
    monkeypatch.setitem(sys.modules, "cv2", None)
    with pytest.raises(RuntimeError, match=r"pip install 'minicaffe\[data\]'"):
        load_image(io.BytesIO(b"\x89PNG"))


def test_scikit_image_by_its_place_in_caffe(tmp_path, monkeypatch):
    """Scripts say caffe.io.skimage.io.imread: it is the real package, with its module io, where that is installed."""
    (tmp_path / "skimage").mkdir()
    (tmp_path / "skimage" / "__init__.py").write_text("")
    (tmp_path / "skimage" / "io.py").write_text("def imread(path): return path")
    for name in ("skimage", "skimage.io"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    monkeypatch.syspath_prepend(tmp_path)

    assert "cat.jpg" == caffe.io.skimage.io.imread("cat.jpg")
    for name in ("skimage", "skimage.io"):
        monkeypatch.setitem(sys.modules, name, None)  # so that it cannot be imported
    with pytest.raises(AttributeError, match="`pip install scikit-image` brings it"):
        _ = caffe.io.skimage


@pytest.mark.parametrize("crop", [(4, 3), (5, 6)], ids=str)
def test_oversample(crop):
    """Ten crops of each image: the corners, the middle, and these mirrored."""
    x = np.random.default_rng(5).random((2, 9, 8, 3))
    (h, w), got = crop, oversample(x, crop)

    assert ((20, h, w, 3), np.float32) == (got.shape, got.dtype)
    for image, crops in zip(x.astype(np.float32), got.reshape(2, 10, h, w, 3), strict=True):
        y, z = (9 - h) // 2, (8 - w) // 2
        corners = [image[:h, :w], image[:h, -w:], image[-h:, :w], image[-h:, -w:], image[y:y + h, z:z + w]]
        np.testing.assert_array_equal(corners, crops[:5])
        np.testing.assert_array_equal(np.stack(corners)[:, :, ::-1], crops[5:])


def test_errors_of_oversample():
    """A crop that is larger than the image, and an image of another shape, are refused."""
    with pytest.raises(ImageError, match="4×5 pixels .* has no crop of 3×6"):
        oversample([np.ones((4, 5, 3))], (3, 6))
    with pytest.raises(ImageError, match=r"the shape \(4, 5, 3\), but another one has \(6, 5, 3\)"):
        oversample([np.ones((4, 5, 3)), np.ones((6, 5, 3))], (2, 3))
