"""pycaffe's ways of saving and loading a net's weights."""

import numpy as np
import pytest
from extras import needs

from minicaffe import NetError
from minicaffe import pycaffe as caffe
from minicaffe.io import binary
from minicaffe.proto import NetParameter
from minicaffe.proto import text as proto_text

NET = """
  name: "n"
  layer { name: "x" type: "Input" top: "x" input_param { shape { dim: 2 dim: 3 } } }
  layer { name: "ip" type: "InnerProduct" bottom: "x" top: "y"
          inner_product_param { num_output: 5 weight_filler { type: "xavier" } bias_filler { type: "uniform" } } }
"""
KINDS = {"a.caffemodel": "caffemodel", "a.bin": "caffemodel", "a.h5": "hdf5", "a.npz": "npz",
         "a.safetensors": "safetensors"}


def make():
    return caffe.Net(proto_text.parse(NET, NetParameter()), caffe.TEST)


@pytest.mark.parametrize(("name", "kind"), KINDS.items())
def test_save_and_copy_from(name, kind, tmp_path):
    """The name chooses the format, and copy_from reads them all."""
    if kind == "hdf5":
        needs("h5py")
    first, second = make(), make()
    first.save(tmp_path / name)
    second.copy_from(tmp_path / name)

    assert kind == binary.sniff(tmp_path / name)
    for mine, theirs in zip(first.params["ip"], second.params["ip"], strict=True):
        np.testing.assert_array_equal(mine.data, theirs.data)


def test_hdf5_by_its_own_methods(tmp_path):
    """save_hdf5 and load_hdf5, under any name."""
    needs("h5py")
    first, second = make(), make()
    first.save_hdf5(tmp_path / "weights")
    second.load_hdf5(tmp_path / "weights")

    assert "hdf5" == binary.sniff(tmp_path / "weights")
    np.testing.assert_array_equal(first.params["ip"][0].data, second.params["ip"][0].data)


def test_share_with():
    """Shared weights are one memory."""
    first, second = make(), make()
    second.share_with(first)
    first.params["ip"][0].data[...] = 7

    assert [7.0] == np.unique(second.params["ip"][0].data).tolist()


@pytest.mark.parametrize(("path", "kind", "words"), [
    (None, TypeError, "weights must be the path of a file, got a NoneType"),
    (3, TypeError, "weights must be the path of a file, got 3"), ("", NetError, "the file of weights is empty")])
def test_no_file_of_weights(path, kind, words):
    """An option that was not given, or a variable that is not set, does not pass for weights that were copied."""
    with pytest.raises(kind, match=words):
        make().copy_from(path)
    if path is not None:
        with pytest.raises(kind, match=words):
            caffe.Net(proto_text.parse(NET, NetParameter()), caffe.TEST, weights=path)
