"""LMDBs: written whole, checked before they are mapped, read in the order of their keys."""

import random
import shutil
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from extras import needs

from minicaffe.data import lmdb as module
from minicaffe.data import open_source
from minicaffe.data.datum import make, parse
from minicaffe.data.lmdb import LmdbSource, write_lmdb
from minicaffe.errors import DataError, EngineError


@pytest.fixture
def records():
    """Seven small Datum records, keyed in another order than they are given."""
    draw = np.random.default_rng(3)
    return [(f"{(5 * i) % 7:08d}", make(draw.integers(256, size=(3, 5, 2), dtype=np.uint8), i)) for i in range(7)]


@pytest.fixture
def path(tmp_path, records):
    """An LMDB of the seven records."""
    write_lmdb(tmp_path / "seven", records)
    return tmp_path / "seven"


def test_round_trip_in_key_order(path, records):
    """What was written is read back, sorted by key, from the folder and from its data.mdb alike."""
    expected = [(key.encode(), value.SerializeToString()) for key, value in sorted(records, key=lambda r: r[0])]

    for given in (path, path / "data.mdb"):
        source = LmdbSource(given)
        assert len(source) == 7
        assert list(source.records()) == expected
        assert list(source.records(5)) == expected[5:]


def test_one_file_many_sources(path):
    """A process may read one LMDB through several sources at once, as a train and a test net do."""
    first, second = LmdbSource(path), LmdbSource(path / "data.mdb")

    assert next(first.records(1)) == next(second.records(1))


def test_map_grows(tmp_path):
    """Records larger together than the first map are all written."""
    values = [bytes([i]) * (1 << 20) for i in range(40)]

    assert write_lmdb(tmp_path / "large", ((f"{i:02d}", v) for i, v in enumerate(values))) == 40
    assert [v for _, v in LmdbSource(tmp_path / "large").records()] == values


def test_write_refuses_what_exists(path, records):
    """An existing LMDB stays as it is unless replace is set; replacing leaves no other folder behind."""
    with pytest.raises(DataError, match="seven exists already"):
        write_lmdb(path, records[:2])
    assert len(LmdbSource(path)) == 7

    assert write_lmdb(path, records[:2], replace=True) == 2
    assert len(LmdbSource(path)) == 2
    assert [p.name for p in path.parent.iterdir()] == ["seven"]


def test_two_programs_replace_an_lmdb_at_once(path, records, monkeypatch):
    """One of them wins, the other has a clean error, and no other folder is left behind."""
    rename = Path.rename

    def rename_beside_another(self, to):
        rename(self, to)
        if self == path:  # the old LMDB is out of the way, and the other program is faster
            monkeypatch.setattr(Path, "rename", rename)
            write_lmdb(path, records[:3])

    monkeypatch.setattr(Path, "rename", rename_beside_another)
    with pytest.raises(DataError, match="seven was made by another program while this one ran"):
        write_lmdb(path, records[:2], replace=True)
    assert len(LmdbSource(path)) == 3
    assert [p.name for p in path.parent.iterdir()] == ["seven"]


@pytest.mark.parametrize("there", [True, False])
def test_a_replacement_that_cannot_be_renamed(there, path, records, monkeypatch):
    """The old LMDB is put back; none is no hindrance."""
    if not there:
        shutil.rmtree(path)
    rename = Path.rename

    def rename_but_the_new(self, to):
        if self.suffix == ".tmp":
            raise PermissionError(1, "Operation not permitted")
        rename(self, to)

    monkeypatch.setattr(Path, "rename", rename_but_the_new)
    with pytest.raises(DataError, match="cannot write .*seven: Operation not permitted"):
        write_lmdb(path, records[:2], replace=True)
    assert ["seven"] * there == [p.name for p in path.parent.iterdir()]
    assert not there or len(LmdbSource(path)) == 7


def test_failed_write_leaves_nothing(tmp_path, records):
    """A key that comes twice, or an error in the records, ends with an error and without an LMDB."""
    with pytest.raises(DataError, match=r"key '00000000' comes twice in the records for .*twice"):
        write_lmdb(tmp_path / "twice", [*records, records[0]])

    def broken():
        yield records[0]
        raise DataError("no more")

    with pytest.raises(DataError, match="no more"):
        write_lmdb(tmp_path / "broken", broken())
    assert list(tmp_path.iterdir()) == []


