"""LevelDBs that are written here: what the reader finds in them, and what goes wrong while one is written."""

import os
import struct

import numpy as np
import pytest
from leveldb_writer import MAGIC, checksum

from minicaffe.data.datum import make
from minicaffe.data.leveldb import writer
from minicaffe.data.leveldb.source import LevelDbSource
from minicaffe.data.leveldb.writer import new_leveldb
from minicaffe.data.lmdb import new_lmdb
from minicaffe.errors import DataError


def some(count, largest=9000):
    """Records of many sizes, none among them empty, in the order of their keys."""
    rng = np.random.default_rng(5)
    return [(f"{k:05d}".encode(), rng.bytes(int(rng.integers(largest)))) for k in range(count)]


def written(path, records, **options):
    """Make a LevelDB of some records."""
    with new_leveldb(path, **options) as database:
        for key, value in records:
            database.put(key, value)
    return path


@pytest.mark.parametrize("count", [1, 2, 300])
def test_round_trip(count, tmp_path):
    """The reader, which was checked with what LevelDB's own library wrote, finds the records."""
    records = some(count)
    found = LevelDbSource(written(tmp_path / "db", records))

    assert list(found.records()) == records
    assert found.take([count - 1, 0]) == [records[-1], records[0]]


def test_many_tables(tmp_path, monkeypatch):
    """A table ends after so many bytes, and the manifest names them all."""
    monkeypatch.setattr(writer, "FULL_TABLE", 1000)
    monkeypatch.setattr(writer, "FULL_BLOCK", 1)
    records = some(1500, largest=40)
    path = written(tmp_path / "db", [(b"long" * 10 + key, value) for key, value in records])

    assert len(list(path.glob("*.ldb"))) > 20
    assert [value for _, value in LevelDbSource(path).records()] == [value for _, value in records]


def test_a_long_manifest(tmp_path, monkeypatch):
    """An entry that is longer than a block of 32,768 bytes is cut into its first, middle and last parts."""
    monkeypatch.setattr(writer, "FULL_TABLE", 1)
    monkeypatch.setattr(writer, "FULL_BLOCK", 1)
    records = [(f"{k:03d}".encode() * 70, b"") for k in range(200)]
    path = written(tmp_path / "db", records)

    assert (path / "MANIFEST-000002").stat().st_size > 2 * 32768
    assert list(LevelDbSource(path).records()) == records


def test_the_bytes(tmp_path):
    """A LevelDB of one record, byte by byte as LevelDB's description of a table has it."""
    path = written(tmp_path / "db", [(b"k", b"value")])

    key = b"k" + struct.pack("<Q", 1 << 8 | 1)
    block = b"\0\x09\x05" + key + b"value" + struct.pack("<2I", 0, 1) + b"\0"
    none = struct.pack("<2I", 0, 1) + b"\0"
    index = b"\0\x09\x02" + key + bytes([0, len(block) - 1]) + struct.pack("<2I", 0, 1) + b"\0"
    where = [len(block) + 4, len(none) - 1, len(block) + len(none) + 8, len(index) - 1]
    content = b"".join(part + checksum(part) for part in (block, none, index)) + bytes(where).ljust(40, b"\0") + MAGIC
    assert (path / "000005.ldb").read_bytes() == content
    assert (path / "CURRENT").read_bytes() == b"MANIFEST-000002\n"
    assert sorted(file.name for file in path.iterdir()) == ["000005.ldb", "CURRENT", "MANIFEST-000002"]


def test_a_datum_is_a_value(tmp_path):
    """As for an LMDB, and the key may be a text."""
    datum = make(np.arange(24, dtype=np.uint8).reshape(2, 3, 4), 5)
    path = written(tmp_path / "db", [("1", datum)])
    assert list(LevelDbSource(path).records()) == [(b"1", datum.SerializeToString())]


@pytest.mark.parametrize(("keys", "words"), [("aa", "the key 'a' comes twice"), ("ba", "the key 'a' comes after 'b'")])
def test_the_order_of_the_keys(keys, words, tmp_path):
    """Keys must rise; nothing is left where they do not."""
    with pytest.raises(DataError, match=words):
        written(tmp_path / "db", [(key, b"") for key in keys])
    assert list(tmp_path.iterdir()) == []


def test_what_is_there_already(tmp_path):
    """A LevelDB is replaced only if that is asked for, and anything else never."""
    path = written(tmp_path / "db", [(b"old", b"1")])
    (path / "LOCK").write_bytes(b"")  # LevelDB's own library leaves these
    (path / "LOG.old").write_bytes(b"")
    with pytest.raises(DataError, match=r"db exists already\n  hint: delete it, .*--replace"):
        written(path, [(b"new", b"2")])
    assert list(LevelDbSource(written(path, [(b"new", b"2")], replace=True)).records()) == [(b"new", b"2")]

    (path / "notes.txt").write_text("mine")
    with pytest.raises(DataError, match="holds other files than a LevelDB, such as notes.txt"):
        written(path, [(b"new", b"3")], replace=True)
    with pytest.raises(DataError, match="holds other files than an LMDB, such as 000005.ldb"), \
            new_lmdb(path, replace=True):
        pass
    assert [path] == list(tmp_path.iterdir())


def test_an_error_in_the_middle(tmp_path, monkeypatch):
    """Nothing is left of a LevelDB that is not complete: not after an error of the program, nor on a full disk."""
    def stops():
        yield from some(30)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        written(tmp_path / "db", stops())
    assert list(tmp_path.iterdir()) == []

    def full(file):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(writer, "_sync", full)
    with pytest.raises(DataError, match=r"cannot write .*db: No space left on device"):
        written(tmp_path / "db", some(3))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="this machine has no file /dev/full")
def test_a_disk_that_is_full_in_the_middle(tmp_path, monkeypatch):
    """Closing the unfinished table fails, too, and that error does not hide the one that says what is wrong."""
    monkeypatch.setattr(writer, "open", lambda path, mode: open("/dev/full", mode, 1 << 14),  # noqa: SIM115
                        raising=False)
    with pytest.raises(DataError, match=r"cannot write .*db: No space left on device"):
        written(tmp_path / "db", ((f"{i:03d}", bytes(5000)) for i in range(9)))
    assert list(tmp_path.iterdir()) == []
