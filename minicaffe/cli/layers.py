"""List the layer types, or print one's datasheet: what it computes, its fields, and a sample that runs.

  minicaffe layers                        all types, in their families
  minicaffe layers lrn                    one type; its capitals do not matter
  minicaffe layers --import softsign      the types and fillers of a module of your own, too

Types and fillers that installed packages bring are listed with the package that each comes from.
"""

from __future__ import annotations

import argparse
import inspect
import json
import re
from functools import cache
from importlib import resources
from typing import Any, NamedTuple

from minicaffe import plugins
from minicaffe.cli.layout import entry, prose, terminal_width, wrap
from minicaffe.cli.terminal import say
from minicaffe.cli.user_code import add_user_code
from minicaffe.errors import LayerError
from minicaffe.filler import FILLERS
from minicaffe.layer import Layer, layer_class, registered_types, unknown_type_hint
from minicaffe.layers import FAMILIES
from minicaffe.proto import LayerParameter, is_repeated

PIPED = 80  # columns for a reader that is no terminal


class Field(NamedTuple):
    """One line of the table of fields."""

    name: str
    type: str
    default: str
    comment: str


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", metavar="NAME", nargs="?", help="a layer type; without it, all are listed")
    add_user_code(parser)


def run(args: argparse.Namespace) -> int:
    say(page(find(args.name)) if args.name else overview())
    return 0


def find(name: str) -> str:
    """The layer type of this name, whatever its capitals; LayerError with near names when there is none."""
    same = _same(name)
    if not same:
        plugins.load_installed()
        same = _same(name)
    if not same:
        raise LayerError(f"there is no layer type {name!r}", hint=unknown_type_hint(name))
    return same[0]


def _same(name: str) -> list[str]:
    """The known types with this name, else those that have it but for the capitals."""
    known = registered_types()
    return [t for t in known if t == name] or [t for t in known if t.lower() == name.lower().replace("_", "")]


def overview() -> str:
    """All types by family, one line each; then those from outside, by the module that they come from."""
    plugins.load_installed()
    column, width = max(map(len, registered_types())) + 4, terminal_width(PIPED)
    blocks = ["\n".join([family, *(line for name in types for line in entry(name, summary(name), column, width))])
              for family, types in families().items()]
    for origin, found in plugins.brought().items():
        layers_first = sorted(found, key=lambda one: (one[0] != plugins.LAYER, one[1]))
        lines = [line for kind, name in layers_first for line in entry(name, _says(kind, name), column, width)]
        blocks += ["\n".join([*wrap(f"from the {origin}", width), *lines])] if found else []
    return "\n\n".join([*blocks, *_left_out(width), "minicaffe layers NAME prints a type's datasheet."])


def _says(kind: str, name: str) -> str:
    """The first sentence of a layer type's or a filler's docstring, with the word "filler" before the latter."""
    if kind == plugins.LAYER:
        return summary(name)
    told = (FILLERS[name].__doc__ or "").split("\n\n")[0]
    return f"Filler: {' '.join(told.split())}" if told else "Filler."


def _left_out(width: int) -> list[str]:
    """A line about the installed packages whose types are not in the list, where --no-python is given."""
    found = plugins.left_out()
    return ["\n".join(wrap(f"Not loaded, because of --no-python: {', '.join(found)}.", width))] if found else []


def page(name: str) -> str:
    """One type's datasheet, its fields, and a sample."""
    width = terminal_width(PIPED)
    origin, told = plugins.origin_of(plugins.LAYER, name), datasheet(name)
    head = f"{name}, a layer from the {origin}" if origin else f"{name}, a layer of the family {family_of(name)}"
    parts = ["\n".join(wrap(head, width)), *([prose(told, width)] if told else [])]
    for message, rows in fields(name).items():
        widths = [max(len(row[i]) for row in rows) + 2 for i in range(3)]
        lines = [line for row in rows for line in
                 entry(f"{row.name:{widths[0]}}{row.type:{widths[1]}}{row.default:{widths[2]}}".rstrip(), row.comment,
                       2 + sum(widths), width)]
        parts.append(f"Fields of {message}, with type and default\n" + "\n".join(lines))
    if name in samples():  # a type from outside has none
        parts.append("\n".join(["Sample", *_sample_lines(name, width)]))
    return "\n\n".join(parts)


