"""BlobProto and numpy arrays, without a Python float per number."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from minicaffe import proto
from minicaffe.errors import DataError, ProtoError
from minicaffe.proto.wire import (
    FIXED32,
    FIXED64,
    LENGTH,
    VARINT,
    DamagedError,
    next_field,
    put_tag,
    put_varint,
    signed,
    unpacked,
    varint,
)

MAX_AXES = 32  # Caffe's kMaxBlobAxes
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
    chunks: dict[int, list[np.ndarray]] = {single: [], double: []}
    while at < end:
        here = at
        number, wire, first, at = next_field(buffer, at, end)
        if number <= 4 and wire == VARINT:  # num, channels, height, width
            legacy[number] = signed(first)
        elif number == _SHAPE and wire == LENGTH:
            _read_dims(buffer, first, at, dims, place)
        elif number in chunks:
            stored = _STORED[number]
            if wire == LENGTH:
                if (at - first) % stored.itemsize:
                    raise DamagedError(f"{at - first} bytes are no whole number of values at byte {here}")
                count = (at - first) // stored.itemsize
                if count:
                    chunks[number].append(np.frombuffer(buffer, stored, count, first))
            elif wire == (FIXED32 if stored.itemsize == 4 else FIXED64):
                rows, at = unpacked(buffer, here, end, number, stored.itemsize)
                chunks[number].append(np.ascontiguousarray(rows).view(stored).reshape(-1))
    number = double if chunks[double] else single
    parts = chunks[number]
    shape = tuple(legacy.get(n, 0) for n in (1, 2, 3, 4)) if legacy else tuple(dims)
    have, need = sum(part.size for part in parts), math.prod(shape)
    if have != need or min(shape, default=1) < 0:
        written = " x ".join(map(str, shape)) or "()"
        raise DataError(f"{place} holds {have} values, but its shape {written} needs {need}")
    kind = np.float64 if number == double else np.float32
    if len(parts) == 1:
        return parts[0].reshape(shape).astype(kind)
    return np.concatenate(parts or [np.empty(0)], dtype=kind).reshape(shape)


def _read_dims(buffer: Any, at: int, end: int, dims: list[int], place: str) -> None:
    """Append a BlobShape's dims, packed or one by one."""
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
    """The error for a file that starts as `kind` and does not hold together."""
    return ProtoError(f"this {kind} is damaged: {error}", where=str(path),
                      hint="the file is damaged or was cut short; compare its size with the original's")
