"""Caffe's messages as YAML: the same field names, without braces, quotes and repeated keys.

    name: LeNet
    layer:
    - {name: data, type: Input, top: data, input_param: {shape: {dim: [64, 1, 28, 28]}}}
    - name: conv1
      type: Convolution
      bottom: data
      top: conv1
      convolution_param: {num_output: 20, kernel_size: 5}

The schema says how a scalar reads, not YAML: `1e-3` is a number where YAML 1.1 sees a string, and a layer may be
named `123` or `yes`. A repeated field takes a list or one value alone, an enum its value's name, a string its text;
bytes that are no plain text stand as `!!binary`. Anchors, aliases and `<<` work.

PyYAML only reads the text into nodes, and writes nodes as text. The step from nodes to messages is our own code, for
four reasons. PyYAML decides without the schema what kind a scalar is. It keeps no lines and columns, which errors need,
and neither does protobuf's reader of dicts. Of two equal keys it takes the second without a word. And it follows
aliases of aliases without end.
"""

from __future__ import annotations

import base64
import binascii
import math
import re
from collections.abc import Iterator
from typing import Any

import numpy as np
import yaml

from minicaffe.errors import ProtoError
from minicaffe.log import visible
from minicaffe.proto import foreign, is_repeated
from minicaffe.proto.describe import RANGES, type_name
from minicaffe.proto.lines import DEEPEST, FieldLine, excerpt
from minicaffe.proto.wording import unknown_enum_value, unknown_field

_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_Dumper: Any = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
_TAG = "tag:yaml.org,2002:"

MOST_NODES = 1_000_000  # names, values, lists and mappings; a net of 16,000 layers has some 700,000

_TRUE, _FALSE = ("true", "yes", "on"), ("false", "no", "off")
_EXPECTED = {"double": "a number", "float": "a number", "bool": "true or false", "string": "a string",
             "bytes": "a string or !!binary", "enum": "the name of a value"}  # all others are integers


def parse(text: str, message: Any, filename: str = "<string>", leave_out: foreign.LeaveOut | None = None) -> Any:
    """Fill `message` from YAML and return it; ProtoError and `leave_out` as for `text.parse`."""
    reader = _Reader(text, filename)
    reader.fill(message)
    foreign.refuse(reader.foreign, message, text, filename, leave_out)
    return message


def format(message: Any) -> str:
    """Return the message as YAML that reads back as the same message."""
    node = _node(message)
    if not node.value:
        return "{}\n"
    shown = yaml.serialize(node, Dumper=_Dumper, allow_unicode=True, width=110)
    if visible(shown) == shown:
        return shown
    # A character that could change how a terminal shows the text is written as an escape, such as \u202E.
    return yaml.serialize(node, Dumper=_Dumper, allow_unicode=False, width=110)


def entries(text: str) -> Iterator[FieldLine]:
    """Yield each field that is set, in order, for `source.Source`: 'layer[0]', 'layer[0].name[0]', ..."""
    yield from _entries(_compose(text), "", 0)


class _Refused(yaml.MarkedYAMLError):
    """YAML that is too much to read; the problem is a whole sentence."""


def _compose(text: str) -> Any:
    """Return the root node. Raise an error where the text has too many nodes, or is nested too deeply.

    Both are counted before the nodes are made. libyaml overflows the C stack when it makes deeply nested nodes, and a
    few lines of aliases of aliases become billions of nodes.
    """
    sizes, names = [0], [""]  # for each collection that is open: its nodes so far, those of aliases too, and its anchor
    anchors: dict[str, int] = {}  # the number of nodes that an alias is replaced by
    for event in yaml.parse(text, Loader=_Loader):
        mark: Any = event.start_mark
        if isinstance(event, yaml.CollectionStartEvent):
            sizes.append(1)
            names.append(event.anchor or "")
            if len(sizes) > DEEPEST + 1:
                raise _Refused(problem="this is nested too deeply", problem_mark=mark)
        elif isinstance(event, yaml.CollectionEndEvent):
            size = sizes.pop()
            anchors[names.pop()] = size
            sizes[-1] += size
        elif isinstance(event, yaml.ScalarEvent):
            anchors[event.anchor or ""] = 1
            sizes[-1] += 1
        elif isinstance(event, yaml.AliasEvent):
            if event.anchor in names:
                raise _Refused(problem=f"the alias *{event.anchor} stands inside what it names", problem_mark=mark)
            sizes[-1] += anchors.get(str(event.anchor), 1)
        if sizes[-1] > MOST_NODES:
            problem = f"more than {MOST_NODES:,} names and values stand here, each alias counted in full"
            raise _Refused(problem=problem, problem_mark=mark)
    return yaml.compose(text, Loader=_Loader)