def _sample_lines(name: str, width: int) -> list[str]:
    """The sample, indented; a line is broken where a prototxt may be."""
    found = []
    for line in sample(name).split("\n"):
        indent = "  " + " " * (len(line) - len(line.lstrip()))
        code, mark, comment = line.strip().partition("  # ")
        if mark and len(line) + 2 > width:
            found += wrap(comment, width, f"{indent}# ", f"{indent}# ")
            found += wrap(code, width, indent, indent + "    ")
        else:
            found += [f"  {line}"] if len(line) + 2 <= width else wrap(code, width, indent, indent + "    ")
    return found


# --- what both the command and docs/generate.py show -------------------------------------------------------

def families() -> dict[str, list[str]]:
    """Family -> its types, both in the order of Caffe's own catalogue; types from outside are in none."""
    return {family: [name for name in registered_types() if family_of(name) == family] for family in FAMILIES}


def family_of(name: str) -> str:
    """The family that a type belongs to, from its module's place; '' for a type from outside."""
    return "" if plugins.origin_of(plugins.LAYER, name) else layer_class(name).__module__.split(".")[-2]


def source_file(name: str) -> str:
    """The file that holds the type."""
    return inspect.getfile(layer_class(name))


def datasheet(name: str) -> str:
    """The docstring of the type's class, not of a base: without one of its own a class would show Layer's."""
    return inspect.cleandoc(layer_class(name).__doc__ or "")


def summary(name: str) -> str:
    """The datasheet's first sentence, on one line."""
    text = " ".join(datasheet(name).split("\n\n")[0].split())
    return re.split(r"(?<=\.) ", text)[0]


def fields(name: str) -> dict[str, list[Field]]:
    """Message -> the fields that the type reads, for each message that it reads."""
    cls = layer_class(name)
    messages = ([cls.message] if cls.message else []) + list(cls.also_reads)
    return {message: rows for message in messages if (rows := _rows(cls, message))}


@cache
def samples() -> dict[str, str]:
    """Type -> a net with one layer of it, from samples.prototxt."""
    text = resources.files("minicaffe.layers").joinpath("samples.prototxt").read_text(encoding="utf-8")
    parts = re.split(r"^# (\w+)\n", text, flags=re.MULTILINE)[1:]
    return {name: body.strip() for name, body in zip(parts[::2], parts[1::2], strict=True)}


def sample(name: str) -> str:
    """A net with one layer of the type, that runs."""
    return samples()[name]


@cache
def _comments() -> dict[str, dict[str, str]]:
    text = resources.files("minicaffe.proto").joinpath("field_comments.json").read_text(encoding="utf-8")
    found: dict[str, dict[str, str]] = json.loads(text)
    return found


def _rows(cls: type[Layer], message: str) -> list[Field]:
    descriptor = LayerParameter.DESCRIPTOR.fields_by_name[message].message_type
    read = [field for field in descriptor.fields if field.name not in cls.unread]
    if message != cls.message:  # of a message that others own, what the datasheet names
        named = re.search(rf"\b{message}:(.*?)(?=\w+_param:|\n[A-Z]|\Z)", datasheet(cls.type), re.DOTALL)
        read = [field for field in descriptor.fields if named and re.search(rf"\b{field.name}\b", named[1])]
    return [Field(field.name, _type(field), _default(field), _comments().get(descriptor.name, {}).get(field.name, ""))
            for field in read]


def _type(field: Any) -> str:
    if field.message_type is not None:
        word = field.message_type.name
    elif field.enum_type is not None:
        word = " | ".join(value.name for value in field.enum_type.values)
    else:
        word = {field.TYPE_STRING: "string", field.TYPE_BOOL: "bool", field.TYPE_FLOAT: "float",
                field.TYPE_INT32: "int32", field.TYPE_UINT32: "uint32", field.TYPE_INT64: "int64"}[field.type]
    return f"{word}, repeated" if is_repeated(field) else word


def _default(field: Any) -> str:
    if not field.has_default_value:
        return "–"
    if field.enum_type is not None:
        return str(field.enum_type.values_by_number[field.default_value].name)
    if isinstance(field.default_value, bool):
        return str(field.default_value).lower()
    if isinstance(field.default_value, float):
        return f"{field.default_value:.6g}"
    return str(field.default_value) or '""'
