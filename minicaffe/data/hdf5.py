"""HDF5 files as sources of rows: each dataset in them is one top's data."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from minicaffe.errors import DataError
from minicaffe.io import hdf5
from minicaffe.proto.files import refuse_device


def read_paths(source: str) -> list[str]:
    """The file names in a list, separated by white space. DataError when it is missing or empty."""
    refuse_device(source)
    try:
        with open(source, encoding="utf-8") as stream:
            names = stream.read().split()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"cannot read the list of HDF5 files {source}: "
                        f"{getattr(error, 'strerror', None) or error}",
                        hint="source names a text file that names the HDF5 files, one a line"
                        if isinstance(error, UnicodeDecodeError) else "") from error
    if not names:
        raise DataError(f"the list {source} names no HDF5 file")
    return names


def count_rows(path: str, name: str) -> int:
    """How many rows a dataset has. DataError when it cannot be read."""
    return hdf5.read_file(path, lambda file: int(file[name].shape[0]))


def read_datasets(path: str, names: Sequence[str], dtype: type) -> list[np.ndarray]:
    """The named datasets of a file, which must have equally many rows. DataError when that cannot be."""
    def read(file: object) -> list[np.ndarray]:
        missing = [name for name in names if name not in file]  # type: ignore[operator]
        if missing:
            raise DataError(f"{path} has no dataset {missing[0]!r}; it has {', '.join(sorted(file))}",  # type: ignore[call-overload]
                            hint="the layer's tops must be called as the datasets")
        return [hdf5.array(file[name]).astype(dtype, copy=False) for name in names]  # type: ignore[index]

    arrays = hdf5.read_file(path, read)
    shapes = {name: array.shape for name, array in zip(names, arrays, strict=True)}
    if any(not shape for shape in shapes.values()) or len({shape[0] for shape in shapes.values()}) != 1:
        raise DataError(f"the datasets of {path} must have equally many rows, got the shapes {shapes}")
    if not len(arrays[0]):
        raise DataError(f"the datasets of {path} have no rows")
    return arrays
