"""Tables and text laid out for the width of the terminal: no word is broken, and nothing runs over."""

from __future__ import annotations

import os
import re
import shutil
import sys
import textwrap
from collections.abc import Sequence

from minicaffe.log import one_line

Row = Sequence[str]

NARROWEST = 40  # columns; a terminal with fewer gets lines of this width
GAP = "  "
NOTHING = "–"  # in a cell
GLUE = "\N{NO-BREAK SPACE}"  # textwrap breaks lines at ASCII's blanks alone


def terminal_width(piped: int = 0) -> int:
    """The columns of the terminal, or what COLUMNS says; `piped` (0: without limit) where neither is there."""
    given = os.environ.get("COLUMNS", "")
    if not (given.isdecimal() and int(given)) and not sys.stdout.isatty():
        return piped
    return max(NARROWEST, shutil.get_terminal_size().columns)


def table(rows: Sequence[Row], right: Sequence[int] = (), lead: int = 1, indent: str = "") -> list[str]:
    """Lines with the columns below each other, those of `right` to the right; the first row is the head.

    Where the terminal is too narrow, long cells of the first column get lines of their own; where that does not
    help, each row becomes its `lead` first cells with the others below, each behind its head.
    """
    shown = [[one_line(cell) for cell in row] for row in rows]
    limit = terminal_width()
    widths = [max(map(len, column)) for column in zip(*shown, strict=True)]
    rest = len(indent) + sum(widths[1:]) + len(GAP) * (len(widths) - 1)
    if not limit or rest + widths[0] <= limit:
        return [_line(row, widths, right, indent) for row in shown]
    widths[0] = limit - rest
    short = [row for row in shown if len(row[0]) <= widths[0]]
    if widths[0] >= len(shown[0][0]) and 2 * len(short) > len(shown):
        return [line for row in shown for line in _hung(row, widths, right, indent)]
    lines, before = [], ""
    for row in shown[1:]:
        first = GAP.join(cell for cell in row[:lead] if cell)
        lines += wrap(first, limit, indent) if first and first != before else []
        more = _named(shown[0][lead:], row[lead:])
        lines += wrap(more, limit, indent + "    ") if more else []
        before = first
    return [line.replace(GLUE, " ") for line in lines]


def _line(row: Row, widths: Sequence[int], right: Sequence[int], indent: str) -> str:
    cells = (cell.rjust(width) if k in right else cell.ljust(width)
             for k, (cell, width) in enumerate(zip(row, widths, strict=True)))
    return (indent + GAP.join(cells)).rstrip()


def _hung(row: Row, widths: Sequence[int], right: Sequence[int], indent: str) -> list[str]:
    if len(row[0]) <= widths[0]:
        return [_line(row, widths, right, indent)]
    return [*wrap(row[0], sum(widths), indent), _line(["", *row[1:]], widths, right, indent)]


def _named(heads: Row, cells: Row) -> str:
    """Each cell behind its head; no line ends between a head and its cell, or a number and its unit."""
    pairs = (f"{head} {cell}".strip() for head, cell in zip(heads, cells, strict=True) if cell not in ("", NOTHING))
    return ", ".join(pair.replace(" ", GLUE) if len(pair) < NARROWEST else pair for pair in pairs)


def wrap(text: str, width: int, indent: str = "", hanging: str | None = None) -> list[str]:
    """The text in lines of this width, the further ones indented by `hanging` (as the first); words stay whole."""
    lines = textwrap.wrap(text, width or 10 ** 9, initial_indent=indent, break_long_words=False,
                          subsequent_indent=indent if hanging is None else hanging, break_on_hyphens=False)
    return lines or [""]


def entry(name: str, text: str, column: int, width: int, indent: str = "  ") -> list[str]:
    """A name, and beside it from a column on its text; below it where the terminal leaves no room for that."""
    if not text:
        return wrap(name, width, indent, indent + "    ")
    if width and width - column < NARROWEST - 10:
        return [*wrap(name, width, indent, indent + "    "), *wrap(text, width, indent + "    ")]
    return wrap(text, width, (indent + name).ljust(column), " " * column)


def prose(text: str, width: int) -> str:
    """A datasheet whose lines fit: the text behind a label is wrapped anew, a formula is broken at blanks."""
    groups: list[list[str]] = []
    for line in text.split("\n"):
        column = _column(line)
        if groups and line.strip() and _goes_on(groups[-1][0], column, line):
            groups[-1].append(line)
        else:
            groups.append([line])
    return "\n".join(line for group in groups for line in _filled(group, width))


def _goes_on(first: str, column: int, line: str) -> bool:
    """Whether a line belongs to the text that began with `first`, rather than being a formula or a label."""
    if not first.strip() or first.startswith((" ", "Forward", "Backward", "Blobs")):
        return False
    return column == _column(first) and not line[:column].strip()


def _filled(group: list[str], width: int) -> list[str]:
    if all(len(line) <= width for line in group):
        return group
    column = _column(group[0])
    head = group[0][:column]
    hanging = " " * (column if head.strip() or not column else column + 2)
    return wrap(" ".join([group[0][column:], *(line.strip() for line in group[1:])]), width, head, hanging)


def code(text: str, width: int) -> list[str]:
    """A prototxt or Python code, indented; a line that does not fit is broken at a blank, its comment set above it."""
    found = []
    for line in text.split("\n"):
        indent = "  " + " " * (len(line) - len(line.lstrip()))
        words, mark, comment = line.strip().partition("  # ")
        if len(line) + 2 <= width:
            found += [f"  {line}".rstrip()]
            continue
        found += wrap(comment, width, f"{indent}# ", f"{indent}# ") if mark else []
        found += wrap(words, width, indent, indent + ("# " if words.startswith("# ") else "    "))
    return found


def _column(line: str) -> int:
    """Where a line's text begins, behind its label."""
    found = re.match(r"[A-Z][A-Za-z ]{0,8} {2,}| *", line)
    return found.end() if found else 0
