"""`minicaffe layers`: the list, the datasheets, and samples that run."""

import re

import numpy as np
import pytest
from cases import an_lmdb, hdf5_files, image_files
from extras import needs

from minicaffe import LayerError, Net
from minicaffe.cli import layers
from minicaffe.cli.__main__ import main
from minicaffe.layer import layer_class, registered_types
from minicaffe.layers.datasheet import samples
from minicaffe.proto import TEST, TRAIN, NetParameter
from minicaffe.proto import text as proto_text

WHOLE = {"label", "index", "cont", "same", "selector", "word"}  # blobs that hold whole numbers
HALF = """
from minicaffe.layer import Layer

class HalfLayer(Layer):
    def reshape(self, bottom, top):
        top[0].reshape(*bottom[0].data.shape)
    def forward(self, bottom, top):
        top[0].data[...] = bottom[0].data / 2
    def backward(self, top, propagate_down, bottom):
        bottom[0].diff[...] = top[0].diff / 2
"""


def files_for(name, folder):
    """What the data layers' samples name, made small."""
    if name == "Data":
        an_lmdb(folder)
        (folder / "lmdb").rename(folder / "train_lmdb")
    elif name == "HDF5Data":
        hdf5_files(folder)
        (folder / "list.txt").rename(folder / "train_h5.txt")
    elif name in ("ImageData", "WindowData"):
        (folder / "images").mkdir()
        image_files(folder / "images")
        (folder / "images" / "list.txt").rename(folder / "train.txt")
        (folder / "images" / "windows.txt").rename(folder / "windows.txt")
    elif name == "HDF5Output":
        needs("h5py")
    elif name == "Python":
        (folder / "half.py").write_text(HALF)


@pytest.mark.parametrize("name", registered_types())
def test_sample_runs(name, tmp_path, monkeypatch):
    """Each sample is a net which runs forward and backward with a layer of its type."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    files_for(name, tmp_path)
    definition = proto_text.parse("force_backward: true " + layers.sample(name), NetParameter())
    if name == "Data":
        definition.layer[0].transform_param.crop_size = 4  # the images of the tests are smaller than users'
    net = Net(definition, TEST if "phase: TEST" in layers.sample(name) else TRAIN)
    draw = np.random.default_rng(5)
    for blob in net.inputs:
        shape = net.blobs[blob].shape
        net.blobs[blob].data[...] = draw.integers(2, size=shape) if blob in WHOLE else draw.uniform(0.1, 1, shape)
    if name == "MemoryData":
        net.layers[0].reset(draw.random((4, 3, 7, 5)), np.arange(4))
    assert net.layers[-1].type == name
    assert np.isfinite(net.forward())
    if "phase: TEST" not in layers.sample(name) and name not in ("Embed", "ArgMax", "Threshold", "Accuracy"):
        net.backward()


def test_every_type_has_one_sample():
    """No type lacks a sample and no sample lacks a type."""
    assert registered_types() == sorted(samples())


def test_list(capsys, monkeypatch):
    """The list has every type under its family, with its sentence."""
    monkeypatch.setenv("COLUMNS", "200")
    assert 0 == main(["layers"])
    printed = capsys.readouterr().out

    assert set(registered_types()) == set(re.findall(r"^  (\w+) {2,}", printed, re.MULTILINE))
    assert "normalization\n  BN " in printed
    assert re.search(r"^  LRN +Scale each value down where .*\.$", printed, re.MULTILINE)


def test_page(capsys, monkeypatch):
    """A page has the datasheet, the fields with type, default and comment, and the sample."""
    monkeypatch.setenv("COLUMNS", "200")
    assert 0 == main(["layers", "lrn"])
    printed = capsys.readouterr().out

    assert "Forward   s[i] = k + α/m" in printed
    assert re.search(r"^  local_size +uint32 +5 +n: odd", printed, re.MULTILINE)
    assert re.search(r"^  beta +float +0\.75$", printed, re.MULTILINE)
    assert re.search(r"^  norm_region +ACROSS_CHANNELS \| WITHIN_CHANNEL +ACROSS_C\w+ +Neigh", printed, re.MULTILINE)
    assert '    type: "LRN"\n' in printed


@pytest.mark.parametrize(("name", "near"), [
    ("Convolutoin", "'Convolution'"), ("ReLULayer", "'ReLU'"), ("CenterLoss", "the face recognition forks"),
    ("qqqq", "minicaffe layers lists all")])
def test_unknown_name(name, near, capsys):
    """A misspelt type is an error of status 1 which names those that resemble it."""
    assert 1 == main(["layers", name])
    assert re.search(f"there is no layer type '{name}'\n  hint: .*{near}", capsys.readouterr().err)


@pytest.mark.parametrize(("name", "type_name"), [("relu", "ReLU"), ("inner_product", "InnerProduct"), ("LRN", "LRN")])
def test_capitals_do_not_matter(name, type_name):
    """A type is found by its file's name too."""
    assert type_name == layers.find(name)


def test_of_a_borrowed_message_only_what_is_read():
    """ImageData lists data_param.prefetch, which it reads, and not the other fields."""
    assert ["prefetch"] == [row.name for row in layers.fields("ImageData")["data_param"]]
    assert ["kernel_size"] == [row.name for row in layers.fields("Im2col")["convolution_param"]
                               if row.name in ("kernel_size", "num_output", "group")]


@pytest.mark.parametrize("name", registered_types())
def test_each_message_has_rows(name):
    """A page lists fields of each message that the layer says it reads."""
    cls = layer_class(name)
    read = {m for m in (cls.message, *cls.also_reads) if m}

    assert read == set(layers.fields(name))


def test_find_raises():
    """The function behind the command raises a LayerError."""
    with pytest.raises(LayerError, match="no layer type 'x'"):
        layers.find("x")
