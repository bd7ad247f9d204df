"""Nets written in Python: which messages they become, and what is said about mistakes."""

import copy
import os
import subprocess
import sys

import pytest
from google.protobuf import text_format

from minicaffe import TEST, pycaffe
from minicaffe.pycaffe import NetSpec, net_spec, to_proto
from minicaffe.pycaffe import layers as L  # noqa: N812  (as scripts call it)
from minicaffe.pycaffe import params as P  # noqa: N812
from minicaffe.pycaffe.net_spec import FieldError, FieldValueError, Function, NotATopError, Top, TopError
from minicaffe.pycaffe.proto import caffe_pb2


def text(*lines):
    """The text of a net with these layers, given on one line each."""
    return str(caffe_pb2.NetParameter(layer=map(layer, lines)))


def layer(line):
    """The message of one layer."""
    return text_format.Parse(line, caffe_pb2.LayerParameter())


def image():
    return L.Input(shape=dict(dim=[2, 3, 8, 9]))


class TestNames:
    def test_a_lenet(self):
        """Attributes name blobs and layers, and the text is what pycaffe prints."""
        n = NetSpec()
        n.data, n.label = L.DummyData(shape=[dict(dim=[4, 1, 8, 9]), dict(dim=4)], ntop=2)
        n.conv1 = L.Convolution(n.data, kernel_size=5, num_output=6, weight_filler=dict(type="xavier"))
        n.pool1 = L.Pooling(n.conv1, kernel_size=2, stride=2, pool=P.Pooling.AVE)
        n.relu1 = L.ReLU(n.pool1, in_place=True)
        n.ip1 = L.InnerProduct(n.relu1, num_output=3)
        n.loss = L.SoftmaxWithLoss(n.ip1, n.label)

        assert str(n.to_proto()) == """\
layer {
  name: "data"
  type: "DummyData"
  top: "data"
  top: "label"
  dummy_data_param {
    shape {
      dim: 4
      dim: 1
      dim: 8
      dim: 9
    }
    shape {
      dim: 4
    }
  }
}
layer {
  name: "conv1"
  type: "Convolution"
  bottom: "data"
  top: "conv1"
  convolution_param {
    num_output: 6
    kernel_size: 5
    weight_filler {
      type: "xavier"
    }
  }
}
layer {
  name: "pool1"
  type: "Pooling"
  bottom: "conv1"
  top: "pool1"
  pooling_param {
    pool: AVE
    kernel_size: 2
    stride: 2
  }
}
layer {
  name: "relu1"
  type: "ReLU"
  bottom: "pool1"
  top: "pool1"
}
layer {
  name: "ip1"
  type: "InnerProduct"
  bottom: "pool1"
  top: "ip1"
  inner_product_param {
    num_output: 3
  }
}
layer {
  name: "loss"
  type: "SoftmaxWithLoss"
  bottom: "ip1"
  bottom: "label"
  top: "loss"
}
"""

    def test_without_names(self):
        """Blobs and layers are numbered by their types, in the order in which they are needed."""
        data, label = L.DummyData(shape=dict(dim=2), ntop=2)
        first = L.ReLU(L.TanH(label), in_place=True)
        second = L.ReLU(data)

        assert str(to_proto(L.EuclideanLoss(first, second))) == text(
            'name: "DummyData1" type: "DummyData" top: "DummyData1" top: "DummyData2" '
            "dummy_data_param { shape { dim: 2 } }",
            'name: "TanH1" type: "TanH" bottom: "DummyData2" top: "TanH1"',
            'name: "ReLU1" type: "ReLU" bottom: "TanH1" top: "TanH1"',
            'name: "ReLU2" type: "ReLU" bottom: "DummyData1" top: "ReLU2"',
            'name: "EuclideanLoss1" type: "EuclideanLoss" bottom: "TanH1" bottom: "ReLU2" top: "EuclideanLoss1"')
        assert second.to_proto().layer[1].name == "ReLU1"  # each net counts for itself

    def test_layers_without_tops(self):
        """A layer without tops is named by its attribute, else by its type and a number."""
        n = NetSpec()
        n.data = L.Input(shape=dict(dim=3))
        n.end = L.Silence(n.data, ntop=0)
        silence = L.Silence(n.data, ntop=0)

        assert [(layer.name, list(layer.top)) for layer in n.to_proto().layer] == [("data", ["data"]), ("end", [])]
        assert isinstance(silence, Function)
        assert to_proto(silence).layer[1].name == "Silence1"

    def test_a_name_that_is_no_word_of_python(self):
        """n["name"] sets and finds the same tops as n.name, and n.tops has them all in order."""
        n = NetSpec()
        n["group/data"] = image()
        n.tops["h-00"] = L.ReLU(n["group/data"])

        assert list(n.tops) == ["group/data", "h-00"]
        assert isinstance(n["h-00"], Top)
        assert [layer.name for layer in n.to_proto().layer] == ["group/data", "h-00"]

    def test_a_top_of_several_nets(self):
        """A top has in each net the name that this net gives it, the last one where there are two."""
        shared = image()
        one, two = NetSpec(), NetSpec()
        one.x, two.first, two.second = shared, shared, shared
        one.y, two.y = L.ReLU(shared), L.ReLU(shared)

        assert list(one.to_proto().layer[1].bottom) == ["x"]
        assert list(two.to_proto().layer[1].bottom) == ["second"]

    def test_the_order_is_that_of_the_needs(self):
        """Layers come in the order of the attributes, each after its inputs."""
        data = image()
        relu = L.ReLU(data)
        n = NetSpec()
        n.last, n.first, n.middle = L.Concat(L.TanH(relu), data), data, relu

        assert [layer.name for layer in n.to_proto().layer] == ["first", "middle", "TanH1", "last"]

    def test_a_net_that_is_deeper_than_python_can_call(self):
        """The depth of a net has no limit."""
        top = image()
        for _ in range(3000):
            top = L.ReLU(top)

        assert to_proto(top).layer[3000].name == "ReLU3000"


