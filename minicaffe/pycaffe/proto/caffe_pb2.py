"""Caffe's messages, under the names of a module that protoc generates: `from caffe.proto import caffe_pb2`.

It has each message and the enum Phase with its values. DESCRIPTOR describes the file, and a name such as
_NETPARAMETER or _POOLINGPARAMETER_POOLMETHOD a message or an enum of it. All are here from the start, because scripts
go through this module's `__dict__`. The classes are those of `minicaffe.proto`, as in every net and solver.
"""

from typing import TYPE_CHECKING

from minicaffe import proto as _proto
from minicaffe.proto import RUN, TEST, TRAIN, Phase

if TYPE_CHECKING:
    from minicaffe.proto._messages import *  # noqa: F403  (types for editors; in a run, the loop below has the classes)

DESCRIPTOR = _proto.DESCRIPTOR

__all__ = ["DESCRIPTOR", "RUN", "TEST", "TRAIN", "Phase", *DESCRIPTOR.message_types_by_name]

_PHASE = DESCRIPTOR.enum_types_by_name["Phase"]
for _name, _message in DESCRIPTOR.message_types_by_name.items():
    globals()[_name] = getattr(_proto, _name)
    globals()[f"_{_name.upper()}"] = _message
    globals().update({f"_{_name}_{_enum.name}".upper(): _enum for _enum in _message.enum_types})
del _name, _message
