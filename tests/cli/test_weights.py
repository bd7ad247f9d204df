"""`minicaffe weights` and `minicaffe convert`: what a file holds, how two differ, and conversions of formats."""

import numpy as np
import pytest
from extras import needs

from minicaffe.cli.__main__ import main
from minicaffe.io import binary, prototxt, solverstate, weights
from minicaffe.io.binary import LayerWeights, SolverSnapshot
from minicaffe.proto import BlobProto, NetParameter, SolverParameter, V1LayerParameter
from minicaffe.proto import text as proto_text
from minicaffe.solvers.resume import resume_file

NET = """
  name: "n"
  layer { name: "x" type: "Input" top: "x" input_param { shape { dim: 2 dim: 3 } } }
  layer { name: "a" type: "InnerProduct" bottom: "x" top: "a" param { name: "w" }
          inner_product_param { num_output: 3 } }
  layer { name: "b" type: "InnerProduct" bottom: "a" top: "b" param { name: "w" }
          inner_product_param { num_output: 3 } }
"""


@pytest.fixture
def files(tmp_path, monkeypatch):
    """a.npz, and b.npz that differs in one number, lacks a blob, has another shape and one layer more."""
    monkeypatch.chdir(tmp_path)
    blob = np.array([[1, 2, 3], [4, 5, 6]], np.float32)
    weights.write("a.npz", [LayerWeights("conv", "", [blob, np.array([0.5, np.nan], np.float32)]),
                            LayerWeights("ip", "", [blob[0], blob[1].astype(float)])])
    other = blob + np.float32([[0, 0, 0], [0, 0, 0.25]])
    weights.write("b.npz", [LayerWeights("conv", "", [other, np.array([0.5, np.nan])]),
                            LayerWeights("ip", "", [blob[:1]]), LayerWeights("z", "", [blob])])
    return tmp_path


def lines(capsys):
    return [line.split() for line in capsys.readouterr().out.splitlines()]


def test_listing(files, capsys):
    """The list has each blob's shape, type and statistics, the count of values that are not finite, and the sums."""
    assert 0 == main(["weights", "a.npz"])

    head, *rows, total = lines(capsys)
    assert ["layer", "type", "blob", "shape", "numbers", "min", "max", "mean", "std"] == head
    assert [["conv", "0", "2×3", "float32", "1", "6", "3.5", "1.70783"],
            ["conv", "1", "2", "float32", "0.5", "0.5", "0.5", "0", "1", "not", "finite"],
            ["ip", "0", "3", "float32", "1", "3", "2", "0.816497"],
            ["ip", "1", "3", "float64", "4", "6", "5", "0.816497"]] == rows
    assert "2 layers with 4 blobs: 14 parameters, 68 bytes" == " ".join(total)


def test_diff(files, capsys):
    """Each blob is said to differ by so much, to be identical (with its NaN), of another shape, or missing."""
    assert 0 == main(["weights", "a.npz", "--diff", "b.npz"])

    _, *rows, name_a, name_b, total = lines(capsys)
    assert [["conv", "0", "2×3", "0.25"], ["conv", "1", "2", "identical"],
            ["ip", "0", "3", "shape", "differs:", "1×3", "in", "B"],
            ["ip", "1", "3", "only", "in", "A"], ["z", "0", "2×3", "only", "in", "B"]] == rows
    assert "A is a.npz B is b.npz" == " ".join(name_a + name_b)
    assert ("5 blobs: 1 differ, 1 identical, 1 shape differs, 1 only in A, 1 only in B; most in blob 0 of layer "
            "'conv': 0.25") == " ".join(total)


def test_a_wrong_file(files, capsys):
    """The message says that the file is a solver state, and names the weights that belong to it."""
    solverstate.write("a.solverstate", SolverSnapshot(3, "a.caffemodel", 0, [np.ones(2, np.float32)]))

    assert 1 == main(["weights", "a.solverstate"])
    assert "this is a solver state, not weights (a caffemodel)\n  hint: did you mean a.npz?" in capsys.readouterr().err


@pytest.mark.parametrize("target", ["b.caffemodel", "b.caffemodel.h5", "b.safetensors"])
def test_convert_weights(target, files, capsys):
    """The new file holds identical numbers, and the command says how many."""
    if target.endswith(".h5"):
        needs("h5py")
    assert 0 == main(["convert", "a.npz", target])
    assert f"{target}: 2 layers with 4 blobs, 14 parameters\n" == capsys.readouterr().out
    assert 0 == main(["weights", "a.npz", "--diff", target])
    assert "4 blobs: 4 identical" in capsys.readouterr().out


def test_an_old_caffemodel_becomes_todays(tmp_path, capsys):
    """V1 layers and shapes of four numbers are written as Caffe writes them now."""
    net = NetParameter(name="old", input=["x"], input_dim=[1, 2, 3, 4])
    sizes = [(5, 2, 3, 3), (1, 1, 1, 5), (1, 1, 7, 5), (1, 1, 1, 7)]
    blobs = [BlobProto(num=n, channels=c, height=h, width=w, data=range(n * c * h * w)) for n, c, h, w in sizes]
    net.layers.add(name="conv", type=V1LayerParameter.CONVOLUTION, bottom=["x"], top=["y"], blobs=blobs[:2],
                   blobs_lr=[1, 2]).convolution_param.num_output = 5
    net.layers.add(name="relu", type=V1LayerParameter.RELU, bottom=["y"], top=["y"])
    net.layers.add(name="ip", type=V1LayerParameter.INNER_PRODUCT, bottom=["y"], top=["z"],
                   blobs=blobs[2:]).inner_product_param.num_output = 7
    (tmp_path / "old.caffemodel").write_bytes(net.SerializeToString())

    assert 0 == main(["convert", str(tmp_path / "old.caffemodel"), str(tmp_path / "new.caffemodel")])
    new = binary.read(tmp_path / "new.caffemodel", NetParameter())
    by_name = {layer.name: layer for layer in new.layer}
    assert ["Input", "Convolution", "ReLU", "InnerProduct"] == [layer.type for layer in new.layer]
    assert [[5, 2, 3, 3], [5]] == [list(blob.shape.dim) for blob in by_name["conv"].blobs]
    assert [[7, 5], [7]] == [list(blob.shape.dim) for blob in by_name["ip"].blobs]
    assert [1, 2] == [spec.lr_mult for spec in by_name["conv"].param]
    assert list(range(35)) == list(by_name["ip"].blobs[0].data)


