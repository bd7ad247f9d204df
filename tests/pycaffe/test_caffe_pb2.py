"""Caffe's messages under the names of a generated module."""

import copy
import pickle
import subprocess
import sys

import pytest
from google.protobuf import descriptor_pool, json_format, text_format
from google.protobuf.message import Message

from minicaffe import proto
from minicaffe.pycaffe.proto import caffe_pb2

# What protoc's own code does with a file's descriptor: the module `theirs` is a generated caffe_pb2.
THEIRS = """
import types
from google.protobuf import descriptor_pool
from google.protobuf.internal import builder
from pathlib import Path
import minicaffe
theirs = types.ModuleType("caffe_pb2")
data = Path(minicaffe.__file__).with_name("proto").joinpath("caffe.desc").read_bytes()
theirs.DESCRIPTOR = descriptor_pool.Default().AddSerializedFile(data)
builder.BuildMessageAndEnumDescriptors(theirs.DESCRIPTOR, theirs.__dict__)
builder.BuildTopDescriptorsAndMessages(theirs.DESCRIPTOR, "caffe_pb2", theirs.__dict__)
"""
OURS = "from minicaffe.pycaffe.proto import caffe_pb2 as ours\n"


def run(code):
    """What a fresh process prints that runs `code`."""
    return subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout


def conv():
    layer = caffe_pb2.LayerParameter(name="conv1", type="Convolution")
    layer.convolution_param.kernel_size.append(5)
    return layer


def test_it_has_the_names_of_a_generated_module():
    """Messages, enums, their values and descriptors are there, and a star import takes the public ones."""
    names = run(THEIRS + OURS + """
print(*sorted(name for name in vars(theirs) if name not in vars(ours)))
exec("from minicaffe.pycaffe.proto.caffe_pb2 import *", taken := {})
print(*sorted(name for name in vars(theirs) if not name.startswith("_") and name not in taken))
print(sorted(set(taken) - set(vars(theirs)) - {"__builtins__"}))
""")

    assert names.split("\n") == ["", "", "[]", ""]
    assert (caffe_pb2.TRAIN, caffe_pb2.Phase.Value("TEST"), caffe_pb2.Phase.Name(0)) == (0, 1, "TRAIN")
    assert caffe_pb2.V1LayerParameter.LayerType.Name(4) == "CONVOLUTION"
    assert caffe_pb2.PoolingParameter.MAX == caffe_pb2.PoolingParameter.PoolMethod.Value("MAX") == 0
    assert caffe_pb2.PoolingParameter.PoolMethod.keys()[:3] == ["MAX", "AVE", "STOCHASTIC"]
    assert not hasattr(caffe_pb2, "NetParam")


def test_the_descriptors():
    """DESCRIPTOR finds messages and enums by name, and private names are the same descriptors."""
    net = caffe_pb2.DESCRIPTOR.message_types_by_name["NetParameter"]

    assert caffe_pb2._NETPARAMETER is net
    assert caffe_pb2.NetParameter.DESCRIPTOR is net
    assert caffe_pb2._POOLINGPARAMETER_POOLMETHOD.values_by_name["AVE"].number == 1
    assert caffe_pb2._PHASE is caffe_pb2.DESCRIPTOR.enum_types_by_name["Phase"]
    assert caffe_pb2.NetParameter.LAYER_FIELD_NUMBER == net.fields_by_name["layer"].number == 100


def test_the_module_holds_each_class_from_the_start():
    """A script that goes through the module's dictionary finds every message, and can add methods to its class."""
    found = {name for name, value in vars(caffe_pb2).items() if isinstance(value, type) and issubclass(value, Message)}

    assert found == set(caffe_pb2.DESCRIPTOR.message_types_by_name)
    assert caffe_pb2.NetParameter is proto.NetParameter
    caffe_pb2.Datum.of_label = classmethod(lambda cls, label: cls(label=label))
    try:
        assert caffe_pb2.Datum.of_label(7).label == 7
    finally:
        del caffe_pb2.Datum.of_label


def test_messages_are_copied_and_pickled():
    """A message reaches another process, which has imported nothing of minicaffe before."""
    layer = conv()
    code = f"import pickle\nlayer = pickle.loads({pickle.dumps(layer)!r})\nprint(type(layer).__module__, layer)"

    assert copy.deepcopy(layer) == pickle.loads(pickle.dumps(layer)) == layer
    assert run(code) == f"minicaffe.proto {layer}\n"


def test_text_json_and_bytes():
    """What protobuf's modules for text and JSON write, they read again."""
    net = caffe_pb2.NetParameter(name="n")
    net.layer.add().CopyFrom(conv())
    text = 'name: "n"\nlayer {\n  name: "conv1"\n  type: "Convolution"\n  convolution_param {\n    kernel_size: 5\n' \
           "  }\n}\n"

    assert text_format.MessageToString(net) == str(net) == text
    assert text_format.Parse(text, caffe_pb2.NetParameter()) == net
    assert text_format.Merge(text, caffe_pb2.NetParameter()) == net
    assert json_format.Parse(json_format.MessageToJson(net), caffe_pb2.NetParameter()) == net
    read = caffe_pb2.NetParameter()
    read.ParseFromString(net.SerializeToString())
    assert read == net


@pytest.mark.parametrize("parts", [(THEIRS, OURS), (OURS, THEIRS)], ids=["ours second", "ours first"])
def test_another_caffe_pb2_in_the_process(parts):
    """A script may bring a generated caffe_pb2 of its own; messages go from one to the other as bytes and as text."""
    printed = run("".join(parts) + """
from google.protobuf import text_format
there = theirs.NetParameter(name="n")
here = ours.NetParameter.FromString(there.SerializeToString())
print(here.name, type(here) is type(there), text_format.Parse(str(here), theirs.NetParameter()).name)
""")

    assert printed == "n False n\n"


def test_nothing_is_put_into_the_default_pool():
    """protobuf's default pool stays free for another caffe_pb2."""
    with pytest.raises(KeyError):
        descriptor_pool.Default().FindMessageTypeByName("caffe.NetParameter")


def test_it_is_known_once_pycaffe_is_imported():
    """Scripts write caffe.proto.caffe_pb2 after `import caffe` alone."""
    code = "from minicaffe import pycaffe; print(pycaffe.proto.caffe_pb2.BlobShape(dim=[2]).dim)"

    assert run(code) == "[2]\n"


def test_messages_need_no_numpy():
    """A converter that only reads messages loads neither numpy nor nets."""
    loaded = run(OURS + "import sys; print(*sys.modules)").split()

    assert "minicaffe.pycaffe.proto.caffe_pb2" in loaded
    assert {"numpy", "minicaffe.net", "minicaffe.layers", "minicaffe.pycaffe.net"}.isdisjoint(loaded)
