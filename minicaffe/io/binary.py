"""Binary messages. protobuf reads whole ones; binary_weights.py reads weights alone, and is faster.

    read("lenet.caffemodel", proto.NetParameter())     the definition and the blobs as messages
    read("a.caffemodel", proto.NetParameter(), dialect="nvidia")       the same, with the numbers of NVIDIA's fork
    read_weights("lenet.caffemodel")                   names and arrays only: fast, and fields of forks do not matter
"""

from __future__ import annotations

from typing import Any

from google.protobuf.message import DecodeError, EncodeError

from minicaffe import proto
from minicaffe.errors import ProtoError
from minicaffe.io.binary_weights import (
    LayerWeights,
    SolverSnapshot,
    read_blob,
    read_solverstate,
    read_weights,
    write_blob,
    write_solverstate,
    write_weights,
)
from minicaffe.io.blobs import array_to_blob, blob_to_array
from minicaffe.io.files import PathLike, read_bytes, replace_file
from minicaffe.io.renumber import in_our_numbers
from minicaffe.io.sniff import describe, sniff, sniff_bytes

__all__ = [
    "LayerWeights",
    "SolverSnapshot",
    "array_to_blob",
    "blob_to_array",
    "describe",
    "parse",
    "read",
    "read_blob",
    "read_solverstate",
    "read_weights",
    "sniff",
    "sniff_bytes",
    "write",
    "write_blob",
    "write_solverstate",
    "write_weights",
]

_KIND = {"NetParameter": "caffemodel", "SolverState": "solverstate", "BlobProto": "blob", "Datum": "datum"}


def parse(data: bytes, message: Any, filename: str = "<bytes>", dialect: str | None = None) -> Any:
    """Fill `message` from its binary form and return it; ProtoError for damaged bytes, or those of another kind.

    `dialect` is the fork of Caffe whose numbers a NetParameter has, one of `proto.dialects.NAMES`; None: it is guessed.
    Raise ProtoError where it cannot be guessed, MemoryError where the library got no memory.
    """
    wanted, found = _KIND.get(message.DESCRIPTOR.name, ""), ""
    if wanted and data:  # an empty file is a valid message without fields
        found = sniff_bytes(data)
    if found not in ("", "unknown", wanted):
        raise ProtoError(f"this is {describe(found)}, not {describe(wanted)}", where=filename)
    name = message.DESCRIPTOR.name
    if name == "NetParameter":
        data = in_our_numbers(data, filename, dialect)
    try:
        message.ParseFromString(data)
    except (DecodeError, UnicodeDecodeError) as error:  # protobuf in pure Python checks the text at once
        if "alloc failed" in str(error):
            raise MemoryError(f"{filename} does not fit into it") from None
        raise ProtoError(f"this {name} is damaged or cut short", where=filename) from None
    _check_text(message, name, filename)
    missing = message.FindInitializationErrors()
    if missing:
        raise ProtoError(f"this {name} lacks {missing[0]}, which has no default", where=filename,
                         hint="a fork of Caffe may have written it; read_weights reads the arrays alone")
    return message


def _check_text(message: Any, place: str, filename: str) -> None:
    """ProtoError for a string that is not UTF-8.

    protobuf returns such a string as bytes. Without this check the error would come where it is first used.
    """
    for field, value in message.ListFields():
        if not field.message_type and field.type != field.TYPE_STRING:
            continue
        for index, item in enumerate(value if proto.is_repeated(field) else [value]):
            here = f"{field.name}[{index}]" if proto.is_repeated(field) else field.name
            if field.type == field.TYPE_STRING and isinstance(item, bytes):
                raise ProtoError(f"{place}.{here} is not UTF-8: {item!r}", where=filename,
                                 hint="the file is damaged, or this text is in another encoding")
            if field.message_type and field.message_type.name != "BlobProto":
                _check_text(item, f"{place}.{here}", filename)


def read(path: PathLike, message: Any, dialect: str | None = None) -> Any:
    """Fill `message` from a binary file and return it. ProtoError as for `parse`, and where there is no such file."""
    return parse(read_bytes(path), message, str(path), dialect)


def write(path: PathLike, message: Any) -> None:
    """Write the message in binary; the old file stays until the new one is whole.

    Raise ProtoError when a required field is missing, DataError when the system refuses to write.
    """
    try:
        data = message.SerializeToString()
    except EncodeError as error:
        raise ProtoError(f"cannot write {path}: {error}") from None
    replace_file(path, [data])
