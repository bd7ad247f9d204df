"""Compile caffe.proto to minicaffe/proto/caffe.desc (a developer's step: `make proto`)."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
TARGET = HERE.parent / "minicaffe" / "proto" / "caffe.desc"


def compile_proto() -> bytes:
    """The serialised FileDescriptorProto of caffe.proto, without comments and source positions."""
    from google.protobuf import descriptor_pb2
    from grpc_tools import protoc

    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "set.desc"
        arguments = ["protoc", f"-I{HERE}", f"--descriptor_set_out={out}", "caffe.proto"]
        if protoc.main(arguments) != 0:
            sys.exit("protos/caffe.proto does not compile; see the messages above")
        descriptor_set = descriptor_pb2.FileDescriptorSet.FromString(out.read_bytes())
    return descriptor_set.file[0].SerializeToString()


if __name__ == "__main__":
    TARGET.write_bytes(compile_proto())
    print(f"wrote {TARGET} ({TARGET.stat().st_size} bytes)")
