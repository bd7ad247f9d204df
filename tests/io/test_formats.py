"""Weights in four formats: bits survive every way round, and each layout is what other programs expect."""

import io
import itertools
import json
import logging
import os
import re
import struct
import tracemalloc
import warnings
import zipfile

import numpy as np
import pytest
from extras import needs

from minicaffe.errors import DataError, MinicaffeError
from minicaffe.io import hdf5, json_arrays, npz, safetensors, solverstate, weights
from minicaffe.io.binary import LayerWeights
from minicaffe.proto import BlobProto, NetParameter, V1LayerParameter

SUFFIXES = [".caffemodel", ".caffemodel.h5", ".npz", ".safetensors"]


@pytest.fixture(autouse=True)
def _h5py():
    needs("h5py")


@pytest.fixture
def layers():
    """Names with slashes, both number types, odd values, a number without axes, a layer without blobs."""
    draw = np.random.default_rng(3)
    odd = np.array([np.nan, np.inf, -np.inf, -0.0, 1e-45, 3.4e38], np.float32)
    return [LayerWeights("conv", "Convolution", [draw.normal(size=(5, 3, 2, 4)).astype(np.float32), odd]),
            LayerWeights("in/1x1", "InnerProduct", [draw.normal(size=(7, 30)), draw.normal(size=7)]),
            LayerWeights("relu", "ReLU", []),
            LayerWeights("schön", "Scale", [np.array(2.5, np.float32)])]


def blobs_of(layers):
    """What must not change: names, shapes, types and bits."""
    return {layer.name: [(b.shape, b.dtype, b.tobytes()) for b in layer.blobs] for layer in layers if layer.blobs}


@pytest.mark.parametrize(("first", "second"), list(itertools.product(SUFFIXES, repeat=2)))
def test_every_way_round_keeps_the_bits(first, second, layers, tmp_path):
    """A to B and back to A gives the same numbers, whatever A and B are."""
    weights.write(tmp_path / f"a{first}", layers)
    weights.write(tmp_path / f"b{second}", weights.read(tmp_path / f"a{first}"))
    weights.write(tmp_path / f"c{first}", weights.read(tmp_path / f"b{second}"))

    assert blobs_of(layers) == blobs_of(weights.read(tmp_path / f"b{second}"))
    assert blobs_of(layers) == blobs_of(weights.read(tmp_path / f"c{first}"))


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_content_and_not_the_name_decides(suffix, layers, tmp_path):
    """A file under another format's name is read all the same, and written twice is the same."""
    weights.write(tmp_path / f"a{suffix}", layers)
    weights.write(tmp_path / f"b{suffix}", layers)
    whole = (tmp_path / f"a{suffix}").read_bytes()
    (tmp_path / "c.caffemodel").write_bytes(whole)

    assert blobs_of(layers) == blobs_of(weights.read(tmp_path / "c.caffemodel"))
    assert all(blob.flags.writeable for layer in weights.read(tmp_path / "c.caffemodel") for blob in layer.blobs)
    if suffix != ".caffemodel.h5":  # HDF5 notes the time
        assert whole == (tmp_path / f"b{suffix}").read_bytes()


def test_numpy_reads_npz(layers, tmp_path):
    """The arrays have their names, and numpy alone reads and writes such a file, compressed or not."""
    weights.write(tmp_path / "a.npz", layers)
    with np.load(tmp_path / "a.npz") as arrays:
        assert ["conv/0", "conv/1", "in/1x1/0", "in/1x1/1", "schön/0"] == arrays.files
        np.testing.assert_array_equal(layers[1].blobs[0], arrays["in/1x1/0"])
        by_columns = {name: np.array(arrays[name], order="F") for name in arrays.files}
    for save in (np.savez, np.savez_compressed):
        save(tmp_path / "b.npz", **by_columns)
        assert blobs_of(layers) == blobs_of(weights.read(tmp_path / "b.npz"))


