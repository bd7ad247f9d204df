"""The mean image of a database, in Caffe's float32."""

import numpy as np
import pytest
from extras import needs

from minicaffe.data.datum import make
from minicaffe.data.image_mean import channel_means, mean_image, write_mean
from minicaffe.errors import DataError
from minicaffe.io import binary, image
from minicaffe.proto import BlobProto, Datum

IMAGES = np.random.default_rng(5).integers(256, size=(7, 3, 2, 5), dtype=np.uint8)


def serialized(*datums):
    """The datums as the records of a database."""
    return [(f"{k:03d}".encode(), datum.SerializeToString()) for k, datum in enumerate(datums)]


def test_mean_and_file(tmp_path):
    """The mean of pixels and of floats is right, and the file holds four sizes and the numbers."""
    mean = mean_image(serialized(*(make(x, 1) for x in IMAGES)), "db")
    halves = mean_image(serialized(*(make(x / np.float32(2), 1) for x in IMAGES)), "db")
    write_mean(tmp_path / "mean.binaryproto", mean)

    assert (IMAGES.sum(0).astype(np.float32) / np.float32(7) == mean).all()
    assert (mean / 2 == halves).all()
    assert np.float32 == mean.dtype
    blob = BlobProto(num=1, channels=3, height=2, width=5, data=mean.ravel().tolist())
    assert blob == binary.read(tmp_path / "mean.binaryproto", BlobProto())
    assert (tmp_path / "mean.binaryproto").read_bytes()[:8] == bytes([8, 1, 16, 3, 24, 2, 32, 5])
    np.testing.assert_allclose(channel_means(mean), mean.mean((1, 2)), rtol=1e-6)


def test_sums_round_as_caffes():
    """From 2²⁴ on a float32 sum loses what is added, one value after another: here a sum of pairs would be larger."""
    large, one = np.full((1, 2, 1), 2.0**24, np.float32), np.ones((1, 2, 1), np.float32)

    assert (mean_image(serialized(*(make(x, 0) for x in (large, one, one, one))), "db") == 2.0**22).all()
    assert [2.0**22] == channel_means(np.array([[[2.0**24, 1], [1, 1]]], np.float32))


def test_encoded(caplog):
    """Encoded images are decoded with the channels that they have."""
    needs("cv2")
    caplog.set_level("INFO", "minicaffe")
    files = [Datum(data=image.encode(x), encoded=True) for x in IMAGES]

    assert (IMAGES.sum(0).astype(np.float32) / np.float32(7) == mean_image(serialized(*files), "db")).all()
    assert ["Decoding Datum", "Starting iteration", "Processed 7 files."] == [r.getMessage() for r in caplog.records]


def test_mistakes():
    """Images of different sizes, even of as many values, are named by their keys; so is a record that is no image."""
    with pytest.raises(DataError, match=r"record '000' of db is 3×2×5, and record '002' of db is 3×5×2"):
        mean_image(serialized(make(IMAGES[0], 0), make(IMAGES[1], 0), make(IMAGES[2].transpose(0, 2, 1), 0)), "db")
    with pytest.raises(DataError, match="record 'a' of db is no Datum"):
        mean_image([(b"a", b"\xff\xff")], "db")
    with pytest.raises(DataError, match="db holds no record"):
        mean_image([], "db")
