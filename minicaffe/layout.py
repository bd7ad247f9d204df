"""Tables and text that fit the width of the terminal, without breaking a word."""

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
NOTHING = "–"  # what a cell holds where there is nothing to say
GLUE = "\N{NO-BREAK SPACE}"  # textwrap breaks a line only at ASCII spaces, so never here


def terminal_width(piped: int = 0) -> int:
    """Return the number of columns: what COLUMNS says, else the terminal's, else `piped`. 0 is no limit."""
    # Python's own function reads COLUMNS too, but calls a pipe a terminal of 80 columns.
    given = os.environ.get("COLUMNS", "")
    if not (given.isdecimal() and int(given)) and not sys.stdout.isatty():
        return piped
    return max(NARROWEST, shutil.get_terminal_size().columns)


def table(rows: Sequence[Row], right: Sequence[int] = (), lead: int = 1, indent: str = "") -> list[str]:
    """Return the lines of a table whose first row is its head; the columns of `right` are aligned to the right.

    If the terminal is too narrow, long cells of the first column get a line of their own. If that is not enough, each
    row becomes a short list: its `lead` first cells, and below them the others, each after the head of its column.
    """
    shown = [[one_line(cell) for cell in row] for row in rows]
    limit = terminal_width()
    widths = [max(map(len, column)) for column in zip(*shown, strict=True)]
    rest = len(indent) + sum(widths[1:]) + len(GAP) * (len(widths) - 1)
    if not limit or rest + widths[0] <= limit:
        return [_line(row, widths, right, indent) for row in shown]
    widths[0] = limit - rest
    short = [row for row in shown if len(row[0]) <= widths[0]]
    # With two lines for more than half of the rows, a table is harder to read than the lists.
    if widths[0] >= len(shown[0][0]) and 2 * len(short) > len(shown):
        return [line for row in shown for line in _hung(row, widths, right, indent)]
    return _lists(shown, lead, limit, indent)


def _lists(rows: Sequence[Row], lead: int, limit: int, indent: str) -> list[str]:
    """Return each row but the head as its `lead` first cells, and the others below them.

    Rows that begin with the same cells stand below these together.
    """
    lines, before = [], ""
    for row in rows[1:]:
        first = GAP.join(cell for cell in row[:lead] if cell)
        if first and first != before:
            lines += wrap(first, limit, indent)
        if more := _named(rows[0][lead:], row[lead:]):
            lines += wrap(more, limit, indent + "    ")
        before = first
    return [line.replace(GLUE, " ") for line in lines]


def _line(row: Row, widths: Sequence[int], right: Sequence[int], indent: str) -> str:
    """Return a row as one line."""
    cells = (cell.rjust(width) if k in right else cell.ljust(width)
             for k, (cell, width) in enumerate(zip(row, widths, strict=True)))
    return (indent + GAP.join(cells)).rstrip()


def _hung(row: Row, widths: Sequence[int], right: Sequence[int], indent: str) -> list[str]:
    """Return a row whose first cell has lines of its own if it is too long for its column."""
    if len(row[0]) <= widths[0]:
        return [_line(row, widths, right, indent)]
    return [*wrap(row[0], sum(widths), indent), _line(["", *row[1:]], widths, right, indent)]


def _named(heads: Row, cells: Row) -> str:
    """Return each cell after its head, kept together: a line must not end between a number and its unit."""
    pairs = (f"{head} {cell}".strip() for head, cell in zip(heads, cells, strict=True) if cell not in ("", NOTHING))
    return ", ".join(pair.replace(" ", GLUE) if len(pair) < NARROWEST else pair for pair in pairs)


def wrap(text: str, width: int, indent: str = "", hanging: str | None = None) -> list[str]:
    """Return the text in lines of this width; those after the first are indented by `hanging`, or as the first is."""
    lines = textwrap.wrap(text, width or 10 ** 9, initial_indent=indent, break_long_words=False,
                          subsequent_indent=indent if hanging is None else hanging, break_on_hyphens=False)
    return lines or [""]


def entry(name: str, text: str, column: int, width: int, indent: str = "  ") -> list[str]:
    """Return a name and its text, which begins at `column` or, if that leaves too little room, below the name."""
    if not text:
        return wrap(name, width, indent, indent + "    ")
    if width and width - column < NARROWEST - 10:
        return [*wrap(name, width, indent, indent + "    "), *wrap(text, width, indent + "    ")]
    return wrap(text, width, f"{indent}{name} ".ljust(column), " " * column)


def prose(text: str, width: int) -> str:
    """Return a datasheet whose lines fit: text after a label is wrapped again, a long formula is broken at spaces."""
    groups: list[list[str]] = []
    for line in text.split("\n"):
        column = _column(line)
        if groups and line.strip() and _goes_on(groups[-1][0], column, line):
            groups[-1].append(line)
        else:
            groups.append([line])
    return "\n".join(line for group in groups for line in _filled(group, width))


def _goes_on(first: str, column: int, line: str) -> bool:
    """Return whether a line goes on with the text that began with `first`; each formula and each label begins anew."""
    if not first.strip() or first.startswith((" ", "Forward  ", "Backward  ", "Blobs  ")):
        return False
    return column == _column(first) and not line[:column].strip()


def _filled(group: list[str], width: int) -> list[str]:
    """Return the lines of one text or formula, wrapped again if one of them is too long."""
    if all(len(line) <= width for line in group):
        return group
    column = _column(group[0])
    head = group[0][:column]
    hanging = " " * (column if head.strip() or not column else column + 2)
    return wrap(" ".join([group[0][column:], *(line.strip() for line in group[1:])]), width, head, hanging)


def code(text: str, width: int) -> list[str]:
    """Return indented code. A line that is too long is broken at spaces, and its comment is put above it."""
    found = []
    for line in text.split("\n"):
        indent = "  " + " " * (len(line) - len(line.lstrip()))
        words, mark, comment = line.strip().partition("  # ")
        if len(line) + 2 <= width:
            found += [f"  {line}".rstrip()]
            continue
        found += wrap(comment, width, f"{indent}# ", f"{indent}# ") if mark else []
        # A comment that has the line to itself goes on behind a # as well: without one it would read as code.
        found += wrap(words, width, indent, indent + ("# " if words.startswith("# ") else "    "))
    return found


def _column(line: str) -> int:
    """Return the column at which a line's text begins, after its label."""
    found = re.match(r"[A-Z][A-Za-z ]{0,8} {2,}| *", line)
    return found.end() if found else 0