def test_the_bytes_of_safetensors(tmp_path):
    """The file is, byte by byte: the length, a JSON header, and data at a multiple of eight."""
    weights.write(tmp_path / "a.safetensors", [LayerWeights("c", "Scale", [np.array([[1, 2, 3]], np.float32)])])
    data = (tmp_path / "a.safetensors").read_bytes()
    length = struct.unpack("<Q", data[:8])[0]

    assert 0 == length % 8
    assert {"__metadata__": {"c": "Scale"}, "c/0": {"dtype": "F32", "shape": [1, 3], "data_offsets": [0, 12]}} == \
        json.loads(data[8 : 8 + length])
    assert struct.pack("<3f", 1, 2, 3) == data[8 + length :]


def put(path, header, data):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)
    return path


def test_other_number_types(tmp_path):
    """Halves, bfloat16 and integers arrive as float32, in the order of the data."""
    header = {"b/0": {"dtype": "F16", "shape": [2], "data_offsets": [2, 6]},
              "a/0": {"dtype": "BF16", "shape": [], "data_offsets": [0, 2]},
              "b/1": {"dtype": "I8", "shape": [3], "data_offsets": [6, 9]}}
    data = b"\x80\x3f" + np.array([0.5, -2], "<f2").tobytes() + b"\x01\xff\x07"
    read = weights.read(put(tmp_path / "a.safetensors", header, data))

    assert [("a", [[1.0]]), ("b", [[0.5, -2.0], [1.0, -1.0, 7.0]])] == \
        [(layer.name, [blob.ravel().tolist() for blob in layer.blobs]) for layer in read]
    assert {np.dtype(np.float32)} == {blob.dtype for layer in read for blob in layer.blobs}


F32 = {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}


@pytest.mark.parametrize(("header", "data", "words"), [
    ({"a/0": F32}, b"1234567", r"'a/0' has the bytes 0 to 8, where byte 0 is due and 7 are there"),
    ({"a/0": F32, "a/1": F32}, bytes(16), "where byte 8 is due"),
    ({"a/0": {**F32, "shape": [3]}}, bytes(8), r"do not fill its shape \(3,\) of F32"),
    ({"a/0": {**F32, "shape": [-1, -2]}}, bytes(8), "do not fill"),
    ({"a/0": {**F32, "shape": [10**12]}}, bytes(8), "do not fill"),
    ({"a/0": {**F32, "dtype": "F8_E4M3"}}, bytes(8), "of the type 'F8_E4M3'; only F64"),
    ({"a/0": [1]}, bytes(8), "the entry of 'a/0' lacks"),
    ({"a/0": {**F32, "shape": [2**62, 0], "data_offsets": [0, 0]}}, b"", "do not fill"),
    (b'{"a/0": 1, "a/0": 2}', b"", "stands twice"),
    ({"\ud800/0": F32}, bytes(8), r"'\\ud800/0' in its header is no text: it holds half of a character"),
    ({"__metadata__": {"a": "\udfff"}, "a/0": F32}, bytes(8), r"'\\udfff' in its header is no text"),
    (b"{" * 5000, b"", "damaged"),
    ({"conv1.weight": F32}, bytes(8), "'conv1.weight' is not named LAYER/INDEX, such as 'conv1/0'"),
    ({"conv1/1000000": F32}, bytes(8), "is not named LAYER/INDEX"),
    ({"a/0": F32, "a/00": {**F32, "data_offsets": [8, 16]}}, bytes(16), "two arrays are blob 0 of layer 'a'"),
])
def test_damaged_safetensors(header, data, words, tmp_path):
    """A header which contradicts the data, or itself, is an error with the numbers."""
    with pytest.raises(DataError, match=words):
        weights.read(put(tmp_path / "a.safetensors", header, data))


