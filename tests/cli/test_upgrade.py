"""`minicaffe upgrade`: what is written, and what it says of the changes."""

import numpy as np
import pytest

from minicaffe.cli.__main__ import main
from minicaffe.io import binary
from minicaffe.io.binary import read_weights
from minicaffe.proto import NetParameter, SolverParameter
from minicaffe.proto.text import format_as_caffe

V0 = """
name: "old"
layers { layer { name: "data" type: "data" source: "db" scale: 0.5 batchsize: 2 } top: "data" top: "label" }
layers { layer { name: "pad" type: "padding" pad: 3 } bottom: "data" top: "padded" }
layers { layer { name: "conv" type: "conv" num_output: 1000000 kernelsize: 5 blobs_lr: 1. blobs_lr: 2. }
         bottom: "padded" top: "conv" }
"""
V0_TODAY = """name: "old"
layer {
  name: "data"
  type: "Data"
  top: "data"
  top: "label"
  transform_param {
    scale: 0.5
  }
  data_param {
    source: "db"
    batch_size: 2
  }
}
layer {
  name: "conv"
  type: "Convolution"
  bottom: "data"
  top: "conv"
  param {
    lr_mult: 1
  }
  param {
    lr_mult: 2
  }
  convolution_param {
    num_output: 1000000
    pad: 3
    kernel_size: 5
  }
}
"""


def upgraded(folder, text, capsys, status=0):
    """The text that `upgrade` makes of a prototxt, and the lines that it says."""
    (folder / "old.prototxt").write_text(text)

    assert status == main(["upgrade", "old.prototxt", "new.prototxt"])
    said = capsys.readouterr()
    return (folder / "new.prototxt").read_text(), (said.out + said.err).splitlines()


@pytest.fixture(autouse=True)
def _in_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def test_v0(tmp_path, capsys):
    """Layers of 2013 become those of today, a padding layer a field; the numbers are written as Caffe writes them."""
    text, said = upgraded(tmp_path, V0, capsys)

    assert V0_TODAY == text
    assert ["  3 layers of 2013's format (V0) became `layer`",
            "  1 layer of type padding became `pad` of the layer that reads it",
            "  scale, mean_file, crop_size and mirror of 1 layer moved into transform_param",
            "wrote new.prototxt"] == said
    again, said = upgraded(tmp_path, text, capsys)
    assert text == again
    assert ["wrote new.prototxt: old.prototxt has today's format already"] == said


def test_v1_and_fields(tmp_path, capsys):
    """Layers of 2014, inputs of a net, and BatchNorm's blobs."""
    text, said = upgraded(tmp_path, 'layers { name: "d" type: DATA top: "d" data_param { source: "a" mirror: true } }\n'
                                    'layers { name: "r" type: RELU bottom: "d" top: "d" }', capsys)
    assert ["  2 layers of 2014's format (V1, `layers`) became `layer`",
            "  scale, mean_file, crop_size and mirror of 1 layer moved into transform_param"] == said[:-1]
    assert 'type: "ReLU"' in text
    assert "  transform_param {\n    mirror: true\n  }\n  data_param {\n    source: \"a\"\n  }\n" in text

    text, said = upgraded(tmp_path, 'input: "x" input_shape { dim: 2 dim: 3 }\nlayer { name: "n" type: "BatchNorm" '
                                    'bottom: "x" top: "n" param { } param { } param { lr_mult: 0 } }', capsys)
    assert ["  input x became a layer of type Input", "  lr_mult and decay_mult of 1 layer of type BatchNorm became 0: "
            "its blobs are not learned"] == said[:-1]
    assert 3 == text.count("lr_mult: 0\n    decay_mult: 0\n")

    text, said = upgraded(tmp_path, 'input: "x"\nlayer { name: "r" type: "ReLU" bottom: "x" top: "y" }', capsys)
    assert ["  input x was left out: it has no shape", "wrote new.prototxt"] == said
    assert "Input" not in text


