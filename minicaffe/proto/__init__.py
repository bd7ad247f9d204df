"""Caffe's messages as Python classes: `proto.NetParameter()`, `proto.LayerParameter.FromString(data)`, ...

The classes are built on first use from `caffe.desc`, the compiled form of protos/caffe.proto. They live in a
descriptor pool of their own, so that a process may also import Caffe's or a fork's `caffe_pb2`: both describe
`caffe.NetParameter`, and one pool refuses to hold two. Type checkers and editors read their fields in _messages.pyi.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from google.protobuf import descriptor_pool, message_factory
from google.protobuf.internal import enum_type_wrapper

if TYPE_CHECKING:
    from minicaffe.proto._messages import *  # noqa: F403  (a stub alone: in a run, __getattr__ makes the classes)

DESCRIPTOR_FILE = Path(__file__).with_name("caffe.desc")

pool = descriptor_pool.DescriptorPool()
pool.AddSerializedFile(DESCRIPTOR_FILE.read_bytes())
DESCRIPTOR: Any = pool.FindFileByName("caffe.proto")

Phase = enum_type_wrapper.EnumTypeWrapper(DESCRIPTOR.enum_types_by_name["Phase"])
TRAIN: int = Phase.Value("TRAIN")
TEST: int = Phase.Value("TEST")
RUN: int = Phase.Value("RUN")  # of forks, in rules alone


def message_class(name: str) -> Any:
    """Return the class of the message `name` ("LayerParameter"); KeyError when Caffe has none of that name."""
    descriptor = DESCRIPTOR.message_types_by_name[name]
    factory: Any = message_factory
    if hasattr(factory, "GetMessageClass"):
        cls = factory.GetMessageClass(descriptor)
    else:
        cls = factory.MessageFactory(pool).GetPrototype(descriptor)  # protobuf 4.21
    cls.__module__ = __name__  # pickle looks a class up there
    return cls


def is_repeated(field: Any) -> bool:
    """Return whether a field is repeated. Old and new versions of protobuf have different names for this."""
    known = getattr(field, "is_repeated", None)
    return field.label == field.LABEL_REPEATED if known is None else bool(known)


if not TYPE_CHECKING:  # a checker that saw it would take any name for a message

    def __getattr__(name: str) -> Any:
        try:
            cls = message_class(name)
        except KeyError:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}") from None
        globals()[name] = cls  # the next look-up is a plain one
        return cls


def __dir__() -> list[str]:
    return sorted({*globals(), *DESCRIPTOR.message_types_by_name})
