"""Datum: the message in which a database keeps one image with its label."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from google.protobuf.message import DecodeError

from minicaffe.errors import DataError
from minicaffe.io import image
from minicaffe.proto import Datum


def parse(value: bytes, name: str, color: bool | None = None) -> tuple[np.ndarray, int, bool]:
    """Return the image (C, H, W) in a serialized Datum, its label, and whether it was encoded as JPEG, PNG, ….

    The array is uint8, or float32 where the Datum holds float_data. `color` is for encoded images, as in
    `image.decode`. Raise a DataError, in which `name` says which record it is, for one that cannot be read.
    """
    try:
        datum = Datum.FromString(value)
    except DecodeError as error:
        raise DataError(f"{name} is no Datum ({len(value)} bytes)",
                        hint="Caffe's databases hold Datum messages; this one holds something else") from error
    if datum.encoded:
        return image.decode(datum.data, name, color), datum.label, True
    values = np.frombuffer(datum.data, np.uint8) if datum.data else np.array(datum.float_data, np.float32)
    shape = (datum.channels, datum.height, datum.width)
    if min(shape) < 1:
        raise DataError(f"{name} has no image: channels, height and width are {shape}")
    if values.size != math.prod(shape):
        raise DataError(f"{name} has {values.size} values, but channels, height and width {shape} "
                        f"make {math.prod(shape)}")
    return values.reshape(shape), datum.label, False


def make(values: np.ndarray, label: int) -> Any:
    """Return a Datum with an image (C, H, W): uint8 is kept as bytes, other types become float_data."""
    channels, height, width = values.shape
    datum = Datum(channels=channels, height=height, width=width, label=int(label))
    if values.dtype == np.uint8:
        datum.data = values.tobytes()
    else:
        datum.float_data.extend(values.astype(np.float32).ravel().tolist())
    return datum
