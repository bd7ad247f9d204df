"""From BlobProtos to numpy arrays and back, without making a Python float of every number."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from minicaffe import proto
from minicaffe.errors import DataError, ProtoError
from minicaffe.io.wire import (
    FIXED32,
    FIXED64,
    LENGTH,
    VARINT,
    DamagedError,
    fill,
    next_field,
    put_tag,
    put_varint,
    signed,
    unpacked,
    varint,
)

MAX_AXES = 32  # Caffe: kMaxBlobAxes
MAX_COUNT = 2**48  # what a machine can address; Caffe's limit is 2**31 - 1
_DATA, _DIFF, _SHAPE, _DOUBLE_DATA, _DOUBLE_DIFF = 5, 6, 7, 8, 9
_F4, _F8 = np.dtype("<f4"), np.dtype("<f8")
_STORED: dict[int, np.dtype[Any]] = {_DATA: _F4, _DIFF: _F4, _DOUBLE_DATA: _F8, _DOUBLE_DIFF: _F8}


def blob_to_array(blob: Any, *, diff: bool = False) -> np.ndarray:
    """A BlobProto's data (or diff) as a new float32 or float64 array of its shape (or four legacy numbers).

    DataError when the number of values does not match the shape.
    """
    data = blob.SerializeToString()
    return decode_blob(data, 0, len(data), "this blob", diff=diff)


def array_to_blob(array: np.ndarray, diff: np.ndarray | None = None) -> Any:
    """A BlobProto of the array's shape: float64 as double_data, everything else as float data."""
    return proto.BlobProto.FromString(b"".join(encode_blob(array, diff)))


def decode_blob(buffer: Any, at: int, end: int, place: str, *, diff: bool = False) -> np.ndarray:
    """The array of the BlobProto between two offsets of `buffer`; `place` names it in errors.

    Nothing is allocated before the stored values are known to fill the shape. DataError when they do not,
    DamagedError when the bytes are no message.
    """
    single, double = (_DIFF, _DOUBLE_DIFF) if diff else (_DATA, _DOUBLE_DATA)
    legacy: dict[int, int] = {}
    dims: list[int] = []
    # for each piece of the values: how many they are, and where they begin in the buffer, or their bytes
    found: dict[int, list[tuple[int, int | bytes]]] = {single: [], double: []}
    while at < end:
        here = at
        number, wire, first, at = next_field(buffer, at, end)
        if number <= 4 and wire == VARINT:  # num, channels, height, width
            legacy[number] = signed(first)
        elif number == _SHAPE and wire == LENGTH:
            _read_dims(buffer, first, at, dims, place)
        elif number in found:
            size = _STORED[number].itemsize
            if wire == LENGTH:
                if (at - first) % size:
                    raise DamagedError(f"{at - first} bytes are no whole number of values at byte {here}")
                found[number].append(((at - first) // size, first))
            elif wire == (FIXED32 if size == 4 else FIXED64):
                pieces = [(len(piece) // size, piece) for piece in unpacked(buffer, here, end, number, size)]
                count = sum(count for count, _ in pieces)
                if not count:  # its tag is not written in the one canonical way
                    raise DamagedError(f"no field starts at byte {here}")
                found[number] += pieces
                at = here + count * (1 + size)
    number = double if any(count for count, _ in found[double]) else single
    shape = tuple(legacy.get(n, 0) for n in (1, 2, 3, 4)) if legacy else tuple(dims)
    have, need = sum(count for count, _ in found[number]), math.prod(shape)
    if have != need or min(shape, default=1) < 0 or too_large(shape):
        written = " x ".join(map(str, shape)) or "()"
        raise DataError(f"{place} holds {have} values, but its shape {written} " + (
            "is larger than any machine's memory" if too_large(shape) else f"needs {need}"))
    values, filled = np.empty(have, _STORED[number]), 0
    for count, content in found[number]:
        target = values[filled : filled + count]
        if isinstance(content, int):
            fill(target, buffer, content)
        else:
            fill(target, content, 0)
        filled += count
    return values.reshape(shape).astype(values.dtype.newbyteorder("="), copy=False)


def too_large(shape: Sequence[int]) -> bool:
    """Whether a shape is too large for any machine. Sizes of 0 are left out: they would hide that others are huge."""
    return math.prod(size for size in shape if size) > MAX_COUNT


def _read_dims(buffer: Any, at: int, end: int, dims: list[int], place: str) -> None:
    """Append the sizes that a BlobShape holds, be they one field each or all in one."""
    while at < end:
        number, wire, first, at = next_field(buffer, at, end)
        if number == 1 and wire == VARINT:
            dims.append(signed(first))
        elif number == 1 and wire == LENGTH:
            while first < at and len(dims) <= MAX_AXES:
                value, first = varint(buffer, first, at)
                dims.append(signed(value))
        if len(dims) > MAX_AXES:
            raise DataError(f"{place} has more than {MAX_AXES} axes")


def encode_blob(array: np.ndarray, diff: np.ndarray | None = None) -> list[Any]:
    """The bytes of a BlobProto in Caffe's own order, in pieces; the values are views, not copies."""
    array = np.asarray(array)
    wide = array.dtype == np.float64
    dims = b"".join(put_varint(dim) for dim in array.shape)
    dims = put_tag(1, LENGTH, len(dims)) + dims
    shape: list[Any] = [put_tag(_SHAPE, LENGTH, len(dims)), dims] if array.ndim else []  # as Caffe does
    if wide:
        return shape + _encode_values(_DOUBLE_DATA, array) + _encode_values(_DOUBLE_DIFF, diff)
    return _encode_values(_DATA, array) + _encode_values(_DIFF, diff) + shape


def _encode_values(number: int, values: np.ndarray | None) -> list[Any]:
    """A packed field, or nothing when there are no values."""
    if values is None or not values.size:
        return []
    flat: Any = np.ascontiguousarray(values, _STORED[number]).reshape(-1)
    return [put_tag(number, LENGTH, flat.nbytes), memoryview(flat).cast("B")]


def damaged(path: object, error: DamagedError, kind: str) -> ProtoError:
    """The error for a file that begins as one of this kind and whose bytes do not fit together further on."""
    return ProtoError(f"this {kind} is damaged: {error}", where=str(path),
                      hint="the file is damaged or was cut short; compare its size with the original's")
