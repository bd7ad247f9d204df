"""Describe a field in words: its type, its default, and its comment in caffe.proto."""

from __future__ import annotations

import json
from functools import cache
from importlib import resources
from typing import Any

from google.protobuf.descriptor import FieldDescriptor

_TYPE_NAMES = {number: name.removeprefix("TYPE_").lower() for name, number in vars(FieldDescriptor).items()
               if name.startswith("TYPE_")}
# The least and the largest number that a field of each type of whole numbers takes.
RANGES = {"int32": (-2**31, 2**31 - 1), "uint32": (0, 2**32 - 1),
          "int64": (-2**63, 2**63 - 1), "uint64": (0, 2**64 - 1)}


def type_name(field: Any) -> str:
    """The type of a field (a descriptor) as .proto files write it: "int32", "string", …; or "enum" or "message"."""
    return _TYPE_NAMES[field.type]


def default(field: Any) -> str:
    """Return the default of a field as a prototxt writes it; "" for a message and a repeated field."""
    if not field.has_default_value:
        return ""
    if field.enum_type:
        return str(field.enum_type.values_by_number[field.default_value].name)
    if isinstance(field.default_value, float):
        return f"{field.default_value:.6g}"  # a float32: 0.1 and not 0.10000000149
    return json.dumps(field.default_value)


@cache
def comments() -> dict[str, dict[str, str]]:
    """Message -> field -> its comment in caffe.proto, on one line; only what has one."""
    text = resources.files("minicaffe.proto").joinpath("field_comments.json").read_text(encoding="utf-8")
    found: dict[str, dict[str, str]] = json.loads(text)
    return found


def sentence(message: str, field: Any) -> str:
    """Return the comment for a field of a message, and its default: 'how many are read ahead. Default: 4'; or ''."""
    comment = comments().get(message, {}).get(field.name, "").removesuffix(".")
    fallback = f"Default: {default(field)}" if default(field) else ""
    return ". ".join(part for part in (comment, fallback) if part)
