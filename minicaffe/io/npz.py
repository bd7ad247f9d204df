"""Arrays by name in .npz files: a zip archive of .npy members. Members are checked before memory is given to them."""

from __future__ import annotations

import io
import math
import os
import struct
import tokenize
import zipfile
import zlib
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

import numpy as np

from minicaffe.errors import DataError
from minicaffe.io.blobs import too_large
from minicaffe.io.file_bytes import unchanged
from minicaffe.io.files import PathLike, replace_file

T = TypeVar("T")
PACKED_AT_MOST = 1100  # times: deflate makes nothing smaller than 1/1032
LONGEST_HEADER = 10_000
LONGEST_NAME = 65_535 - len(".npy")  # bytes that a zip archive has for the name of a member
# What zipfile and numpy raise for bytes that are no .npz. Our own mistakes raise some of these too, so only their
# calls are tried, never our code between them.
_BROKEN = (zipfile.BadZipFile, zipfile.LargeZipFile, zlib.error, EOFError, struct.error, ValueError, LookupError,
           NotImplementedError, RuntimeError, OSError, SyntaxError, TypeError, tokenize.TokenError)


def read(path: PathLike) -> dict[str, np.ndarray]:
    """Return the arrays of a file by name, in its order. Raise DataError if it is damaged or holds Python objects."""
    with unchanged(path), _ask(path, zipfile.ZipFile, path) as archive:
        left = os.path.getsize(path)
        arrays: dict[str, np.ndarray] = {}
        # Checked before any is read: two members may claim the same bytes, and a few bytes any size.
        for member in archive.infolist():
            left -= member.compress_size
            if left < 0 or member.file_size > PACKED_AT_MOST * member.compress_size:
                raise DataError(f"{member.filename} claims more bytes than the file has", where=str(path))
            name = member.filename.removesuffix(".npy")
            if name in arrays:
                raise DataError(f"this .npz is damaged: two of its members are called {name!r}", where=str(path))
            with _ask(path, archive.open, member) as stream:
                arrays[name] = _array(stream, member, path)
        return arrays


def _ask(path: PathLike, call: Callable[..., T], *args: Any, **options: Any) -> T:
    """Return what a call into zipfile or numpy returns. Raise DataError where it finds the file damaged."""
    try:
        return call(*args, **options)
    except _BROKEN as error:
        raise DataError(f"this .npz is damaged: {error}", where=str(path)) from error


def write(path: PathLike, arrays: Iterable[tuple[str, np.ndarray]]) -> None:
    """Write named arrays, uncompressed; `path` is at every moment the old file or the whole new one."""
    whole = io.BytesIO()
    try:
        with zipfile.ZipFile(whole, "w", zipfile.ZIP_STORED) as archive:
            for name, values in arrays:
                if len(name.encode("utf-8", "surrogatepass")) > LONGEST_NAME:
                    raise DataError(f"an array's name takes more than {LONGEST_NAME} bytes, the most that an .npz has "
                                    f"for it: it begins with {name[:60]!r}", where=str(path))
                # always the same date, so that equal weights give equal files
                member = zipfile.ZipInfo(f"{name}.npy", date_time=(1980, 1, 1, 0, 0, 0))
                with archive.open(member, "w", force_zip64=True) as stream:
                    np.lib.format.write_array(stream, np.ascontiguousarray(values).reshape(values.shape),
                                              allow_pickle=False)
    except ValueError as error:
        cause: BaseException | None = error
        while cause is not None and not isinstance(cause, MemoryError):
            cause = cause.__context__
        if cause is None:
            raise
        raise cause from None  # closing the archive fails too where memory has run out, and would hide that
    replace_file(path, [whole.getbuffer()])


def _array(stream: Any, member: zipfile.ZipInfo, path: PathLike) -> np.ndarray:
    shape, by_columns, dtype = _header(stream, member, path)
    needed, held = math.prod(shape) * dtype.itemsize, member.file_size - stream.tell()
    if dtype.kind not in "fiu":
        raise DataError(f"{member.filename} holds {dtype}, not numbers", where=str(path))
    if needed != held or min(shape, default=0) < 0 or too_large(shape):
        raise DataError(f"{member.filename} holds {held} bytes, but its shape {shape} needs {needed}", where=str(path))
    values = np.empty(shape, dtype, order="F" if by_columns else "C")
    target: Any = values.ravel(order="K").view(np.uint8)  # no copy: the array is in one piece
    at = 0
    while part := _ask(path, stream.read, 1 << 20):
        target[at : at + len(part)] = np.frombuffer(part, np.uint8)
        at += len(part)
    return np.ascontiguousarray(values, dtype.newbyteorder("=")).reshape(shape)


def _header(stream: Any, member: zipfile.ZipInfo, path: PathLike) -> tuple[tuple[int, ...], bool, np.dtype]:
    """Return the shape of an array, whether it is stored by columns, and the type of its numbers."""
    version = _ask(path, np.lib.format.read_magic, stream)
    readers = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
    if version not in readers:
        raise DataError(f"{member.filename} is of the .npy version {version[0]}.{version[1]}, and 1.0 and 2.0 are read",
                        where=str(path))
    try:
        return _ask(path, readers[version], stream, max_header_size=LONGEST_HEADER)
    except MemoryError:  # so says Python's parser of deep nesting, and a header of this size needs no memory
        raise DataError(f"this .npz is damaged: the header of {member.filename} is nested too deeply",
                        where=str(path)) from None