FIELDS = {
    "of the type's message": (lambda x: L.LRN(x, local_size=3, norm_region=P.LRN.WITHIN_CHANNEL),
                              'type: "LRN" lrn_param { local_size: 3 norm_region: WITHIN_CHANNEL }'),
    "a whole message": (lambda x: L.Deconvolution(x, convolution_param=dict(num_output=2, kernel_size=[4, 5])),
                        'type: "Deconvolution" convolution_param { num_output: 2 kernel_size: 4 kernel_size: 5 }'),
    "param as a list": (lambda x: L.Scale(x, param=[dict(lr_mult=1), dict(lr_mult=2, decay_mult=0)]),
                        'type: "Scale" param { lr_mult: 1 } param { lr_mult: 2 decay_mult: 0 }'),
    "param as one": (lambda x: L.Scale(x, param=dict(name="w")), 'type: "Scale" param { name: "w" }'),
    "empty messages": (lambda x: L.Scale(x, param=[{}, {}], scale_param={}), 'type: "Scale" param {} param {}'),
    "include": (lambda x: L.ReLU(x, include=dict(phase=TEST, stage="a")),
                'type: "ReLU" include { phase: TEST stage: "a" }'),
    "exclude": (lambda x: L.ReLU(x, exclude=[dict(phase=0), dict(stage=["a", "b"])]),
                'type: "ReLU" exclude { phase: TRAIN } exclude { stage: "a" stage: "b" }'),
    "a Python layer": (lambda x: L.Python(x, module="m", layer="Lay", param_str="{'a': 1}", loss_weight=1),
                       'type: "Python" loss_weight: 1 python_param { module: "m" layer: "Lay" '
                       "param_str: \"{'a': 1}\" }"),
    "an enum by name": (lambda x: L.Eltwise(x, operation="PROD"), 'type: "Eltwise" eltwise_param { operation: PROD }'),
    "an unknown type": (lambda x: L.ROIAlign(x, phase=1), 'type: "ROIAlign" phase: TEST'),
    "a field of ours": (lambda x: L.ImageData(x, transform_param=dict(zoom=0.5)),
                        'type: "ImageData" transform_param { zoom: 0.5 }'),
    "messages": (lambda x: L.DummyData(x, shape=[caffe_pb2.BlobShape(dim=[2, 3])]),
                 'type: "DummyData" dummy_data_param { shape { dim: 2 dim: 3 } }'),
}