def test_damaged_npz(tmp_path):
    """Pickles, claims of size and broken members are errors, before memory is taken."""
    np.savez(tmp_path / "objects.npz", **{"a/0": np.array([{}], object)})
    with pytest.raises(DataError, match="holds object, not numbers"):
        weights.read(tmp_path / "objects.npz")
    for shape, data, words in (("(10000000000,)", b"1234", r"holds 4 bytes, but its shape \(10000000000,\) needs 40"),
                               ("(-1, -1)", b"1234", r"holds 4 bytes, but its shape \(-1, -1\)"),
                               (f"(0, {10**30})", b"", r"holds 0 bytes, but its shape \(0, 10+\)")):
        header = f"{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}, }}\n".encode()
        with zipfile.ZipFile(tmp_path / "huge.npz", "w") as archive:
            archive.writestr("a/0.npy", b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + data)
        with pytest.raises(DataError, match=rf"a/0\.npy {words}"):
            weights.read(tmp_path / "huge.npz")
    whole = (tmp_path / "objects.npz").read_bytes()
    (tmp_path / "cut.npz").write_bytes(whole[:-20])
    with pytest.raises(DataError, match=r"this \.npz is damaged"):
        weights.read(tmp_path / "cut.npz")
    np.savez(tmp_path / "one.npz", **{"a/0": np.ones(2)})
    with zipfile.ZipFile(tmp_path / "one.npz") as archive:
        member = archive.read("a/0.npy")
    for other in ("a/0.npy", "a/0"):
        with zipfile.ZipFile(tmp_path / "twice.npz", "w") as archive, warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # zipfile warns of the second name
            archive.writestr("a/0.npy", member)
            archive.writestr(other, member.replace(np.float64(1).tobytes(), np.float64(7).tobytes()))
        with pytest.raises(DataError, match=r"this \.npz is damaged: two of its members are called 'a/0'"):
            weights.read(tmp_path / "twice.npz")


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_reading_takes_no_more_than_twice_the_file(suffix, tmp_path):
    """Reading a large blob takes little memory beside the blob itself."""
    blob = np.ones((1000, 1000), np.float32)
    weights.write(tmp_path / f"a{suffix}", [LayerWeights("a", "InnerProduct", [blob])])
    weights.read(tmp_path / f"a{suffix}")
    tracemalloc.start()
    weights.read(tmp_path / f"a{suffix}")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    assert peak < 2 * blob.nbytes + 100_000


@pytest.mark.parametrize(("header", "words"), [
    ("{", "EOF in multi-line statement"), ("[" * 9000, "EOF in multi-line statement|too many nested parentheses"),
    ("-" * 9000 + "1", "the header of a/0.npy is nested too deeply"),
    ("'abc", "Cannot parse header|unterminated string"),
    ("(" * 9000 + ")" * 9, "EOF in multi-line statement|too many nested parentheses")])
def test_npz_headers_that_are_no_header(header, words, tmp_path):
    """A header that Python's own reader fails on is damage, not a crash and not a lack of memory."""
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        text = header.encode() + b"\n"
        archive.writestr("a/0.npy", b"\x93NUMPY\1\0" + struct.pack("<H", len(text)) + text + b"\0" * 4)

    with pytest.raises(DataError, match="this .npz is damaged: ") as caught:
        npz.read(tmp_path / "a.npz")
    assert re.search(words, str(caught.value))  # some words are Python's, and each of its versions has its own


@pytest.mark.parametrize("mistake", [TypeError, ValueError, LookupError])
def test_a_mistake_of_ours_is_not_called_damage(mistake, tmp_path, monkeypatch):
    """Code of ours that fails on a sound file is reported as what it is, although zipfile raises such errors too."""
    def failing(shape):
        raise mistake("a bug")

    npz.write(tmp_path / "a.npz", [("a/0", np.ones(2))])
    monkeypatch.setattr(npz, "too_large", failing)
    with pytest.raises(mistake, match="a bug"):
        npz.read(tmp_path / "a.npz")


