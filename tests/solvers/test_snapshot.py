"""Snapshots: what is written, that it is whole or absent, and that a resumed training repeats the first."""

import errno
import os
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
from extras import needs
from nets import feed, make, weights

from minicaffe.errors import DataError, MinicaffeError, SolverError
from minicaffe.io import solverstate
from minicaffe.io.binary import SolverSnapshot

FIELDS = 'type: "Adam" momentum: 0.9 weight_decay: 0.01'


@pytest.mark.parametrize("form", ["BINARYPROTO", "HDF5"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_resumed_training_repeats_the_first_bit_by_bit(tmp_path, form, dtype):
    """Train 7, and train 4, stop, resume to 7, end in the same bits."""
    if form == "HDF5":
        needs("h5py")
    fields = f'{FIELDS} snapshot: 4 snapshot_prefix: "{tmp_path}/s" snapshot_format: {form}'
    first = feed(make(fields, dtype=dtype))
    first.step(7)
    tail = ".h5" if form == "HDF5" else ""
    second = feed(make(fields, dtype=dtype))
    second.restore(str(tmp_path / f"s_iter_4.solverstate{tail}"))

    assert 4 == second.iter
    second.step(3)
    for mine, theirs in zip([*weights(second), *second.history], [*weights(first), *first.history], strict=True):
        np.testing.assert_array_equal(mine, theirs)


def test_the_state_names_its_weights_and_keeps_the_step(tmp_path):
    """A state holds iter, learned_net, current_step, and history in Caffe's order."""
    solver = feed(make(f'lr_policy: "multistep" gamma: 0.5 stepvalue: 1 stepvalue: 3 momentum: 0.9 '
                       f'snapshot_prefix: "{tmp_path}/s"'))
    solver.step(5)
    solver.snapshot()
    state = solverstate.read(tmp_path / "s_iter_5.solverstate")

    assert (5, f"{tmp_path}/s_iter_5.caffemodel", 2) == state[:3]
    assert [(2, 3), (2,)] == [array.shape for array in state.history]
    np.testing.assert_array_equal(state.history[0], solver.history[0])


def test_solve_snapshots_at_the_end_unless_told_not_to(tmp_path):
    """snapshot_after_train writes a last snapshot, but not where the regular one has just been written."""
    feed(make(f'max_iter: 3 snapshot_prefix: "{tmp_path}/a"')).solve()
    feed(make(f'max_iter: 3 snapshot_after_train: false snapshot_prefix: "{tmp_path}/b"')).solve()
    feed(make(f'max_iter: 4 snapshot: 2 snapshot_prefix: "{tmp_path}/c"')).solve()

    assert ["a_iter_3", "c_iter_2", "c_iter_4"] == sorted(p.stem for p in tmp_path.glob("*.solverstate"))


def test_the_weights_are_found_beside_a_state_that_was_moved(tmp_path):
    """A folder of snapshots may move, and its files may be renamed together."""
    (tmp_path / "old").mkdir()
    solver = feed(make(f'{FIELDS} snapshot_prefix: "{tmp_path}/old/s"'))
    solver.step(2)
    solver.snapshot()
    shutil.move(tmp_path / "old", tmp_path / "new")
    moved = feed(make(FIELDS))
    moved.restore(str(tmp_path / "new" / "s_iter_2.solverstate"))

    np.testing.assert_array_equal(weights(moved)[0], weights(solver)[0])
    for kind in ("caffemodel", "solverstate"):
        (tmp_path / "new" / f"s_iter_2.{kind}").rename(tmp_path / "new" / f"best.{kind}")
    renamed = feed(make(FIELDS))
    renamed.restore(str(tmp_path / "new" / "best.solverstate"))

    np.testing.assert_array_equal(weights(renamed)[0], weights(solver)[0])
    (tmp_path / "new" / "best.caffemodel").unlink()
    with pytest.raises(SolverError, match=r"s_iter_2\.caffemodel, are neither there nor beside it"):
        feed(make(FIELDS)).restore(str(tmp_path / "new" / "best.solverstate"))


@pytest.mark.parametrize(("shapes", "words"), [
    ([(2, 3), (2,), (2, 3), (2,)], ["4 history blobs", "SGD keeps 2", "2 parameters"]),
    ([(2, 3), (7,)], ["history blob 1", "(7,)", "blob 1 of layer 'ip'", "(2,)"]),
])
def test_a_state_that_does_not_fit_changes_nothing(tmp_path, shapes, words):
    """A state of another type or net is refused before anything is copied."""
    path = tmp_path / "s.solverstate"
    solverstate.write(path, SolverSnapshot(9, "", 0, [np.ones(shape, np.float32) for shape in shapes]))
    solver = feed(make("momentum: 0.9"))
    with pytest.raises(SolverError) as error:
        solver.restore(str(path))

    assert [] == [word for word in words if word not in str(error.value)]
    assert 0 == solver.iter
    assert 0 == np.abs(solver.history[0]).max()


def test_the_wrong_file_of_a_snapshot_is_told_from_the_right_one(tmp_path):
    """Weights given as a state, and a state given as weights, name the other file."""
    solver = feed(make(f'{FIELDS} snapshot_prefix: "{tmp_path}/s"'))
    solver.step(1)
    solver.snapshot()
    model, state = str(tmp_path / "s_iter_1.caffemodel"), str(tmp_path / "s_iter_1.solverstate")
    with pytest.raises(MinicaffeError, match=r"this is weights .*\n.*s_iter_1\.solverstate"):
        solver.restore(model)
    with pytest.raises(MinicaffeError, match=r"this is a solver state.*\n.*s_iter_1\.caffemodel"):
        solver.net.copy_trained_from(state)


@pytest.mark.parametrize("form", ["BINARYPROTO", "HDF5"])
@pytest.mark.parametrize("whole", [0, 1, 2], ids=["weights", "record", "state"])
def test_a_full_disk_leaves_the_last_snapshot_whole(tmp_path, monkeypatch, form, whole):
    """There is one clear error and no stray file, and the last good snapshot can still be resumed."""
    if form == "HDF5":
        needs("h5py")
    solver = feed(make(f'{FIELDS} snapshot_prefix: "{tmp_path}/s" snapshot_format: {form}'))
    solver.step(1)
    solver.snapshot()
    solver.step(1)
    good, synced, real = sorted(os.listdir(tmp_path)), [], os.fsync

    def full(handle):
        synced.append(handle)
        if len(synced) == 2 * whole + 1:  # each file is synced, and then its folder
            raise OSError(errno.ENOSPC, "No space left on device")
        real(handle)

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(DataError, match="No space left on device") as error:
        solver.snapshot()

    assert "s_iter_2" in str(error.value)
    left = [name for name in sorted(os.listdir(tmp_path)) if name not in good]
    assert [] == [name for name in left if "solverstate" in name or "tmp" in name]
    assert whole == len(left)
    again = feed(make(FIELDS))
    again.restore(str(next(tmp_path.glob("s_iter_1.solverstate*"))))
    assert 1 == again.iter


def test_a_prefix_that_cannot_be_written_is_found_at_the_start(tmp_path):
    """The error comes before the first iteration, with the folder's name."""
    with pytest.raises(SolverError, match="nowhere"):
        make(f'snapshot: 5 snapshot_prefix: "{tmp_path}/nowhere/s"')
    with pytest.raises(SolverError, match="snapshot needs a snapshot_prefix, got 5"):
        make("snapshot: 5")
    solver = feed(make(f'max_iter: 3 snapshot_prefix: "{tmp_path}/nowhere/s"'))
    with pytest.raises(SolverError, match="nowhere"):
        solver.solve()

    assert 0 == solver.iter


@pytest.mark.parametrize(("name", "hint"), [("nowhere", "mkdir -p "), ("", "choose another snapshot_prefix")])
def test_the_cure_fits_the_folder(tmp_path, monkeypatch, name, hint):
    """A folder that is missing can be made; one that is there and may not be written to needs another prefix."""
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(SolverError, match=f"no folder that may be written to\n  hint: {hint}"):
        make(f'snapshot: 5 snapshot_prefix: "{tmp_path / name}/s"')


def test_hdf5_without_its_package_is_found_at_the_start(tmp_path, monkeypatch):
    """A missing h5py stops a training before it begins, and names the extra."""
    from minicaffe.io import hdf5

    monkeypatch.setattr(hdf5, "h5py", None)
    monkeypatch.setitem(sys.modules, "h5py", None)  # the import fails
    with pytest.raises(MinicaffeError, match=r"minicaffe\[data\]"):
        make(f'snapshot: 5 snapshot_format: HDF5 snapshot_prefix: "{tmp_path}/s"')


def test_a_solver_file_gives_the_prefix(tmp_path, monkeypatch):
    """Without a prefix the solver's path serves, and in a folder the solver's name."""
    from minicaffe.solvers import definition

    monkeypatch.chdir(tmp_path)
    Path("out").mkdir()
    Path("my_solver.prototxt").write_text('net: "n"')
    Path("to_folder.prototxt").write_text('net: "n" snapshot_prefix: "out"')

    assert "my_solver" == definition.read_solver("my_solver.prototxt").snapshot_prefix
    assert os.path.join("out", "to_folder") == definition.read_solver("to_folder.prototxt").snapshot_prefix


def test_snapshot_diff_stores_the_gradients(tmp_path):
    """The last step is in the file where it was asked for, and only there."""
    from minicaffe.io import binary
    from minicaffe.proto import NetParameter

    for extra, expected in (("snapshot_diff: true", 6), ("", 0)):
        solver = feed(make(f'{extra} snapshot_prefix: "{tmp_path}/s"', dtype=np.float32))
        solver.step(1)
        net = binary.read(solver.snapshot(), NetParameter())
        layer = next(layer for layer in net.layer if layer.name == "ip")

        assert expected == len(layer.blobs[0].diff)
        assert (2, 3) == tuple(layer.blobs[0].shape.dim)


def test_a_resumed_training_reads_on_where_it_stopped(tmp_path):
    """3 updates, a snapshot and 4 more see the records that 7 updates in one go see."""
    needs("lmdb")
    from minicaffe.data.lmdb import write_lmdb
    from minicaffe.proto import Datum, SolverParameter
    from minicaffe.proto import text as proto_text
    from minicaffe.solvers import get_solver

    draw = np.random.default_rng(2)
    write_lmdb(tmp_path / "db", [(f"{i:04d}", Datum(channels=3, height=2, width=1, label=i % 4,
                                                    data=draw.integers(256, size=6, dtype=np.uint8).tobytes()))
                                 for i in range(13)])

    def start():
        param = proto_text.parse(f"""
            net_param {{
              layer {{ name: "data" type: "Data" top: "x" top: "t" transform_param {{ scale: 0.01 }}
                       data_param {{ source: "{tmp_path}/db" batch_size: 5 backend: LMDB }} }}
              layer {{ name: "ip" type: "InnerProduct" bottom: "x" top: "ip"
                       inner_product_param {{ num_output: 4 weight_filler {{ type: "xavier" }} }} }}
              layer {{ name: "loss" type: "SoftmaxWithLoss" bottom: "ip" bottom: "t" top: "loss" }} }}
            base_lr: 0.5 lr_policy: "fixed" momentum: 0.9 iter_size: 2 random_seed: 3 snapshot: 3
            snapshot_prefix: "{tmp_path}/s" """, SolverParameter())
        return get_solver(param)

    first, second = start(), start()
    first.step(7)
    second.restore(str(tmp_path / "s_iter_3.solverstate"))
    second.step(4)

    np.testing.assert_array_equal(weights(second)[0], weights(first)[0])


@pytest.mark.parametrize("form", ["BINARYPROTO", "HDF5"])
def test_a_prefix_is_as_long_as_its_temporary_names_allow(tmp_path, form):
    """The longest prefix that works is used, and one byte more is found before the first iteration."""
    if form == "HDF5":
        needs("h5py")
    longest = os.pathconf(tmp_path, "PC_NAME_MAX") if hasattr(os, "pathconf") else 255
    ending = "_iter_3.solverstate.h5" if form == "HDF5" else "_iter_3.solverstate"
    prefix = "p" * (longest - len(f".{ending}.01234567.tmp"))
    fields = f'max_iter: 3 snapshot_format: {form} snapshot_prefix: "{tmp_path}/{prefix}'
    feed(make(f'{fields}"')).solve()
    assert (tmp_path / f"{prefix}{ending}").is_file()

    solver = feed(make(f'{fields}p"'))
    with pytest.raises(SolverError, match=rf"snapshot_prefix is too long .* {longest + 1} bytes in a path of"):
        solver.solve()
    assert 0 == solver.iter
    with pytest.raises(SolverError, match="snapshot_prefix is too long"):
        make(f'{fields}p" snapshot: 1')
    with pytest.raises(SolverError, match="snapshot_prefix is too long"):  # the full path is short
        make(f'snapshot: 1 snapshot_prefix: "{tmp_path}{"/." * 5000}/s"')
    assert 3 == len(os.listdir(tmp_path))