@pytest.mark.parametrize(("make", "expected"), FIELDS.values(), ids=FIELDS)
def test_fields(make, expected):
    """Which field an argument sets, and how dicts, lists and single values are written into it."""
    n = NetSpec()
    n.x = image()
    n.y = make(n.x)

    assert str(n.to_proto().layer[1]) == str(layer(f'name: "y" bottom: "x" top: "y" {expected}'))


def test_an_enum_by_name_in_every_protobuf():
    """protobuf's pure Python code takes numbers alone; the names work with it, too."""
    code = "from minicaffe.pycaffe import layers as L; print(L.Pooling(pool='AVE').to_proto().layer[0].pooling_param)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True,
                          env={**os.environ, "PROTOCOL_BUFFERS_PYTHON_IMPLEMENTATION": "python"})

    assert done.stdout.strip() == "pool: AVE"


def test_names_that_arguments_give():
    """name=, bottom= and top= reach the layer's own fields."""
    n = NetSpec()
    n.y = L.Concat(image(), bottom=["p", "q"], top="more", name="cat")

    assert str(n.to_proto().layer[1]) == str(layer('name: "cat" type: "Concat" bottom: "Input1" bottom: "p" '
                                                    'bottom: "q" top: "y" top: "more"'))


def test_fields_may_change_before_the_message_is_made():
    """Scripts change the fields of a layer that they have made, and the table of the messages' names."""
    n = NetSpec()
    n.up = L.Deconvolution(image(), num_output=3)
    n.up.fn.params["num_output"] = 5
    net_spec._param_names["Deconvolution"] = "convolution"
    try:
        assert n.to_proto().layer[1].convolution_param.num_output == 5
    finally:
        del net_spec._param_names["Deconvolution"]


def test_param_name_dict():
    """The message of each type, by the name of its field."""
    names = net_spec.param_name_dict()

    assert (names["InnerProduct"], names["HDF5Data"], names["ReLU"]) == ("inner_product", "hdf5_data", "relu")
    assert "Softmax" in names
    assert "Deconvolution" not in names


def test_assign_proto():
    """assign_proto fills any message."""
    solver = caffe_pb2.SolverParameter()
    net_spec.assign_proto(solver, "base_lr", 0.5)
    net_spec.assign_proto(solver, "test_iter", 7)
    net_spec.assign_proto(solver, "test_iter", [8])
    net_spec.assign_proto(solver, "train_state", dict(stage=["a"]))

    assert str(solver) == 'test_iter: 7\ntest_iter: 8\nbase_lr: 0.5\ntrain_state {\n  stage: "a"\n}\n'


def test_the_text_makes_a_net(tmp_path):
    """What NetSpec writes, Net reads."""
    n = NetSpec()
    n.data = image()
    n.conv = L.Convolution(n.data, num_output=4, kernel_size=[3, 2])
    (tmp_path / "net.prototxt").write_text(str(n.to_proto()))

    assert pycaffe.Net(str(tmp_path / "net.prototxt"), TEST).blobs["conv"].data.shape == (2, 4, 6, 8)


