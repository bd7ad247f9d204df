"""Read the HDF5 files of HDF5Data, in which each dataset holds the rows of one top."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import numpy as np

from minicaffe.data.lists import listed_file_error, read_path_list
from minicaffe.errors import DataError
from minicaffe.io import hdf5
from minicaffe.io.file_bytes import open_ordinary

T = TypeVar("T")


def read_paths(source: str) -> list[str]:
    """Return the file names in a list, separated by white space. Raise a DataError when it is missing or empty."""
    names = [entry.path for entry in read_path_list(source, "the list of HDF5 files")]
    if not names:
        raise DataError(f"the list {source} names no HDF5 file")
    return names


def count_rows(path: str, name: str, source: str = "") -> int:
    """Return how many rows a dataset has, or raise a DataError. `source` is the list that names the file."""
    return _read_listed(path, source, lambda file: hdf5.rows(hdf5.member(file, name)))


def read_datasets(path: str, names: Sequence[str], dtype: type, source: str = "") -> list[np.ndarray]:
    """Return the named datasets of a file. Raise a DataError where one is missing or they differ in their rows' number.

    source    the list that names the file, for the message where the file is missing
    """
    def read(file: Any) -> list[np.ndarray]:
        missing = [name for name in names if not hdf5.has(file, name)]
        if missing:
            found = ", ".join(sorted(map(str, hdf5.names(file))))
            raise DataError(f"{path} has no dataset {missing[0]!r}; it has {found}",
                            hint="give the layer's tops the names of the datasets")
        return [hdf5.array(hdf5.member(file, name)).astype(dtype, copy=False) for name in names]

    arrays = _read_listed(path, source, read)
    shapes = {name: array.shape for name, array in zip(names, arrays, strict=True)}
    if any(not shape for shape in shapes.values()) or len({shape[0] for shape in shapes.values()}) != 1:
        raise DataError(f"the datasets of {path} must have equally many rows, got the shapes {shapes}")
    if not len(arrays[0]):
        raise DataError(f"the datasets of {path} have no rows")
    return arrays


def _read_listed(path: str, source: str, read: Callable[[Any], T]) -> T:
    """Return what `read` makes of a file. Where it cannot be opened, the error names the list and the line in it."""
    # h5py's error for a missing file names neither the list nor the line, so the file is opened once without h5py
    try:
        if source:
            open_ordinary(path).close()
    except (OSError, ValueError) as error:
        entries = read_path_list(source, "the list of HDF5 files")
        line = next((entry.line for entry in entries if entry.path == path), 0)
        raise listed_file_error(path, f"{source}:{line}", error) from error
    return hdf5.read_file(path, read)
