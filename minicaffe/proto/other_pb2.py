"""Messages of another caffe_pb2, such as a fork's: make one of ours of them, without losing a field.

Fields and the values of enums are matched by their names, because forks gave the same numbers to different fields.
"""

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
    made = kind()
    if message.DESCRIPTOR is kind.DESCRIPTOR:
        made.CopyFrom(message)
    elif lost := list(_copy(message, made, "")):
        more = f" and {len(lost) - SHOWN} more" if lost[SHOWN:] else ""
        raise ProtoError(f"this {kind.DESCRIPTOR.name} is of another caffe_pb2, and sets what Caffe does not have: "
                         f"{', '.join(lost[:SHOWN])}{more}",
                         hint=next((hint for path in lost if (hint := fork_hint(_last(path)))), ""))
    return made


def _copy(message: Any, made: Any, place: str) -> Iterator[str]:
    """Copy the fields of a message into one of ours, and yield the paths of those that ours does not have."""
    for field, value in message.ListFields():
        mine, path = made.DESCRIPTOR.fields_by_name.get(field.name), f"{place}{field.name}"
        values = value if is_repeated(field) else [value]
        if mine is None or (mine.cpp_type != field.cpp_type and not _both_whole(mine, field)):
            yield path
        elif len(values) > 1 and not is_repeated(mine):
            yield f"{path}[1]"
        elif field.message_type:
            for index, one in enumerate(values):
                inner = getattr(made, field.name)
                inner = inner.add() if is_repeated(mine) else inner
                inner.SetInParent()
                yield from _copy(one, inner, f"{path}[{index}]." if is_repeated(field) else f"{path}.")
        else:
            known = values
            if field.enum_type:
                names = [field.enum_type.values_by_number[one].name for one in values]
                numbers = mine.enum_type.values_by_name
                yield from (f"{path}: {name}" for name in names if name not in numbers)
                known = [numbers[name].number for name in names if name in numbers]
            if is_repeated(mine):
                getattr(made, field.name).extend(known)
            elif known:
                setattr(made, field.name, known[0])


def _both_whole(mine: Any, field: Any) -> bool:
    """Return whether two fields hold whole numbers, of 32 or 64 bits and with a sign or not."""
    whole = (mine.CPPTYPE_INT32, mine.CPPTYPE_INT64, mine.CPPTYPE_UINT32, mine.CPPTYPE_UINT64)
    return mine.cpp_type in whole and field.cpp_type in whole


def _last(path: str) -> str:
    """Return the name of the field at the end of a path."""
    return path.rpartition(".")[2].partition(":")[0]
