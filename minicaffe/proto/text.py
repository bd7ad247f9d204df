"""Parse and format prototxt and YAML. A parse error shows its place; a formatted message parses as the same message."""

from __future__ import annotations

import re
import struct
from typing import Any

from google.protobuf import text_format

from minicaffe.errors import ProtoError
from minicaffe.proto import foreign, foreign_text
from minicaffe.proto.lines import excerpt
from minicaffe.proto.source import Source, is_yaml
from minicaffe.proto.wording import explain

__all__ = ["Source", "format", "format_for", "parse"]

MOST_BLANKS = 1_000_000  # in one line and one run: the library's parser takes 150 bytes of memory for each
MOST_LINES = 5_000_000  # some 5 s of parsing
MOST_FIELDS = 1_000_000  # and values of lists: 20 s of parsing; a net of 16,000 layers has some 400,000


def parse(text: str, message: Any, filename: str = "<string>", leave_out: foreign.LeaveOut | None = None) -> Any:
    """Fill `message` from prototxt (or from YAML when `filename` ends so) and return it.

    ProtoError, with file, line, column and the line itself, for what the schema does not know, a value of
    another kind, an optional field set twice, or a required field that is missing. `leave_out` says of a net's layer
    whether it is left out of the net; then it may hold fields that the schema does not know, and lacks them after.
    """
    if is_yaml(filename):
        from minicaffe.proto import yaml_text

        yaml_text.parse(text, message, filename, leave_out)
    else:
        _check_size(text, filename)
        _parse_prototxt(text, message, filename, leave_out)
    check_complete(message, filename, Source(text, filename))
    return message


def _parse_prototxt(text: str, message: Any, filename: str, leave_out: foreign.LeaveOut | None) -> None:
    try:
        text_format.Parse(text, message)
        return
    except text_format.ParseError as error:
        located = _located(error, text, message, filename)
        found = foreign_text.find(text, message.DESCRIPTOR) if "has no " in str(error) else []
        if not found or (found[0].line, found[0].column) != (error.GetLine(), error.GetColumn()):
            raise located from None
    except (ValueError, RecursionError) as error:  # what the library's own checks let through
        raise ProtoError(f"this is not a prototxt: {error}", where=filename) from None
    message.Clear()
    if leave_out:
        _parse_prototxt(foreign_text.without(text, found), message, filename, None)
    foreign.refuse(found, message, text, filename, leave_out)


def format(message: Any, *, ascii_only: bool = False) -> str:
    """Return the message as prototxt: two spaces a level, the shortest decimals that read back as the same float.

    With `ascii_only`, letters that are not ASCII are written as escapes.
    """
    return text_format.MessageToString(message, as_utf8=not ascii_only)


def format_as_caffe(message: Any) -> str:
    """Return the message as protobuf in C++ prints it, which Caffe's tools use: 1 in place of 1.0, 1e+06, escapes."""
    # only float fields have a point or an exponent, and a string stands in quotes
    return re.sub(r"(?m)^( *\w+: )(-?\d+(?:\.\d+)?(?:e[+-]\d+)?)$",
                  lambda found: found[1] + (float32_digits(found[2]) if set(".e") & set(found[2]) else found[2]),
                  format(message, ascii_only=True))


def float32_digits(number: str | float) -> str:
    """Return a float32 with six digits or, where these do not give it back, with nine."""
    six = f"{float(number):.6g}"
    return six if _float32(six) == _float32(number) else f"{_float32(number):.9g}"


def _float32(number: str | float) -> float:
    return float(struct.unpack("f", struct.pack("f", float(number)))[0])


def format_for(filename: str, message: Any) -> str:
    """Return the message as YAML where the file's name ends so, else as prototxt."""
    if is_yaml(filename):
        from minicaffe.proto import yaml_text

        return yaml_text.format(message)
    return format(message)


def check_complete(message: Any, filename: str, source: Source | None = None) -> None:
    """ProtoError when a required field is missing anywhere in the message."""
    missing = message.FindInitializationErrors()
    if missing:
        path = missing[0]
        holder, _, field = path.rpartition(".")
        where = source.where(holder) if source and holder else filename
        holder = holder or message.DESCRIPTOR.name
        raise ProtoError(f"{holder} needs {field!r}, which has no default", where=where)


def _check_size(text: str, filename: str) -> None:
    """ProtoError for a text for which the library's parser would need minutes or gigabytes."""
    if len(text) <= MOST_BLANKS:
        return
    if _most_values(text) > MOST_FIELDS:
        bare = re.sub(r"#[^\n]*", "", text)
        if _most_values(bare) > MOST_FIELDS:
            raise ProtoError(f"more than {MOST_FIELDS:,} fields and values stand here", where=filename)
    if text.count("\n") > MOST_LINES:
        raise ProtoError(f"more than {MOST_LINES:,} lines stand here", where=filename)
    for run in re.finditer(r"[^\S\n]+", text):
        if len(run[0]) > MOST_BLANKS:
            raise ProtoError(f"more than {MOST_BLANKS:,} blanks stand here in one line",
                             where=f"{filename}:{text.count(chr(10), 0, run.start()) + 1}")


def _most_values(text: str) -> int:
    """Return an upper bound for the number of values in a text, found without parsing from the marks around values."""
    return max(sum(map(text.count, ":{<,")), sum(map(text.count, "\"'")) // 2)


def _located(error: text_format.ParseError, text: str, message: Any, filename: str) -> ProtoError:
    line, column = error.GetLine() or 1, error.GetColumn() or 1
    sentence = re.sub(r"^\d+:\d+ : ", "", str(error))
    sentence = sentence.removeprefix(f"'{text.split(chr(10))[line - 1]}': ")  # the library's own excerpt
    sentence, hint = explain(sentence, message.DESCRIPTOR, text.split("\n")[line - 1])
    place = f"{filename}:{line}:{column}"
    return ProtoError(f"{sentence}\n{excerpt(text, line, column)}", where=place, hint=hint)
