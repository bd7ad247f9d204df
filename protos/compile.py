"""Compile caffe.proto to caffe.desc, field_comments.json and _messages.pyi in minicaffe/proto (`make proto`)."""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
TARGET = HERE.parent / "minicaffe" / "proto" / "caffe.desc"
COMMENTS = HERE.parent / "minicaffe" / "proto" / "field_comments.json"


def compile_proto() -> bytes:
    """The serialised FileDescriptorProto of caffe.proto, without comments and source positions."""
    return bytes(_compile().SerializeToString())


def compile_comments() -> str:
    """JSON: message -> field -> its comment, on one line; only what has a comment."""
    file = _compile("--include_source_info")
    texts = {tuple(place.path): f"{place.leading_comments} {place.trailing_comments}"
             for place in file.source_code_info.location}
    comments: dict[str, dict[str, str]] = {}
    for m, message in enumerate(file.message_type):
        for f, field in enumerate(message.field):
            text = " ".join(texts.get((4, m, 2, f), "").split())  # 4 and 2: where a file keeps messages, they fields
            if text:
                comments.setdefault(message.name, {})[field.name] = text
    return json.dumps(comments, indent=1, ensure_ascii=False) + "\n"


def _compile(*flags: str) -> Any:
    from google.protobuf import descriptor_pb2
    from grpc_tools import protoc

    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "set.desc"
        arguments = ["protoc", f"-I{HERE}", f"--descriptor_set_out={out}", *flags, "caffe.proto"]
        if protoc.main(arguments) != 0:
            sys.exit("protos/caffe.proto does not compile; see the messages above")
        descriptor_set = descriptor_pb2.FileDescriptorSet.FromString(out.read_bytes())
    return descriptor_set.file[0]


if __name__ == "__main__":
    TARGET.write_bytes(compile_proto())
    COMMENTS.write_text(compile_comments(), encoding="utf-8")
    import stub

    stub.TARGET.write_text(stub.generate(), encoding="utf-8")
    for written in (TARGET, COMMENTS, stub.TARGET):
        print(f"wrote {written} ({written.stat().st_size} bytes)")
