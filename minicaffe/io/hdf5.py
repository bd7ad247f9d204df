"""HDF5 files: the only module that imports h5py."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np

from minicaffe import system
from minicaffe.errors import DataError, missing_extra
from minicaffe.io.blobs import too_large
from minicaffe.io.file_bytes import open_ordinary, unchanged
from minicaffe.io.files import PathLike, WritesUntilError, move_into_place, replace_file, temporary, unreadable
from minicaffe.io.sniff import describe, sniff

h5py: Any = None  # `require` imports it

T = TypeVar("T")
PACKED_AT_MOST = 1100  # times: no filter of HDF5's makes an array smaller
PIECE = 1 << 22  # bytes that one call of the library reads, because some of its versions block all threads meanwhile
CHUNK = 1 << 18  # bytes of rows that a growing file stores together
SPARSE_PIECE = 1 << 17  # the same where only some of the rows are wanted: less is read in vain
# What h5py raises for a damaged file. Our own mistakes raise the same, so only its calls are tried, never our code.
_BROKEN = (OSError, LookupError, RuntimeError, ValueError, TypeError)


def read_file(path: PathLike, read: Callable[[Any], T]) -> T:
    """Return what `read` makes of the open file. Raise DataError where it is no HDF5 file or lacks a part that is read.

    `read` gets h5py's file, and reads it with the functions of this module alone.
    """
    require()
    try:
        open_ordinary(path).close()
    except (OSError, ValueError) as error:
        raise unreadable(path, error) from error
    with unchanged(path):
        file = _open(path)
        try:
            return read(file)
        finally:
            with _library_errors(path):
                file.close()


def _open(path: PathLike) -> Any:
    try:
        return h5py.File(path, "r")
    except BlockingIOError as error:
        raise DataError("another program has this HDF5 file open to write it", where=str(path),
                        hint="wait until it has finished") from error
    except _BROKEN as error:
        kind = sniff(path)
        if kind != "hdf5":
            raise DataError(f"this is not an HDF5 file but {describe(kind)}", where=str(path)) from error
        raise _cannot_read(path, error) from error


@contextlib.contextmanager
def _library_errors(path: PathLike) -> Iterator[None]:
    """Turn what h5py raises for a damaged file into a DataError. Only its calls belong inside: see `_BROKEN`."""
    try:
        yield
    except _BROKEN as error:
        raise _cannot_read(path, error) from error


def _cannot_read(path: PathLike, error: Exception) -> DataError:
    return DataError(f"cannot read this HDF5 file: {_sentence(error)}", where=str(path),
                     hint="the file is damaged or was cut short")


def write_file(path: PathLike, write: Callable[[Any], None]) -> None:
    """Let `write` fill a new file. At every moment `path` is the old file or the whole new one.

    The file is made in memory and then written to the disk as a whole. Raise DataError when the system refuses.
    """
    require()
    with h5py.File(os.fspath(path), "w", driver="core", backing_store=False) as file:
        write(file)
        file.flush()
        image = file.id.get_file_image()
    replace_file(path, [image])


@contextlib.contextmanager
def growing_file(path: PathLike) -> Iterator[Growing]:
    """Yield a new HDF5 file that grows row by row; it gets the name `path` when the block ends without an error.

    So it may be larger than the memory. Raise DataError when the system refuses; then no file is left behind.
    """
    require()
    target = Path(os.path.realpath(path))
    beside = temporary(target)
    try:
        with open(beside, "w+b", buffering=0) as raw:
            stream = WritesUntilError(raw)  # HDF5 1.14 crashes where it cannot write
            with h5py.File(stream, "w") as file:
                yield Growing(file, stream)
            stream.check()
        move_into_place(beside, target)
    except OSError as error:
        raise DataError(f"cannot write {path}: {error.strerror or error}") from error
    finally:
        with contextlib.suppress(OSError):
            beside.unlink()


class Growing:
    """An open file of datasets whose first axis grows."""

    def __init__(self, file: Any, stream: WritesUntilError) -> None:
        self._file, self._stream = file, stream

    def append(self, name: str, rows: np.ndarray) -> None:
        """Add rows to the end of a dataset. The first call makes it, with the shape and the type of these rows."""
        if name not in self._file:
            shape = rows.shape[1:]
            chunk = max(1, CHUNK // max(1, rows[:1].nbytes))
            self._file.create_dataset(name, data=rows, maxshape=(None, *shape), chunks=(chunk, *shape))
            return
        item = self._file[name]
        item.resize(len(item) + len(rows), axis=0)
        item[len(item) - len(rows):] = rows
        self._stream.check()

    def change(self, name: str, new: Callable[[np.ndarray], np.ndarray]) -> None:
        """Replace all rows of a dataset by new(rows), some at a time."""
        if name in self._file:
            item = self._file[name]
            for begin in range(0, len(item), item.chunks[0]):
                item[begin:begin + item.chunks[0]] = new(item[begin:begin + item.chunks[0]])
                self._stream.check()

    def note(self, name: str, **attributes: Any) -> None:
        """Add attributes to a dataset: numbers, or a list of texts."""
        for key, value in attributes.items():
            self._file[name].attrs[key] = value


class _Stored(NamedTuple):
    """The properties of a dataset that are known before any value is read."""

    shape: tuple[int, ...] | None  # None for a dataset without values
    dtype: np.dtype[Any]
    needed: int  # bytes that the values take in memory
    stored: int  # bytes that they take in the file
    in_chunks: bool  # and so perhaps compressed
    elsewhere: bool  # whether another file holds the values


def array(item: Any) -> np.ndarray:
    """Return the numbers of a dataset in this machine's byte order. Raise DataError where the file does not hold them.

    A damaged file can claim any size. So no memory is taken before the stored bytes are known to fill the shape.
    """
    found = _stored(item)
    if found and found.dtype.kind == "b":  # Caffe: refuses them too
        raise DataError(f"{item.name} holds booleans, not numbers", where=item.file.filename,
                        hint="write them as numbers: file[name] = values.astype('f4')")
    if not found or found.dtype.kind not in "fiu" or found.shape is None:
        raise _damaged(item, "is no array of numbers")
    _check_size(item, found)
    values = np.empty(found.shape, found.dtype.newbyteorder("="))
    if values.size:
        with _library_errors(item.file.filename):
            item.read_direct(values)
    return values


def integer(item: Any) -> int:
    """Return the one whole number of a dataset."""
    values = array(item)
    if values.size != 1 or values.dtype.kind == "f":
        raise _damaged(item, f"is no whole number: its shape is {values.shape} of {values.dtype}")
    return int(values.ravel()[0])


def string(item: Any) -> str:
    """Return the text of a dataset up to a zero byte. Bytes that are not UTF-8 are replaced."""
    found = _stored(item)
    if not found or found.dtype.kind not in "SO" or found.shape not in ((), (1,)):
        raise _damaged(item, "is no text")
    _check_size(item, found)
    with _library_errors(item.file.filename):
        content = item[()]
    value = np.ravel(content)[0]
    data = value if isinstance(value, bytes) else str(value).encode()
    return data.split(b"\0")[0].decode("utf-8", "replace")


class Rows(NamedTuple):
    """What is known of a dataset of rows before any is read."""

    shape: tuple[int, ...]  # of the whole dataset
    dtype: np.dtype[Any]
    together: int  # rows that can only be read together, because the file has them in one chunk


def rows(item: Any) -> Rows:
    """Return what is known of a dataset of numbers or booleans. Raise DataError where the file does not hold them."""
    found = _stored(item)
    if not found or found.dtype.kind not in "fiub" or found.shape is None:
        raise _damaged(item, "is no array of numbers")
    if found.shape:
        _check_size(item, found)
    return Rows(found.shape, found.dtype.newbyteorder("="), item.chunks[0] if found.in_chunks else 1)


def read_rows(item: Any, numbers: np.ndarray, values: np.ndarray, places: np.ndarray) -> None:
    """Set values[places] to the rows of these numbers, which must rise; several may be equal.

    Rows that stand in the file as they do in memory are read without the library, which takes ten times as long for a
    single row. Others are read in pieces, each of them once, from the first to the last row that is wanted there.
    """
    if not values.size:
        return
    with _library_errors(item.file.filename):
        offset = _plain_offset(item, values.dtype)
    if offset is not None:
        _read_plain(item, offset, numbers, values, places)
        return
    together = item.chunks[0] if item.chunks else 1
    dense = numbers[-1] - numbers[0] < len(numbers)
    step = together * max(1, (PIECE if dense else SPARSE_PIECE) // (together * values[0].nbytes))
    same_type = item.dtype.newbyteorder("=") == values.dtype
    ends = [*(np.flatnonzero(np.diff(numbers // step)) + 1), len(numbers)]
    with _library_errors(item.file.filename):
        for begin, end in zip([0, *ends], ends, strict=False):
            rows, to = numbers[begin:end], places[begin:end]
            piece = np.s_[int(rows[0]):int(rows[-1]) + 1]
            if same_type and _without_gaps(rows) and _without_gaps(to):
                item.read_direct(values, piece, np.s_[int(to[0]):int(to[-1]) + 1])
            else:
                values[to] = item[piece][rows - rows[0]]


def _plain_offset(item: Any, dtype: np.dtype[Any]) -> int | None:
    """Return the byte of the file at which the values begin, if they stand there as an array of `dtype` does."""
    plain = item.chunks is None and not item.external and not item.is_virtual and item.file.userblock_size == 0
    return item.id.get_offset() if plain and item.id.get_type() == h5py.h5t.py_create(dtype) else None


def _read_plain(item: Any, offset: int, numbers: np.ndarray, values: np.ndarray, places: np.ndarray) -> None:
    """Read rows that stand in the file as they do in memory, in as many steps as they have gaps."""
    size, path = values[0].nbytes, item.file.filename
    whole: Any = values.reshape(-1).view(np.uint8)
    content = memoryview(whole)
    ends = np.flatnonzero((np.diff(numbers) != 1) | (np.diff(places) != 1)) + 1
    begins = np.concatenate([[0], ends])
    lengths = np.diff([*begins, len(numbers)])
    try:
        with open_ordinary(path) as file:
            for number, place, length in zip((offset + numbers[begins] * size).tolist(),
                                             (places[begins] * size).tolist(), (lengths * size).tolist(), strict=True):
                if system.read_into(file, number, content[place:place + length]) < length:
                    raise _damaged(item, "ends before its last row")
    except OSError as error:
        raise _cannot_read(path, error) from error


def _without_gaps(numbers: np.ndarray) -> bool:
    return bool((np.diff(numbers) == 1).all())


def names(group: Any) -> list[str | bytes]:
    """Return the names of the datasets and groups in a group, in order; bytes where a name is no UTF-8."""
    _need_group(group)
    with _library_errors(group.file.filename):
        return list(group)


def has(group: Any, name: str) -> bool:
    """Return whether a group holds a dataset or a group of this name."""
    with _library_errors(group.file.filename):
        return name in group


def member(group: Any, path: str) -> Any:
    """Return a dataset or group by its path. Raise DataError where it is missing or is stored in another file."""
    for name in filter(None, path.split("/")):
        group = _member(group, name)
    return group


def _need_group(item: Any) -> None:
    if not is_group(item):
        raise _damaged(item, "is no group")


def _member(group: Any, name: str | bytes) -> Any:
    _need_group(group)
    key = name if isinstance(name, bytes) else name.encode()
    with _library_errors(group.file.filename):
        known = group.id.links.exists(key)
    if not known:
        raise _damaged(group, f"has no {name!r}")
    with _library_errors(group.file.filename):
        link = group.id.links.get_info(key)
        # An external link is not followed: the other file could be any that this user may read.
        found = None if link.type == h5py.h5l.TYPE_EXTERNAL else group[name]
        # A link within the file can lead to an external one.
        elsewhere = found is None or found.file.filename != group.file.filename
    if elsewhere:
        raise _damaged(group, f"names {name!r} of another file")
    return found


def walk(top: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield each group inside `top`, by its path, with its datasets by name; depth first, in the order of the names.

    Bytes of a name that are not UTF-8 are replaced, as in a caffemodel.
    Raise DataError for a group that can be reached twice, and for anything that is stored in another file.
    """
    seen, waiting = {top}, [("", top)]
    while waiting:
        path, group = waiting.pop()
        datasets, groups = {}, []
        for name in names(group):
            item = _member(group, name)
            text = name.decode("utf-8", "replace") if isinstance(name, bytes) else name
            with _library_errors(group.file.filename):  # h5py asks the file which object this is
                twice = item in seen
                seen.add(item)
            if twice:  # a group that holds itself would never end
                raise _damaged(item, "stands in two places of this file")
            if is_group(item):
                groups.append((f"{path}/{text}" if path else text, item))
            else:
                datasets[text] = item
        yield path, datasets
        waiting += reversed(groups)  # the last one is taken first


