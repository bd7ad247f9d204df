"""Messages of another caffe_pb2, such as a fork's: make one of ours of them, without losing a field."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from minicaffe.errors import ProtoError
from minicaffe.proto import is_repeated
from minicaffe.proto.forks import fork_hint

SHOWN = 5  # fields that an error lists


def as_ours(message: Any, kind: Any) -> Any:
    """Return a copy of a message as one of our class `kind`, whichever caffe_pb2 it belongs to.

    Raise ProtoError where it sets fields or values that Caffe's message does not have. They would be lost.
    """
    if message.DESCRIPTOR is not kind.DESCRIPTOR and (lost := list(_lost(message, kind.DESCRIPTOR, ""))):
        more = f" and {len(lost) - SHOWN} more" if lost[SHOWN:] else ""
        raise ProtoError(f"this {kind.DESCRIPTOR.name} is of another caffe_pb2, and sets what Caffe does not have: "
                         f"{', '.join(lost[:SHOWN])}{more}",
                         hint=next((hint for path in lost if (hint := fork_hint(_last(path)))), ""))
    return kind.FromString(message.SerializePartialToString())


def _lost(message: Any, ours: Any, place: str) -> Iterator[str]:
    """Yield the paths of the fields of a message that our descriptor `ours` does not have."""
    for field, value in message.ListFields():
        mine, path = ours.fields_by_number.get(field.number), f"{place}{field.name}"
        if mine is None or (mine.name, mine.type) != (field.name, field.type):
            yield path
        elif field.message_type:
            for index, one in enumerate(value if is_repeated(field) else [value]):
                yield from _lost(one, mine.message_type, f"{path}[{index}]." if is_repeated(field) else f"{path}.")
        elif field.enum_type:
            for one in value if is_repeated(field) else [value]:
                if one not in mine.enum_type.values_by_number:
                    yield f"{path}: {field.enum_type.values_by_number[one].name}"


def _last(path: str) -> str:
    """Return the name of the field at the end of a path."""
    return path.rpartition(".")[2].partition(":")[0]
