"""IDX, the file format of MNIST and Fashion-MNIST: the sizes, then one byte for each value, usually gzipped."""

from __future__ import annotations

import gzip
import math
import struct
import zlib
from collections.abc import Iterator
from typing import Any

import numpy as np

from minicaffe.data.datum import make
from minicaffe.data.lmdb import write_lmdb
from minicaffe.errors import DataError
from minicaffe.io.file_bytes import read_file
from minicaffe.io.files import PathLike
from minicaffe.io.sniff import GZIP

UNSIGNED_BYTE = 8  # the type code of the only kind that is read


def read_idx(path: PathLike) -> np.ndarray:
    """Return the uint8 array in an IDX file, plain or gzipped. Raise a DataError when it cannot be read."""
    try:
        content = read_file(path, "the IDX file")
        if content.startswith(GZIP):
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


def read_pair(images_path: PathLike, labels_path: PathLike) -> tuple[np.ndarray, np.ndarray]:
    """Return the grey images (N, H, W) of one file and the labels (N) of another.

    Raise DataError where one cannot be read, or where they do not fit.
    """
    images, labels = read_idx(images_path), read_idx(labels_path)
    if images.ndim != 3 or labels.shape != images.shape[:1]:
        swapped = labels.ndim == 3 and images.shape == labels.shape[:1]
        raise DataError(f"{images_path} of shape {images.shape} and {labels_path} of shape {labels.shape} "
                        "are not images (N, H, W) with labels (N)",
                        hint="they are the other way round: the images come first" if swapped else "")
    if not images.size:
        raise DataError(f"{images_path} holds no image: its shape is {images.shape}")
    return images, labels


def records(images: np.ndarray, labels: np.ndarray) -> Iterator[tuple[str, Any]]:
    """Yield (key, Datum) for each image. The keys are numbers of eight digits, as Caffe's MNIST converter writes."""
    for number, (image, label) in enumerate(zip(images, labels, strict=True)):
        yield f"{number:08d}", make(image[None], label)


def pairs(images: np.ndarray, labels: np.ndarray, seed: int) -> Iterator[tuple[str, Any]]:
    """Yield (key, Datum) for as many pairs as there are images, for a siamese net.

    A Datum has the two images as its channels. Both are drawn at random from all images, so they may be the same one.
    The label is 1 where both images have the same label, else 0.
    """
    drawn = np.random.default_rng(seed).integers(len(images), size=(len(images), 2))
    for number, (i, j) in enumerate(drawn):
        yield f"{number:08d}", make(images[[i, j]], int(labels[i] == labels[j]))


def write_idx_lmdb(images_path: PathLike, labels_path: PathLike, lmdb_path: PathLike) -> int:
    """Make an LMDB of grey images and their labels, in the files' order, replacing one that exists.

    Return the number of records.
    """
    return write_lmdb(lmdb_path, records(*read_pair(images_path, labels_path)), replace=True)