def test_missing(tmp_path):
    """A path that is not there, and a folder without a data.mdb, are errors with their names."""
    with pytest.raises(DataError, match=r"there is no LMDB .*nowhere"):
        LmdbSource(tmp_path / "nowhere")
    with pytest.raises(DataError, match=r"there is no LMDB nowhere\n  hint: looked for in /"):
        LmdbSource("nowhere")
    with pytest.raises(DataError, match=r"there is no LevelDB .*nowhere"):
        open_source("LEVELDB", str(tmp_path / "nowhere"))
    with pytest.raises(DataError, match=r"the folder holds no data\.mdb"):
        LmdbSource(tmp_path)


def test_truncated_is_refused_before_it_can_crash(tmp_path):
    """Every shorter copy is refused with both sizes; mapping it would kill the process."""
    path = tmp_path / "cut"
    write_lmdb(path, [(f"{i}", bytes(5000)) for i in range(5)])
    whole = (path / "data.mdb").read_bytes()
    for size, words in ((len(whole) - 1, f"is truncated: it has {len(whole) - 1} bytes, but .* {len(whole)}"),
                        (3 * 4096, "is truncated: it has 12288 bytes, but"),
                        (4096, "is truncated: it has only 4096 bytes"), (100, "only 100 bytes"), (0, "is empty")):
        (path / "data.mdb").write_bytes(whole[:size])
        with pytest.raises(DataError, match=words):
            LmdbSource(path)