WRONG = {
    "a misspelt field": (lambda x: L.Convolution(x, num_outputs=3), FieldError, AttributeError,
                         r"layer 'y' \(Convolution\): there is no field 'num_outputs'\n  hint: .*'num_output'"),
    "a misspelt inner field": (lambda x: L.Scale(x, filler=dict(typ="x")), FieldError, AttributeError,
                               r"layer 'y' \(Scale\): FillerParameter has no field 'typ'\n  hint: .*'type'"),
    "a field of another message": (lambda x: L.Deconvolution(x, num_output=3), FieldError, AttributeError,
                                   r"hint: it belongs to convolution_param: convolution_param=dict\(num_output=...\)"),
    "a field of a fork": (lambda x: L.Pooling(x, color_order=1), FieldError, AttributeError, "belongs to MyCaffe"),
    "text for a number": (lambda x: L.Scale(x, axis="1"), FieldValueError, TypeError,
                          r"ScaleParameter.axis takes a whole number from .*, got '1'$"),
    "a division": (lambda x: L.Slice(x, slice_point=[1, 6 / 3]), FieldValueError, TypeError,
                   r"SliceParameter.slice_point takes .*, got 2.0\n  hint: write 2 without a decimal point.*//"),
    "a negative size": (lambda x: L.Pooling(x, pad=-1), FieldValueError, ValueError, "from 0 to 4294967295, got -1"),
    "a misspelt value": (lambda x: L.Pooling(x, pool="AVG"), FieldValueError, ValueError,
                         r"takes one of MAX, AVE, STOCHASTIC, got 'AVG'\n  hint: .*'AVE'"),
    "a tuple": (lambda x: L.Convolution(x, kernel_size=(3, 2)), FieldValueError, TypeError,
                r"got \(3, 2\)\n  hint: write a list: \[3, 2\]"),
    "a list for one value": (lambda x: L.Pooling(x, kernel_size=[3, 2]), FieldValueError, TypeError,
                             r"got \[3, 2\]\n  hint: the field takes a single value"),
    "a number for a message": (lambda x: L.Scale(x, filler=1), FieldValueError, TypeError,
                               r"ScaleParameter.filler takes a dict with fields of FillerParameter, got 1"),
    "None": (lambda x: L.Scale(x, axis=None), FieldValueError, TypeError, "got None\n  hint: leave the field out"),
}


@pytest.mark.parametrize(("make", "kind", "theirs", "words"), WRONG.values(), ids=WRONG)
def test_what_is_said_of_a_wrong_field(make, kind, theirs, words):
    """An error names the script's line, the layer, the field, what was seen and what may have been meant."""
    n = NetSpec()
    n.x = image()
    n.y = make(n.x)

    with pytest.raises(kind, match=words) as caught:
        n.to_proto()
    assert isinstance(caught.value, theirs)  # what pycaffe raises
    assert f"{__file__}:{make.__code__.co_firstlineno}: layer 'y' (" in str(caught.value)


def test_what_is_no_top():
    """Something else in the place of a top is named by its place."""
    pair = L.DummyData(shape=dict(dim=2), ntop=2)
    n = NetSpec()
    n.data = pair

    with pytest.raises(TypeError, match=r"^Silence input 0 is not a Top \(type is <class 'tuple'>\)$"):
        L.Silence(pair, ntop=0)
    with pytest.raises(NotATopError, match=r"n.data must be a top, got tuple\n  hint: it has 2 tops: give each a name"):
        n.to_proto()
    with pytest.raises(NotATopError, match=r"to_proto takes Tops, got list\n  hint: to_proto\(\*tops\)"):
        to_proto([image()])
    n[3] = n.data[0]
    del n.tops["data"]
    with pytest.raises(NotATopError, match="the name of a top must be text, got 3"):
        n.to_proto()


def test_a_top_that_is_not_there():
    """A missing top is a KeyError, as in pycaffe, and hasattr and copy work."""
    n = NetSpec()
    n.data = image()

    with pytest.raises(TopError, match="no top 'dta'\n  hint: did you mean 'data'"):
        _ = n.dta
    with pytest.raises(KeyError):
        _ = n["dta"]
    assert not hasattr(n, "dta")
    assert list(copy.copy(n).tops) == list(copy.deepcopy(n).tops) == ["data"]


def test_values_of_enums():
    """P.Pooling is the message PoolingParameter; a misspelt one is an AttributeError with near names."""
    assert (P.Pooling.AVE, P.LRN.WITHIN_CHANNEL, P.Data.LMDB) == (1, 1, 1)
    with pytest.raises(AttributeError, match="Caffe has no message PolingParameter\n  hint: did you mean 'Pooling'"):
        _ = P.Poling.MAX


def test_prompts_complete_names():
    """A prompt offers layer types, messages and tops."""
    n = NetSpec()
    n.conv9 = image()

    assert {"Convolution", "EuclideanLoss"} <= set(dir(L))
    assert {"Convolution", "HDF5Data"} <= set(dir(P))
    assert "conv9" in dir(n)
    assert not hasattr(L, "_repr_html_")
