"""pycaffe's Net: how it is made, and what can be read from it."""

import re
from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest

from minicaffe import pycaffe as caffe
from minicaffe.blob import Blob, BlobVec
from minicaffe.errors import MinicaffeError, NetError
from minicaffe.proto import NetParameter
from minicaffe.proto import text as proto_text
from minicaffe.pycaffe.list_types import DtypeVec, IntVec, LayerVec, StringVec

# Of each layer it is said in which nets it is: by phase, level and stage.
CHOICES = """
  layer { name: "data" type: "Input" top: "data" input_param { shape { dim: 2 dim: 3 } } }
  layer { name: "ip" type: "InnerProduct" bottom: "data" top: "ip" inner_product_param { num_output: 5
          weight_filler { type: "xavier" } } }
  layer { name: "train" type: "TanH" bottom: "ip" top: "train" include { phase: TRAIN } }
  layer { name: "test" type: "TanH" bottom: "ip" top: "test" include { phase: TEST } }
  layer { name: "level1" type: "TanH" bottom: "ip" top: "level1" include { min_level: 1 } }
  layer { name: "deploy" type: "TanH" bottom: "ip" top: "deploy" include { stage: "deploy" } }
"""
NET = """
  name: "forked" force_backward: true
  layer { name: "data" type: "Input" top: "data" top: "label"
          input_param { shape { dim: 2 dim: 3 } shape { dim: 2 } } }
  layer { name: "a" type: "InnerProduct" bottom: "data" top: "a"
          inner_product_param { num_output: 5 weight_filler { type: "xavier" } } }
  layer { name: "relu" type: "ReLU" bottom: "a" top: "a" }
  layer { name: "b" type: "InnerProduct" bottom: "data" top: "b"
          inner_product_param { num_output: 4 weight_filler { type: "xavier" } } }
  layer { name: "loss" type: "SoftmaxWithLoss" bottom: "b" bottom: "label" top: "loss" loss_weight: 0.25 }
"""
SPLITS = ["data_data_0_split_0", "data_data_0_split_1"]


@pytest.fixture
def path(tmp_path):
    file = tmp_path / "net.prototxt"
    file.write_text(CHOICES)
    return str(file)


def weights_of(path):
    """A file with weights for it, and the weights."""
    net = caffe.Net(path, caffe.TEST)
    net.params["ip"][0].data[...] = np.arange(15).reshape(5, 3)
    file = str(Path(path).with_name("w.caffemodel"))
    net.save(file)
    return file


def kept(net):
    """The layers that CHOICES leaves to the rules."""
    return [name for name in net.layer_dict if name in ("train", "test", "level1", "deploy")]


