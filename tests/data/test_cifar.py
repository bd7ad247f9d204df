"""CIFAR's binary files, made small: a label or two, then the planes red, green, blue."""

import tarfile

import numpy as np
import pytest

from minicaffe.data import cifar
from minicaffe.errors import DataError
from minicaffe.proto import Datum

PIXELS = np.random.default_rng(4).integers(256, size=(13, 3072), dtype=np.uint8)


def ten(folder, without=()):
    """Write CIFAR-10 with 2, 1, 1, 3 and 4 training images and 2 test images."""
    folder.mkdir()
    files, at = {}, 0
    for name, count in zip([*cifar.KINDS[0].train, "test_batch.bin"], (2, 1, 1, 3, 4, 2), strict=True):
        rows = PIXELS[at:at + count]
        files[name] = np.hstack([np.arange(at, at + count, dtype=np.uint8)[:, None] % 10, rows]).tobytes()
        at += count
        if name not in without:
            (folder / name).write_bytes(files[name])
    return files


def test_ten(tmp_path):
    """A record is 3×32×32 bytes with its label; the folder of the archive, its parent and the archive give the same."""
    files = ten(tmp_path / "cifar-10-batches-bin")
    with tarfile.open(tmp_path / "c.tar.gz", "w:gz") as archive:
        archive.add(tmp_path / "cifar-10-batches-bin", "cifar-10-batches-bin")

    for source in (tmp_path, tmp_path / "cifar-10-batches-bin", tmp_path / "c.tar.gz"):
        kind, content = cifar.read_files(source)
        assert ("cifar10", files) == (kind.name, content)
    rows = cifar.read_rows(kind, "data_batch_4.bin", content["data_batch_4.bin"])
    assert [(f"{number:05d}", Datum(channels=3, height=32, width=32, label=label, data=PIXELS[label].tobytes()))
            for number, label in ((7, 4), (8, 5), (9, 6))] == list(cifar.records(kind, rows, first=7))


def test_hundred(tmp_path):
    """Each record of CIFAR-100 has a coarse label and a fine one, of which one is kept."""
    labels = np.array([[3, 71], [19, 99]], np.uint8)
    (tmp_path / "train.bin").write_bytes(np.hstack([labels, PIXELS[:2]]).tobytes())
    (tmp_path / "test.bin").write_bytes(np.hstack([labels[:1], PIXELS[2:3]]).tobytes())

    kind, content = cifar.read_files(tmp_path)
    rows = cifar.read_rows(kind, "train.bin", content["train.bin"])
    assert [71, 99] == [datum.label for _, datum in cifar.records(kind, rows)]
    assert [3, 19] == [datum.label for _, datum in cifar.records(kind, rows, "coarse")]
    assert PIXELS[1].tobytes() == list(cifar.records(kind, rows))[1][1].data


def test_mistakes(tmp_path):
    """A file that is missing, cut short or of another kind is an error with its name."""
    ten(tmp_path / "few", without=("data_batch_2.bin", "test_batch.bin"))
    (tmp_path / "none").mkdir()
    (tmp_path / "text").write_text("no archive")
    with tarfile.open(tmp_path / "whole.tar.gz", "w:gz") as archive:
        archive.add(tmp_path / "few", "few")
    (tmp_path / "cut.tar.gz").write_bytes((tmp_path / "whole.tar.gz").read_bytes()[:-9000])
    for name, words in (("few", r"few lacks data_batch_2.bin, test_batch.bin of cifar10"),
                        ("none", r"none holds no file of CIFAR's: neither data_batch_1.bin nor train.bin"),
                        ("text", r"cannot read .*text: file could not be opened"), ("cut.tar.gz", r"cannot read .*cut"),
                        ("nothing", r"there is no .*nothing")):
        with pytest.raises(DataError, match=words):
            cifar.read_files(tmp_path / name)
    for content in (bytes(3072), b"", bytes(3074)):
        with pytest.raises(DataError, match=f"a.bin has {len(content)} bytes, which is no multiple of 3073"):
            cifar.read_rows(cifar.KINDS[0], "a.bin", content)
