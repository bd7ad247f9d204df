"""LevelDBs: what LevelDB's own library wrote, what a small writer makes, and what is damaged or changed meanwhile."""

import copy
import os
import random
import shutil
import tracemalloc
from pathlib import Path
from types import SimpleNamespace

import leveldb_writer
import numpy as np
import pytest
from leveldb_writer import batch, block, crc32c, log, pack, table, varint, write

from minicaffe.data import open_source
from minicaffe.data.datum import make, parse
from minicaffe.data.leveldb import crc32c as checksums
from minicaffe.data.leveldb import files, snappy, source
from minicaffe.data.leveldb.source import LevelDbSource
from minicaffe.errors import DataError
from minicaffe.io.file_bytes import FileBytes
from minicaffe.layers.data.data import DataLayer
from minicaffe.net import Net
from minicaffe.proto import NetParameter
from minicaffe.proto import text as proto_text

FIXTURE = Path(__file__).parent / "leveldb"  # two tables packed by Snappy and a log, written by LevelDB's own library


def version_of(i):
    """Which of the three writers of the fixture put record i in last; 0 where it was deleted or never there."""
    if i == 60 or (10 <= i < 20 and i != 11):
        return 3
    return 0 if i % 7 == 0 or i == 11 else 2 if i % 3 == 0 else 1


EXPECTED = [(f"{i:08d}".encode(), make(np.full((3, 5, 7), 16 * version_of(i) + i % 5, np.uint8), i).SerializeToString())
            for i in range(61) if version_of(i)]


@pytest.fixture
def path(tmp_path):
    """A copy of the fixture."""
    return Path(shutil.copytree(FIXTURE, tmp_path / "db"))


def test_what_leveldbs_own_library_wrote(path):
    """The newest records of all tables and the log, without the deleted ones; the folder stays as it was."""
    before = {file.name: (file.read_bytes(), file.stat().st_mtime_ns) for file in path.iterdir()}
    found = LevelDbSource(path)

    assert 52 == len(found) == len(EXPECTED)
    for start in (0, 1, 30, 52):
        assert EXPECTED[start:] == list(found.records(start))
    numbers = random.Random(1).sample(range(52), 52)
    assert [EXPECTED[number] for number in numbers] == found.take(numbers)
    assert EXPECTED == list(copy.deepcopy(found).records())
    assert before == {file.name: (file.read_bytes(), file.stat().st_mtime_ns) for file in path.iterdir()}


@pytest.mark.parametrize("seed", range(6))
def test_tables_that_overlap(seed, tmp_path):
    """Of each key the change with the highest number counts, in whatever table or log it is."""
    draw = random.Random(seed)
    rows, expected = [], {}
    for sequence in range(1, 400):
        key = draw.randbytes(draw.randint(0, 3))
        value = None if draw.random() < 0.3 else draw.choice([draw.randbytes, bytes])(draw.choice([0, 7, 150, 5000]))
        rows.append((key, sequence, value))
        expected[key] = value
    tables, entries = [], []
    logged, rows = rows[300:], rows[:300]
    while rows:
        part, rows = rows[:60], rows[60:]
        part.sort(key=lambda row: (row[0], -row[1]))
        cut = draw.randint(1, 59)  # two tables that do not overlap, but where one key's changes may be in both
        tables += [(part[:cut], seed % 2), (part[cut:], 1)]
    while logged:
        part, logged = logged[:30], logged[30:]
        entries.append(batch(part[0][1], [(key, value) for key, _, value in part]))
    found = LevelDbSource(write(tmp_path / "db", tables, [entries[:2], entries[2:]]))

    assert sorted((key, value) for key, value in expected.items() if value is not None) == list(found.records())


@pytest.mark.parametrize("size", [32768 - 7 - 7 - 15, *range(32768 - 7 - 15 - 9, 32768 - 7 - 13), 32768, 100_000])
def test_entries_of_a_log_at_the_ends_of_its_blocks(size, tmp_path):
    """A record is read back wherever the blocks of 32,768 bytes cut it, or the entry of the next record."""
    records = [(b"a", random.Random(1).randbytes(size)), (b"b", bytes(range(70))), (b"c", b"")]
    entries = [batch(1, records[:1]), batch(2, records[1:])]
    write(tmp_path / "db", logs=[entries])
    assert records == list(LevelDbSource(tmp_path / "db").records())

    with open(tmp_path / "db" / "000100.log", "ab") as stream:  # room that an old writer reserved and did not need
        stream.write(bytes(5000))
    assert records == list(LevelDbSource(tmp_path / "db").records())