class TestMaking:
    """Every way to name the file, the phase, the level, the stages and the weights."""

    @pytest.mark.parametrize(("args", "named", "layers"), [
        ((caffe.TRAIN,), {}, ["train"]),
        ((caffe.TEST,), {}, ["test"]),
        ((), {}, ["test"]),
        ((), {"phase": caffe.TRAIN}, ["train"]),
        ((caffe.TRAIN, 1), {}, ["train", "level1"]),
        ((caffe.TEST, 1), {}, ["test", "level1"]),
        ((np.int64(caffe.TRAIN), np.int64(1)), {}, ["train", "level1"]),
        ((caffe.TEST, 0, ["deploy"]), {}, ["test", "deploy"]),
        ((caffe.TEST, 0, ("deploy", "other")), {}, ["test", "deploy"]),
        ((caffe.TRAIN, 0, None, None), {}, ["train"]),
        ((caffe.TEST,), {"level": 1, "stages": ["deploy"]}, ["test", "level1", "deploy"]),
    ])
    def test_state(self, args, named, layers, path):
        """Phase, level and stages come in this order, and decide which layers take part."""
        assert layers == kept(caffe.Net(path, *args, **named)) == kept(caffe.Net(Path(path), *args, **named))

    @pytest.mark.parametrize(("args", "named", "layers"), [
        ((caffe.TRAIN,), {"weights": "W"}, ["train"]),
        ((caffe.TEST, 1, ["deploy"], "W"), {}, ["test", "level1", "deploy"]),
        (("W", caffe.TRAIN), {}, ["train"]),
        (("W",), {"phase": caffe.TRAIN}, ["train"]),
        (("W",), {}, ["test"]),
        ((Path("W"), caffe.TEST), {}, ["test"]),
        ((), {"phase": caffe.TRAIN, "weights": "W"}, ["train"]),
    ])
    def test_weights(self, args, named, layers, path):
        """They are named last, or before the phase, as scripts for the first versions of pycaffe do."""
        file = weights_of(path)
        args = [type(value)(file) if str(value) == "W" else value for value in args]
        net = caffe.Net(network_file=path, **named | {"weights": file}) if "weights" in named and not args else \
            caffe.Net(path, *args, **{name: file if value == "W" else value for name, value in named.items()})

        assert layers == kept(net)
        assert layers == kept(caffe.Net(path.encode(), *[value.encode() if value == file else value for value in args],
                                        **{name: file.encode() if value == "W" else value
                                           for name, value in named.items()}))
        np.testing.assert_array_equal(net.params["ip"][0].data, np.arange(15).reshape(5, 3))

    def test_the_older_order_is_warned_of(self, path, caplog):
        """The line says how it is written today."""
        file = weights_of(path)
        caffe.Net(path, file, caffe.TEST)

        assert ["Net(network_file, weights, phase) is the order of old versions; "
                f"write Net({path!r}, 1, weights={file!r})"
                ] == [record.message for record in caplog.records if "order of old versions" in record.message]

    @pytest.mark.parametrize(("args", "named", "error", "words"), [
        (("TEST",), {}, MinicaffeError, "TEST"),
        ((2.5,), {}, TypeError, "phase must be caffe.TRAIN or caffe.TEST, got 2.5"),
        ((2,), {}, NetError, r"phase must be caffe.TRAIN \(0\) or caffe.TEST \(1\), got 2"),
        ((caffe.TEST, "w.caffemodel"), {}, TypeError, "a whole number, got 'w.caffemodel': write weights='w.caffem"),
        ((caffe.TEST, 0.5), {}, TypeError, "level must be a whole number, got 0.5"),
        ((caffe.TEST, 0, "deploy"), {}, TypeError, "stages must be a list of names, got 'deploy'"),
        ((caffe.TEST, 0, [1]), {}, TypeError, "stages must be a list of names, got a list"),
        ((caffe.TEST, 0, None, 7), {}, TypeError, "weights must be the path of a file, got 7"),
        ((caffe.TEST, 0, None, None, 1), {}, TypeError, "positional arguments"),
        ((caffe.TEST,), {"phase": caffe.TEST}, TypeError, "multiple values for argument 'phase'"),
        ((caffe.TEST,), {"stage": ["deploy"]}, TypeError, "unexpected keyword argument 'stage'"),
    ])
    def test_nonsense(self, args, named, error, words, path):
        """What is no phase, level, list of stages or file is refused by name."""
        with pytest.raises(error, match=words):
            caffe.Net(path, *args, **named)

    @pytest.mark.parametrize("thing", [7, None, ["net.prototxt"]])
    def test_what_is_no_file(self, thing):
        """A net is made from a file or a message."""
        with pytest.raises(TypeError, match="network_file must be a path or a NetParameter, got "):
            caffe.Net(thing, caffe.TEST)

    @pytest.mark.parametrize("args", [["gone.prototxt", caffe.TEST], ["P", "gone.caffemodel", caffe.TEST],
                                      ["P", caffe.TEST, 0, None, "gone.caffemodel"]])
    def test_a_file_that_is_missing(self, args, path):
        """The error is a RuntimeError, as Caffe's is, and has the file's name."""
        with pytest.raises(RuntimeError, match="no such file: gone") as caught:
            caffe.Net(*[path if arg == "P" else arg for arg in args])

        assert isinstance(caught.value, MinicaffeError)

    def test_a_field_that_no_layer_reads(self):
        """Caffe takes it, so it is a warning; `permissive=False` makes it an error."""
        text = proto_text.parse('layer { name: "x" type: "Input" top: "x" tanh_param { } }', NetParameter())
        with pytest.warns(UserWarning, match=re.escape("layer 'x' (Input): tanh_param is set, but this layer does")):
            caffe.Net(text, caffe.TEST)
        with pytest.raises(MinicaffeError, match="tanh_param is set"):
            caffe.Net(text, caffe.TEST, permissive=False)


