"""Caffe's parse_log.py: `parse_log LOG DIR` writes the outputs of a training as tables, DIR/LOG.train and DIR/LOG.test.

A row is an iteration: NumIters, Seconds, LearningRate, and the net's outputs by their names.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from datetime import datetime

from minicaffe.cli import __main__ as commands
from minicaffe.cli.results import csv_text
from minicaffe.cli.terminal import say
from minicaffe.errors import DataError, MinicaffeError
from minicaffe.io.files import read_bytes, replace_file
from minicaffe.records.caffe_log import lines

Row = dict[str, float | str]

TIME = re.compile(r"^[IWEF](\d\d)(\d\d) (\d\d:\d\d:\d\d\.\d+) ")
ITERATION = re.compile(r"Iteration (\d+)")
RATE = re.compile(r"lr = (\S+)")
OUTPUT = re.compile(r"(Train|Test) net output #\d+: (\S+) = (\S+)")


def run(args: Sequence[str]) -> int:
    """Write the tables of a log. Raise DataError where it is no log of a training."""
    parser = commands.Parser(prog="parse_log.py", allow_abbrev=False)
    parser.add_argument("log", metavar="LOG", help="the log of a training")
    parser.add_argument("folder", metavar="DIR", help="the folder for LOG.train and LOG.test")
    parser.add_argument("--verbose", action="store_true", help="say which files are written")
    parser.add_argument("--delimiter", metavar="SIGN", default=",", help="what separates the columns (default: ,)")
    given = parser.parse_args(args)
    if len(given.delimiter) != 1:
        raise MinicaffeError(f"--delimiter must be one character, got {given.delimiter!r}")
    tables = read_tables(given.log)
    for kind, rows in tables.items():
        path = os.path.join(given.folder, f"{os.path.basename(given.log)}.{kind.lower()}")
        if not rows:
            if given.verbose:
                say(f"not writing {path}: the log has no such outputs")
            continue
        names = list(dict.fromkeys(name for row in rows for name in row))
        text = csv_text([names, *([row.get(name, "") for name in names] for row in rows)], given.delimiter)
        replace_file(path, [text.encode()])
        if given.verbose:
            say(f"wrote {path}")
    return 0


def read_tables(path: str) -> dict[str, list[Row]]:
    """Return the rows of the training and of its tests, as {"Train": rows, "Test": rows}."""
    tables: dict[str, list[Row]] = {"Train": [], "Test": []}
    iteration, rate, begin = -1.0, float("nan"), None
    for time, line in _timed(path):
        if begin is None:
            begin = time if "Solving" in line else None
            continue
        if found := ITERATION.search(line):
            iteration = float(found[1])
        if found := RATE.search(line):
            rate = _number(found[1])
        if (found := OUTPUT.search(line)) and iteration >= 0:
            rows = tables[found[1]]
            if not rows or rows[-1]["NumIters"] != iteration or found[2] in rows[-1]:
                rows.append({"NumIters": iteration, "Seconds": (time - begin).total_seconds(), "LearningRate": rate})
            rows[-1][found[2]] = _number(found[3])
    if begin is None:
        raise DataError("this is no log of a training: no line of Caffe's log says Solving", where=path)
    for rows in tables.values():
        if len(rows) > 1:  # the learning rate is logged behind an iteration's outputs, so the first row has none yet
            rows[0]["LearningRate"] = rows[1]["LearningRate"]
    return tables


def _timed(path: str) -> Iterator[tuple[datetime, str]]:
    """Yield each log line with its time.

    The log has no year: it begins with that of the file, and with each new January the next year begins.
    """
    year = datetime.fromtimestamp(os.stat(path).st_mtime).year if os.path.isfile(path) else 1970
    before = 0
    for line in lines(read_bytes(path)):
        if found := TIME.match(line):
            month = int(found[1])
            year += month < before
            before = month
            try:
                yield datetime.strptime(f"{year}{found[1]}{found[2]} {found[3]}", "%Y%m%d %H:%M:%S.%f"), line
            except ValueError:  # a line that is damaged, or the 29th of February in another year
                continue


def _number(text: str) -> float:
    try:
        return float(text.rstrip(","))
    except ValueError:
        return float("nan")
