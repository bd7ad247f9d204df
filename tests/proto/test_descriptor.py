"""The bundled descriptor against protos/caffe.proto, and beside another Caffe's."""

import subprocess
import sys
from pathlib import Path

import pytest
from extras import needs

from minicaffe import proto

SCRIPT = Path(__file__).parents[2] / "protos" / "compile.py"


def test_descriptor_is_the_compiled_proto_file():
    """caffe.desc is what protos/caffe.proto compiles to."""
    needs("grpc_tools")
    code = f"""
import sys
sys.path.insert(0, {str(SCRIPT.parent)!r})
import compile
sys.stdout.buffer.write(compile.compile_proto())
"""
    compiled = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout

    assert compiled == proto.DESCRIPTOR_FILE.read_bytes()


def test_numbers_and_defaults_of_the_wire_format():
    """Numbers that forks reuse mean what BVLC Caffe means, and ours stand apart."""
    layer = proto.LayerParameter.DESCRIPTOR.fields_by_name
    loss = proto.LossParameter.DESCRIPTOR.fields_by_name

    assert (layer["swish_param"].number, layer["clip_param"].number) == (147, 148)
    assert proto.LRNParameter().beta == 0.75
    assert proto.SolverParameter().snapshot_format == proto.SolverParameter.BINARYPROTO
    assert sorted(f.number for f in loss.values() if 1000 < f.number < 5800) == [5700, 5701, 5702, 5703]
    assert (layer["permute_param"].number, layer["roi_pooling_param"].number) == (202, 8266711)
    assert (proto.TRAIN, proto.TEST) == (0, 1)


def test_unknown_message_is_an_attribute_error():
    """A misspelt message fails as any missing attribute of a module does."""
    with pytest.raises(AttributeError, match="NetParam"):
        _ = proto.NetParam


def test_another_caffe_in_the_default_pool_does_not_clash():
    """This package and a fork's caffe_pb2 live in one process, whichever comes first."""
    fork = """
from google.protobuf import descriptor_pb2, descriptor_pool
file = descriptor_pb2.FileDescriptorProto(name="caffe.proto", package="caffe")
file.message_type.add(name="NetParameter").field.add(name="other", number=1, label=1, type=5)
descriptor_pool.Default().AddSerializedFile(file.SerializeToString())
assert "other" in descriptor_pool.Default().FindMessageTypeByName("caffe.NetParameter").fields_by_name
"""
    ours = """
from minicaffe import proto
assert proto.NetParameter(name="n").name == "n"
"""
    for code in (fork + ours, ours + fork):
        subprocess.run([sys.executable, "-c", code], check=True, cwd=SCRIPT.parents[1])