def test_an_npy_version_that_is_not_read_is_named(tmp_path):
    """Version 3.0 is for names in Unicode, which arrays of numbers do not have."""
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.writestr("a/0.npy", b"\x93NUMPY\3\0" + b"\0" * 8)

    with pytest.raises(DataError, match=r"a/0\.npy is of the \.npy version 3\.0, and 1\.0 and 2\.0 are read"):
        npz.read(tmp_path / "a.npz")


def test_arrays_in_json():
    """Arrays come back with every bit, a NaN among them; so do those of saved failures that held lists of numbers."""
    values = np.array([[1.5, np.nan, -0.0]], np.float32)
    state = {"a": values, "n": np.int64(3), "more": [{"b": values[:0]}], "other": {"array": 1}}
    kept = json.loads(json.dumps(state, default=json_arrays.to_json), object_hook=json_arrays.from_json)
    old = json.loads('{"array": [[1.5, NaN, -0.0]], "type": "<f4"}', object_hook=json_arrays.from_json)

    for array in (kept["a"], old):
        assert (array.dtype, array.tobytes()) == (values.dtype, values.tobytes())
    assert (3, (0, 3), {"array": 1}) == (kept["n"], kept["more"][0]["b"].shape, kept["other"])
    with pytest.raises(TypeError, match="a resume_state holds numbers, strings, lists and arrays, got {1}"):
        json.dumps({1}, default=json_arrays.to_json)


def test_a_name_longer_than_npz_has_room_for(tmp_path):
    """65,535 bytes with the suffix, whatever letters they are; nothing is written."""
    npz.write(tmp_path / "most.npz", [("x" * 65_531, np.ones(1))])
    assert ["x" * 65_531] == list(npz.read(tmp_path / "most.npz"))
    for name in ("x" * 65_532, "\u4e2d" * 21_844):
        with pytest.raises(DataError, match="an array's name takes more than 65531 bytes"):
            npz.write(tmp_path / "a.npz", [(name, np.ones(1))])
    assert ["most.npz"] == [path.name for path in tmp_path.iterdir()]


def test_layers_of_one_name(tmp_path):
    """Only a .caffemodel holds two layers of one name, and the other formats say so."""
    pair = [LayerWeights("a", "Scale", [np.array([k], np.float32)]) for k in (1, 2)]
    weights.write(tmp_path / "a.caffemodel", pair)

    assert [[1.0], [2.0]] == [layer.blobs[0].tolist() for layer in weights.read(tmp_path / "a.caffemodel")]
    for suffix in SUFFIXES[1:]:
        with pytest.raises(DataError, match="two layers of the name 'a' have blobs"):
            weights.write(tmp_path / f"a{suffix}", pair)
        assert not (tmp_path / f"a{suffix}").exists()


def test_a_blob_of_another_layer_is_left_out(tmp_path):
    """What HDF5 does not store stays absent, and a .caffemodel needs the net for it."""
    tied = [LayerWeights("b", "InnerProduct", [np.empty(0, np.float32), np.ones(3, np.float32)])]
    for suffix in SUFFIXES[1:]:
        weights.write(tmp_path / f"a{suffix}", tied)
        assert [0, 3] == [blob.size for blob in weights.read(tmp_path / f"a{suffix}")[0].blobs]
    with pytest.raises(DataError, match=r"blob 0 of layer 'b' is another layer's(.|\n)*--model"):
        weights.write(tmp_path / "a.caffemodel", tied)


def test_names_that_hdf5_cannot_hold(tmp_path, caplog):
    """A layer without a name is refused, and a slash, which Caffe cannot read, warned of."""
    blob = [np.ones(2, np.float32)]
    for name in ("", "a//b", "/a", "."):
        with pytest.raises(DataError, match=f"HDF5 cannot hold a layer of the name '{name}'"):
            weights.write(tmp_path / "a.h5", [LayerWeights(name, "Scale", blob)])
    caplog.clear()
    with caplog.at_level(logging.WARNING, "minicaffe"):
        weights.write(tmp_path / "a.h5", [LayerWeights("conv", "Scale", blob), LayerWeights("conv/relu", "ReLU", [])])
        assert "" == caplog.text
        weights.write(tmp_path / "a.h5", [LayerWeights("conv/bn", "Scale", blob)])
    assert "'conv/bn' has a slash in its name" in caplog.text


