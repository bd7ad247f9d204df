"""Databases and weight files that another program changes while they are read: one error, and nothing mixed."""

import os
import shutil
import subprocess
import sys

import numpy as np
import pytest
from extras import needs
from leveldb_writer import write

from minicaffe.cli.preprocessing import mean_of
from minicaffe.data import cifar, open_source
from minicaffe.data.datum import make, parse
from minicaffe.data.idx import read_idx
from minicaffe.data.lmdb import LmdbSource, write_lmdb
from minicaffe.data.transformer import read_mean
from minicaffe.errors import DataError, ProtoError
from minicaffe.io import file_bytes, npz, safetensors, weights
from minicaffe.io.binary import LayerWeights, sniff
from minicaffe.io.file_bytes import FileBytes, unchanged
from minicaffe.proto import SolverParameter
from minicaffe.proto import text as proto_text
from minicaffe.solvers import get_solver

RECORDS = 3000  # of 300 bytes: more than two blocks
GROW = """
import sys, lmdb
environment = lmdb.open(sys.argv[1], map_size=1 << 26)
for part in range(4):
    with environment.begin(write=True) as transaction:
        for i in range(part, 3000, 4):
            transaction.put(f"{i:08d}".encode(), bytes([9]) * 300)
"""


def fill(path, version):
    """An LMDB of images whose pixels all say which version it is, long since written."""
    write_lmdb(path, ((f"{i:08d}", make(np.full((1, 15, 20), version, np.uint8), i % 5)) for i in range(RECORDS)))
    os.utime(path / "data.mdb", (1e9, 1e9))
    return path


def cut(path, other):
    os.truncate(path / "data.mdb", 100_000)


def empty(path, other):
    os.truncate(path / "data.mdb", 0)


def copy_over(path, other):
    shutil.copyfile(other / "data.mdb", path / "data.mdb")


def grow(path, other):
    needs("lmdb")
    subprocess.run([sys.executable, "-c", GROW, str(path)], check=True)


def rename(path, other):
    (other / "data.mdb").rename(path / "data.mdb")


def remove(path, other):
    shutil.rmtree(path)


HARMFUL = [cut, empty, copy_over, grow]
HARMLESS = [rename, remove]


@pytest.fixture
def path(tmp_path):
    return fill(tmp_path / "data", 1)


@pytest.fixture
def other(tmp_path):
    return fill(tmp_path / "other", 2)


@pytest.mark.parametrize("change", HARMFUL)
@pytest.mark.parametrize("after", [0, 1, 1500])
def test_a_database_that_changes_within_a_pass(change, after, path, other):
    """What comes before the error is of the first version, however many records were read before the change."""
    source = LmdbSource(path)
    records = source.records()
    seen = [next(records) for _ in range(after)]
    change(path, other)
    with pytest.raises(DataError, match=r"data\.mdb: this file is being written"):
        seen += records
    with pytest.raises(DataError, match="this file is being written"):  # the next pass begins with an error
        next(source.records())

    assert {1} == {int(parse(value, "x")[0].max()) for _, value in seen} | {1}


@pytest.mark.parametrize("change", HARMLESS)
def test_a_database_that_another_takes_the_place_of(change, path, other):
    """A file that lost its name is read to its end, pass after pass."""
    source = LmdbSource(path)
    records = source.records()
    seen = [next(records)]
    change(path, other)
    seen += [*records, *source.records()]

    assert 2 * RECORDS == len(seen)
    assert {1} == {int(parse(value, "x")[0].max()) for _, value in seen}


def test_a_transaction_without_a_new_date(path, other):
    """The meta pages say that records were added, also where the file system keeps the old date."""
    source = LmdbSource(path)
    grow(path, other)
    os.truncate(path / "data.mdb", len(source._tree._data))
    os.utime(path / "data.mdb", (1e9, 1e9))
    with pytest.raises(DataError, match="is being written"):
        list(source.records())


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
@pytest.mark.parametrize("name", ["pipe", "folder/data.mdb"])
def test_a_database_that_never_answers(name, tmp_path):
    """A pipe that nobody writes to is refused at once."""
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / name)
    with pytest.raises(DataError, match=f"cannot read .*{name}: it is a pipe or a device"):
        LmdbSource((tmp_path / name).parent if "/" in name else tmp_path / name)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
