"""Lay out a prototxt anew and keep its comments: what `minicaffe fmt` does.

    two blanks a level, one field a line, `{}` for `<>`, no colon before a message, no `;` or `,` between fields
    a message or a list that stands on one line stays there while the line is no longer than WIDTH
    at most one empty line between two fields, none at the beginning and the end of a message
    comments, the order of the fields, and the text of each value stay as they are
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from minicaffe.errors import MinicaffeError
from minicaffe.proto.source import TOKEN
from minicaffe.proto.text import parse

WIDTH = 120


@dataclass
class _Token:
    """A piece of the text, and how many line ends there are between the piece before and this one."""

    kind: str
    text: str
    lines_before: int


@dataclass
class _Item:
    """A field with its value and the comment behind it; or, without a name, a comment on a line of its own."""

    name: str = ""
    value: _Message | _List | list[_Token] = field(default_factory=list)  # the tokens: parts of one string, or one word
    comment: str = ""
    empty_line_before: bool = False


@dataclass
class _Message:
    items: list[_Item] = field(default_factory=list)
    comment: str = ""  # behind the bracket that opens it
    on_one_line: bool = True


@dataclass
class _List(_Message):
    """The items are the values, without names."""


def reformat(text: str, message: Any, filename: str = "<string>") -> str:
    """Return the text of a prototxt, formatted; `message` is an empty message of its kind.

    ProtoError as for `parse` where the text is no prototxt of that kind. The result is parsed again and compared, so
    it never has another meaning or other comments than the text.
    """
    kind = type(message)
    said = parse(text, message, filename).SerializeToString(deterministic=True)
    line_end = "\r\n" if text.partition("\n")[0].endswith("\r") else "\n"
    made = "".join(line + "\n" for line in _lines(_Reader(text).items("").items, 0))
    again = parse(made, kind(), filename).SerializeToString(deterministic=True)
    if again != said or _comments(made) != _comments(text):
        raise MinicaffeError("the formatted text would not say the same, so this one is left as it is", where=filename,
                             hint="this is a bug of minicaffe's: please report it with the file")
    return made.replace("\n", line_end)


def _comments(text: str) -> list[str]:
    return [token.text for token in _tokens(text) if token.kind == "comment"]


def _tokens(text: str) -> Iterator[_Token]:
    lines = 0
    for found in TOKEN.finditer(text):
        if found.lastgroup == "space":
            lines += found.group().count("\n")
        else:
            yield _Token(str(found.lastgroup), found.group().rstrip("\r \t"), lines)
            lines = 0


class _Reader:
    """Reads tokens into items. The text is known to be a prototxt, so nothing is checked."""

    def __init__(self, text: str) -> None:
        self.tokens, self.at = list(_tokens(text)), 0
        if self.tokens:
            self.tokens[0].lines_before = 1  # a comment at the very beginning stands on a line of its own

    def items(self, end: str) -> _Message:
        """Return the fields of a message, up to the bracket that ends it."""
        found = _Message()
        while self.at < len(self.tokens):
            token = self.next()
            if token.text == end:
                found.on_one_line &= not token.lines_before
                return found
            if token.kind == "comment":
                self.add_comment(found, token)
            elif token.text not in (",", ";"):
                found.on_one_line &= not token.lines_before
                empty = token.lines_before > 1
                for between in self.comments_before_value():
                    found.items.append(_Item(comment=between.text, empty_line_before=empty))
                    found.on_one_line, empty = False, False
                found.items.append(_Item(token.text, self.value(), empty_line_before=empty))
        return found

    def elements(self) -> _List:
        """Return the values of a list, up to its bracket."""
        found = _List()
        while (token := self.next()).text != "]":
            found.on_one_line &= not token.lines_before
            if token.kind == "comment":
                self.add_comment(found, token)
            elif token.text != ",":
                self.at -= 1
                found.items.append(_Item("", self.value(), empty_line_before=token.lines_before > 1))
        found.on_one_line &= not token.lines_before
        return found

    def value(self) -> _Message | _List | list[_Token]:
        """Read a message, a list, or the tokens of one value. A string may have parts, with comments between."""
        token = self.next()
        if token.text in ("{", "<"):
            return self.items("}" if token.text == "{" else ">")
        if token.text == "[":
            return self.elements()
        parts = [token]
        while token.kind == "string" and self.peek().kind == "string":
            while (token := self.next()).kind == "comment":
                parts.append(token)
            parts.append(token)
        return parts

    def comments_before_value(self) -> list[_Token]:
        """Skip the colon before a field's value, and return the comments that stand there."""
        found = []
        while (token := self.tokens[self.at]).kind == "comment" or token.text == ":":
            found += [token] if token.kind == "comment" else []
            self.at += 1
        return found

    @staticmethod
    def add_comment(within: _Message, token: _Token) -> None:
        within.on_one_line = False
        if token.lines_before or (within.items and within.items[-1].comment):
            within.items.append(_Item(comment=token.text, empty_line_before=token.lines_before > 1))
        elif within.items:
            within.items[-1].comment = token.text
        else:
            within.comment = token.text

    def next(self) -> _Token:
        self.at += 1
        return self.tokens[self.at - 1]

    def peek(self) -> _Token:
        """Return the next token that is no comment."""
        at = self.at
        while at < len(self.tokens) and self.tokens[at].kind == "comment":
            at += 1
        return self.tokens[at] if at < len(self.tokens) else _Token("end", "", 0)