def test_logs_before_the_first_that_counts(tmp_path):
    """A log whose records went into a table long ago is not read again."""
    logs = [[batch(1, [(b"a", b"old")])], [batch(2, [(b"b", b"new")])]]

    assert [(b"b", b"new")] == list(LevelDbSource(write(tmp_path / "db", logs=logs, first_log=101)).records())


@pytest.mark.parametrize("name", sorted(file.name for file in FIXTURE.iterdir()))
def test_each_file_that_is_damaged_is_named(name, path):
    """A byte that is wrong, or missing at the end, is an error that names the file, or it changes nothing."""
    whole = (path / name).read_bytes()
    changed = 0
    for at in range(0, len(whole), 11):
        wrong = bytearray(whole)
        wrong[at] ^= 0x55
        for content in (bytes(wrong), whole[:at]) if at or name != "000010.log" else ():
            (path / name).write_bytes(content)
            try:
                found, said = list(LevelDbSource(path).records()), ""
            except DataError as error:
                found, said = [], f"{error}"
            assert found == EXPECTED or name in said or (name, "lacks its file MANIFEST" in said) == ("CURRENT", True)
            changed += found != EXPECTED
    (path / name).unlink()
    with pytest.raises(DataError, match=rf"lacks its file {name}|no file CURRENT"):
        LevelDbSource(path)

    assert changed > 2 * len(whole) // 11 * 0.8


def test_what_cannot_be_read_is_said(tmp_path):
    """Another order of keys, another compression, no records, and a wrong name in CURRENT are errors."""
    rows = [(b"a", 1, b"x")]
    with pytest.raises(DataError, match="holds no record"):
        LevelDbSource(write(tmp_path / "none"))
    with pytest.raises(DataError, match="in the order 'mine', but only 'leveldb.BytewiseComparator'"):
        LevelDbSource(write(tmp_path / "order", [rows], order=b"mine"))
    with pytest.raises(DataError, match=r"000005\.ldb is damaged: the block at byte 0 is packed by method 2"):
        LevelDbSource(write(tmp_path / "zstd", [(rows, 2)]))
    for name in ("", "../order/MANIFEST-000004", "MANIFEST-\0", "MANIFEST-" + "9" * 5000):
        (tmp_path / "zstd" / "CURRENT").write_text(name)
        with pytest.raises(DataError, match=r"CURRENT is damaged: it names the manifest .{,90}\n"):
            LevelDbSource(tmp_path / "zstd")


@pytest.mark.parametrize(("backend", "words"), [
    ("LMDB", "is a LevelDB, not an LMDB\n  hint: set backend: LEVELDB"),
    ("LEVELDB", None),
])
def test_a_leveldb_by_the_wrong_backend(backend, words, path):
    """The hint says which backend the folder is of."""
    if words is None:
        assert 52 == len(open_source(backend, str(path)))
        return
    with pytest.raises(DataError, match=words):
        open_source(backend, str(path))


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
@pytest.mark.parametrize("name", sorted(file.name for file in FIXTURE.iterdir()))
def test_a_pipe_that_nobody_writes_to(name, path):
    """A pipe in the place of a file is refused, where opening it would wait for ever."""
    (path / name).unlink()
    os.mkfifo(path / name)
    with pytest.raises(DataError, match=rf"cannot read .*{name}: it is a pipe or a device|lacks its file"):
        LevelDbSource(path)