@pytest.mark.parametrize(("read", "name"), [(read_mean, "mean"), (read_idx, "images"), (mean_of, "mean.npy"),
                                            (cifar.read_files, "cifar.tar"),
                                            (lambda path: cifar.read_files(os.path.dirname(path)), "test_batch.bin")])
def test_a_file_that_never_answers(read, name, tmp_path):
    """The readers of means, IDX and CIFAR refuse a pipe, too, for which they would wait for ever."""
    os.mkfifo(tmp_path / name)
    with pytest.raises(DataError, match="cannot read .*: it is a pipe or a device, not an ordinary file"):
        read(str(tmp_path / name))


LOCK_LMDB = """
import sys, lmdb
transaction = lmdb.open(sys.argv[1]).begin(write=True)
transaction.put(b"new", b"")
"""
LOCK_LEVELDB = """
import sys, fcntl
stream = open(sys.argv[1] + "/LOCK", "w")
fcntl.lockf(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
"""


@pytest.mark.parametrize("kind", ["LMDB", "LEVELDB"])
def test_a_database_that_another_process_has_locked(kind, path, tmp_path):
    """Reading needs no lock: a training may run while another program has the database open."""
    if kind == "LEVELDB":
        pytest.importorskip("fcntl", reason="this machine has no fcntl")
        path = write(tmp_path / "level", [[(f"{i:04d}".encode(), 1, bytes(50)) for i in range(20)]])
    else:
        needs("lmdb")
    code = (LOCK_LMDB if kind == "LMDB" else LOCK_LEVELDB) + 'print("locked", flush=True)\nsys.stdin.read()\n'
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen([sys.executable, "-c", code, str(path)], **pipes) as other:
        assert b"locked\n" == other.stdout.readline()
        found = open_source(kind, str(path))
        assert len(found) == len(list(found.records()))
        other.communicate(timeout=60)


NET = """
  layer { name: "d" type: "Data" top: "x" top: "label"
          data_param { source: "DIR" backend: LMDB batch_size: 50 prefetch: 2 } transform_param { scale: 0.01 } }
  layer { name: "ip" type: "InnerProduct" bottom: "x" top: "ip"
          inner_product_param { num_output: 5 weight_filler { type: "xavier" } } }
  layer { name: "loss" type: "SoftmaxWithLoss" bottom: "ip" bottom: "label" top: "loss" }
"""


@pytest.mark.parametrize("change", [*HARMFUL, *HARMLESS])
@pytest.mark.parametrize("before", [1, 30, 70])
def test_a_training_whose_database_changes(change, before, path, other):
    """A training stops with one error that names the file, or goes on with the old file; no batch is of another."""
    solver = get_solver(proto_text.parse(
        f"net_param {{ {NET} }} base_lr: 0.01 lr_policy: 'fixed' max_iter: 200".replace("DIR", str(path)),
        SolverParameter()))
    versions = set()
    solver.net.after_layer.append(lambda *_: versions.add(float(solver.net.blobs["x"].data.max())))
    solver.step(before)
    change(path, other)
    if change in HARMFUL:
        with pytest.raises(DataError, match=r"data\.mdb: layer 'd' \(Data\): this file is being written"):
            solver.step(130)
    else:
        solver.step(130)

    assert {np.float32(0.01)} == versions
    solver.net.layers[0].close()


# --- files that are read once ----------------------------------------------------------------------


