"""The text of the written file: long lines are broken, and helpers copied from helpers.py."""

from __future__ import annotations

import ast
from collections.abc import Collection
from functools import cache
from pathlib import Path

WIDTH = 120
INDENT = "    "


@cache
def helpers() -> dict[str, str]:
    """Return the functions and classes of helpers.py by name, as text and in their order."""
    text = Path(__file__).with_name("helpers.py").read_text(encoding="utf-8")
    lines = text.splitlines()
    return {node.name: "\n".join(lines[node.lineno - 1:node.end_lineno]) for node in ast.parse(text).body
            if isinstance(node, (ast.FunctionDef, ast.ClassDef))}


def with_their_own(names: Collection[str]) -> list[str]:
    """Return the names of helpers and of those that they call, in the order of helpers.py."""
    found, todo = set[str](), list(names)
    while todo:
        name = todo.pop()
        if name not in found:
            found.add(name)
            called = {node.id for node in ast.walk(ast.parse(helpers()[name])) if isinstance(node, ast.Name)}
            todo += called & helpers().keys()
    return [name for name in helpers() if name in found]


def block(lines: Collection[str], depth: int) -> str:
    """Return statements as lines of text at a depth of indentation."""
    return "\n".join(wrapped(line, INDENT * depth) for line in lines)


def wrapped(line: str, indent: str) -> str:
    """Return a statement, indented, with line breaks behind commas in brackets where it is longer than WIDTH."""
    rows, row = [], indent + line
    while len(row) > WIDTH and (cut := _last_comma(row)):
        rows.append(row[:cut].rstrip())
        row = indent + INDENT + row[cut:].lstrip()
    return "\n".join([*rows, row])


def _last_comma(row: str) -> int:
    """Return where a row may be broken at the latest: behind a comma, not in a string. 0 where it cannot be."""
    quote, cut = "", 0
    for place, letter in enumerate(row[:WIDTH]):
        if quote:
            quote = "" if letter == quote else quote
        elif letter in "\"'":
            quote = letter
        elif letter == "#":
            break
        elif letter == "," and row[place + 1:place + 2] == " ":
            cut = place + 1
    return cut


def in_docstring(text: str) -> str:
    """Return a text that may stand in a docstring."""
    return text.replace("\\", "\\\\").replace('"', "'")