def test_the_definition_alone(tmp_path):
    """The definition in a caffemodel is written as a prototxt, without the weights."""
    definition = proto_text.parse(NET, NetParameter())
    binary.write_weights(tmp_path / "w.caffemodel", definition, {"a": [np.ones((3, 3), np.float32)]})

    assert 0 == main(["convert", str(tmp_path / "w.caffemodel"), str(tmp_path / "w.prototxt")])
    assert definition == prototxt.read(tmp_path / "w.prototxt", NetParameter())


def test_the_net_tells_what_hdf5_leaves_out(tmp_path, monkeypatch, capsys):
    """--model puts the definition into a .caffemodel, and a shared blob into each layer that shares it."""
    needs("h5py")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "net.prototxt").write_text(NET)
    shared, bias = np.arange(9, dtype=np.float32).reshape(3, 3), np.ones(3, np.float32)
    weights.write("w.h5", [LayerWeights("a", "", [shared, bias]), LayerWeights("b", "", [shared[:0], 2 * bias])])

    assert 1 == main(["convert", "w.h5", "w.caffemodel"])
    assert "blob 0 of layer 'b' is another layer's" in capsys.readouterr().err
    assert 0 == main(["convert", "w.h5", "w.caffemodel", "--model", "net.prototxt"])
    stored = {layer.name: layer.blobs for layer in weights.read("w.caffemodel") if layer.blobs}
    np.testing.assert_array_equal(shared, stored["b"][0])
    np.testing.assert_array_equal(2 * bias, stored["b"][1])
    assert "n" == binary.read("w.caffemodel", NetParameter()).name


def test_solver_states(tmp_path, monkeypatch):
    """A state passes from binary to HDF5 and back with every bit."""
    needs("h5py")
    monkeypatch.chdir(tmp_path)
    solverstate.write("a.solverstate", SolverSnapshot(30, "a.caffemodel", 2, [np.arange(6.0).reshape(2, 3) / 7]))

    assert 0 == main(["convert", "a.solverstate", "b.solverstate.h5"])
    assert 0 == main(["convert", "b.solverstate.h5", "c.solverstate"])
    assert (tmp_path / "a.solverstate").read_bytes() == (tmp_path / "c.solverstate").read_bytes()


@pytest.mark.parametrize("suffix", [".h5", ".hdf5", ".H5"])
def test_the_names_of_hdf5_files_are_the_same_everywhere(suffix, tmp_path, monkeypatch):
    """Weights and solver states take one name for HDF5, and the .resume file of a snapshot lies beside either."""
    needs("h5py")
    monkeypatch.chdir(tmp_path)
    solverstate.write("a.solverstate", SolverSnapshot(30, f"a.caffemodel{suffix}", 2, [np.ones(2)]))
    weights.write("a.caffemodel", [LayerWeights("a", "Scale", [np.ones(2, np.float32)])])

    for name in ("a.solverstate", "a.caffemodel"):
        assert 0 == main(["convert", name, name + suffix])
        assert "hdf5" == binary.sniff(name + suffix)
    assert "a.resume" == resume_file.path_beside(f"a.solverstate{suffix}")
    assert 0 == main(["convert", f"a.solverstate{suffix}", "b.solverstate"])
    assert "a.caffemodel" == solverstate.read("b.solverstate").learned_net


def test_a_binary_state_names_binary_weights(tmp_path, monkeypatch, capsys):
    """A state from HDF5 names the weights that BVLC Caffe can read with it."""
    needs("h5py")
    monkeypatch.chdir(tmp_path)
    solverstate.write("a.solverstate.h5", SolverSnapshot(30, "dir/a.caffemodel.h5", 0, [np.ones(2, np.float32)]))

    assert 0 == main(["convert", "a.solverstate.h5", "a.solverstate"])
    assert "dir/a.caffemodel" == solverstate.read("a.solverstate").learned_net
    assert "a.solverstate names the weights dir/a.caffemodel: convert them too\n" == capsys.readouterr().out


@pytest.mark.parametrize(("source", "target", "words"), [
    ("a.npz", "b.prototxt", "a.npz is weights, which cannot be written as b.prototxt\n  hint: give a name that ends"),
    ("s.prototxt", "new.npz", "s.prototxt is a definition, which cannot"),
    ("a.solverstate", "new.npz", "a.solverstate is a solver state, which cannot"),
    ("a.npz", "b.solverstate", "this is an .npz of arrays, not a solver state"),
    ("page", "new.npz", "this is not weights (a caffemodel) but a web page"),
])
def test_what_cannot_become_the_other(source, target, words, files, capsys):
    """The error says what the file is and what could be made of it."""
    prototxt.write("s.prototxt", SolverParameter(base_lr=0.1))
    solverstate.write("a.solverstate", SolverSnapshot(3, "a.caffemodel", 0, [np.ones(2, np.float32)]))
    (files / "page").write_bytes(b"<html></html>")

    assert 1 == main(["convert", source, target])
    assert words in capsys.readouterr().err
    assert not (files / target).exists()
