"""Tell from the content of a file what it is, so that an error can say what was given instead of what was wanted."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from minicaffe.errors import ProtoError
from minicaffe.io.file_bytes import FileBytes
from minicaffe.io.files import PathLike, unreadable
from minicaffe.io.wire import FIXED32, FIXED64, LENGTH, VARINT, DamagedError, next_field, varint

KINDS = {
    "blob": "a single blob (a mean image?)",
    "caffemodel": "weights (a caffemodel)",
    "datum": "a single datum",
    "empty": "an empty file",
    "folder": "a folder",
    "git-lfs": "a Git LFS pointer: the real file was never downloaded (git lfs pull)",
    "gzip": "a gzip archive, still packed",
    "hdf5": "an HDF5 file",
    "html": "a web page: the download gave a page instead of the file",
    "image": "an image",
    "leveldb": "a LevelDB",
    "lmdb": "an LMDB",
    "npz": "an .npz of arrays",
    "onnx": "an ONNX model",
    "pickle": "a Python pickle (of PyTorch or scikit-learn?)",
    "prototxt": "a prototxt",
    "safetensors": "a .safetensors file",
    "solverstate": "a solver state",
    "text": "plain text",
    "unknown": "a file of an unknown kind",
    "zeros": "a file of zero bytes: a copy that was never finished",
    "zip": "a zip archive",
}

SAFETENSORS_HEADER = 100_000_000  # the longest header, in bytes, that the format allows

GZIP = b"\x1f\x8b"  # how a file begins that gzip has packed

_MAGIC = (
    (0, b"\x89HDF\r\n\x1a\n", "hdf5"),
    (0, b"PK\x03\x04", "zip"),
    (0, b"PK\x05\x06", "zip"),  # one without members
    (0, GZIP + b"\x08", "gzip"),
    (0, b"\x80\x02", "pickle"),
    (0, b"\x80\x03", "pickle"),
    (0, b"\x80\x04\x95", "pickle"),
    (0, b"\x89PNG\r\n", "image"),
    (0, b"\xff\xd8\xff", "image"),
    (16, b"\xde\xc0\xef\xbe", "lmdb"),  # data.mdb: 0xBEEFC0DE after the page's head
    (0, b"version https://git-lfs", "git-lfs"),
)


def sniff(path: PathLike) -> str:
    """Return a short word for what a file or folder holds: a key of KINDS. Raise ProtoError when it cannot be read."""
    place = Path(path)
    if place.is_dir():
        if (place / "data.mdb").exists():
            return "lmdb"
        return "leveldb" if (place / "CURRENT").exists() else "folder"
    if place.exists() and not place.is_file():  # a pipe gives its bytes only once: the reader would lack the first
        raise ProtoError(f"{path} is a pipe or a device, but this file is read twice",
                         hint="write it into a file first")
    try:
        data = FileBytes(place)
        return _by_head(data[:4096]) or _by_fields(data)
    except (OSError, ValueError) as error:
        raise unreadable(path, error) from error


def sniff_bytes(data: bytes) -> str:
    """Do the same as `sniff` for content in memory."""
    return _by_head(data[:4096]) or _by_fields(data)


def describe(kind: str) -> str:
    """Return the words for a kind, to be used in a sentence: 'a solver state'."""
    return KINDS.get(kind, kind)


def _by_head(head: bytes) -> str:
    if not head:
        return "empty"
    for offset, magic, kind in _MAGIC:
        if head[offset : offset + len(magic)] == magic:
            return "npz" if kind == "zip" and _first_member(head).endswith(b".npy") else kind
    if head[8:9] == b"{" and int.from_bytes(head[:8], "little") <= SAFETENSORS_HEADER:
        return "safetensors"
    if len(head) > 64 and not any(head):
        return "zeros"
    if re.search(rb"[\x00-\x08\x0e-\x1a\x7f]", head):  # control characters, which no text has: a binary message
        return ""
    if re.match(rb"\s*<(!doctype|html|\?xml)", head, re.IGNORECASE):
        return "html"
    # C:\images\1.jpg in a list of files is no field
    return "prototxt" if re.search(rb"^\s*(?![A-Za-z]:[\\/])\w+\s*[:{]", head, re.MULTILINE) else "text"


def _first_member(head: bytes) -> bytes:
    """Return the name of a zip archive's first file."""
    return head[30 : 30 + int.from_bytes(head[26:28], "little")]


def _by_fields(buffer: Any) -> str:
    """Guess the message from the numbers and wire types of its outermost fields.

    A file that was cut short is recognised by the fields before the cut, so that it can be called damaged.
    """
    seen, whole = _outermost_fields(buffer)
    if {(1, VARINT), (7, LENGTH), (8, LENGTH)} <= seen and (2, VARINT) not in seen:  # which a blob of old files has
        return "onnx"
    if (1, VARINT) in seen and {(2, LENGTH), (3, LENGTH)} & seen and (5, LENGTH) not in seen:
        return "solverstate"
    if (100, LENGTH) in seen or ((2, LENGTH) in seen and (1, VARINT) not in seen):
        return "caffemodel" if whole or len(seen) <= 12 else "unknown"
    if {(5, LENGTH), (5, FIXED32), (8, FIXED64)} & seen or {(7, LENGTH), (8, LENGTH)} <= seen:
        return "blob" if (1, LENGTH) not in seen else "unknown"
    if (4, LENGTH) in seen and (1, VARINT) in seen:
        return "datum"
    return "solverstate" if whole and seen <= {(1, VARINT), (4, VARINT)} else "unknown"


def _outermost_fields(buffer: Any) -> tuple[set[tuple[int, int]], bool]:
    """Return the (number, wire type) of each field of a message, up to the first damage; and whether there is none."""
    seen: set[tuple[int, int]] = set()
    at, end = 0, len(buffer)
    try:
        while at < end:
            tag, _ = varint(buffer, at, end)
            seen.add((tag >> 3, tag & 7))  # before the field's end is known: the last one of a cut file counts too
            at = next_field(buffer, at, end)[3]
    except DamagedError:
        return seen, False
    return seen, True