@pytest.mark.parametrize("count", [1, 40, 900])
def test_what_the_library_wrote(count, tmp_path):
    """Values in the leaves and on pages of their own, after deletions, in trees of one level to three."""
    lmdb, draw, records = needs("lmdb"), random.Random(count), {}
    environment = lmdb.open(str(tmp_path / "x"), map_size=1 << 26)
    for _ in range(3):
        with environment.begin(write=True) as transaction:
            for _ in range(count):
                key, value = draw.randbytes(draw.randint(1, 90)), draw.randbytes(draw.choice([0, 9, 300, 2040, 4096]))
                records[key] = value
                transaction.put(key, value)
            for key in draw.sample(sorted(records), len(records) // 3):
                del records[key]
                transaction.delete(key)
    environment.close()
    source, expected = LmdbSource(tmp_path / "x"), sorted(records.items())

    assert len(expected) == len(source)
    for start in (0, 1, len(expected) // 2, len(expected)):
        assert expected[start:] == list(source.records(start))


@pytest.mark.parametrize(("page", "offset", "value", "words"), [
    (1, 16 + 112, 9, r"it refers to page 9, and the last is 7"),  # the root
    (1, 16 + 104, 41, r"it holds 40 records and claims 41"),
    (1, 16 + 104, 39, r"it holds more than the 39 records"),
    (3, 10, 4, r"page 3 is not what the tree needs there"),  # a leaf that calls itself an overflow page
    (3, 13, 99, r"page 3 claims \d+ nodes"),
    (5, 17, 99, r"page 5 has a node at byte"),
])
def test_damaged_pages_are_refused(page, offset, value, words, tmp_path):
    """A wrong number in a page is an error when the page is read, where the library would kill the process."""
    path = tmp_path / "x"
    write_lmdb(path, [(f"{i}", bytes(300)) for i in range(40)])
    damaged = bytearray((path / "data.mdb").read_bytes())
    damaged[4096 * page + offset] = value
    (path / "data.mdb").write_bytes(damaged)
    with pytest.raises(DataError, match=words):
        list(LmdbSource(path).records())


@pytest.mark.parametrize("read", [lambda source: source.take([3]), lambda source: list(source.records())])
def test_branches_without_end(read, tmp_path):
    """A tree of 30 levels whose branches all have the same two children ends with its records, not after 2^30 pages."""
    path = tmp_path / "x"
    write_lmdb(path, [(f"{i}", bytes(300)) for i in range(40)])
    damaged = bytearray((path / "data.mdb").read_bytes())
    meta, first = 4096 + 16, len(damaged) // 4096
    for number in range(first, first + 30):  # branches behind the last page; both children are the next one, or a leaf
        below = number + 1 if number < first + 29 else 2
        page = struct.pack("<QHHHHHH", number, 0, 1, 16 + 4, 4096 - 16, 4096 - 16, 4096 - 8)
        damaged += page + bytes(4096 - len(page) - 16) + 2 * struct.pack("<HHHH", below, 0, 0, 0)
    struct.pack_into("<H", damaged, meta + 78, 31)  # the depth
    struct.pack_into("<QQ", damaged, meta + 112, first, first + 29)
    (path / "data.mdb").write_bytes(damaged)
    with pytest.raises(DataError, match="is damaged: it holds"):
        read(LmdbSource(path))


def test_no_lmdb(path):
    """Another file under the name of an LMDB, or one of a later format, is said to be one."""
    file = path / "data.mdb"
    whole = file.read_bytes()
    file.write_bytes(b"PK" + bytes(9000))
    with pytest.raises(DataError, match=r"data\.mdb is not an LMDB file"):
        LmdbSource(path)

    file.write_bytes(whole[:20] + b"\x07" + whole[21:])
    with pytest.raises(DataError, match="an LMDB of format 7, but only format 1"):
        LmdbSource(path)


def test_no_records(tmp_path):
    """An LMDB without records is an error, not an endless loop."""
    write_lmdb(tmp_path / "none", [])

    with pytest.raises(DataError, match="none holds no record"):
        LmdbSource(tmp_path / "none")


def test_backends(path, tmp_path):
    """open_source opens LMDBs, and says of others what to do, also when the folder is an LMDB after all."""
    assert len(open_source("LMDB", str(path))) == 7
    with pytest.raises(DataError, match=r"is an LMDB, but it is opened as LEVELDB\n  hint: set backend: LMDB"):
        open_source("LEVELDB", str(path))
    with pytest.raises(DataError, match="is no LevelDB: the folder holds no file CURRENT"):
        open_source("LEVELDB", str(tmp_path))
    (tmp_path / "CURRENT").touch()
    with pytest.raises(DataError, match="is a LevelDB, not an LMDB"):
        open_source("LMDB", str(tmp_path))


def test_reading_needs_no_package(path, monkeypatch):
    """An LMDB is read without the package that wrote it."""
    monkeypatch.setattr(module, "lmdb", None)

    assert len(LmdbSource(path)) == 7


def test_missing_package(tmp_path, monkeypatch):
    """Without lmdb the error for writing names the extra that brings it."""
    monkeypatch.setattr(module, "lmdb", None)

    with pytest.raises(EngineError, match=r"pip install 'minicaffe\[data\]'"):
        write_lmdb(tmp_path / "new", [])


@pytest.mark.skipif(sys.platform == "win32" or not shutil.which("bash"), reason="needs bash's ulimit")
def test_full_disk(tmp_path):
    """A disk that is full (here: a limit on file size) is one clear error and leaves nothing."""
    needs("lmdb")
    script = ("import signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
              "from minicaffe.data.lmdb import write_lmdb\n"
              "write_lmdb('out', ((f'{i:04d}', bytes(50000)) for i in range(200)))\n")
    done = subprocess.run(["bash", "-c", 'ulimit -f 1000; exec "$0" -c "$1"', sys.executable, script],
                          cwd=tmp_path, capture_output=True, text=True, check=False,
                          env={"PYTHONPATH": ":".join(p or "." for p in sys.path)})

    assert "DataError: cannot write" in done.stderr
    assert list(tmp_path.iterdir()) == []


# --- Datum ---------------------------------------------------------------------------------------


def test_datum_of_floats():
    """float_data comes back as float32 with its label."""
    values = np.arange(30, dtype=np.float32).reshape(3, 5, 2) / 7

    image, label, encoded = parse(make(values, 4).SerializeToString(), "one")

    assert (image == values).all()
    assert (label, encoded) == (4, False)


@pytest.mark.parametrize(("value", "message"), [
    (b"\xff\xff", r"record 'a' is no Datum \(2 bytes\)"),
    (b"", r"record 'a' has no image: channels, height and width are \(0, 0, 0\)"),
    (make(np.zeros((3, 5, 2), np.uint8), 0).SerializeToString().replace(b"\x10\x05", b"\x10\x07"),
     r"has 30 values, but channels, height and width \(3, 7, 2\) make 42"),
])
def test_damaged_datum(value, message):
    """A record that is no Datum, or one whose sizes contradict its values, is named with the numbers."""
    with pytest.raises(DataError, match=message):
        parse(value, "record 'a'")


def test_a_disk_too_small_for_a_database(tmp_path):
    """On a full disk LMDB reports an input or output error, so the hint asks whether the disk is full."""
    needs("lmdb")
    code = "import resource, signal\nfrom minicaffe.data.lmdb import write_lmdb\nfrom minicaffe.proto import Datum\n" \
           "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n" \
           "resource.setrlimit(resource.RLIMIT_FSIZE, (50000, 50000))\n" \
           "write_lmdb('db', [(str(k), Datum(data=bytes(9000))) for k in range(99)])\n"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, timeout=60)

    assert "DataError: cannot write the LMDB db: mdb_txn_commit: Input/output error\n  hint: is the disk full?" \
        in run.stderr
    assert [] == list(tmp_path.iterdir())
