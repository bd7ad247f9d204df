"""Datum: the message in which a database keeps one image with its label."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from google.protobuf.message import DecodeError

from minicaffe.errors import DataError
from minicaffe.io import image
from minicaffe.io.files import PathLike
from minicaffe.io.wire import LENGTH, DamagedError, next_field
from minicaffe.proto import Datum

DATA = 4  # the number of the field with the pixels
MOST_TAILS = 1 << 16  # that a Layout remembers; each different label has its own


def record_name(key: str | bytes, path: PathLike) -> str:
    """Return what messages call a record of a database."""
    shown = key.decode(errors="replace") if isinstance(key, bytes) else key
    return f"record {shown!r} of {path}"


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


class Layout:
    """Where the pixels and the label are in the bytes of raw Datums of one shape, so that many are read at once.

    The bytes of a raw Datum are a head with channels, height and width, the pixels, and a tail with the label. In
    another Datum that begins with the same head, the pixels are at the same place. A tail that has not come before is
    parsed together with the fields of the head, and its label is remembered: so the result is what protobuf would read.
    """

    def __init__(self) -> None:
        self._head, self._fields = b"", b""  # up to the first pixel; the fields before the one with the pixels
        self._shape, self._end = (0, 0, 0), 0
        self._labels: dict[bytes, int] = {}  # by tail

    def images(self, values: Sequence[bytes]) -> tuple[np.ndarray, list[int]] | None:
        """Return the images (N, C, H, W) in serialized Datums, uint8, and their labels.

        Return None unless all of them are raw, complete and of one shape. Then the caller must `parse` each of them.
        """
        if not (self._head and values[0].startswith(self._head)) and not self._learn(values[0]):
            return None
        if len(self._labels) > MOST_TAILS:
            self._labels = {}
        begin, end = len(self._head), self._end
        tails = [value[end:] for value in values]
        if not all(tail in self._labels or self._learn_tail(tail) for tail in set(tails)):
            return None
        pixels = b"".join([value[begin:end] for value in values])
        if len(pixels) != len(values) * (end - begin) or not all(value.startswith(self._head) for value in values):
            return None
        labels = self._labels
        return (np.frombuffer(pixels, np.uint8).reshape(len(values), *self._shape), [labels[tail] for tail in tails])

    def _learn(self, value: bytes) -> bool:
        """Learn the layout from a Datum. Return False where the Datum is not raw."""
        at, self._head, self._labels = 0, b"", {}
        try:
            while at < len(value):
                number, wire, first, stop = next_field(value, at, len(value))
                if number == DATA and wire == LENGTH:
                    self._fields, self._end = value[:at], stop
                    datum = Datum.FromString(self._fields)
                    self._shape = datum.channels, datum.height, datum.width
                    if min(self._shape) > 0 and math.prod(self._shape) == stop - first:
                        self._head = value[:first]
                    break
                at = stop
        except (DamagedError, DecodeError):
            pass  # `parse` will say what is wrong with it
        return bool(self._head)

    def _learn_tail(self, tail: bytes) -> bool:
        """Learn the label in a tail. Return False where the tail changes something else, such as the shape."""
        try:
            rest = Datum.FromString(self._fields + tail)
        except DecodeError:
            return False
        if (rest.HasField("data") or rest.float_data or rest.encoded
                or (rest.channels, rest.height, rest.width) != self._shape):
            return False
        self._labels[tail] = rest.label
        return True


def make(values: np.ndarray, label: int) -> Any:
    """Return a Datum with an image (C, H, W): uint8 is kept as bytes, other types become float_data."""
    channels, height, width = values.shape
    datum = Datum(channels=channels, height=height, width=width, label=int(label))
    if values.dtype == np.uint8:
        datum.data = values.tobytes()
    else:
        datum.float_data.extend(values.astype(np.float32).ravel().tolist())
    return datum