def _entries(node: Any, prefix: str, depth: int) -> Iterator[FieldLine]:
    if not isinstance(node, yaml.MappingNode) or depth > DEEPEST:
        return
    for key, value in node.value:
        listed = isinstance(value, yaml.SequenceNode)
        for index, item in enumerate(value.value if listed else [value]):
            path = f"{prefix}{key.value}[{index}]"
            yield path, (item if listed else key).start_mark.line + 1, str(getattr(item, "value", ""))
            yield from _entries(item, path + ".", depth + 1)


class _Reader:
    """Reads one text into a message."""

    def __init__(self, text: str, filename: str) -> None:
        self.text, self.filename = text, filename
        self.merged: dict[int, list[tuple[Any, Any]]] = {}  # a mapping node's pairs, `<<` resolved
        self.foreign: list[foreign.Foreign] = []
        self.outermost: Any = None
        self.layer: tuple[str, int] | None = None  # the layer of the outermost message that is read now

    def fill(self, message: Any) -> None:
        self.outermost = message
        try:
            node = _compose(self.text)
        except yaml.MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            problem = ", ".join(part for part in (error.context, error.problem) if part)
            hint = "a backslash begins an escape between double quotes; between single quotes, or with slashes, a " \
                   "path stands as it is" if re.search("escape|hexdecimal", problem) else ""
            words = problem if isinstance(error, _Refused) else f"this is not YAML: {problem}"
            raise self._at(mark, words, hint) from None
        except (yaml.YAMLError, ValueError, RecursionError) as error:
            raise ProtoError(f"this is not YAML: {error}", where=self.filename) from None
        try:
            if node is not None:
                self.message(node, message, message.DESCRIPTOR)
        except RecursionError:  # the nesting is bounded, but not how many mappings each take in the one before
            raise ProtoError("too many mappings take in one another with <<", where=self.filename) from None

    def message(self, node: Any, message: Any, root: Any = None) -> None:
        """Fill one message from a mapping. A null, or nothing at all, is a message without fields."""
        if _is_null(node):
            return
        descriptor = message.DESCRIPTOR
        if not isinstance(node, yaml.MappingNode):
            raise self.wrong(node, f"a mapping of {descriptor.name}'s fields")
        seen: set[str] = set()
        for key, value in self.pairs(node):
            if message is self.outermost:
                self.layer = None
            name = _name(key)
            field = descriptor.fields_by_name.get(name)
            if field is None:
                self.note_foreign(key, *unknown_field(descriptor, name, root))
                continue
            if name in seen:
                raise self.error(key, f"{name!r} is specified multiple times in one {descriptor.name}",
                                 "several values of a repeated field stand in one list: [a, b]")
            seen.add(name)
            self.field(field, value, message)

    def field(self, field: Any, node: Any, message: Any) -> None:
        many = is_repeated(field)
        target: Any = getattr(message, field.name) if many or field.message_type else None
        for index, item in enumerate(node.value if many and isinstance(node, yaml.SequenceNode) else [node]):
            if message is self.outermost and field.name in ("layer", "layers"):
                self.layer = (field.name, index)
            if field.message_type:
                if not many:  # a message counts as given also where it has no fields
                    target.SetInParent()
                self.message(item, target.add() if many else target)
            elif (value := self.scalar(field, item)) is None:  # an enum's value that is not known
                continue
            elif many:
                target.append(value)
            else:
                setattr(message, field.name, value)

    def pairs(self, node: Any) -> list[tuple[Any, Any]]:
        """The fields of a mapping: its own, and those that it lacks from the mappings that it merges with `<<`."""
        if id(node) in self.merged:
            return self.merged[id(node)]
        own = [(key, value) for key, value in node.value if key.tag != _TAG + "merge"]
        have = {_name(key) for key, _ in own}
        for key, value in node.value:
            if key.tag != _TAG + "merge":
                continue
            for source in value.value if isinstance(value, yaml.SequenceNode) else [value]:
                if not isinstance(source, yaml.MappingNode):
                    raise self.wrong(source, "a mapping to merge")
                taken = [pair for pair in self.pairs(source) if _name(pair[0]) not in have]
                have |= {_name(key) for key, _ in taken}
                own += taken
        self.merged[id(node)] = own
        return own

    def scalar(self, field: Any, node: Any) -> Any:
        """Return the value of one scalar node, as the type of the field reads it; None for an unknown enum value."""
        kind = type_name(field)
        expected = _EXPECTED.get(kind, "an integer")
        if not isinstance(node, yaml.ScalarNode) or _is_null(node):
            raise self.wrong(node, expected)
        value, quoted = node.value, bool(node.style)
        if kind == "string":
            return value
        if kind == "bytes":
            return self.raw(node)
        if kind == "enum":
            return self.enum(field.enum_type, node)
        if quoted:
            raise self.wrong(node, expected, "take away the quotes")
        if kind == "bool" and value.lower() in _TRUE + _FALSE:
            return value.lower() in _TRUE
        if kind in ("float", "double") and (number := _number(value)) is not None:
            return number
        if kind in RANGES and (whole := _integer(value)) is not None:
            lowest, highest = RANGES[kind]
            if lowest <= whole <= highest:
                return whole
            raise self.error(node, f"{field.name} takes {lowest} to {highest}, got {value}")
        raise self.wrong(node, expected)

    def enum(self, enum: Any, node: Any) -> int | None:
        by_number = None if node.style else enum.values_by_number.get(_integer(node.value))
        found = enum.values_by_name.get(node.value) or by_number
        if found is None:
            self.note_foreign(node, *unknown_enum_value(enum, node.value))
            return None
        return int(found.number)

    def raw(self, node: Any) -> bytes:
        if node.tag != _TAG + "binary":
            return str(node.value).encode("utf-8")
        try:
            return base64.b64decode("".join(node.value.split()), validate=True)
        except (binascii.Error, ValueError):
            raise self.wrong(node, "base64 after !!binary") from None

    def note_foreign(self, node: Any, sentence: str, hint: str) -> None:
        """Keep a field or an enum value that the schema does not know; `foreign.refuse` has the last word on it."""
        mark = node.start_mark
        place = (mark.index, node.end_mark.index)
        self.foreign.append(foreign.Foreign(self.layer, mark.line + 1, mark.column + 1, sentence, hint, place))

    def wrong(self, node: Any, expected: str, hint: str = "") -> ProtoError:
        """Return the error for a node of another kind than the field takes."""
        if isinstance(node, yaml.ScalarNode):
            got = "nothing (null)" if _is_null(node) else repr(node.value)
        else:
            got = "a list" if isinstance(node, yaml.SequenceNode) else "a mapping"
        return self.error(node, f"expects {expected}, got {got}", hint)

    def error(self, node: Any, sentence: str, hint: str = "") -> ProtoError:
        return self._at(node.start_mark, sentence, hint)

    def _at(self, mark: Any, sentence: str, hint: str = "") -> ProtoError:
        line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
        return ProtoError(f"{sentence}\n{excerpt(self.text, line, column)}",
                          where=f"{self.filename}:{line}:{column}", hint=hint)


