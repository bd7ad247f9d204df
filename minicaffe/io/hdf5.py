"""HDF5 files: the only module that imports h5py."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import numpy as np

from minicaffe.errors import DataError, missing_extra
from minicaffe.io.blobs import too_large
from minicaffe.io.file_bytes import open_ordinary, unchanged
from minicaffe.io.files import PathLike, replace_file, unreadable
from minicaffe.io.sniff import describe, sniff

try:
    import h5py
except ImportError:
    h5py = None

T = TypeVar("T")
PACKED_AT_MOST = 1100  # times: no filter of HDF5's makes an array smaller


def read_file(path: PathLike, read: Callable[[Any], T]) -> T:
    """What `read` makes of the open file; DataError where it is no HDF5 file or lacks what `read` asks for."""
    require()
    try:
        open_ordinary(path).close()
    except (OSError, ValueError) as error:
        raise unreadable(path, error) from error
    try:
        with unchanged(path), h5py.File(path, "r") as file:
            return read(file)
    except BlockingIOError as error:
        raise DataError("another program has this HDF5 file open to write it", where=str(path),
                        hint="wait until it has finished") from error
    except (OSError, LookupError, RuntimeError, ValueError, TypeError) as error:
        kind = sniff(path)
        if kind != "hdf5":
            raise DataError(f"this is not an HDF5 file but {describe(kind)}", where=str(path)) from error
        raise DataError(f"cannot read this HDF5 file: {_sentence(error)}", where=str(path),
                        hint="the file is damaged or was cut short") from error


def write_file(path: PathLike, write: Callable[[Any], None]) -> None:
    """Let `write` fill a new file; `path` is at every moment the old file or the whole new one.

    The file is made in memory and then goes to the disk in one piece. DataError when the system refuses.
    """
    require()
    with h5py.File(os.fspath(path), "w", driver="core", backing_store=False) as file:
        write(file)
        file.flush()
        image = file.id.get_file_image()
    replace_file(path, [image])


def array(item: Any) -> np.ndarray:
    """The numbers of a dataset in this machine's byte order; DataError where the file does not hold them.

    Nothing is allocated before the stored bytes are known to fill the shape: a damaged one can claim any size.
    """
    if is_dataset(item) and item.dtype.kind == "b":  # Caffe: refuses them too
        raise DataError(f"{item.name} holds booleans, not numbers", where=item.file.filename,
                        hint="write them as numbers: file[name] = values.astype('f4')")
    if not is_dataset(item) or item.dtype.kind not in "fiu" or item.shape is None:
        raise _damaged(item, "is no array of numbers")
    _check_size(item)
    values = np.empty(item.shape, item.dtype.newbyteorder("="))
    if values.size:
        item.read_direct(values)
    return values


def integer(item: Any) -> int:
    """The one whole number of a dataset."""
    values = array(item)
    if values.size != 1 or values.dtype.kind == "f":
        raise _damaged(item, f"is no whole number: its shape is {values.shape} of {values.dtype}")
    return int(values.ravel()[0])


def string(item: Any) -> str:
    """The text of a dataset, up to a zero byte; what is not UTF-8 in it is replaced."""
    if not is_dataset(item) or item.dtype.kind not in "SO" or item.shape not in ((), (1,)):
        raise _damaged(item, "is no text")
    _check_size(item)
    value = np.ravel(item[()])[0]
    data = value if isinstance(value, bytes) else str(value).encode()
    return data.split(b"\0")[0].decode("utf-8", "replace")


def member(group: Any, path: str) -> Any:
    """The dataset or group of this path in a group; DataError where it lies in another file."""
    for name in filter(None, path.split("/")):
        group = _entry(group, name)
    return group


def _entry(group: Any, name: str | bytes) -> Any:
    link = group.id.links.get_info(name if isinstance(name, bytes) else name.encode())
    found = None if link.type == h5py.h5l.TYPE_EXTERNAL else group[name]
    if found is None or found.file.filename != group.file.filename:  # a link within the file can lead to such a link
        raise _damaged(group, f"names {name!r} of another file")
    return found


def walk(top: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    """Each group inside `top`, by its path, with its datasets by name; depth first, in the order of the names.

    What is not UTF-8 in a name is replaced, as in a caffemodel.
    DataError for a group that can be reached twice, and for what lies in another file.
    """
    seen, waiting = {top}, [("", top)]
    while waiting:
        path, group = waiting.pop()
        datasets, groups = {}, []
        for name in group:
            item = _entry(group, name)
            text = name.decode("utf-8", "replace") if isinstance(name, bytes) else name
            if item in seen:
                raise _damaged(item, "stands in two places of this file")
            seen.add(item)
            if is_group(item):
                groups.append((f"{path}/{text}" if path else text, item))
            else:
                datasets[text] = item
        yield path, datasets
        waiting += reversed(groups)


def _check_size(dataset: Any) -> None:
    if dataset.external or dataset.is_virtual:  # that could be any file that this user may read
        raise DataError(f"{dataset.name} keeps its values in another file, and only values in the file itself are read",
                        where=dataset.file.filename, hint="write the dataset anew, without external= and without "
                                                          "a virtual layout")
    stored, needed = int(dataset.id.get_storage_size()), dataset.nbytes
    packed = PACKED_AT_MOST if dataset.chunks else 1
    if too_large(dataset.shape) or needed > stored * packed or stored > os.path.getsize(dataset.file.filename):
        raise _damaged(dataset, f"holds {stored} bytes, but its shape {dataset.shape} needs {needed}")


def _damaged(item: Any, what: str) -> DataError:
    return DataError(f"{item.name} {what}", where=item.file.filename, hint="the file is damaged, or holds other data")


def write_string(group: Any, name: str, value: str) -> None:
    """A string of fixed size that ends in a zero byte, as HDF5's own C functions write it."""
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
    """The error that names the extra, where h5py is not installed."""
    if h5py is None:
        raise missing_extra("h5py", "data", "an HDF5 file")


def _sentence(error: Exception) -> str:
    return str(error).strip("'\"").splitlines()[0] if str(error) else type(error).__name__
