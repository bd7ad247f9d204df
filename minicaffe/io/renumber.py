"""Give the fields of a binary net of a fork of Caffe our numbers, and guess which fork wrote it.

Both work on the bytes, before protobuf parses them. A parser of our caffe.proto would misread a number that a fork uses
for another field, or drop it. Blobs have the same numbers in all forks. So they are passed over, and a large file takes
no longer than a small one.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any

from minicaffe import proto
from minicaffe.errors import ProtoError
from minicaffe.io.wire import (
    FIXED32,
    FIXED64,
    LENGTH,
    VARINT,
    DamagedError,
    next_field,
    put_tag,
    put_varint,
    signed,
    text,
    varint,
)
from minicaffe.log import log
from minicaffe.proto.describe import type_name
from minicaffe.proto.dialects import BVLC, FORKS, Dialect, dialect, reused

AT_DIALECT = "dialect"  # what the log record of a guess has as `at`
_NET = proto.NetParameter.DESCRIPTOR
_WIRES = {"double": FIXED64, "fixed64": FIXED64, "sfixed64": FIXED64, "float": FIXED32, "fixed32": FIXED32,
          "sfixed32": FIXED32, "string": LENGTH, "bytes": LENGTH, "message": LENGTH}  # all others are varints
# The fields that a layer of a type reads, where their names do not follow from the type's name. Only those are listed
# whose numbers mean different fields in different forks.
_FIELDS_OF = {
    "LSTM": "recurrent", "RNN": "recurrent", "ROIAlign": "roialign roipooling", "SmoothL1LossOHEM": "smoothl1loss",
    "DataAugmentation": "augmentation coeffschedule", "LpqLoss": "lpqloss l1loss", "FLOReader": "reader",
    "ImgReader": "reader", "FLOWriter": "writer", "ImgWriter": "writer", "VideoDataTSN": "videodata",
    "DetectNetTransformation": "detectnetgroundtruth detectnetaugmentation", "RNN_RELU": "recurrent",
}
# Fields that layers of any type may have.
_OF_ANY_TYPE = ("transform", "loss", "quantization", "mngradcompress", "split")


class AmbiguousDialectError(ProtoError):
    """Two dialects explain a net equally well, and would read it differently: the user has to say which it is."""


def in_our_numbers(data: bytes, filename: str, name: str | None = None) -> bytes:
    """Return a binary NetParameter with the numbers of our caffe.proto; the same bytes where it has them already.

    `name` is the dialect that it is written in; None: it is guessed, and logged where it is not BVLC's. Raise
    ProtoError where there is no such dialect, and where two explain the net equally well and would read it differently.
    """
    try:
        chosen = dialect(name) if name else _guess(data, filename)
        return data if chosen.name == BVLC else b"".join(_moved(data, 0, len(data), _NET, chosen))
    except DamagedError:
        return data  # protobuf says what is wrong with them


def _moved(data: bytes, at: int, end: int, message: Any, known: Dialect, blobs: bool = True) -> list[Any]:
    """Return the fields between two offsets as pieces with our numbers. Those that are unknown stay as they are."""
    fields, view = known.fields(message), memoryview(data)
    pieces: list[Any] = []
    while at < end:
        here = at
        number, wire, first, at = next_field(data, at, end)
        field = fields.get(number)
        if field is None or not _wire_fits(field, wire):
            pieces.append(view[here:at])
        elif field.message_type is not None:
            if field.message_type.name == "BlobProto":
                if blobs:
                    pieces.append(view[here:at])
                continue
            inner = _moved(data, first, at, field.message_type, known, blobs)
            pieces += [put_tag(field.number, LENGTH, sum(map(len, inner))), *inner]
        elif field.enum_type is not None and known.values(field.enum_type):
            pieces.append(_moved_enum(data, wire, first, at, field, known.values(field.enum_type)))
        elif field.number == number:
            pieces.append(view[here:at])
        elif wire == VARINT:
            pieces.append(put_tag(field.number, VARINT, first))
        else:
            pieces += [put_varint(field.number << 3 | wire),
                       put_varint(at - first) if wire == LENGTH else b"", view[first:at]]
    return pieces


def _moved_enum(data: bytes, wire: int, first: int, end: int, field: Any, values: dict[int, int]) -> bytes:
    if wire == VARINT:
        return put_tag(field.number, VARINT, values.get(first, first))
    packed = b"".join(put_varint(values.get(value, value)) for value in _varints(data, first, end))
    return put_tag(field.number, LENGTH, len(packed)) + packed


def _varints(data: bytes, at: int, end: int) -> Iterator[int]:
    while at < end:
        value, at = varint(data, at, end)
        yield value


def _guess(data: bytes, filename: str) -> Dialect:
    """Return the dialect that explains the most layers of a net. BVLC's is taken where no other explains more."""
    items = list(_items(data))
    ours = dialect(BVLC)
    counts = {BVLC: sum(_explains(data, *item, ours) for item in items)}
    if counts[BVLC] == len(items):
        return ours
    for name in FORKS:
        counts[name] = sum(_explains(data, *item, dialect(name)) for item in items)
    most = max(counts.values())
    if counts[BVLC] == most:
        return ours
    # ncnn's caffe.proto puts several forks' fields together, to read files that these forks have written.
    best = [name for name in FORKS if counts[name] == most and name != "ncnn"] or ["ncnn"]
    read = {name: b"".join(_moved(data, 0, len(data), _NET, dialect(name), blobs=False)) for name in best}
    # What others explain as well and read in the same way makes no difference.
    others = [name for name in best if read[name] != read[best[0]]]
    if others:
        names = [name for name in best if name == best[0] or name in others]
        raise AmbiguousDialectError(
            f"this binary net is of a fork of Caffe, and {' and '.join(names)} explain its fields equally well, but "
            f"read them differently", where=filename,
            hint=f"say which fork wrote it: --dialect {names[0]}, or read(…, dialect={names[0]!r}) in Python. Its "
                 "weights can be read without that")
    log(AT_DIALECT, lambda: f"{filename} is read with the numbers of {FORKS[best[0]]} (--dialect {best[0]}), which "
                           f"explain {most} of its {len(items)} layers and fields")
    return dialect(best[0])


