"""Home of `caffe_pb2`, where Caffe has it: `from caffe.proto import caffe_pb2`, or `caffe.proto.caffe_pb2` alone."""

from importlib import import_module
from typing import Any


def __getattr__(name: str) -> Any:
    if name != "caffe_pb2":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return import_module(f"{__name__}.caffe_pb2")
