"""Arrays as BlobProto and Datum messages, and back."""

import numpy as np
import pytest

from minicaffe import pycaffe as caffe
from minicaffe.proto import BlobProto, BlobProtoVector, Datum
from minicaffe.pycaffe.errors import ImageError

X = np.random.default_rng(10).standard_normal((2, 3, 4))


def test_blobs():
    """Data and diff come back in their shape, as float64 with the digits of float32."""
    blob = caffe.io.array_to_blobproto(X, diff=2 * X)

    assert [2, 3, 4] == list(blob.shape.dim)
    assert [24, 24, 0] == [len(blob.data), len(blob.diff), len(blob.double_data)]
    for expected, got in ((X, caffe.io.blobproto_to_array(blob)), (2 * X, caffe.io.blobproto_to_array(blob, True))):
        assert np.float64 == got.dtype
        np.testing.assert_array_equal(expected.astype(np.float32), got)


def test_the_old_four_sizes():
    """Where one of num, channels, height and width is set, they are the shape."""
    blob = BlobProto(num=1, channels=3, height=2, width=4, data=range(24))

    assert (1, 3, 2, 4) == caffe.io.blobproto_to_array(blob).shape


def test_a_blob_of_another_size():
    """It is a ValueError, as in Caffe, that says both sizes."""
    with pytest.raises(ValueError, match="24"):
        caffe.io.blobproto_to_array(BlobProto(data=range(24)))
    with pytest.raises(ImageError, match=r"diff has the shape \(3,\), but the data has \(2,\)"):
        caffe.io.array_to_blobproto(np.ones(2), np.ones(3))


@pytest.mark.parametrize("name", ["arraylist_to_blobprotovector_str", "arraylist_to_blobprotovecor_str"])
def test_lists_of_arrays(name):
    """They go through the bytes of a BlobProtoVector, under both names that Caffe has had for this."""
    content = getattr(caffe.io, name)([X, X[0]])
    first, second = caffe.io.blobprotovector_str_to_arraylist(content)

    assert 2 == len(BlobProtoVector.FromString(content).blobs)
    np.testing.assert_array_equal(X.astype(np.float32), first)
    np.testing.assert_array_equal(X[0].astype(np.float32), second)


def test_a_datum_of_bytes():
    """uint8 goes as bytes. The array that comes back may be written to."""
    x = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)
    datum = caffe.io.array_to_datum(x, label=7)
    back = caffe.io.datum_to_array(datum)
    back += 1

    assert (x.tobytes(), 7, [2, 3, 4]) == (datum.data, datum.label, [datum.channels, datum.height, datum.width])
    np.testing.assert_array_equal(x + 1, back)


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.int64])
def test_a_datum_of_floats(dtype):
    """All other types go as floats. Without a label none is set, so the message is shorter."""
    x = (10 * X).astype(dtype)
    datum = caffe.io.array_to_datum(x)

    assert not datum.HasField("label")
    assert (b"", 24) == (datum.data, len(datum.float_data))
    np.testing.assert_array_equal(x.astype(np.float32), caffe.io.datum_to_array(datum))


def test_errors_of_datums():
    """Other axes, another number of values and an encoded image are named."""
    with pytest.raises(ValueError, match=r"\(channels, height, width\), got \(2, 3\)"):
        caffe.io.array_to_datum(np.ones((2, 3)))
    with pytest.raises(ValueError, match=r"holds 2 values, but its shape is \(1, 1, 3\)"):
        caffe.io.datum_to_array(Datum(channels=1, height=1, width=3, data=b"ab"))
    with pytest.raises(ImageError, match="an image file, not of its pixels"):
        caffe.io.datum_to_array(Datum(data=b"\xff\xd8", encoded=True))
