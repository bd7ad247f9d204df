"""Find the fields and enum values of a definition that the schema does not know, all of them at once.

Most are misspelt, or belong to a fork of Caffe that minicaffe does not know. They are refused, except those in a layer
that is left out of the net: nothing reads such a layer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from minicaffe.errors import ProtoError
from minicaffe.proto.lines import DEEPEST, excerpt
from minicaffe.proto.source import TOKEN
from minicaffe.proto.wording import unknown_enum_value, unknown_field

LeaveOut = Callable[[Any, Any], bool]  # whether a layer (LayerParameter or V1LayerParameter) is left out of its net
MOST_NAMED = 20  # further names in one error


class Foreign(NamedTuple):
    """A field or an enum value that the schema does not know."""

    layer: tuple[str, int] | None  # the layer that it stands in: ("layer", 3); None where it stands in none
    line: int  # from 1, as the column
    column: int
    sentence: str
    hint: str
    span: tuple[int, int]  # where the field and its value stand in a prototxt


def refuse(found: list[Foreign], message: Any, text: str, filename: str, leave_out: LeaveOut | None = None) -> None:
    """Raise ProtoError for what was found, unless all of it stands in layers that are left out.

    `message` holds all that could be read.
    """
    left = [one for one in found
            if not (leave_out and one.layer and leave_out(getattr(message, one.layer[0])[one.layer[1]], message))]
    if not left:
        return
    first = left[0]
    # A whole file of another kind has many fields that the schema does not know, and the first one says it all.
    others = {} if first.hint.startswith("it is a") else {one.sentence: one for one in reversed(left)}
    others.pop(first.sentence, None)
    lines = [f"{filename}:{one.line}: {one.sentence}" for one in sorted(others.values(), key=lambda one: one.span)]
    if lines[MOST_NAMED:]:
        lines[MOST_NAMED:] = [f"and {len(lines) - MOST_NAMED} more"]
    raise ProtoError("\n".join([first.sentence, excerpt(text, first.line, first.column), *lines]),
                     where=f"{filename}:{first.line}:{first.column}", hint=first.hint)


def in_prototxt(text: str, root: Any) -> list[Foreign]:
    """Return what the schema does not know in a prototxt, in order. `root` describes the outermost message."""
    return list(_Walk(text, root).message(root, None, 0))


def without(text: str, found: list[Foreign]) -> str:
    """Return a prototxt in which blanks stand in place of what was found, so that all else keeps its place."""
    for start, end in (one.span for one in reversed(found)):
        blank = "".join("\n" if letter == "\n" else " " for letter in text[start:end])
        text = text[:start] + blank + text[end:]
    return text


class _Walk:
    """Goes through the words of a prototxt. It does not check them: the library's parser does."""

    def __init__(self, text: str, root: Any) -> None:
        self.text, self.root = text, root
        self.tokens = [token for token in TOKEN.finditer(text) if token.lastgroup not in ("space", "comment")]
        self.at = 0

    def message(self, descriptor: Any, layer: tuple[str, int] | None, depth: int) -> Iterator[Foreign]:
        """Yield what is unknown in a message, whose opening brace has been read, up to its end."""
        counts = {"layer": 0, "layers": 0}
        while (token := self._next()) is not None and token.group() not in "}>":
            name = token.group()
            field = descriptor.fields_by_name.get(name)
            inside = layer
            if descriptor is self.root and name in counts and descriptor.name == "NetParameter":
                inside = (name, counts[name])
                counts[name] += 1
            if field is None and token.lastgroup == "word":
                self._pass_value()
                yield self._foreign(token, token, inside, *unknown_field(descriptor, name, self.root))
            elif token.lastgroup == "word" and depth < DEEPEST:
                yield from self._value(token, field, inside, depth)

    def _value(self, name: Any, field: Any, layer: tuple[str, int] | None, depth: int) -> Iterator[Foreign]:
        in_list = False
        while (token := self._peek()) is not None:
            word = token.group()
            if word in "}>":
                return
            self.at += 1
            if word in ":,":
                continue
            if word in "[]":
                in_list = word == "["
            elif word in "{<":
                if field.message_type is None:
                    self._pass_block()
                else:
                    yield from self.message(field.message_type, layer, depth + 1)
            elif field.enum_type and token.lastgroup == "word" and not _is_value(field.enum_type, word):
                yield self._foreign(name, token, layer, *unknown_enum_value(field.enum_type, word))
            if not in_list:
                return

    def _pass_value(self) -> None:
        """Pass over the value of a field whose name has just been read: a scalar, a list or a message."""
        while (token := self._peek()) is not None and token.group() == ":":
            self.at += 1
        if token is None or token.group() in "}>":
            return
        self.at += 1
        if token.group() in "{<[":
            self._pass_block()
        elif token.lastgroup == "string":  # a string may stand in several parts
            while (token := self._peek()) is not None and token.lastgroup == "string":
                self.at += 1

    def _pass_block(self) -> None:
        depth = 1
        while depth and (token := self._next()) is not None:
            depth += {"{": 1, "<": 1, "[": 1, "}": -1, ">": -1, "]": -1}.get(token.group(), 0)

    def _foreign(self, name: Any, shown: Any, layer: tuple[str, int] | None, sentence: str, hint: str) -> Foreign:
        """Describe what stands from the token `name` to the last one read; the error points at the token `shown`."""
        begin = shown.start()
        line, column = self.text.count("\n", 0, begin) + 1, begin - self.text.rfind("\n", 0, begin)
        return Foreign(layer, line, column, sentence, hint, (name.start(), self.tokens[min(self.at, len(self.tokens)) - 1].end()))

    def _peek(self) -> Any:
        return self.tokens[self.at] if self.at < len(self.tokens) else None

    def _next(self) -> Any:
        token = self._peek()
        self.at += 1
        return token


def _is_value(enum: Any, word: str) -> bool:
    """Return whether an enum (a descriptor) has a value of this name or number."""
    if word.lstrip("-").isdigit():
        return int(word) in enum.values_by_number
    return word in enum.values_by_name
