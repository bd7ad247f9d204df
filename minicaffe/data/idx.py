"""IDX, the file format of MNIST and Fashion-MNIST: the sizes, then one byte for each value, usually gzipped."""

from __future__ import annotations

import gzip
import math
import struct
import zlib
from pathlib import Path

import numpy as np

from minicaffe.data.datum import make
from minicaffe.data.lmdb import write_lmdb
from minicaffe.errors import DataError
from minicaffe.io.files import PathLike

UNSIGNED_BYTE = 8  # the type code of the only kind that is read


def read_idx(path: PathLike) -> np.ndarray:
    """Return the uint8 array in an IDX file, plain or gzipped. Raise a DataError when it cannot be read."""
    try:
        content = Path(path).read_bytes()
        if content[:2] == b"\x1f\x8b":
            content = gzip.decompress(content)
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"cannot read {path}: {getattr(error, 'strerror', None) or error}") from error
    if len(content) < 4 or content[:2] != b"\0\0" or content[2] != UNSIGNED_BYTE:
        raise DataError(f"{path} is not an IDX file of bytes: it begins with {content[:4].hex(' ')}")
    axes = content[3]
    if len(content) < 4 + 4 * axes:
        raise DataError(f"{path} is truncated within its sizes")
    shape = struct.unpack_from(f">{axes}I", content, 4)
    values = np.frombuffer(content, np.uint8, offset=4 + 4 * axes)
    if values.size != math.prod(shape):
        raise DataError(f"{path} has {values.size} values, but its sizes {shape} make {math.prod(shape)}")
    return values.reshape(shape)


def write_idx_lmdb(images_path: PathLike, labels_path: PathLike,
                   lmdb_path: PathLike) -> int:
    """Make an LMDB of grey images (N, H, W) and labels (N), in the files' order, replacing one that exists.

    The keys are numbers of eight digits, as Caffe's own MNIST converter writes them. Return the number of records.
    """
    images, labels = read_idx(images_path), read_idx(labels_path)
    if images.ndim != 3 or labels.shape != images.shape[:1]:
        raise DataError(f"{images_path} of shape {images.shape} and {labels_path} of shape {labels.shape} "
                        "are not images (N, H, W) with labels (N)")
    records = ((f"{i:08d}", make(image[None], label))
               for i, (image, label) in enumerate(zip(images, labels, strict=True)))
    return write_lmdb(lmdb_path, records, replace=True)
