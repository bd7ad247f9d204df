"""Read tables of text, such as CSV files, as numbers."""

from __future__ import annotations

import codecs
import contextlib
import csv
import io
import math
import os
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import NamedTuple

import numpy as np

from minicaffe.errors import DataError, near_names
from minicaffe.io.file_bytes import open_ordinary
from minicaffe.io.files import looked_in, missing_hint
from minicaffe.log import plural

PIECE = 1 << 20  # bytes of the table that are read at once
BLOCK = 1000  # rows that are put together
SEPARATORS = {",": ",", ";": ";", "tab": "\t"}
MISSING = ("", "na", "n/a", "nan", "null", "none", "?", "-")  # cells without a value, in any case

Follow = Callable[[Iterable[bytes], int], Iterable[bytes]]  # passes pieces on, of which there are so many


@dataclass(frozen=True)
class Options:
    """How a table is read.

    label        the columns of the label, by name or number; none for a table without labels
    columns      those of the data; none for all others
    without      columns that are neither
    separator    a key of SEPARATORS; "" for the one that the first line has most often
    header       whether the first line names the columns; None for yes if no cell of it is a number
    decimal      the sign between a number and its fraction
    missing      "error", "skip" to leave such rows out, or a number to fill in
    renumber     whether labels that are numbers are numbered from 0 on, as texts are
    labels       the labels in the order of their numbers, where it is given
    """

    label: Sequence[str] = ()
    columns: Sequence[str] = ()
    without: Sequence[str] = ()
    separator: str = ""
    header: bool | None = None
    decimal: str = "."
    missing: str | float = "error"
    renumber: bool = False
    labels: Sequence[str] = ()


class Block(NamedTuple):
    """Some rows of a table."""

    data: np.ndarray  # (n, D) float32
    label: np.ndarray | None  # (n,), or (n, K) for K columns; float32


class LabelsAreTextsError(Exception):
    """A label is not a number, so the table must be read again with `as_text`."""


