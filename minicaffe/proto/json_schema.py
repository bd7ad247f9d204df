"""A JSON Schema of Caffe's messages in YAML. With it an editor completes and checks a net while it is written.

It is written in draft 07, which the YAML extensions of editors read. It accepts what `yaml_text` accepts, but only
in the usual spelling: an editor may object to `yes` for true, or to an enum's number, though minicaffe reads them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from minicaffe import proto
from minicaffe.proto import describe

DRAFT = "http://json-schema.org/draft-07/schema#"
# A string may look like another kind of value in YAML: a layer may be named 1 or yes.
_TEXT = {"type": ["string", "number", "boolean"]}

Words = Mapping[str, Sequence[str]]  # 'LayerParameter.type' -> the strings that are known for the field


def schema(message: str, title: str, words: Words) -> dict[str, Any]:
    """Return the schema of a message. An editor offers `words` for their fields; any other string is accepted too."""
    definitions: dict[str, Any] = {}
    waiting = [message]
    while waiting:
        name = waiting.pop()
        if name not in definitions:
            descriptor = proto.message_class(name).DESCRIPTOR
            definitions[name] = _message(descriptor, words)
            waiting += [field.message_type.name for field in descriptor.fields if field.message_type]
    return {"$schema": DRAFT, "title": title, "allOf": [_reference(message)],
            "definitions": {name: definitions[name] for name in sorted(definitions)}}


def _message(descriptor: Any, words: Words) -> dict[str, Any]:
    fields = {field.name: _field(descriptor.name, field, words) for field in descriptor.fields}
    required = proto.message_class(descriptor.name)().FindInitializationErrors()
    # nothing at all, `relu_param:`, is a message without fields
    return {"type": ["object", "null"], "properties": fields, "additionalProperties": False,
            **({"required": required} if required else {})}


def _field(message: str, field: Any, words: Words) -> dict[str, Any]:
    value = _reference(field.message_type.name) if field.message_type else _scalar(field)
    if known := words.get(f"{message}.{field.name}"):
        value = {"anyOf": [{"enum": list(known)}, _TEXT]}
    if proto.is_repeated(field):
        value = {"anyOf": [value, {"type": "array", "items": value}]}
    elif field.message_type:
        value = {"allOf": [value]}  # draft 07 passes over all that stands beside a $ref, and so over the description
    said = describe.sentence(message, field)
    return {**({"description": said} if said else {}), **value}


def _scalar(field: Any) -> dict[str, Any]:
    kind = describe.type_name(field)
    if kind == "enum":
        return {"enum": [value.name for value in field.enum_type.values]}
    if kind in describe.RANGES:
        lowest, highest = describe.RANGES[kind]
        return {"type": "integer", "minimum": lowest, "maximum": highest}
    return {"float": {"type": "number"}, "double": {"type": "number"}, "bool": {"type": "boolean"}}.get(kind, _TEXT)


def _reference(message: str) -> dict[str, str]:
    return {"$ref": f"#/definitions/{message}"}
