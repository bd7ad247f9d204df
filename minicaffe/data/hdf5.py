"""Read the HDF5 files of HDF5Data, in which each dataset holds the rows of one top."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any, NamedTuple, TypeVar

import numpy as np

from minicaffe.data.lists import listed_file_error, read_path_list
from minicaffe.errors import DataError
from minicaffe.io import hdf5
from minicaffe.io.file_bytes import open_ordinary, state_of

T = TypeVar("T")
KEPT = 1 << 28  # bytes: where all rows together take no more, they are read once and stay in memory


def read_paths(source: str) -> list[str]:
    """Return the paths in a list of HDF5 files. Raise a DataError where the list cannot be read or names no file."""
    names = [entry.path for entry in read_path_list(source)]
    if not names:
        raise DataError(f"the list {source} names no HDF5 file")
    return names


class _Head(NamedTuple):
    """What was found in a file when it was first opened."""

    state: Any  # its size and date
    tops: list[hdf5.Rows]


class HDF5Rows:
    """The rows of HDF5 files, numbered through all files from 0 on.

    paths     the files
    names     the datasets; all files have all of them, with rows of the same shapes
    source    the list that names the files, for messages

    At first each file is opened once, for the shapes of its datasets. Rows are read when they are asked for; where all
    rows together take no more than KEPT bytes, the first such read takes all of them.
    Raise DataError where a file is missing, damaged or does not fit the others, or has changed since it was first
    opened.
    """

    def __init__(self, paths: Sequence[str], names: Sequence[str], source: str = "") -> None:
        self.paths, self.names, self.source = list(paths), list(names), source
        self._heads = [self._head(path) for path in self.paths]
        for path, head in zip(self.paths, self._heads, strict=True):
            self._compare(path, head)
        self.shapes = [top.shape[1:] for top in self._heads[0].tops]
        self.counts = [head.tops[0].shape[0] for head in self._heads]
        self.together = max(top.together for head in self._heads for top in head.tops)
        self._dtypes = [np.result_type(*(head.tops[i].dtype for head in self._heads)) for i in range(len(self.names))]
        self._ends = np.cumsum(self.counts)
        sizes = [int(np.prod(shape)) * dtype.itemsize for shape, dtype in zip(self.shapes, self._dtypes, strict=True)]
        self.kept = sum(sizes) * len(self) <= KEPT
        self._all: list[np.ndarray] | None = None

    def __len__(self) -> int:
        return int(self._ends[-1])

    def read(self, numbers: np.ndarray) -> list[np.ndarray]:
        """Return the rows with these numbers, in this order, as an array for each dataset."""
        if not self.kept:
            return self._read(numbers)
        if self._all is None:
            self._all = self._read(np.arange(len(self)))
        return [rows[numbers] for rows in self._all]

    def keys(self, numbers: np.ndarray) -> list[str]:
        """Return what messages call the rows: their file, and their place in it."""
        files = np.searchsorted(self._ends, numbers, side="right")
        rows = numbers - self._ends[files] + np.array(self.counts)[files]
        return [f"{self.paths[file]}[{row}]" for file, row in zip(files.tolist(), rows.tolist(), strict=True)]

    def _read(self, numbers: np.ndarray) -> list[np.ndarray]:
        """Read rows from the files: each file is opened once, and each part of it is read once."""
        arrays = [np.empty((len(numbers), *shape), dtype)
                  for shape, dtype in zip(self.shapes, self._dtypes, strict=True)]
        places = np.argsort(numbers, kind="stable")
        begins = [0, *np.searchsorted(numbers[places], self._ends)]
        for file, (begin, end) in enumerate(pairwise(begins)):
            if begin < end:
                here = places[begin:end]
                self._read_file(file, numbers[here] - self._ends[file] + self.counts[file], here, arrays)
        return arrays

    def _read_file(self, number: int, rows: np.ndarray, places: np.ndarray, arrays: list[np.ndarray]) -> None:
        """Read rows of one file, whose numbers rise, and put them at these places of the arrays."""
        path = self.paths[number]

        def read(file: Any) -> None:
            if state_of(path) != self._heads[number].state:
                raise DataError(f"{path} has changed since its first use",
                                hint="the files must stay as they are while a net reads them")
            for name, values in zip(self.names, arrays, strict=True):
                hdf5.read_rows(hdf5.member(file, name), rows, values, places)

        _read_listed(path, self.source, read)

    def _head(self, path: str) -> _Head:
        """Open a file and return the shapes of its datasets. Raise DataError where one is missing."""
        def read(file: Any) -> list[hdf5.Rows]:
            missing = [name for name in self.names if not hdf5.has(file, name)]
            if missing:
                found = ", ".join(sorted(map(str, hdf5.names(file))))
                raise DataError(f"{path} has no dataset {missing[0]!r}; it has {found}",
                                hint="give the layer's tops the names of the datasets")
            return [hdf5.rows(hdf5.member(file, name)) for name in self.names]

        state = state_of(path)
        return _Head(state, _read_listed(path, self.source, read))

    def _compare(self, path: str, head: _Head) -> None:
        """Raise DataError where a file's datasets differ in their number of rows, or from the first file's shapes."""
        shapes = {name: top.shape for name, top in zip(self.names, head.tops, strict=True)}
        if any(not shape for shape in shapes.values()) or len({shape[0] for shape in shapes.values()}) != 1:
            raise DataError(f"the datasets of {path} must have equally many rows, got the shapes {shapes}")
        if not head.tops[0].shape[0]:
            raise DataError(f"the datasets of {path} have no rows")
        for (name, shape), first in zip(shapes.items(), self._heads[0].tops, strict=True):
            if shape[1:] != first.shape[1:]:
                raise DataError(f"the rows of {name!r} have the shape {first.shape[1:]} in {self.paths[0]}, but "
                                f"{path} has {shape[1:]}", hint="all files of a list must have rows of one shape")

    def __getstate__(self) -> dict[str, Any]:
        """Leave the rows out of a copy (copy.deepcopy), which reads them again."""
        return {**vars(self), "_all": None}


def _read_listed(path: str, source: str, read: Callable[[Any], T]) -> T:
    """Return what `read` makes of a file. Where it cannot be opened, the error names the list and the line in it."""
    # h5py's error for a missing file names neither the list nor the line, so the file is opened once without h5py
    try:
        if source:
            open_ordinary(path).close()
    except (OSError, ValueError) as error:
        line = next((entry.line for entry in read_path_list(source) if entry.path == path), 0)
        raise listed_file_error(path, f"{source}:{line}", error) from error
    return hdf5.read_file(path, read)
