"""Open a source as samples, whatever it is: a database, a list, a folder, HDF5 or IDX."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from minicaffe import system
from minicaffe.data.batches import DatumSamples, Sample, Samples
from minicaffe.data.class_folders import FolderImages, TarImages, is_tar
from minicaffe.data.hdf5 import HDF5Rows, read_paths
from minicaffe.data.idx import read_idx
from minicaffe.data.images import ImageFiles
from minicaffe.data.sources import open_source
from minicaffe.data.workers import Workers
from minicaffe.errors import DataError
from minicaffe.io import hdf5
from minicaffe.io.files import is_hdf5_name, looked_in, missing_hint
from minicaffe.io.sniff import sniff

DATABASES = {"lmdb": "LMDB", "leveldb": "LEVELDB"}  # what `sniff` calls a folder -> data_param.backend
RUN = 40  # records of a database, or rows of a file, that are read one after the other
LABEL_NAMES = ("label", "labels", "target", "targets", "y")  # of datasets


@dataclass
class Opened:
    """A source that is open.

    kind        what it is, in words
    run         how many samples to read one after the other, where not all are read
    classes     the names of the classes, where the source knows them
    labelled    whether the samples have labels; where they do not, each label is 0
    remarks     what had to be assumed, in whole sentences
    """

    samples: Samples
    kind: str
    run: int = 1
    classes: Sequence[str] = ()
    labelled: bool = True
    remarks: tuple[str, ...] = ()


def open_samples(path: str, *, root: str = "", color: bool | None = None) -> Opened:
    """Open a source.

    root    is put before each path of a list
    color   for images that are encoded: True makes 3 channels, False 1. None keeps those of a database, and makes 3 of
            an image file, as ImageData does

    Raise DataError where there is no such source, or it is of a kind that cannot be read.
    """
    place = Path(path)
    if not place.exists():
        raise DataError(f"there is no source {path}", hint=missing_hint(place) or looked_in(path))
    kind = sniff(path)
    if kind in DATABASES:
        samples = DatumSamples(open_source(DATABASES[kind], path), color)
        return Opened(samples, "a LevelDB" if kind == "leveldb" else "an LMDB", RUN)
    workers = Workers(system.cores())  # they decode images
    if kind == "folder":
        images = FolderImages(path, None, color is not False, workers)
        return Opened(images, "a folder of class folders", classes=images.classes)
    if is_tar(path):
        packed = TarImages(path, None, color is not False, workers)
        return Opened(packed, "a tar of class folders", classes=packed.classes)
    if kind == "hdf5":
        return _hdf5([path])
    if kind == "gzip" or _begins_as_idx(place):
        return _idx(path)
    if kind == "image":
        raise DataError(f"{path} is an image, not a source of many",
                        hint="give a list of images with labels, or a folder with a folder for each class")
    first = _first_line(place)
    if first.split() and is_hdf5_name(first.split()[0]):
        return _hdf5(read_paths(path), path)
    files = ImageFiles(path, root, color=color is not False, must_exist=False, workers=workers)
    return Opened(files, "a list of images")


def _begins_as_idx(path: Path) -> bool:
    """Return whether a file begins as IDX does: two zero bytes, the type, the number of axes."""
    with open(path, "rb") as file:
        head = file.read(4)
    return len(head) == 4 and head[:2] == b"\0\0" and 8 <= head[2] <= 14 and 1 <= head[3] <= 8


def _first_line(path: Path) -> str:
    """Return the first line of a text file that is not blank, without blanks around it; '' where there is none."""
    with open(path, "rb") as file:
        lines = file.read(1 << 16).removeprefix(b"\xef\xbb\xbf").split(b"\n")
    return next((line.decode(errors="replace").strip() for line in lines if line.strip()), "")


class Rows:
    """Samples that are rows of arrays in memory. A sample's `image` is a row, of whatever shape.

    labels      one for each row, or None: then all labels are 0
    """

    def __init__(self, path: str, rows: np.ndarray, labels: np.ndarray | None) -> None:
        self.path, self.rows, self.labels = path, rows, labels

    def __len__(self) -> int:
        return len(self.rows)

    def load(self, numbers: Sequence[int]) -> list[Sample | DataError]:
        """Return the rows with these numbers."""
        return [Sample(f"row {i}", f"row {i} of {self.path}", self.rows[i],
                       0 if self.labels is None else _label(self.labels[i])) for i in numbers]


class FileRows:
    """The rows of HDF5 files as samples. Of large files only those rows are read that are asked for.

    labelled    whether the last dataset holds the labels; without it all labels are 0
    """

    def __init__(self, rows: HDF5Rows, labelled: bool) -> None:
        self.rows, self.labelled = rows, labelled

    def __len__(self) -> int:
        return len(self.rows)

    def load(self, numbers: Sequence[int]) -> list[Sample | DataError]:
        """Return the rows with these numbers."""
        wanted = np.asarray(numbers, np.int64)
        read, keys = self.rows.read(wanted), self.rows.keys(wanted)
        return [Sample(key, key, read[0][i], _label(read[-1][i]) if self.labelled else 0) for i, key in enumerate(keys)]


def _label(values: Any) -> Any:
    """Return the label in a row: a number, or a list of several."""
    label = np.ravel(values)
    return label[0].item() if label.size == 1 else label.tolist()


def _idx(path: str) -> Opened:
    """Open an IDX file. Its labels come from the file beside it whose name is the one that MNIST uses."""
    rows = read_idx(path)
    if rows.ndim == 3:
        rows = rows[:, None]
    place = Path(path)
    beside = place.with_name(place.name.replace("images-idx3", "labels-idx1"))
    if rows.ndim == 1:
        return Opened(Rows(path, rows[:, None], rows), "an IDX file of labels")
    if beside == place or not beside.is_file():
        return Opened(Rows(path, rows, None), "an IDX file", labelled=False,
                      remarks=("It holds no labels, and no file of labels is beside it.",))
    labels = read_idx(beside)
    if labels.shape != rows.shape[:1]:
        raise DataError(f"{path} has {len(rows)} images, but {beside} has labels of the shape {labels.shape}")
    return Opened(Rows(path, rows, labels), "an IDX file", remarks=(f"The labels are those of {beside}.",))


def _hdf5(paths: Sequence[str], source: str = "") -> Opened:
    """Open HDF5 files, as HDF5Data reads them. `source` is the list that names them."""
    names = hdf5.read_file(paths[0], lambda file: [str(name) for name in hdf5.names(file)
                                                    if hdf5.is_dataset(hdf5.member(file, str(name)))])
    label = next((name for name in LABEL_NAMES if name in names), "")
    data = "data" if "data" in names else next((name for name in names if name != label), label)
    if not data:
        raise DataError(f"{paths[0]} holds no dataset")

    used = [data, label] if label and label != data else [data]
    rows = HDF5Rows(paths, used, source)
    rest = [name for name in names if name not in (data, label)]
    remark = f"The rows are those of the dataset {data!r}" + (f", the labels those of {label!r}." if label else
                                                            "; there are no labels.")
    if rest:
        remark += f" Not looked at: {', '.join(rest)}."
    kind = "an HDF5 file" if len(paths) == 1 else f"{len(paths)} HDF5 files"
    return Opened(FileRows(rows, bool(label)), kind, RUN, labelled=bool(label), remarks=(remark,))
