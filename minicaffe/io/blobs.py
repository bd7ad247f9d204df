"""Turn BlobProtos into numpy arrays and back, without a Python object for each number."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
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
_RAW_DATA_TYPE, _RAW_DIFF_TYPE, _RAW_DATA, _RAW_DIFF = 10, 11, 12, 13  # of NVIDIA's fork
_F4, _F8 = np.dtype("<f4"), np.dtype("<f8")
_UNPACKED = {4: FIXED32, 8: FIXED64}  # the wire type of a value with a tag of its own, by its size in bytes
_Piece = tuple[int, int | bytes]  # how many values, and where they begin in the buffer, or their bytes
_RAW_TYPES = {name: np.dtype(code) for name, code in (("DOUBLE", "<f8"), ("FLOAT", "<f4"), ("FLOAT16", "<f2"),
                                                      ("INT", "<i4"), ("UINT", "<u4"), ("BOOL", "?"))}
_STORED: dict[int, np.dtype[Any]] = {_DATA: _F4, _DIFF: _F4, _DOUBLE_DATA: _F8, _DOUBLE_DIFF: _F8}


def blob_to_array(blob: Any, *, diff: bool = False) -> np.ndarray:
    """Return the data (or the diff) of a BlobProto as a new float32 or float64 array.

    Its shape is `shape`, or in old files the four numbers num, channels, height and width. Numbers of another type, in
    raw_data of NVIDIA's fork, become float32.

    Raise DataError when the number of values does not match the shape.
    """
    data = blob.SerializeToString()
    return decode_blob(data, 0, len(data), "this blob", diff=diff)


def array_to_blob(array: np.ndarray, diff: np.ndarray | None = None) -> Any:
    """Return a BlobProto of the array's shape: float64 as double_data, everything else as float data."""
    return proto.BlobProto.FromString(b"".join(encode_blob(array, diff)))


def decode_blob(buffer: Any, at: int, end: int, place: str, *, diff: bool = False) -> np.ndarray:
    """Return the array of the BlobProto between two offsets of `buffer`; errors call it `place`.

    No memory is taken before the stored values are known to fill the shape. Raise DataError when they do not,
    DamagedError when the bytes are no message.
    """
    single, double = (_DIFF, _DOUBLE_DIFF) if diff else (_DATA, _DOUBLE_DATA)
    fields = _read_fields(buffer, at, end, place, (single, double))
    number = double if any(count for count, _ in fields.values[double]) else single
    # Caffe: where one of the four old sizes is set, the shape is not looked at
    shape = tuple(fields.legacy.get(n, 0) for n in (1, 2, 3, 4)) if fields.legacy else tuple(fields.dims)
    pieces = fields.values[number]
    raw_type, raw = (_RAW_DIFF_TYPE, _RAW_DIFF) if diff else (_RAW_DATA_TYPE, _RAW_DATA)
    if raw in fields.raw and not any(count for count, _ in pieces):
        return _of_raw(buffer, fields.raw[raw], fields.raw_types.get(raw_type, 0), shape, place)
    count = sum(count for count, _ in pieces)
    _check_count(count, shape, place)
    values = np.empty(count, _STORED[number])
    _fill_from(pieces, buffer, values)
    return values.reshape(shape).astype(values.dtype.newbyteorder("="), copy=False)


@dataclass
class _Fields:
    """The fields of a BlobProto that make an array."""

    legacy: dict[int, int]           # num, channels, height, width by their field numbers, where they are set
    dims: list[int]                  # the sizes in `shape`
    values: dict[int, list[_Piece]]  # the pieces of the values, by field number
    raw: dict[int, tuple[int, int]]  # where the bytes of raw_data and raw_diff begin and end, by field number
    raw_types: dict[int, int]        # raw_data_type and raw_diff_type, by field number