def test_hdf5_that_refers_to_itself_or_elsewhere(tmp_path):
    """A group in itself and a link to another file end in an error."""
    import h5py

    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["data/a/0"] = np.ones(3, np.float32)
        file["data/a/again"] = file["data"]
    with pytest.raises(DataError, match="stands in two places"):
        weights.read(tmp_path / "a.h5")
    with h5py.File(tmp_path / "b.h5", "w") as file:
        file["data/a/0"] = h5py.ExternalLink("a.h5", "data/a/0")
    with pytest.raises(DataError, match="names '0' of another file"):
        weights.read(tmp_path / "b.h5")
    for shape, words in (((10**6, 10**6), "holds 0 bytes, but its shape .* needs 4000000000000"),
                         ((2**62, 0), r"holds 0 bytes, but its shape \(4611686018427387904, 0\)"),
                         (None, "/data/a/0 is no array of numbers")):
        with h5py.File(tmp_path / "c.h5", "w") as file:
            file.create_dataset("data/a/0", shape, "f4", data=h5py.Empty("f4") if shape is None else None)
        with pytest.raises(DataError, match=words):
            weights.read(tmp_path / "c.h5")


@pytest.mark.parametrize("where", ["external storage", "a virtual dataset", "a link", "a link to a link", "a group"])
@pytest.mark.parametrize("holder", ["weights", "solver state", "text"])
def test_hdf5_values_in_another_file(where, holder, tmp_path):
    """No HDF5 file makes us read another one, which could be any that the user may read."""
    import h5py

    place, kind = {"weights": ("data/a/0", "f4"), "solver state": ("history/0", "f4"),
                   "text": ("learned_net", "S32")}[holder]
    folder, _, name = place.rpartition("/")
    (tmp_path / "secret").write_bytes(b"a password of thirty-two letters")
    count = 32 // np.dtype(kind).itemsize
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file.create_dataset(place, data=np.frombuffer((tmp_path / "secret").read_bytes(), kind))
    with h5py.File(tmp_path / "a.h5", "w") as file:
        if holder != "weights":
            file["iter"], file["current_step"] = [3], [0]
            file.create_group("history")
        group = file.require_group(folder) if folder and where != "a group" else file
        if where == "external storage":
            group.create_dataset(name, (count,), kind, external=[(str(tmp_path / "secret"), 0, 32)])
        elif where == "a virtual dataset":
            layout = h5py.VirtualLayout((count,), kind)
            layout[...] = h5py.VirtualSource(str(tmp_path / "other.h5"), place, (count,))
            group.create_virtual_dataset(name, layout)
        elif where == "a group" and folder:
            top = folder.partition("/")[0]
            file.pop(top, None)
            file[top] = h5py.ExternalLink("other.h5", top)
        elif where == "a link to a link":
            file["elsewhere"] = h5py.ExternalLink("other.h5", place)
            group[name] = h5py.SoftLink("/elsewhere")
        else:
            group[name] = h5py.ExternalLink("other.h5", place)

    with pytest.raises(DataError, match=r"a\.h5: .*another file"):
        (weights if holder == "weights" else solverstate).read(tmp_path / "a.h5")


