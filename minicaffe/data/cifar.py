"""CIFAR-10 and CIFAR-100 in their binary version: records of one or two labels and 3×32×32 bytes."""

from __future__ import annotations

import contextlib
import os
import tarfile
import zlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

import numpy as np

from minicaffe.data.datum import make
from minicaffe.errors import DataError
from minicaffe.io.file_bytes import open_ordinary, read_ordinary
from minicaffe.io.files import PathLike, looked_in, missing_hint

SHAPE = (3, 32, 32)  # the planes are red, green, blue, and stay so in the database
PIXELS = 3 * 32 * 32


class Kind(NamedTuple):
    """One of the data sets: its files, and the labels that each of its records begins with."""

    name: str
    train: tuple[str, ...]
    test: str
    labels: tuple[str, ...]


KINDS = (Kind("cifar10", tuple(f"data_batch_{k}.bin" for k in range(1, 6)), "test_batch.bin", ("fine",)),
         Kind("cifar100", ("train.bin",), "test.bin", ("coarse", "fine")))


def read_files(source: PathLike) -> tuple[Kind, dict[str, bytes]]:
    """Return which data set a folder or a tar archive holds, and the content of its files by name.

    Raise a DataError where files are missing, or the source cannot be read.
    """
    names = {name for kind in KINDS for name in (*kind.train, kind.test)}
    try:
        content = dict(_in_folder(Path(source), names) if os.path.isdir(source) else _in_archive(source, names))
    except FileNotFoundError as error:
        raise DataError(f"there is no {source}", hint=missing_hint(Path(source)) or looked_in(str(source))) from error
    except (OSError, EOFError, zlib.error, tarfile.TarError) as error:
        what = (getattr(error, "strerror", None) or str(error)).partition(":\n")[0]  # tarfile lists what it tried
        raise DataError(f"cannot read {source}: {what}", hint="it must be the binary version of CIFAR-10 or CIFAR-100, "
                        "as a folder or as the .tar.gz that it comes in") from error
    kind = next((kind for kind in KINDS if kind.train[0] in content or kind.test in content), None)
    if kind is None:
        raise DataError(f"{source} holds no file of CIFAR's: neither {KINDS[0].train[0]} nor {KINDS[1].train[0]}",
                        hint="download the binary version; the versions for Python and Matlab have other files")
    missing = [name for name in (*kind.train, kind.test) if name not in content]
    if missing:
        raise DataError(f"{source} lacks {', '.join(missing)} of {kind.name}")
    return kind, content


def records(kind: Kind, rows: np.ndarray, label: str = "fine", first: int = 0) -> Iterator[tuple[str, Any]]:
    """Yield (key, Datum) for each of the rows that `read_rows` returned.

    `label` says which label of CIFAR-100 is kept: "fine", of 100 classes, or "coarse", of 20. The keys are numbers of
    five digits from `first` on, as Caffe's converter writes them.
    """
    at = kind.labels.index(label)
    for number, row in enumerate(rows, first):
        yield f"{number:05d}", make(row[len(kind.labels):].reshape(SHAPE), row[at])


def read_rows(kind: Kind, name: str, content: bytes) -> np.ndarray:
    """Return the records of a file as rows of bytes. Raise DataError where its last record is not whole."""
    size = len(kind.labels) + PIXELS
    if not content or len(content) % size:
        raise DataError(f"{name} has {len(content)} bytes, which is no multiple of {size}, the size of a record of "
                        f"{kind.name}", hint="the file is truncated, or is not CIFAR's binary version")
    return np.frombuffer(content, np.uint8).reshape(-1, size)


def _in_folder(folder: Path, names: set[str]) -> Iterator[tuple[str, bytes]]:
    """Yield name and content of each of the files in the folder, or in the folder in it that CIFAR's archive makes."""
    for inner in (folder, *(folder / name for name in ("cifar-10-batches-bin", "cifar-100-binary"))):
        for name in sorted(names):
            with contextlib.suppress(FileNotFoundError):
                yield name, read_ordinary(inner / name)


def _in_archive(path: PathLike, names: set[str]) -> Iterator[tuple[str, bytes]]:
    """Yield name and content of each of the files in a tar archive, in whatever folder they are there."""
    with open_ordinary(path) as packed, tarfile.open(fileobj=packed) as archive:
        for member in archive:
            name = PurePosixPath(member.name).name
            if name in names and member.isfile():
                file = archive.extractfile(member)
                assert file is not None  # a member that is a file has content
                yield name, file.read()