def _read_fields(buffer: Any, at: int, end: int, place: str, numbers: tuple[int, int]) -> _Fields:
    """Return the fields of the BlobProto between two offsets; `numbers` are those of the values that are wanted."""
    fields = _Fields({}, [], {number: [] for number in numbers}, {}, {})
    while at < end:
        here = at
        number, wire, first, at = next_field(buffer, at, end)
        if number <= 4 and wire == VARINT:
            fields.legacy[number] = signed(first)
        elif number in (_RAW_DATA, _RAW_DIFF) and wire == LENGTH:
            fields.raw[number] = (first, at)
        elif number in (_RAW_DATA_TYPE, _RAW_DIFF_TYPE) and wire == VARINT:
            fields.raw_types[number] = first
        elif number == _SHAPE and wire == LENGTH:
            _read_dims(buffer, first, at, fields.dims, place)
        elif number in fields.values and wire == LENGTH:  # packed: one tag for all values
            size = _STORED[number].itemsize
            if (at - first) % size:
                raise DamagedError(f"{at - first} bytes are no whole number of values at byte {here}")
            fields.values[number].append(((at - first) // size, first))
        elif number in fields.values and wire == _UNPACKED[_STORED[number].itemsize]:
            pieces, at = _read_unpacked(buffer, here, end, number)
            fields.values[number] += pieces
    return fields


def _of_raw(buffer: Any, span: tuple[int, int], kind: int, shape: tuple[int, ...], place: str) -> np.ndarray:
    """Return the array whose bytes lie between two offsets, as float64 where they are that, else as float32."""
    known = proto.BlobProto.Type.DESCRIPTOR.values_by_number
    if kind not in known:
        raise DataError(f"{place} holds raw_data of the type {kind}, and only 0 to {len(known) - 1} are known")
    stored = _RAW_TYPES[known[kind].name]
    begin, end = span
    if (end - begin) % stored.itemsize:
        raise DamagedError(f"{end - begin} bytes are no whole number of values at byte {begin}")
    _check_count((end - begin) // stored.itemsize, shape, place)
    values = np.empty((end - begin) // stored.itemsize, stored)
    fill(values, buffer, begin)
    return values.reshape(shape).astype(np.float64 if known[kind].name == "DOUBLE" else np.float32)


def _read_unpacked(buffer: Any, at: int, end: int, number: int) -> tuple[list[_Piece], int]:
    """Return the values from `at` on, each of which has a tag of its own, and the offset after the last."""
    size = _STORED[number].itemsize
    pieces: list[_Piece] = [(len(piece) // size, piece) for piece in unpacked(buffer, at, end, number, size)]
    count = sum(count for count, _ in pieces)
    if not count:  # the tag has more bytes than it needs; we would look for the next one in the same place for ever
        raise DamagedError(f"no field starts at byte {at}")
    return pieces, at + count * (1 + size)


def _check_count(count: int, shape: tuple[int, ...], place: str) -> None:
    """DataError unless so many values fill a blob of this shape."""
    written = " x ".join(map(str, shape)) or "()"
    if too_large(shape):
        raise DataError(f"{place} holds {count} values, but its shape {written} is larger than any machine's memory")
    if count != math.prod(shape) or min(shape, default=1) < 0:  # two negative sizes have a positive product
        raise DataError(f"{place} holds {count} values, but its shape {written} needs {math.prod(shape)}")


def _fill_from(pieces: list[_Piece], buffer: Any, values: np.ndarray) -> None:
    """Put the pieces one behind the other into an array."""
    filled = 0
    for count, content in pieces:
        target = values[filled : filled + count]
        if isinstance(content, int):
            fill(target, buffer, content)
        else:
            fill(target, content, 0)
        filled += count


def too_large(shape: Sequence[int]) -> bool:
    """Return whether a shape is too large for any machine.

    Sizes of 0 are left out, because the product would be 0 and hide that other sizes are huge.
    """
    return math.prod(size for size in shape if size) > MAX_COUNT


def _read_dims(buffer: Any, at: int, end: int, dims: list[int], place: str) -> None:
    """Append the sizes that a BlobShape holds: one field for each, or all of them in one."""
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
    """Return the bytes of a BlobProto in Caffe's own order, in pieces; the values are views, not copies."""
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
    """Return the error for a file that begins like one of this kind, but whose later bytes make no sense."""
    return ProtoError(f"this {kind} is damaged: {error}", where=str(path),
                      hint="the file is damaged or was cut short; compare its size with the original's")