def test_hdf5_names_that_are_no_text(tmp_path):
    """Bytes that are no UTF-8 are replaced, as in a caffemodel, and can be written on."""
    import h5py

    with h5py.File(tmp_path / "a.h5", "w") as file:
        h5py.h5g.create(file.create_group("data").id, b"sch\xf6n")
        file[b"data/sch\xf6n/0"] = np.ones(2, np.float32)
    layers = weights.read(tmp_path / "a.h5")
    weights.write(tmp_path / "b.caffemodel", layers)

    assert ["sch\ufffdn"] == [layer.name for layer in layers]
    assert ["sch\ufffdn"] == [layer.name for layer in weights.read(tmp_path / "b.caffemodel")]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_an_hdf5_file_that_cannot_be_opened(tmp_path, monkeypatch):
    """What is missing, a folder, a pipe or of another kind is not called damaged."""
    os.mkfifo(tmp_path / "pipe.h5")
    (tmp_path / "page.h5").write_text("<!doctype html>")
    weights.write(tmp_path / "model.h5", [LayerWeights("a", "Scale", [np.ones(1, np.float32)])])
    for name, words in (("modle.h5", r"no such file: .*modle\.h5\n  hint: did you mean 'model\.h5'"),
                        ("", "is a folder, not a file"), ("pipe.h5", "it is a pipe or a device"),
                        ("page.h5", "this is not an HDF5 file but a web page")):
        with pytest.raises(MinicaffeError, match=words):
            hdf5.read_file(tmp_path / name, list)

    def busy(*_):
        raise BlockingIOError(11, "unable to lock file")

    monkeypatch.setattr(hdf5.h5py, "File", busy)
    with pytest.raises(DataError, match=r"model\.h5: another program has this HDF5 file open to write it"):
        weights.read(tmp_path / "model.h5")


@pytest.mark.parametrize("mistake", [TypeError, ValueError, KeyError, RuntimeError, OSError])
def test_our_own_mistake_is_not_called_a_damaged_hdf5_file(mistake, tmp_path, monkeypatch):
    """Only what h5py raises means a damaged file. An error in our own code keeps its name and its traceback."""
    weights.write(tmp_path / "model.h5", [LayerWeights("a", "Scale", [np.ones(1, np.float32)])])

    def wrong(*_):
        raise mistake("a mistake of ours")

    monkeypatch.setattr(hdf5, "too_large", wrong)
    with pytest.raises(mistake, match="a mistake of ours"):
        weights.read(tmp_path / "model.h5")


def test_an_hdf5_state_without_its_parts(tmp_path):
    """A dataset where a group belongs, and a missing dataset, are named in one clear error each."""
    import h5py

    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["iter"], file["current_step"], file["history"] = [3], [0], [1.0]
    with pytest.raises(DataError, match="/history is no group"):
        solverstate.read(tmp_path / "a.h5")
    with h5py.File(tmp_path / "b.h5", "w") as file:
        file["iter"] = [3]
        file.create_group("history")
    with pytest.raises(DataError, match="/ has no 'current_step'"):
        solverstate.read(tmp_path / "b.h5")


def test_hdf5_without_rows(tmp_path):
    """A single number and a group have no rows, which is an error with the name of the dataset."""
    import h5py

    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["table"], file["one"], file["group/0"] = np.ones((3, 2)), 5.0, [1.0]
    shapes = {name: hdf5.read_file(tmp_path / "a.h5", lambda file, name=name: hdf5.rows(hdf5.member(file, name)).shape)
              for name in ("table", "one")}
    assert {"table": (3, 2), "one": ()} == shapes
    with pytest.raises(DataError, match="/group is no array of numbers"):
        hdf5.read_file(tmp_path / "a.h5", lambda file: hdf5.rows(hdf5.member(file, "group")))


@pytest.mark.parametrize(("name", "values", "words"), [
    ("7000000", [1.0], "not called 0, 1"), ("weight", [1.0], "not called 0, 1"),
    ("0", [b"text"], "is no array of numbers")])
def test_hdf5_of_another_layout(name, values, words, tmp_path):
    """Datasets which are no blobs are named."""
    import h5py

    with h5py.File(tmp_path / "a.h5", "w") as file:
        file[f"data/a/{name}"] = values
    with pytest.raises(DataError, match=words):
        weights.read(tmp_path / "a.h5")