@pytest.mark.parametrize("size", [0, 10, file_bytes.BLOCK, 3 * file_bytes.BLOCK + 7])
def test_bytes_by_their_places(size, tmp_path):
    """Bytes, slices and arrays within blocks, across them and at the end are those of the file."""
    content = np.random.default_rng(size).bytes(size)
    (tmp_path / "x").write_bytes(content)
    data = FileBytes(tmp_path / "x")

    assert size == len(data)
    for begin in {0, min(1, size), size // 2, max(0, size - 5), min(size, file_bytes.BLOCK - 2)}:
        for length in (0, 1, 4, file_bytes.BLOCK, size):
            assert content[begin:begin + length] == data[begin:begin + length]
            values = np.empty(min(length, size - begin) // 2, "<u2")
            data.read_into(values, begin)
            assert content[begin:begin + values.nbytes] == values.tobytes()
    assert list(content[-3:]) == [data[i] for i in range(max(0, size - 3), size)]


def test_few_blocks_are_kept(tmp_path):
    """However large a file is, at most so many blocks of it are in memory; and nothing lies beyond its end."""
    (tmp_path / "x").write_bytes(bytes(5 * file_bytes.BLOCK))
    data = FileBytes(tmp_path / "x", most=2)
    with pytest.raises(IndexError, match="the bytes 327679 to 327681 of 327680"):
        data.read(len(data) - 1, 2)
    for i in (0, 1, 2, 3, 0, 4):
        data[i * file_bytes.BLOCK]

    assert [0, 4] == sorted(data._blocks)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_a_pipe_is_no_file_of_weights(tmp_path):
    """A pipe is refused before it is opened, which would wait for its writer."""
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ProtoError, match="pipe is a pipe or a device, but this file is read twice"):
        weights.read(tmp_path / "pipe")


def test_weights_cut_while_they_are_read(tmp_path, monkeypatch):
    """A caffemodel that becomes shorter under the reader is an error, where a mapping would kill the process."""
    layers = [LayerWeights("a", "Scale", [np.zeros(400_000, np.float32)])]
    weights.write(tmp_path / "a.caffemodel", layers)
    os.utime(tmp_path / "a.caffemodel", (1e9, 1e9))
    whole_read = FileBytes.read_into

    def read_into(self, values, place):
        os.truncate(tmp_path / "a.caffemodel", 300_000)
        whole_read(self, values, place)

    assert "caffemodel" == sniff(tmp_path / "a.caffemodel")
    monkeypatch.setattr(FileBytes, "read_into", read_into)
    with pytest.raises(DataError, match=r"^[^\n]*a\.caffemodel: this file is being written[^\n]*\n  hint: wait"):
        weights.read(tmp_path / "a.caffemodel")


@pytest.mark.parametrize("suffix", [".npz", ".safetensors", ".h5"])
def test_weights_written_over_while_they_are_read(suffix, tmp_path, monkeypatch):
    """The other formats notice a writer as well, whatever their readers made of what they saw."""
    needs("h5py")
    from minicaffe.io import hdf5

    file = tmp_path / f"a{suffix}"
    weights.write(file, [LayerWeights("a", "Scale", [np.zeros(40_000, np.float32), np.zeros(3, np.float32)])])
    os.utime(file, (1e9, 1e9))
    module, name = {".npz": (npz, "_array"), ".safetensors": (safetensors, "_array"), ".h5": (hdf5, "array")}[suffix]
    original = getattr(module, name)

    def change(*args):
        found = original(*args)
        content = bytearray(file.read_bytes())
        content[-1] ^= 1
        file.write_bytes(content)
        return found

    monkeypatch.setattr(module, name, change)
    with pytest.raises(DataError, match="this file is being written"):
        weights.read(file)


def test_an_error_stays_what_it_was_where_nothing_changed(tmp_path):
    """Only a change of the file turns another error into 'is being written'."""
    (tmp_path / "x").write_bytes(b"1")
    with pytest.raises(ValueError, match="mine"), unchanged(tmp_path / "x"):
        raise ValueError("mine")

    def change():
        (tmp_path / "x").write_bytes(b"12")
        raise ValueError("mine")

    with pytest.raises(DataError, match="is being written"), unchanged(tmp_path / "x"):
        change()
