"""Arrays as BlobProto and Datum messages, and back. Messages of any caffe_pb2 are taken."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from minicaffe.errors import DataError
from minicaffe.io.blobs import array_to_blob, blob_to_array
from minicaffe.proto import BlobProtoVector, Datum
from minicaffe.pycaffe.errors import ImageError


def blobproto_to_array(blob: Any, return_diff: bool = False) -> np.ndarray:
    """Return the data of a BlobProto, or its diff, as a float64 array of the blob's shape.

    The shape is `shape`, or where one of num, channels, height and width is set, these four. Raise ImageError where the
    number of values is another.
    """
    try:
        return blob_to_array(blob, diff=return_diff).astype(np.float64)
    except DataError as error:
        raise ImageError(error.message, where=error.where, hint=error.hint) from error


def array_to_blobproto(arr: np.ndarray, diff: np.ndarray | None = None) -> Any:
    """Return a BlobProto with the shape and the numbers of an array, as float32, and with a diff of the same shape."""
    arr = np.asarray(arr)
    if diff is not None and np.shape(diff) != arr.shape:
        raise ImageError(f"the diff has the shape {np.shape(diff)}, but the data has {arr.shape}")
    return array_to_blob(arr.astype(np.float32), None if diff is None else np.asarray(diff, np.float32))


def arraylist_to_blobprotovector_str(arraylist: Iterable[np.ndarray]) -> bytes:
    """Return a list of arrays as the bytes of a BlobProtoVector."""
    return BlobProtoVector(blobs=[array_to_blobproto(arr) for arr in arraylist]).SerializeToString()


# Caffe: its releases spell the name so, and its later source as above
arraylist_to_blobprotovecor_str = arraylist_to_blobprotovector_str


def blobprotovector_str_to_arraylist(str: bytes) -> list[np.ndarray]:
    """Return the arrays in the bytes of a BlobProtoVector, as float64."""
    return [blobproto_to_array(blob) for blob in BlobProtoVector.FromString(str).blobs]


def array_to_datum(arr: np.ndarray, label: int | None = None) -> Any:
    """Return a Datum of an array (C, H, W): uint8 as bytes, any other type as floats. Raise ImageError for other axes.

    Where the label is None, none is set.
    """
    arr = np.asarray(arr)
    if arr.ndim != 3:
        raise ImageError(f"a datum has the shape (channels, height, width), got {arr.shape}")
    C, H, W = arr.shape
    datum = Datum(channels=C, height=H, width=W)
    if arr.dtype == np.uint8:
        datum.data = arr.tobytes()
    else:
        datum.float_data.extend(arr.astype(float).ravel().tolist())
    if label is not None:
        datum.label = label
    return datum


def datum_to_array(datum: Any) -> np.ndarray:
    """Return the values of a Datum as an array (C, H, W): uint8 where they are bytes, else float64.

    Raise ImageError where their number does not fit the shape, or where they are those of an image file.
    """
    shape = datum.channels, datum.height, datum.width
    if datum.encoded:
        raise ImageError("the datum holds the bytes of an image file, not of its pixels",
                         hint="datum.data is the file: io.load_image(BytesIO(datum.data)) or cv2.imdecode reads it")
    values = np.frombuffer(datum.data, np.uint8).copy() if datum.data else np.array(datum.float_data, float)
    if len(values) != shape[0] * shape[1] * shape[2]:
        raise ImageError(f"the datum holds {len(values)} values, but its shape is {shape}")
    return values.reshape(shape)
