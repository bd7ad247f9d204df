"""Arrays by name in .safetensors files.

    8 bytes    the length of the header, little-endian
    header     JSON: {"__metadata__": {text: text}, name: {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]}}
    data       the arrays' bytes, little-endian; the offsets count from here
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from minicaffe.errors import DataError
from minicaffe.io.blobs import MAX_AXES, too_large
from minicaffe.io.file_bytes import FileBytes
from minicaffe.io.files import PathLike, replace_file
from minicaffe.io.sniff import SAFETENSORS_HEADER

METADATA = "__metadata__"
_DTYPES = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "<u2", "I64": "<i8", "I32": "<i4", "I16": "<i2",
           "I8": "|i1", "U8": "|u1", "U16": "<u2", "U32": "<u4", "U64": "<u8"}
_NAMES = {np.dtype("f8"): "F64", np.dtype("f4"): "F32", np.dtype("i8"): "I64"}


def read(path: PathLike) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """Return the arrays by name, in the order of the data, and the metadata. Raise DataError if the file is damaged."""
    data = FileBytes(path)
    size = len(data)
    length = int.from_bytes(data[:8], "little")
    if not 2 <= length <= min(size - 8, SAFETENSORS_HEADER):
        raise _damaged(path, f"its header takes {length} bytes, and the file has {size}")
    header = _header(data[8 : 8 + length], path)
    metadata = header.pop(METADATA, {})
    # In the order of the data each must begin where the one before ends: no bytes are shared, and none left over.
    spans = sorted((_span(name, entry, path) for name, entry in header.items()), key=lambda span: span[1])
    arrays, at = {}, 0
    for name, begin, end, dtype, shape in spans:
        if begin != at or end > size - 8 - length:
            raise _damaged(path, f"{name!r} has the bytes {begin} to {end}, where byte {at} is due "
                                 f"and {size - 8 - length} are there")
        arrays[name], at = _array(data, 8 + length + begin, dtype, shape), end
    return arrays, {str(k): str(v) for k, v in metadata.items()} if isinstance(metadata, dict) else {}


def write(path: PathLike, arrays: Iterable[tuple[str, np.ndarray]], metadata: Mapping[str, str]) -> None:
    """Write float arrays; `path` is at every moment the old file or the whole new one."""
    header: dict[str, Any] = {METADATA: dict(metadata)} if metadata else {}
    pieces: list[Any] = []
    at = 0
    for name, array in arrays:
        values = np.ascontiguousarray(array, array.dtype.newbyteorder("<"))
        end = at + values.nbytes
        header[name] = {"dtype": _NAMES[array.dtype], "shape": list(array.shape), "data_offsets": [at, end]}
        pieces.append(values.reshape(-1).view(np.uint8).data)
        at = end
    text = json.dumps(header, ensure_ascii=False, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)  # so the data begins at a multiple of 8, where any array may lie in memory
    replace_file(path, [len(text).to_bytes(8, "little"), text, *pieces])


def _header(text: bytes, path: PathLike) -> dict[str, Any]:
    def each_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        if len({key for key, _ in pairs}) < len(pairs):
            raise ValueError("a name stands twice in its header")
        for item in (item for pair in pairs for item in pair if isinstance(item, str)):
            if any("\ud800" <= letter <= "\udfff" for letter in item):  # JSON can write what no text can hold
                raise ValueError(f"{item!r} in its header is no text: it holds half of a character")
        return dict(pairs)

    try:
        header = json.loads(text.decode(), object_pairs_hook=each_once)
    except (ValueError, RecursionError) as error:
        raise _damaged(path, f"{error}") from error
    if not isinstance(header, dict):
        raise _damaged(path, "its header is no JSON object")
    return header


def _span(name: str, entry: Any, path: PathLike) -> tuple[str, int, int, str, tuple[int, ...]]:
    """(name, first byte, byte after the last, dtype, shape) of a header's entry.

    Raise DataError where the entry is incomplete, or where its bytes are not as many as its shape and dtype need.
    """
    try:
        dtype, shape, (begin, end) = entry["dtype"], tuple(entry["shape"]), entry["data_offsets"]
    except (TypeError, KeyError, ValueError) as error:
        raise _damaged(path, f"the entry of {name!r} lacks dtype, shape or data_offsets") from error
    if not isinstance(dtype, str) or dtype not in _DTYPES:
        raise DataError(f"{name!r} is of the type {dtype!r}; only {', '.join(_DTYPES)} can be read", where=str(path))
    whole = all(type(number) is int and number >= 0 for number in (*shape, begin, end)) and len(shape) <= MAX_AXES
    if not whole or too_large(shape) or math.prod(shape) * np.dtype(_DTYPES[dtype]).itemsize != end - begin:
        raise _damaged(path, f"{name!r} has the bytes {begin} to {end}, which do not fill its shape {shape} of {dtype}")
    return name, begin, end, dtype, shape


def _array(data: FileBytes, place: int, dtype: str, shape: tuple[int, ...]) -> np.ndarray:
    values = np.empty(shape, _DTYPES[dtype])
    data.read_into(values, place)
    if dtype == "BF16":  # the upper half of a float32
        return (values.astype("<u4") << np.uint32(16)).view(np.float32)
    return values.astype(values.dtype.newbyteorder("="), copy=False)


def _damaged(path: PathLike, what: str) -> DataError:
    return DataError(f"this .safetensors file is damaged: {what}", where=str(path))
