"""What the blobs of a trained net hold for each sample, written as an LMDB, an HDF5 file or an .npz file."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator, Sequence
from functools import partial

import numpy as np

from minicaffe.data.datum import make
from minicaffe.data.sources import Writer, new_database
from minicaffe.errors import DataError
from minicaffe.io import hdf5, npz
from minicaffe.io.files import check_can_write, is_hdf5_name
from minicaffe.log import At, log

REPORTED = 1000  # samples after which a log line says how many there were

Add = Callable[[np.ndarray], None]


def is_file_of_arrays(path: str) -> bool:
    """Return whether features go into one file of arrays, by its name: .h5, .hdf5 or .npz."""
    return is_hdf5_name(path) or path.lower().endswith(".npz")


@contextlib.contextmanager
def new_features(blobs: Sequence[str], path: str, *, backend: str = "", replace: bool = False) -> Iterator[list[Add]]:
    """Yield a function for each blob, which adds the values (N, ...) of N samples to what will be written to `path`.

    `backend` ("lmdb" or "leveldb") makes a database of the only blob: a record for each sample, with float_data and a
    key of ten digits, as Caffe's tool writes. Otherwise each blob is an array of that name, in HDF5 or .npz as the path
    says; it is kept in memory until the block ends. Nothing is written where the block ends with an error. Raise a
    DataError where the path exists (unless `replace` is set).
    """
    if backend:
        [blob] = blobs
        with new_database(backend, path, replace=replace) as database:
            yield [partial(_put, database, blob)]
        return
    if not replace and os.path.exists(path):
        raise DataError(f"{path} exists already", hint="delete it, choose another name, or replace it with --replace")
    check_can_write("OUT", path)  # now, because the arrays are written when all batches have been computed
    if is_hdf5_name(path):
        hdf5.require()
    parts: dict[str, list[np.ndarray]] = {blob: [] for blob in blobs}
    yield [partial(_keep, mine) for mine in parts.values()]
    arrays = [(blob, np.concatenate(values)) for blob, values in parts.items()]
    if is_hdf5_name(path):
        hdf5.write_file(path, lambda file: file.update(arrays))
    else:
        npz.write(path, arrays)


def _keep(parts: list[np.ndarray], values: np.ndarray) -> None:
    """Keep a copy of a batch's values, because the net writes the next batch over them."""
    parts.append(values.copy())


def _put(database: Writer, blob: str, values: np.ndarray) -> None:
    """Add a record for each sample of a batch to a database."""
    if values.ndim > 4:
        raise DataError(f"blob {blob!r} has the shape {values.shape}, and a Datum has room for channels, height and "
                        "width alone", hint="write it to a file that ends in .h5 or .npz")
    # Caffe: axes that a blob does not have count as 1, also that of the samples
    rows = values.reshape(values.shape + (1,) * (4 - values.ndim)).astype(np.float32, copy=False)
    for row in rows:
        datum = make(row, 0)
        datum.ClearField("label")
        database.put(f"{database.count:010d}", datum)
        if database.count % REPORTED == 0:
            log(At.FEATURES_PROGRESS,
                f"Extracted features of {database.count} query images for feature blob {blob}")