def test_dropped_fields(tmp_path, capsys):
    """A field without a place in today's format is named; the file is written, and the status is 1, as with Caffe."""
    text, said = upgraded(tmp_path, 'layers { layer { name: "r" type: "relu" num_output: 3 } bottom: "a" top: "b" }',
                          capsys, status=1)

    assert text.startswith("layer {\n")
    assert "minicaffe: warning: layer 'r': a V0 layer of type 'relu' has no use for num_output, which is dropped" \
        == said[-1]


def test_solver(tmp_path, capsys):
    """solver_type becomes type."""
    text, said = upgraded(tmp_path, "base_lr: 0.01 weight_decay: 1e-6 max_iter: 10000000 solver_type: ADAGRAD", capsys)

    assert 'base_lr: 0.01\nmax_iter: 10000000\nweight_decay: 1e-06\ntype: "AdaGrad"\n' == text
    assert ["  solver_type became type: 'AdaGrad'", "wrote new.prototxt"] == said
    assert ["wrote new.prototxt: old.prototxt has today's format already"] == upgraded(tmp_path, text, capsys)[1]


def test_weights(tmp_path, capsys):
    """A .caffemodel gets today's layers with the same blobs, in today's shapes."""
    old = NetParameter()
    layer = old.layers.add(name="ip", bottom=["data"], top=["ip"])
    layer.type = layer.INNER_PRODUCT
    layer.blobs.add(num=1, channels=1, height=2, width=3, data=range(6))
    (tmp_path / "old.caffemodel").write_bytes(old.SerializeToString())

    assert 0 == main(["upgrade", "old.caffemodel", "new.caffemodel"])
    assert "  1 layer of 2014's format (V1, `layers`) became `layer`\n" in capsys.readouterr().out
    new = binary.read("new.caffemodel", NetParameter())
    assert ["InnerProduct"] == [one.type for one in new.layer]
    assert (0, ["data"]) == (len(new.layers), list(new.layer[0].bottom))
    [(name, _, [blob])] = read_weights("new.caffemodel")
    assert ("ip", [[0, 1, 2], [3, 4, 5]]) == (name, blob.tolist())
    assert 0 == main(["upgrade", "old.caffemodel", "old.caffemodel"])  # in its own place
    assert "1 layer of 2014's format" in capsys.readouterr().out
    assert (tmp_path / "new.caffemodel").read_bytes() == (tmp_path / "old.caffemodel").read_bytes()
    assert 0 == main(["upgrade", "old.caffemodel", "net.binaryproto"])  # Caffe's tool takes any name
    assert (tmp_path / "new.caffemodel").read_bytes() == (tmp_path / "net.binaryproto").read_bytes()


def test_other_files(tmp_path, capsys):
    """A mistake in a prototxt keeps its line; an array file has no older format."""
    (tmp_path / "bad.prototxt").write_text("layer { nam: 'a' }")
    np.savez(tmp_path / "a.npz", a=np.ones(2))

    assert 1 == main(["upgrade", "bad.prototxt", "new.prototxt"])
    assert "bad.prototxt:1:9: LayerParameter has no field 'nam'" in capsys.readouterr().err
    assert 1 == main(["upgrade", "a.npz", "b.npz"])
    assert "only nets, solvers and .caffemodel files have older formats" in capsys.readouterr().err
    assert not (tmp_path / "new.prototxt").exists()


@pytest.mark.parametrize(("value", "shown"), [
    (1, "1"), (0, "0"), (0.1, "0.1"), (-2.5, "-2.5"), (1e6, "1e+06"), (123456, "123456"), (1234567, "1234567"),
    (1e-5, "1e-05"), (1 / 3, "0.333333343"), (1e10, "1e+10"), (float("inf"), "inf"), (float("nan"), "nan")])
def test_numbers_as_caffe_prints_them(value, shown):
    """Six digits, or nine where six do not give the same float32 back; other fields and texts stay as they are."""
    assert f"base_lr: {shown}\n" == format_as_caffe(SolverParameter(base_lr=value))
    assert 'max_iter: 1000000\nlr_policy: "1.0"\n' == format_as_caffe(SolverParameter(max_iter=10**6, lr_policy="1.0"))