def _stored(item: Any) -> _Stored | None:
    """Return the properties of a dataset; None for a group."""
    if not is_dataset(item):
        return None
    with _library_errors(item.file.filename):
        return _Stored(item.shape, item.dtype, item.nbytes, int(item.id.get_storage_size()), item.chunks is not None,
                       bool(item.external or item.is_virtual))


def _check_size(item: Any, found: _Stored) -> None:
    """Raise DataError where the bytes in the file cannot be all values of the dataset."""
    if found.elsewhere:  # that could be any file that this user may read
        raise DataError(f"{item.name} keeps its values in another file, and only values in the file itself are read",
                        where=item.file.filename, hint="write the dataset anew, without external= and without "
                                                       "a virtual layout")
    packed = PACKED_AT_MOST if found.in_chunks else 1
    if too_large(found.shape or ()) or found.needed > found.stored * packed \
            or found.stored > os.path.getsize(item.file.filename):
        raise _damaged(item, f"holds {found.stored} bytes, but its shape {found.shape} needs {found.needed}")


def _damaged(item: Any, what: str) -> DataError:
    return DataError(f"{item.name} {what}", where=item.file.filename, hint="the file is damaged, or holds other data")


def write_string(group: Any, name: str, value: str) -> None:
    """Write a string of fixed size that ends in a zero byte, as HDF5's own C functions write it."""
    data = value.encode() + b"\0"
    kind = h5py.h5t.C_S1.copy()
    kind.set_size(len(data))
    kind.set_strpad(h5py.h5t.STR_NULLTERM)
    space = h5py.h5s.create(h5py.h5s.SCALAR)
    dataset = h5py.h5d.create(group.id, name.encode(), kind, space)
    dataset.write(space, space, np.array(data, dtype=f"S{len(data)}"), mtype=kind)


def is_dataset(item: Any) -> bool:
    """True for an array, False for a group."""
    return isinstance(item, h5py.Dataset)


def is_group(item: Any) -> bool:
    """True for a group, the whole file among them."""
    return isinstance(item, h5py.Group)


def require() -> None:
    """Import h5py. Raise an error that names the extra, where it is not installed."""
    global h5py
    if h5py is None:
        try:
            import h5py  # only here, because it takes a tenth of the time in which a program starts
        except ImportError:
            raise missing_extra("h5py", "data", "an HDF5 file") from None


def _sentence(error: Exception) -> str:
    return str(error).strip("'\"").splitlines()[0] if str(error) else type(error).__name__