def test_a_leveldb_that_grows_or_vanishes(path):
    """A log that is written to is an error. Tables that are gone are read on while they are open."""
    found = LevelDbSource(path)
    with open(path / "000010.log", "ab") as stream:
        stream.write(log([batch(99, [(b"x", b"y")])]))
    with pytest.raises(DataError, match=r"000010\.log: this file is being written"):
        list(found.records())
    shutil.copy(FIXTURE / "000010.log", path)

    found, another = LevelDbSource(path), LevelDbSource(path)
    shutil.rmtree(path)
    assert EXPECTED == list(found.records())
    another._files._open.clear()  # as where there are more than MOST_OPEN
    with pytest.raises(DataError, match=r"lacks its file 0000\d\d\.l"):
        list(another.records())


def test_a_table_that_another_one_takes_the_place_of(tmp_path):
    """A table that was closed, because many are open, must be the same one when it is opened again."""
    path = write(tmp_path / "db", [[(b"a", 1, b"old")]])
    found = LevelDbSource(path)
    found._files._open.clear()
    content = table([(b"a", 1, b"new")])
    (path / "000005.ldb").write_bytes(content)
    os.utime(path / "000005.ldb", (1e9, 1e9))
    with pytest.raises(DataError, match=r"000005\.ldb: this file is being written"):
        list(found.records())


def test_memory_holds_few_blocks_and_few_files(tmp_path, monkeypatch):
    """However large a LevelDB is, so many bytes of its blocks and so many files are kept."""
    monkeypatch.setattr(files, "MOST_OPEN", 3)
    monkeypatch.setattr(source, "MOST_IN_MEMORY", 5000)
    records = [(f"{i:04d}".encode(), bytes([i]) * 300) for i in range(200)]
    rows = [(key, 1, value) for key, value in records]
    found = LevelDbSource(write(tmp_path / "db", [rows[i:i + 20] for i in range(0, 200, 20)]))
    numbers = random.Random(2).choices(range(200), k=500)

    assert [records[number] for number in numbers] == found.take(numbers)
    assert len(found._files._open) <= 3
    assert found._in_memory == sum(block.size for block in found._blocks.values()) <= 5000


def test_memory_that_small_records_take(tmp_path, monkeypatch):
    """A block in memory takes little more than its keys and values, however small its records are."""
    monkeypatch.setattr(leveldb_writer, "table", lambda rows, method: table(rows, each=200, method=method))
    rows = [(f"{i:06d}".encode(), 1, b"a value") for i in range(10_000)]
    found = LevelDbSource(write(tmp_path / "db", [rows]))
    tracemalloc.start()
    found.take(range(0, 10_000, 200))
    taken = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()

    assert len(found._blocks) == 50
    assert found._in_memory > 10_000 * (6 + 7)
    assert taken < 1.5 * found._in_memory


def test_long_records_are_not_read_at_opening(tmp_path, monkeypatch):
    """Opening reads the keys; a damaged value is an error when its record is read, and only then."""
    rows = [(f"{i:02d}".encode(), 1, random.Random(i).randbytes(30_000)) for i in range(20)]
    write(tmp_path / "db", [rows])
    content = bytearray((tmp_path / "db" / "000005.ldb").read_bytes())
    content[200_000] ^= 1
    (tmp_path / "db" / "000005.ldb").write_bytes(content)
    read = []
    whole_read = FileBytes._read
    monkeypatch.setattr(FileBytes, "_read", lambda self, at, size: read.append(size) or whole_read(self, at, size))
    found = LevelDbSource(tmp_path / "db")

    assert sum(read) < 200_000
    assert [(key, value) for key, _, value in rows[:5]] == found.take(range(5))
    with pytest.raises(DataError, match=r"000005\.ldb is damaged: the block at byte 1\d+ has another checksum"):
        found.take([6])


def test_a_net_on_a_leveldb(path):
    """backend may be left out, because Caffe's default is LEVELDB."""
    net = Net(proto_text.parse(f"""layer {{ name: "d" type: "Data" top: "x" top: "label"
                                   data_param {{ source: "{path}" batch_size: 8 }} }}""", NetParameter()), phase=1)
    for first in (0, 8):
        net.forward()
        for i, (_, value) in enumerate(EXPECTED[first:first + 8]):
            image, label, _ = parse(value, "x")
            assert (image == net.blobs["x"].data[i]).all()
            assert label == net.blobs["label"].data[i]
    net.layers[0].close()
    assert isinstance(net.layers[0], DataLayer)