def _lines(items: list[_Item], level: int, separator: str = "") -> Iterator[str]:
    """Yield the lines of a message's fields, or of a list's values with a `separator` between them."""
    last = max((i for i, item in enumerate(items) if item.value), default=-1)
    for i, item in enumerate(items):
        if item.empty_line_before and i:
            yield ""
        yield from _item_lines(item, level, separator if i < last else "")


def _item_lines(item: _Item, level: int, separator: str) -> Iterator[str]:
    margin, comment = "  " * level, f"  {item.comment}" if item.comment else ""
    if not item.value:
        yield margin + item.comment
        return
    start = margin + item.name + _joint(item)
    if isinstance(item.value, list):
        yield from _scalar_lines(start, item.value, margin, separator + comment)
        return
    short = _on_one_line(item.value)
    if short and (not item.value.items or len(start + short + separator) <= WIDTH):
        yield start + short + separator + comment
        return
    opening, closing = "[]" if isinstance(item.value, _List) else "{}"
    yield start + opening + (f"  {item.value.comment}" if item.value.comment else "")
    yield from _lines(item.value.items, level + 1, "," if opening == "[" else "")
    yield margin + closing + separator + comment


def _scalar_lines(start: str, parts: list[_Token], margin: str, end: str) -> Iterator[str]:
    """Yield the lines of a value. The parts of a string stay on as many lines as they were."""
    line, after_comment = start + parts[0].text, False
    for part in parts[1:]:
        if part.lines_before or after_comment:
            yield line
            line = f"{margin}    {part.text}"
        else:
            line += f"  {part.text}" if part.kind == "comment" else f" {part.text}"
        after_comment = part.kind == "comment"
    yield line + end


def _joint(item: _Item) -> str:
    """Return the text between a field's name and its value."""
    if not item.name:
        return ""
    return " " if isinstance(item.value, _Message) and not isinstance(item.value, _List) else ": "


def _on_one_line(value: _Message) -> str:
    """Return the message or list with its brackets on one line; "" where its author did not write it on one."""
    if value.comment or (value.items and not value.on_one_line):
        return ""
    parts = []
    for item in value.items:
        if isinstance(item.value, list):
            if any(part.kind == "comment" or (k and part.lines_before) for k, part in enumerate(item.value)):
                return ""
            shown = " ".join(part.text for part in item.value)
        else:
            shown = _on_one_line(item.value)
        if not shown:
            return ""
        parts.append(item.name + _joint(item) + shown)
    if isinstance(value, _List):
        return f"[{', '.join(parts)}]"
    return f"{{ {' '.join(parts)} }}" if parts else "{}"