def _items(data: bytes) -> Iterator[tuple[int, int, Any]]:
    """Yield where the layers of a net begin and end, with their descriptors, and last each field of the net itself."""
    at, end = 0, len(data)
    while at < end:
        here = at
        number, wire, first, at = next_field(data, at, end)
        field = _NET.fields_by_number.get(number)
        if field is not None and field.name in ("layer", "layers") and wire == LENGTH:
            yield first, at, field.message_type
        else:
            yield here, at, _NET


def _explains(data: bytes, at: int, end: int, message: Any, known: Dialect) -> bool:
    """Return whether a dialect knows all that stands between two offsets, and the fields fit the layer's type."""
    try:
        fields = list(_walk(data, at, end, message, known))
    except DamagedError:
        return False
    if None in fields:
        return False
    if message.name != "LayerParameter":
        return True
    numbers = reused("LayerParameter")
    kind = next((text(data, first, stop) for number, _, first, stop in _fields(data, at, end) if number == 2), "")
    return all(_is_of_type(field.name, kind) for number, field in filter(None, fields) if number in numbers)


def _walk(data: bytes, at: int, end: int, message: Any, known: Dialect) -> Iterator[tuple[int, Any] | None]:
    """Yield the number and our field of each field between two offsets; None where the dialect does not know it."""
    fields = known.fields(message)
    for number, wire, first, stop in _fields(data, at, end):
        field = fields.get(number)
        if field is None or not _wire_fits(field, wire):
            yield None
            return
        if field.enum_type is not None and wire == VARINT:
            value = known.values(field.enum_type).get(first, signed(first))
            if value not in field.enum_type.values_by_number:
                yield None
        elif type_name(field) == "bool" and wire == VARINT and first > 1:
            yield None
        elif type_name(field) == "string" and any(byte < 9 for byte in data[first:stop]):
            yield None  # a message of another fork, because no text holds such characters
        elif field.message_type is not None and field.message_type.name != "BlobProto":
            try:
                if None in _walk(data, first, stop, field.message_type, known):
                    yield None
            except DamagedError:
                yield None
        yield number, field


def _fields(data: bytes, at: int, end: int) -> Iterator[tuple[int, int, int, int]]:
    while at < end:
        number, wire, first, at = next_field(data, at, end)
        yield number, wire, first, at


def _wire_fits(field: Any, wire: int) -> bool:
    expected = _WIRES.get(type_name(field), VARINT)
    return wire == expected or (wire == LENGTH and proto.is_repeated(field))  # numbers may stand in one packed field


def _is_of_type(field: str, kind: str) -> bool:
    """Return whether a layer of a type may have a field; also where nothing is known of the type."""
    name = field.removesuffix("_param").replace("_", "")
    if not field.endswith("_param") or name in _OF_ANY_TYPE:
        return True
    own = _FIELDS_OF.get(kind, kind.lower()).split()
    return name in own or not any(one in _all_names() for one in own)


@cache
def _all_names() -> frozenset[str]:
    names = proto.LayerParameter.DESCRIPTOR.fields_by_name
    return frozenset(name.removesuffix("_param").replace("_", "") for name in names if name.endswith("_param"))
