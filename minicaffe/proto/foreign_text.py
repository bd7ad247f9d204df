"""Find the fields and enum values of a prototxt that the schema does not know, and take them out of the text."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from minicaffe.proto.foreign import Foreign
from minicaffe.proto.lines import DEEPEST
from minicaffe.proto.source import TOKEN
from minicaffe.proto.wording import unknown_enum_value, unknown_field


def find(text: str, root: Any) -> list[Foreign]:
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
        last = self.tokens[min(self.at, len(self.tokens)) - 1]
        return Foreign(layer, line, column, sentence, hint, (name.start(), last.end()))

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