def _name(key: Any) -> str:
    """Return the field that a key names; a list or a mapping as a key names none."""
    return str(key.value) if isinstance(key, yaml.ScalarNode) else ""


def _is_null(node: Any) -> bool:
    return isinstance(node, yaml.ScalarNode) and not node.style and node.tag == _TAG + "null"


def _number(text: str) -> float | None:
    """Return a decimal number, or infinity and not-a-number with or without YAML's point."""
    word = re.sub(r"^([+-]?)\.(?=inf|nan)", r"\1", text.lower())
    try:
        return None if "_" in word else float(word)
    except ValueError:
        return None


def _integer(text: str) -> int | None:
    try:
        return None if "_" in text or len(text) > 40 else int(text, 0)  # 0: also 0x1F
    except ValueError:
        return None


def _node(message: Any) -> Any:
    """Return the YAML node of a message: fields in the order of their numbers, lists of scalars on one line."""
    pairs = []
    for field, value in message.ListFields():
        many = is_repeated(field)
        items = [_node(item) if field.message_type else _scalar_node(field, item)
                 for item in (value if many else [value])]
        node = yaml.SequenceNode(_TAG + "seq", items, flow_style=not field.message_type) if many else items[0]
        pairs.append((yaml.ScalarNode(_TAG + "str", field.name), node))
    return yaml.MappingNode(_TAG + "map", pairs, flow_style=not pairs)


def _scalar_node(field: Any, value: Any) -> Any:
    kind = type_name(field)
    if kind in ("float", "double"):
        return yaml.ScalarNode(_TAG + "float", _float_text(value, single=kind == "float"))
    if kind == "bool":
        return yaml.ScalarNode(_TAG + "bool", "true" if value else "false")
    if kind == "enum":
        return yaml.ScalarNode(_TAG + "str", field.enum_type.values_by_number[value].name)
    if kind == "bytes" and not re.fullmatch(rb"[\x20-\x7e]*", value):
        return yaml.ScalarNode(_TAG + "binary", base64.b64encode(value).decode("ascii"))
    if kind in ("string", "bytes"):
        text = value if kind == "string" else value.decode("ascii")
        return yaml.ScalarNode(_TAG + "str", text, style=None if text.isprintable() else '"')
    return yaml.ScalarNode(_TAG + "int", str(value))


def _float_text(value: float, single: bool) -> str:
    """Return the shortest decimal that reads back as the same float32 (or float64), in YAML 1.1's form."""
    if not math.isfinite(value):
        return ".nan" if math.isnan(value) else (".inf" if value > 0 else "-.inf")
    digits = repr(float(str(np.float32(value))) if single else value)
    mantissa, e, exponent = digits.partition("e")
    return digits if "." in mantissa else f"{mantissa}.0{e}{exponent}"
