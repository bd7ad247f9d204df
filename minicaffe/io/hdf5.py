"""HDF5 files: the only module that imports h5py."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np

from minicaffe.errors import DataError, missing_extra
from minicaffe.proto.files import replace_file

try:
    import h5py
except ImportError:
    h5py = None

PathLike = str | os.PathLike[str]
T = TypeVar("T")


def read_file(path: PathLike, read: Callable[[Any], T]) -> T:
    """What `read` makes of the open file; DataError where it is no HDF5 file or lacks what `read` asks for."""
    _need_h5py()
    try:
        with h5py.File(path, "r") as file:
            return read(file)
    except (OSError, KeyError, RuntimeError, ValueError, TypeError) as error:
        raise DataError(f"cannot read this HDF5 file: {_sentence(error)}", where=str(path)) from error


def write_file(path: PathLike, write: Callable[[Any], None]) -> None:
    """Let `write` fill a new file; `path` is at every moment the old file or the whole new one.

    The file is made in memory and then goes to the disk in one piece. DataError when the system refuses.
    """
    _need_h5py()
    with h5py.File(os.fspath(path), "w", driver="core", backing_store=False) as file:
        write(file)
        file.flush()
        image = file.id.get_file_image()
    replace_file(path, [image])


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


def _need_h5py() -> None:
    if h5py is None:
        raise missing_extra("h5py", "data", "an HDF5 file")


def _sentence(error: Exception) -> str:
    return str(error).strip("'\"").splitlines()[0] if str(error) else type(error).__name__
