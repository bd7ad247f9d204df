"""Weight files and solver states: Caffe's layout, read back with protobuf and h5py alone."""

import contextlib
import sys
from pathlib import Path

import numpy as np
import pytest
from extras import needs

from minicaffe import Net
from minicaffe.errors import DataError, MinicaffeError
from minicaffe.io import caffemodel, hdf5, solverstate, weights
from minicaffe.io.binary import SolverSnapshot
from minicaffe.io.wrong_file import right_file_hint, sibling
from minicaffe.proto import NetParameter, SolverState
from minicaffe.proto import text as proto_text

ORACLE = Path(__file__).parent.parent / "oracle" / "solvers"
CASES = ["adam", "multistep", "sgd_momentum"]
NET = """
  name: "tied"
  layer { name: "x" type: "Input" top: "x" input_param { shape { dim: 2 dim: 3 } } }
  layer { name: "block/a" type: "InnerProduct" bottom: "x" top: "a" param { name: "w" }
          inner_product_param { num_output: 3 weight_filler { type: "xavier" } bias_filler { value: 0.25 } } }
  layer { name: "block/b" type: "InnerProduct" bottom: "a" top: "b" param { name: "w" }
          inner_product_param { num_output: 3 bias_filler { value: 0.5 } } }
  layer { name: "loss" type: "EuclideanLoss" bottom: "b" bottom: "x" top: "loss" }
"""


def tied():
    return Net(proto_text.parse(NET, NetParameter()))


@pytest.fixture
def h5py():
    return needs("h5py")


def layout(file, h5py):
    """Every group and dataset of an open HDF5 file: kind, shape, type, padding of strings, bytes."""
    found = {}

    def visit(name, item):
        if isinstance(item, h5py.Dataset):
            kind = item.id.get_type()
            padding = kind.get_strpad() if item.dtype.kind == "S" else None
            found[name] = (item.shape, str(item.dtype), padding, item[()].tobytes())
        else:
            found[name] = "group"

    file.visititems(visit)
    return found


@pytest.mark.parametrize("case", CASES)
def test_a_state_written_back_has_caffes_bytes(case, tmp_path):
    """Our binary state is Caffe's, byte for byte, and what protobuf reads in it."""
    original = ORACLE / f"{case}_iter_6.solverstate"
    solverstate.write(tmp_path / "s.solverstate", solverstate.read(original))
    message = SolverState.FromString((tmp_path / "s.solverstate").read_bytes())

    assert original.read_bytes() == (tmp_path / "s.solverstate").read_bytes()
    assert (6, f"{case}_iter_6.caffemodel") == (message.iter, message.learned_net)


@pytest.mark.parametrize("case", CASES)
def test_an_hdf5_state_written_back_has_caffes_layout(case, tmp_path, h5py):
    """The groups, shapes, number types, string padding and values are those of Caffe's file."""
    original = ORACLE / f"{case}_iter_6.solverstate.h5"
    solverstate.write(tmp_path / "s.h5", solverstate.read(original))
    with h5py.File(original) as theirs, h5py.File(tmp_path / "s.h5") as ours:
        assert layout(theirs, h5py) == layout(ours, h5py)


@pytest.mark.parametrize("case", CASES)
def test_both_formats_hold_the_same(case, h5py):
    """Caffe's binary and HDF5 files read as the same weights and history."""
    binary = {w.name: w.blobs for w in weights.read(ORACLE / f"{case}_iter_6.caffemodel")}
    other = {w.name: w.blobs for w in weights.read(ORACLE / f"{case}_iter_6.caffemodel.h5")}
    states = [solverstate.read(ORACLE / f"{case}_iter_6.solverstate{tail}") for tail in ("", ".h5")]

    assert sorted(binary) == sorted(other)
    for name, blobs in binary.items():
        for mine, theirs in zip(blobs, other[name], strict=True):
            np.testing.assert_array_equal(mine, theirs)
    assert states[0].current_step == states[1].current_step
    for mine, theirs in zip(states[0].history, states[1].history, strict=True):
        np.testing.assert_array_equal(mine, theirs)


def test_hdf5_leaves_shared_blobs_to_their_owner(tmp_path, h5py):
    """Tied weights and layer names with slashes have Caffe's layout, and are read again."""
    net = tied()
    for param in net.learnable_params:
        param.blob.diff[...] = 7
    caffemodel.write(tmp_path / "w.caffemodel.h5", net, write_diff=True)
    with h5py.File(tmp_path / "w.caffemodel.h5") as file:
        assert ["0", "1"] == list(file["data/block/a"])
        assert ["1"] == list(file["data/block/b"])
        assert ["0", "1"] == list(file["diff/block/b"])
        assert [] == list(file["data/loss"])
        np.testing.assert_array_equal(file["data/block/a/0"], net.params["block/a"][0].data)
    again = tied()
    report = again.copy_trained_from(tmp_path / "w.caffemodel.h5")

    assert ["block/a", "block/b"] == sorted(report.loaded)
    for name in net.params:
        for mine, theirs in zip(again.params[name], net.params[name], strict=True):
            np.testing.assert_array_equal(mine.data, theirs.data)


