"""IDX files: what MNIST and Fashion-MNIST come in."""

import gzip
import struct

import numpy as np
import pytest

from minicaffe.data.idx import read_idx, write_idx_lmdb
from minicaffe.data.lmdb import LmdbSource
from minicaffe.errors import DataError
from minicaffe.proto import Datum

IMAGES = np.random.default_rng(6).integers(256, size=(4, 5, 3), dtype=np.uint8)


def idx(values):
    """The bytes of an IDX file."""
    return struct.pack(f">HBB{values.ndim}I", 0, 8, values.ndim, *values.shape) + values.tobytes()


def test_plain_and_gzipped(tmp_path):
    """The array comes back from both forms."""
    (tmp_path / "plain").write_bytes(idx(IMAGES))
    (tmp_path / "small.gz").write_bytes(gzip.compress(idx(IMAGES)))

    for name in ("plain", "small.gz"):
        assert (read_idx(tmp_path / name) == IMAGES).all()


def test_to_lmdb(tmp_path):
    """Images and labels become records in file order, and a second run replaces the first."""
    (tmp_path / "x").write_bytes(idx(IMAGES))
    (tmp_path / "y").write_bytes(idx(np.array([3, 0, 9, 1], np.uint8)))

    for _ in range(2):
        assert write_idx_lmdb(tmp_path / "x", tmp_path / "y", tmp_path / "out") == 4
    records = list(LmdbSource(tmp_path / "out").records())
    assert [key for key, _ in records] == [b"00000000", b"00000001", b"00000002", b"00000003"]
    data = [Datum.FromString(value) for _, value in records]
    assert [d.label for d in data] == [3, 0, 9, 1]
    assert [d.data for d in data] == [x.tobytes() for x in IMAGES]
    assert (data[0].channels, data[0].height, data[0].width) == (1, 5, 3)


@pytest.mark.parametrize(("content", "message"), [
    (None, r"cannot read .*x: No such file"),
    (b"\x89PNG", r"is not an IDX file of bytes: it begins with 89 50 4e 47"),
    (idx(IMAGES)[:9], r"truncated within its sizes"),
    (idx(IMAGES)[:-1], r"has 59 values, but its sizes \(4, 5, 3\) make 60"),
    (gzip.compress(idx(IMAGES), mtime=0)[:-9], r"cannot read .*x: "),
])
def test_damaged(tmp_path, content, message):
    """A file that is missing, cut or of another kind is named, with what was seen."""
    if content is not None:
        (tmp_path / "x").write_bytes(content)

    with pytest.raises(DataError, match=message):
        read_idx(tmp_path / "x")


def test_labels_must_fit(tmp_path):
    """Images and labels of different numbers are refused with both shapes."""
    (tmp_path / "x").write_bytes(idx(IMAGES))
    (tmp_path / "y").write_bytes(idx(np.zeros(3, np.uint8)))

    with pytest.raises(DataError, match=r"x of shape \(4, 5, 3\) and .*y of shape \(3,\)"):
        write_idx_lmdb(tmp_path / "x", tmp_path / "y", tmp_path / "out")
