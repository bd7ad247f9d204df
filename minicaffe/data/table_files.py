"""Write tables of text as HDF5 files that HDF5Data reads."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from minicaffe.data.survey import Moments
from minicaffe.data.tables import Follow, LabelsAreTextsError, Options, Table, number_in, unfollowed
from minicaffe.errors import DataError
from minicaffe.io import hdf5

LONGEST_NOTE = 60_000  # bytes of an attribute; HDF5 has room for some more


@dataclass
class Converted:
    """What `convert` wrote."""

    rows: list[int]  # in each file
    columns: list[str]
    labels: list[str]  # the labels that became numbers, in their order
    labelled: bool
    left_out: int  # rows with missing values
    constant: list[str] = field(default_factory=list)  # columns that could not be normalized


def convert(path: str, options: Options, targets: Sequence[str], *, follow: Follow | None = None,
            test_part: float = 0, seed: int = 1, normalize: bool = False,
            check: Callable[[list[str]], None] = lambda labels: None) -> Converted:
    """Write the rows of a table to HDF5 files, as the datasets `data` and `label`.

    targets      the file, and with test_part a second one
    follow       is given the pieces of the table and their number, and passes them on: for a progress bar
    test_part    this part of the rows, drawn at random by `seed`, goes to the second file
    normalize    shift and scale each column to a mean of 0 and a deviation of 1 over the first file's rows; the numbers
                 are kept as the datasets `mean` and `deviation`
    check        is given the labels that became numbers before the files get their names, and may raise an error

    Texts as labels get the numbers of their sorted order. Each file is there as a whole, or not at all.
    Raise DataError where the table cannot be read or the files cannot be written.
    """
    hdf5.require()
    table = Table(path, options)

    def write() -> Converted:
        return _convert(table, targets, follow or unfollowed, test_part, seed, normalize, check)

    try:
        return write()
    except LabelsAreTextsError:
        table.as_text, table.left_out = True, 0
    return write()


def _convert(table: Table, targets: Sequence[str], follow: Follow, test_part: float, seed: int, normalize: bool,
             check: Callable[[list[str]], None]) -> Converted:
    counts, total, moments = [0] * len(targets), 0, Moments(len(table.columns))
    with contextlib.ExitStack() as stack:
        files = [stack.enter_context(hdf5.growing_file(target)) for target in targets]
        for number, block in enumerate(table.blocks(follow)):
            for i, rows in enumerate(_split(total, len(block.data), test_part, [seed, number])):
                if len(rows):
                    files[i].append("data", block.data[rows])
                    if block.label is not None:
                        files[i].append("label", block.label[rows])
                    counts[i] += len(rows)
                    if i == 0 and normalize:
                        moments.add(block.data[rows].T)
            total += len(block.data)
        if not all(counts):
            raise DataError("this table has no row" if not total else f"the {total} rows are too few for --test-part",
                            where=table.path)
        labels = _sorted_labels(table)
        check(labels)
        for file in files:
            _renumber(file, table.labels, labels)
            _note(file, "label", "labels", labels)
            _note(file, "data", "columns", table.columns)
            if normalize:
                _normalize(file, moments.mean, moments.deviation)
    constant = [table.columns[i] for i in np.flatnonzero(moments.deviation == 0)] if normalize else []
    return Converted(counts, table.columns, labels, table.labelled, table.left_out, constant)


def _renumber(file: hdf5.Growing, read: list[str], labels: list[str]) -> None:
    """Give the labels of a file, which have the numbers of the order in which they were read, those of their order."""
    if labels:
        places = {label: place for place, label in enumerate(labels)}
        numbers = np.array([places[label] for label in read], np.float32)
        file.change("label", lambda codes: numbers[codes.astype(int)])


def _normalize(file: hdf5.Growing, mean: np.ndarray, deviation: np.ndarray) -> None:
    """Shift and scale the rows of a file, and write the numbers for it into the file. A constant column becomes 0."""
    divisor = np.where(deviation > 0, deviation, 1)
    file.change("data", lambda rows: (rows - mean) / divisor)
    file.append("mean", mean)
    file.append("deviation", divisor)


def _split(start: int, count: int, part: float, seed: list[int]) -> list[np.ndarray]:
    """Return which of the `count` rows from row `start` on go to the first file, and which to the second."""
    tested = math.floor(part * (start + count) + 0.5) - math.floor(part * start + 0.5)  # exact over all blocks
    drawn = np.random.default_rng(seed).permutation(count)
    return [np.sort(drawn[tested:]), np.sort(drawn[:tested])] if part else [np.arange(count)]


def _sorted_labels(table: Table) -> list[str]:
    """Return the labels that became numbers, in the order of these: sorted, or as they were given."""
    if not table.as_text or table.options.labels:
        return table.labels
    numbers = {label: number_in(label, table.options.decimal) for label in table.labels}
    if None in numbers.values():
        return sorted(numbers)
    return sorted(numbers, key=lambda label: (numbers[label], label))


def _note(file: hdf5.Growing, name: str, key: str, texts: list[str]) -> None:
    """Add texts to a dataset as an attribute, where there is room for them."""
    if texts and sum(len(text.encode()) + 20 for text in texts) < LONGEST_NOTE:
        file.note(name, **{key: texts})