class Table:
    """The rows of a text table as numbers. Raise DataError, with line and column, for a cell that is no number."""

    def __init__(self, path: str, options: Options) -> None:
        self.path, self.options, self.left_out = path, options, 0
        self.as_text = options.renumber or bool(options.labels)
        self._codes = {label: number for number, label in enumerate(options.labels)}
        self._separator = SEPARATORS.get(options.separator) or self._likely_separator()
        first = next((row for _, row in self._rows(unfollowed)), None)
        if first is None:
            raise DataError("this table is empty", where=path)
        no_number = not any(number_in(cell, options.decimal) is not None for cell in first)
        self._has_header = no_number if options.header is None else options.header
        self._width = len(first)
        self.names = [cell.strip() for cell in first] if self._has_header else \
            [f"column {i + 1}" for i in range(self._width)]
        self._label = [self._column(name, "label") for name in options.label]
        without = [self._column(name, "without") for name in options.without]
        self._data = [self._column(name, "columns") for name in options.columns] or [
            i for i in range(self._width) if i not in (*self._label, *without)]
        both = set(self._data) & set(self._label)
        if both:
            raise DataError(f"column {self.names[min(both)]!r} cannot be data and label", where=path)
        if not self._data:
            raise DataError("no column is left for the data", where=path)

    @property
    def columns(self) -> list[str]:
        """The names of the data's columns."""
        return [self.names[i] for i in self._data]

    @property
    def labelled(self) -> bool:
        """Whether there is a column of labels."""
        return bool(self._label)

    @property
    def labels(self) -> list[str]:
        """The labels that became numbers, in the order of their first row, or that were given."""
        return list(self._codes)

    def blocks(self, follow: Follow) -> Iterator[Block]:
        """Yield all rows, BLOCK at a time. Raise LabelsAreTextsError for a label that is no number."""
        data: list[list[float]] = []
        labels: list[list[float]] = []
        lines: list[int] = []
        rows = self._rows(follow)
        if self._has_header:
            next(rows)
        for line, row in rows:
            if self._read_row(line, row, data, labels):
                lines.append(line)
            if len(lines) == BLOCK:
                yield self._block(data, labels, lines)
                data, labels, lines = [], [], []
        if lines:
            yield self._block(data, labels, lines)

    def _read_row(self, line: int, row: list[str], data: list[list[float]], labels: list[list[float]]) -> bool:
        """Add the numbers of a row to the lists; return False where it is left out."""
        if len(row) != self._width:
            self._fail(line, f"has {plural(len(row), 'cell')}, but the first line has {self._width}",
                       "" if len(row) > 1 else "another separator? --separator says which")
        label = [self._label_of(line, row[i], i) for i in self._label]
        numbers = self._numbers(line, row)
        if numbers is None or None in label:
            self.left_out += 1
            return False
        data.append(numbers)
        labels.append([number for number in label if number is not None])
        return True

    def _numbers(self, line: int, row: list[str]) -> list[float] | None:
        """Return the data of a row; None where it is left out."""
        cells = [row[i] for i in self._data]
        if self.options.decimal == ".":
            with contextlib.suppress(ValueError):
                numbers = [float(cell) for cell in cells]
                if math.isfinite(sum(numbers)) and "_" not in "".join(cells):  # Python takes 1_000 for a number
                    return numbers
        found = [self._cell(line, row[i], i) for i in self._data]
        return None if None in found else [number for number in found if number is not None]

    def _cell(self, line: int, cell: str, column: int) -> float | None:
        """Return the number in a cell of the data; None where its row is left out."""
        if _is_missing(cell):
            if self.options.missing == "error":
                self._fail_missing(line, column)
            return None if self.options.missing == "skip" else float(self.options.missing)
        number = number_in(cell, self.options.decimal)
        if number is None:
            hint = "write --decimal , for numbers with a comma" if re.fullmatch(r"\s*-?\d+,\d+\s*", cell) else \
                "if the column is the label, say so with --label; --without leaves it out"
            self._fail(line, f"column {self._shown(column)}: {cell[:60]!r} is no number", hint)
        return number

    def _label_of(self, line: int, cell: str, column: int) -> float | None:
        """Return the label in a cell, or the number of the text; None where the row is left out."""
        if _is_missing(cell):
            if self.options.missing == "skip":
                return None
            self._fail_missing(line, column, "" if self.options.missing == "error" else "a label cannot be filled in; ")
        if not self.as_text:
            number = number_in(cell, self.options.decimal)
            if number is None and len(self._label) > 1:
                self._fail(line, f"column {self._shown(column)}: {cell[:60]!r} is no number",
                           "of several labels each must be a number")
            if number is None:
                raise LabelsAreTextsError
            return number
        text = cell.strip()
        if self.options.labels and text not in self._codes:
            self._fail(line, f"column {self._shown(column)}: {text!r} is none of the {len(self._codes)} labels given",
                       near_names(text, list(self._codes)))
        return self._codes.setdefault(text, len(self._codes))

    def _block(self, data: list[list[float]], labels: list[list[float]], lines: list[int]) -> Block:
        with np.errstate(over="ignore"):
            values, label = np.array(data, np.float32), np.array(labels, np.float32)
        for array, columns in ((values, self._data), (label, self._label)):
            if not np.isfinite(array).all():
                row, column = (int(i) for i in np.argwhere(~np.isfinite(array))[0])
                self._fail(lines[row], f"column {self._shown(columns[column])}: the number is too large for float32")
        return Block(values, None if not self._label else label[:, 0] if len(self._label) == 1 else label)

    def _rows(self, follow: Follow) -> Iterator[tuple[int, list[str]]]:
        """Yield the cells of each row that is not blank, with the line on which it begins."""
        line = 0
        try:
            with open_ordinary(self.path) as file:
                size = os.fstat(file.fileno()).st_size
                pieces = follow(iter(lambda: file.read(PIECE), b""), -(-size // PIECE))
                texts = self._without_zeros(codecs.iterdecode(pieces, "utf-8-sig"))
                reader = csv.reader(_lines(texts), delimiter=self._separator, strict=True)
                for row in reader:
                    begin, line = line + 1, reader.line_num
                    if row and any(cell.strip() for cell in row):
                        yield begin, row
        except csv.Error as error:
            self._fail(line + 1, str(error), "is a quote missing?")
        except UnicodeDecodeError as error:
            raise DataError(f"this is no text in UTF-8: {error.reason} after line {line}", where=self.path,
                            hint="save the table as CSV in UTF-8") from error
        except (OSError, ValueError) as error:
            missing = isinstance(error, FileNotFoundError)
            raise DataError(f"cannot read the table {self.path}: {getattr(error, 'strerror', None) or error}",
                            hint=missing_hint(Path(self.path)) or looked_in(self.path) if missing else "") from error

    def _without_zeros(self, texts: Iterable[str]) -> Iterator[str]:
        """Pass the texts on. Raise DataError for a zero byte, which no text has, but which UTF-16 is full of."""
        for text in texts:
            if "\0" in text:
                raise DataError("this is no text in UTF-8: it holds zero bytes", where=self.path,
                                hint="is it UTF-16? Save the table as CSV in UTF-8")
            yield text

    def _likely_separator(self) -> str:
        """Return the separator that the first line has most often, outside of quotes."""
        with contextlib.suppress(OSError, ValueError), open_ordinary(self.path) as file:  # the reader of rows says why
            text = re.sub(r'"[^"]*"', "", file.read(PIECE).decode("utf-8-sig", "replace").lstrip())
            return max(SEPARATORS.values(), key=re.split("[\r\n]", text, maxsplit=1)[0].count)
        return ","

    def _column(self, wanted: str, flag: str) -> int:
        """Return the index of the column with this name or number."""
        if self.names.count(wanted) > 1:
            raise DataError(f"{self.names.count(wanted)} columns are called {wanted!r}", where=self.path,
                            hint="give the column's number")
        if wanted in self.names:
            return self.names.index(wanted)
        if re.fullmatch(r"-?\d+", wanted) and 1 <= abs(int(wanted)) <= self._width:
            return int(wanted) - 1 if int(wanted) > 0 else int(wanted) + self._width
        known = ", ".join(self.names[:20]) + (", …" if self._width > 20 else "")
        raise DataError(f"--{flag}: there is no column {wanted!r}; the {self._width} columns are {known}",
                        where=self.path, hint=near_names(wanted, self.names) or "numbers count from 1, -1 is the last")

    def _shown(self, column: int) -> str:
        return f"{column + 1} ({self.names[column]!r})" if self._has_header else f"{column + 1}"

    def _fail_missing(self, line: int, column: int, why: str = "") -> None:
        self._fail(line, f"column {self._shown(column)}: the value is missing", why + "--missing skip leaves such rows "
                   "out" + ("" if why else ", --missing 0 fills in a 0"))

    def _fail(self, line: int, message: str, hint: str = "") -> None:
        raise DataError(message, where=f"{self.path}:{line}", hint=hint)


def _lines(texts: Iterable[str]) -> Iterator[str]:
    """Yield the lines of texts that are cut anywhere. They may end as on any system; here all end with a line feed."""
    ends = io.IncrementalNewlineDecoder(None, translate=True)
    parts: list[str] = []
    for text in chain(texts, [None]):  # None says that nothing follows
        first, *others = ends.decode(text or "", final=text is None).split("\n")
        parts.append(first)
        for line in others:
            yield "".join(parts) + "\n"
            parts = [line]
    if rest := "".join(parts):
        yield rest


def unfollowed(pieces: Iterable[bytes], total: int) -> Iterable[bytes]:
    """Pass the pieces on, without a progress bar."""
    return pieces


def _is_missing(cell: str) -> bool:
    return cell.strip().lower() in MISSING


def number_in(cell: str, decimal: str) -> float | None:
    """Return the finite number in a cell, or None where there is none; `decimal` is the sign before its fraction."""
    if decimal != ".":
        cell = cell.replace(".", "_").replace(decimal, ".")  # a point is no decimal sign then
    try:
        number = float(cell)
    except ValueError:
        return None
    return number if math.isfinite(number) and "_" not in cell else None  # Python takes 1_000 for a number
