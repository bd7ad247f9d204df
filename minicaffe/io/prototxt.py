"""Prototxt and YAML files. Their names decide: `.yaml` and `.yml` are YAML, everything else is prototxt."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, TypeVar

from minicaffe.errors import ProtoError
from minicaffe.io.files import PathLike, read_bytes, replace_file
from minicaffe.io.sniff import sniff_bytes
from minicaffe.io.wrong_file import wrong_file
from minicaffe.proto import NetParameter, SolverParameter
from minicaffe.proto.foreign import LeaveOut
from minicaffe.proto.text import Source, format_for, parse

T = TypeVar("T")
LARGEST = 64_000_000  # bytes of a text; the largest nets have less than one million

# The last quote may be missing. Else a line of many first quotes would be searched to its end from each of them.
_COMMENT_OR_STRING = re.compile(rb"""("(?:\\.|[^"\\\n])*"?|'(?:\\.|[^'\\\n])*'?)|#[^\n]*""")


def read(path: PathLike, message: Any, leave_out: LeaveOut | None = None) -> Any:
    """Fill `message` from a prototxt or YAML file and return it. ProtoError as for `parse`, or for no file."""
    return parse(read_source(path).text, message, str(path), leave_out)


def read_source(path: PathLike) -> Source:
    """Return the text of a file, which can tell the lines of its fields.

    Raise ProtoError when the file is missing, binary, too large, or not UTF-8.
    """
    return Source(decode(read_bytes(path, LARGEST + 1), path), str(path))


def decode(data: bytes, path: PathLike, *, with_comments: bool = False) -> str:
    """Return the text of a file's bytes. ProtoError as for `read_source`.

    A comment may be in another encoding than UTF-8, and is left out then; with `with_comments` that is an error.
    """
    kind = sniff_bytes(data)
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise ProtoError("this text is UTF-16", where=str(path), hint="save it as UTF-8 in an editor")
    if kind not in ("prototxt", "text"):
        raise wrong_file(path, kind, "prototxt")
    if len(data) > LARGEST:
        raise ProtoError(f"this text is larger than {LARGEST // 10**6} MB, the most that a definition may have",
                         where=str(path))
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        if with_comments:
            raise _not_utf8(path, data, error) from None
        return _without_comments(data, path)


def write(path: PathLike, message: Any) -> None:
    """Write prototxt or, by the file's name, YAML; the old file stays until the new one is whole."""
    replace_file(path, [format_for(str(path), message).encode("utf-8")])


def as_net_or_solver(read: Callable[[Any], T]) -> T:
    """Return read(NetParameter()) or, if that raises a ProtoError, read(SolverParameter())."""
    try:
        return read(NetParameter())
    except ProtoError as not_a_net:
        try:
            return read(SolverParameter())
        except ProtoError as not_a_solver:
            # The file is meant to be what it could be read as for longer: report the error that stands further down.
            raise max((not_a_net, not_a_solver), key=_line) from None


def _line(error: ProtoError) -> int:
    """Return the line that an error names in FILE:LINE:COLUMN, and 0 if it names none."""
    numbers = [int(part) for part in error.where.rsplit(":", 2)[1:] if part.isdigit()]
    return numbers[0] if numbers else 0


def _without_comments(data: bytes, path: PathLike) -> str:
    """Return the text without its comments. Caffe too reads a file in which only comments are in another encoding."""
    bare = _COMMENT_OR_STRING.sub(lambda match: match[1] or b"", data)
    try:
        return bare.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise _not_utf8(path, bare, error) from None


def _not_utf8(path: PathLike, data: bytes, error: UnicodeDecodeError) -> ProtoError:
    line = data.count(b"\n", 0, error.start) + 1
    return ProtoError("this text is not UTF-8", where=f"{path}:{line}",
                      hint="save it as UTF-8 in an editor; Caffe's own names are plain ASCII")