class TestNames:
    """What a net says of its blobs and layers."""

    net = caffe.Net(proto_text.parse(NET, NetParameter()), caffe.TEST)

    def test_blobs(self):
        """In the order of the layers, with the splits as Caffe names them; a layer in place makes no blob."""
        names = ["data", "label", *SPLITS, "a", "b", "loss"]

        assert names == list(self.net.blobs) == self.net._blob_names
        assert list(self.net.blobs.values()) == self.net._blobs
        assert {Blob} == set(map(type, self.net._blobs))

    def test_layers(self):
        """Each layer under its name."""
        names = ["data", "data_data_0_split", "a", "relu", "b", "loss"]

        assert names == list(self.net.layer_dict) == self.net._layer_names == [one.name for one in self.net.layers]
        assert list(self.net.layer_dict.values()) == self.net.layers
        assert ["Input", "Split", "InnerProduct", "ReLU", "InnerProduct", "SoftmaxWithLoss"] == [
            layer.type for layer in self.net.layers]

    def test_tops_and_bottoms(self):
        """By layer, as names and as indices of blobs."""
        tops = OrderedDict([("data", ["data", "label"]), ("data_data_0_split", SPLITS), ("a", ["a"]),
                            ("relu", ["a"]), ("b", ["b"]), ("loss", ["loss"])])
        bottoms = OrderedDict([("data", []), ("data_data_0_split", ["data"]), ("a", SPLITS[:1]), ("relu", ["a"]),
                               ("b", SPLITS[1:]), ("loss", ["b", "label"])])

        assert (tops, bottoms) == (self.net.top_names, self.net.bottom_names)
        names = self.net._blob_names
        for i, name in enumerate(self.net._layer_names):
            assert tops[name] == [names[t] for t in self.net._top_ids(i)]
            assert bottoms[name] == [names[b] for b in self.net._bottom_ids(i)]
        with pytest.raises(NetError, match="has 6 layers, 0 to 5, got 6"):
            self.net._top_ids(6)

    def test_inputs_and_outputs(self):
        """By name, and as indices of blobs."""
        assert ["data", "label"] == self.net.inputs == [self.net._blob_names[i] for i in self.net._inputs]
        assert ["a", "loss"] == self.net.outputs == [self.net._blob_names[i] for i in self.net._outputs]

    def test_loss_weights(self):
        """The weight of each blob in the loss, which is 0 for most."""
        assert [0, 0, 0, 0, 0, 0, 0.25] == self.net._blob_loss_weights == list(self.net.blob_loss_weights.values())
        assert list(self.net.blobs) == list(self.net.blob_loss_weights)

    def test_params(self):
        """The layers that learn something."""
        assert ["a", "b"] == list(self.net.params)
        assert [(5, 3), (5,)] == [blob.shape for blob in self.net.params["a"]]

    def test_kinds(self):
        """Dictionaries in order, and the lists by the classes that `_caffe` has for them."""
        net = self.net

        assert {OrderedDict} == {type(d) for d in (net.blobs, net.params, net.layer_dict, net.top_names,
                                                   net.bottom_names, net.blob_loss_weights)}
        assert [LayerVec, BlobVec, StringVec, StringVec, IntVec, IntVec, DtypeVec, IntVec, IntVec] == [
            type(value) for value in (net.layers, net._blobs, net._blob_names, net._layer_names, net._inputs,
                                      net._outputs, net._blob_loss_weights, net._top_ids(0), net._bottom_ids(0))]
        assert [BlobVec] * 2 == [type(blobs) for blobs in net.params.values()]

    def test_slices(self):
        """A slice is a list of the same class, with the same things in it."""
        for whole in (self.net.params["a"], self.net.layers, self.net._layer_names, self.net._blob_loss_weights):
            part = whole[-1:]

            assert type(part) is type(whole)
            assert [whole[-1]] == list(part)


class TestHooks:
    """Functions that are called with a layer's index, before and after it runs."""

    ORDER = ("before_forward", "after_forward", "before_backward", "after_backward")

    def test_order(self):
        """Around each layer; forward from the first, backward from the last, also those that run no backward."""
        net, seen = caffe.Net(proto_text.parse(NET, NetParameter()), caffe.TEST), []
        for name in self.ORDER:
            getattr(net, name)(lambda i, name=name: seen.append((name, i)))
        for _ in range(3):  # the third pass would be replayed from a recording
            seen.clear()
            net.forward()
            net.backward()

        assert [(name, i) for i in range(6) for name in self.ORDER[:2]] + [
            (name, i) for i in reversed(range(6)) for name in self.ORDER[2:]] == seen

    def test_a_part_of_the_layers(self):
        """Only those of the layers that run."""
        net, seen = caffe.Net(proto_text.parse(NET, NetParameter()), caffe.TEST), []
        net.before_forward(seen.append)
        net.after_backward(seen.append)
        net.forward(start="relu", end="b")
        net._backward(4, 3)

        assert [3, 4, 4, 3] == seen

    def test_beside_those_of_minicaffe(self):
        """They are in the lists of minicaffe.Net, from which set_debug_info removes only its own."""
        net = caffe.Net(proto_text.parse(NET, NetParameter()), caffe.TEST)
        net.after_forward(print)
        net.after_backward(print)
        net.set_debug_info(True)
        net.set_debug_info(False)

        assert [print] == net.after_layer == net.after_backward
        with pytest.raises(TypeError, match="a hook must be a function of a layer's index, got str"):
            net.before_forward("relu")


@pytest.mark.parametrize("name", ["blobs", "params", "layers", "layer_dict", "inputs", "outputs", "top_names"])
def test_what_cannot_be_replaced(path, name):
    """The net would run on with what it had, so that an assignment is an error. Attributes of one's own are welcome."""
    net = caffe.Net(path, caffe.TEST)
    before = getattr(net, name)

    with pytest.raises(AttributeError, match=rf"Net\.{name} cannot be replaced: write into the arrays"):
        setattr(net, name, {})
    net.my_threshold = 0.5

    assert getattr(net, name) is before