def test_a_binary_file_is_the_net_with_its_blobs(tmp_path):
    """Name, layers, blobs and the loss weight that a loss assumed, and nothing else."""
    net = tied()
    caffemodel.write(tmp_path / "w.caffemodel", net)
    stored = NetParameter.FromString((tmp_path / "w.caffemodel").read_bytes())

    assert {"name", "layer"} == {field.name for field, _ in stored.ListFields()}
    assert ["x", "block/a", "block/b", "loss"] == [layer.name for layer in stored.layer if layer.type != "Split"]
    assert [1.0] == list(stored.layer[-1].loss_weight)
    by_name = {layer.name: layer for layer in stored.layer}
    np.testing.assert_array_equal(net.params["block/b"][0].data.ravel(), np.float32(by_name["block/b"].blobs[0].data))


@pytest.mark.parametrize(("name", "read", "words"), [
    ("adam_iter_6.caffemodel", solverstate.read, ["weights", "adam_iter_6.solverstate?"]),
    ("adam_iter_6.solverstate", weights.read, ["a solver state", "adam_iter_6.caffemodel?"]),
    ("adam_iter_6.caffemodel.h5", solverstate.read, ["weights", "adam_iter_6.solverstate.h5?"]),
    ("adam_iter_6.solverstate.h5", weights.read, ["a solver state", "adam_iter_6.caffemodel.h5?"]),
])
def test_the_content_decides_and_the_sibling_is_named(name, read, words):
    """Each wrong file says what it is and names the right one beside it."""
    if name.endswith(".h5"):
        needs("h5py")
    with pytest.raises(MinicaffeError) as error:
        read(ORACLE / name)

    assert [] == [word for word in words if word not in str(error.value)]


@pytest.mark.parametrize("read", [weights.read, solverstate.read])
@pytest.mark.parametrize(("content", "words"), [
    (b"", "empty"), (b"layer { name: 'a' }", "prototxt"), (b"\x89HDF\r\n\x1a\n and no more", "cannot read this HDF5"),
])
def test_a_file_of_another_kind_says_what_it_is(read, content, words, tmp_path):
    """An empty file, a text and a damaged HDF5 file each get their sentence."""
    if content.startswith(b"\x89HDF"):
        needs("h5py")
    (tmp_path / "f").write_bytes(content)
    with pytest.raises(MinicaffeError, match=words):
        read(tmp_path / "f")


def test_an_hdf5_file_of_something_else_is_refused(tmp_path, h5py):
    """A data set is neither weights nor a state."""
    with h5py.File(tmp_path / "d.h5", "w") as file:
        file["label"] = [1, 2, 3]
    with pytest.raises(DataError, match="no group 'data'"):
        weights.read(tmp_path / "d.h5")
    with pytest.raises(DataError, match="lacks 'iter' or 'history'"):
        solverstate.read(tmp_path / "d.h5")


def test_a_cut_hdf5_file_is_an_error(tmp_path, h5py):
    """A file cut anywhere is refused and not half read."""
    whole = (ORACLE / "adam_iter_6.solverstate.h5").read_bytes()
    for length in range(8, len(whole), 997):
        (tmp_path / "cut.h5").write_bytes(whole[:length])
        with pytest.raises(MinicaffeError):
            solverstate.read(tmp_path / "cut.h5")


@pytest.mark.parametrize(("name", "read"), [("adam_iter_6.solverstate.h5", solverstate.read),
                                            ("adam_iter_6.caffemodel.h5", weights.read)])
def test_a_flipped_hdf5_file_is_read_or_refused(name, read, tmp_path, h5py):
    """Damage ends in our error or in a load, at a hundred random places."""
    draw = np.random.default_rng(3)
    whole = (ORACLE / name).read_bytes()
    for _ in range(100):
        damaged = bytearray(whole)
        damaged[draw.integers(len(whole))] = draw.integers(256)
        (tmp_path / "f.h5").write_bytes(damaged)
        with contextlib.suppress(MinicaffeError):  # anything else fails the test
            read(tmp_path / "f.h5")


def test_without_h5py_the_extra_is_named(monkeypatch):
    """The error says which extra to install."""
    monkeypatch.setattr(hdf5, "h5py", None)
    monkeypatch.setitem(sys.modules, "h5py", None)  # an import of it fails now
    with pytest.raises(MinicaffeError, match=r"minicaffe\[data\]"):
        weights.read(ORACLE / "adam_iter_6.caffemodel.h5")


def test_a_sibling_is_only_what_stands_there(tmp_path):
    """No file is named that is not there."""
    (tmp_path / "a.caffemodel").touch()

    assert "" == right_file_hint(tmp_path / "a.caffemodel", "solverstate")
    assert str(tmp_path / "a.caffemodel") == sibling(tmp_path / "a.solverstate", "caffemodel")


def test_numbers_survive_both_formats(tmp_path, h5py):
    """A float64 history, a scalar among it, comes back bit by bit."""
    history = [np.array(0.1), np.arange(6.0).reshape(2, 3) / 7]
    for name in ("s.solverstate", "s.solverstate.h5"):
        solverstate.write(tmp_path / name, SolverSnapshot(12, "weights ü.caffemodel", 3, history))
        state = solverstate.read(tmp_path / name)

        assert (12, "weights ü.caffemodel", 3) == state[:3]
        for mine, theirs in zip(history, state.history, strict=True):
            np.testing.assert_array_equal(mine, theirs.reshape(mine.shape))
            assert np.float64 == theirs.dtype