def test_old_blobs_load(tmp_path):
    """V1 layers with four sizes and double_data, once written anew, keep their bits."""
    net = NetParameter()
    net.layers.add(name="ip", type=V1LayerParameter.INNER_PRODUCT,
                   blobs=[BlobProto(num=1, channels=1, height=2, width=3, double_data=[1, 2, 3, 4, 5, 1 / 3])])
    (tmp_path / "old.caffemodel").write_bytes(net.SerializeToString())
    old = weights.read(tmp_path / "old.caffemodel")
    weights.write(tmp_path / "new.safetensors", old)

    assert [("ip", "INNER_PRODUCT")] == [(layer.name, layer.type) for layer in old]
    assert blobs_of(old) == blobs_of(weights.read(tmp_path / "new.safetensors"))
    blob = old[0].blobs[0]
    assert ((1, 1, 2, 3), np.float64, 1 / 3) == (blob.shape, blob.dtype, blob[0, 0, 1, 2])


def test_a_name_of_no_format(layers, tmp_path):
    """The endings are listed where the name has none of them."""
    with pytest.raises(MinicaffeError, match=r"of no format for weights(.|\n)*\.safetensors"):
        weights.write(tmp_path / "a.pth", layers)


def test_full_disk_leaves_the_old_file(layers, tmp_path, monkeypatch):
    """A write that fails leaves what was there, in every format."""
    import os

    for suffix in SUFFIXES:
        weights.write(tmp_path / f"a{suffix}", layers)
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}

    def full(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    for suffix in SUFFIXES:
        with pytest.raises(DataError, match="No space left"):
            weights.write(tmp_path / f"a{suffix}", layers[:1])
    assert before == {path: path.read_bytes() for path in tmp_path.iterdir()}


def test_floats_of_either_byte_order(tmp_path):
    """A big-endian array in an .npz or HDF5 file is read by value."""
    import h5py

    values = np.array([1.5, -2, 3e-5], ">f4")
    np.savez(tmp_path / "a.npz", **{"a/0": values})
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["data/a/0"] = values
    for name in ("a.npz", "a.h5"):
        blob = weights.read(tmp_path / name)[0].blobs[0]
        assert (np.dtype("=f4"), values.tolist()) == (blob.dtype, blob.tolist())


def test_the_doors_of_single_formats(tmp_path):
    """Arrays of any name pass through npz and safetensors themselves."""
    arrays = {"x": np.arange(6.0).reshape(2, 3), "y": np.float32([[1]])}
    npz.write(tmp_path / "a", arrays.items())
    safetensors.write(tmp_path / "b", arrays.items(), {})
    for read in (npz.read(tmp_path / "a"), safetensors.read(tmp_path / "b")[0]):
        assert list(arrays) == list(read)
        assert all(arrays[name].dtype == read[name].dtype for name in arrays)
        assert all(arrays[name].tolist() == read[name].tolist() for name in arrays)


@pytest.mark.parametrize("size", [1, 9000])
def test_npz_says_memory_where_it_runs_out(tmp_path, monkeypatch, size):
    """A buffer that cannot grow is closed by Python; what zipfile says to that must not hide the reason."""
    class Short(io.BytesIO):
        def write(self, part):
            self.close()
            raise MemoryError("no room")

    monkeypatch.setattr(npz.io, "BytesIO", Short)
    with pytest.raises(MemoryError, match="no room"):
        npz.write(tmp_path / "x.npz", [("a", np.zeros(size))])
    assert [] == list(tmp_path.iterdir())


def test_npz_that_memory_does_not_hold_is_not_called_damaged(tmp_path, monkeypatch):
    """The file is whole: the message must say memory."""
    def full(*shape, **more):
        raise MemoryError("Unable to allocate")

    npz.write(tmp_path / "x.npz", [("a", np.zeros(5))])
    monkeypatch.setattr(npz.np, "empty", full)
    with pytest.raises(MemoryError):
        npz.read(tmp_path / "x.npz")