# --- checksums and Snappy --------------------------------------------------------------------------


def test_checksums():
    """The CRC-32C of the standard's example, and for each length that of a loop over the bits."""
    assert 0xE3069283 == checksums.crc32c(b"123456789")
    data = random.Random(3).randbytes(checksums.PIECE + 700)
    for size in (0, 1, 3, 4, 5, checksums.ROW - 1, checksums.ROW, checksums.ROW + 1, checksums.PIECE + 700):
        assert crc32c(data[:size]) == checksums.crc32c(data[:size])


TEXT = bytes(range(97, 123)) * 11


@pytest.mark.parametrize(("packed", "unpacked"), [
    (b"\0", b""),
    (b"\x05\x10abcde", b"abcde"),
    (b"\x04\x00a\x02\x01\x00\x00b\x00c", b"aabc"),  # a copy of 1 byte
    (b"\x0c\x04ab\x11\x02\x00c\x00d", b"ababababab" + b"cd"),  # a copy of 8 bytes from 2 before
    (b"\x07\x08abc\x0f\x03\x00\x00\x00", b"abcabca"),  # 4 bytes from 3 before, distance in 4 bytes
    (varint(286) + bytes([61 << 2]) + (285).to_bytes(2, "little") + TEXT, TEXT),  # size in 2 bytes
    (varint(286) + bytes([60 << 2]) + bytes([200]) + TEXT[:201] + bytes([60 << 2, 84]) + TEXT[201:], TEXT),
    (b"\x01\x02\x01\x00", None),  # a copy from before the beginning
    (b"\x04\x00a\x02\x00\x00", None),  # a copy from 0 bytes before
    (b"\x06\x10abcde", None),
    (b"\x04\x10abcde", None),
    (b"\xff\xff\xff\xff\x0f\x00a", None),
    (b"\xff\xff\xff\xff\xff\xff\x0f", None),
    (b"\x80", None),
    (b"", None),
])
def test_snappy(packed, unpacked, monkeypatch):
    """Literals and copies of every kind are unpacked, and bytes that are no Snappy are refused."""
    monkeypatch.setattr(snappy, "cramjam", None)
    if unpacked is None:
        with pytest.raises(ValueError, match="it |bytes|its size"):
            snappy.unpack(packed)
    else:
        assert unpacked == snappy.unpack(packed)


def test_snappy_of_the_writer(monkeypatch):
    """Runs and noise are unpacked to what they were; a faster package is used where it is installed."""
    monkeypatch.setattr(snappy, "cramjam", None)
    data = b"".join(bytes([i]) * (i % 90) for i in range(256)) + random.Random(1).randbytes(999)
    assert data == snappy.unpack(pack(data))

    class WrongError(Exception):
        pass

    def decompress(packed):
        if packed[-1] == 7:
            raise WrongError("bad")
        return memoryview(b"abc")

    monkeypatch.setattr(snappy, "cramjam", SimpleNamespace(snappy=SimpleNamespace(decompress_raw=decompress),
                                                           DecompressionError=WrongError))
    assert b"abc" == snappy.unpack(b"\x03...")
    with pytest.raises(ValueError, match="bad"):
        snappy.unpack(b"\x03..\x07")


def test_damaged_blocks_with_right_checksums(tmp_path):
    """Sizes that cannot be are an error also where the checksum fits them."""
    write(tmp_path / "db", [[(b"a", 1, b"x" * 40)]])
    good = table([(b"a", 1, b"x" * 40)])
    first = block([(b"a" + bytes(8), b"x" * 40)])
    for at, wrong in ((0, 9), (1, 200), (2, 99), (1, 2)):
        changed = bytearray(first[:-5])
        changed[at] = wrong
        stored = bytes(changed) + b"\0"
        crc = crc32c(stored)
        stored += (((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF).to_bytes(4, "little")
        (tmp_path / "db" / "000005.ldb").write_bytes(stored + good[len(first):])
        with pytest.raises(DataError, match=r"000005\.ldb is damaged: the block at byte 0 cannot be read"):
            LevelDbSource(tmp_path / "db")
