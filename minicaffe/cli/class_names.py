"""The names of classes, from a text file with a line for each."""

from __future__ import annotations

import argparse
import os
import re
import shlex
from collections.abc import Sequence
from typing import Any

from minicaffe.cli.flags import filled
from minicaffe.errors import DataError
from minicaffe.io.files import read_bytes

LARGEST = 10_000_000  # bytes of such a file


def add_labels(parser: argparse.ArgumentParser) -> None:
    """Add --labels, the file of names."""
    parser.add_argument("--labels", metavar="F", type=filled,
                        help="names of the classes, a line for each; the first is of class 0")


def read_names(path: str) -> list[str]:
    """Return the lines of a file of names; the first names class 0. Raise DataError where it is no text in UTF-8."""
    try:
        text = read_bytes(path, LARGEST).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(f"--labels: {path} is no text in UTF-8: {error}") from error
    lines = re.split("\r\n?|\n", text)  # splitlines would also cut a name at signs such as U+2028
    while lines and not lines[-1].strip():
        lines.pop()
    if not lines:
        raise DataError(f"--labels: {path} is empty", hint="write a name in each line; the first is of class 0")
    return [line.strip() for line in lines]


def names_of(path: str | None, count: int, samples: Any = None) -> list[str]:
    """Return the names of `count` classes from a file. Raise DataError where it has another number of names.

    Without a file, they are the names that the source of `samples` has, if it has as many, or else the numbers.
    """
    if not path:
        known = getattr(samples, "classes", ())
        return list(known) if len(known) == count else [str(k) for k in range(count)]
    names = read_names(path)
    if len(names) != count:
        raise DataError(f"--labels: {path} names {len(names)} classes, but the net has {count}")
    return names


def unused_labels(net: str, names: Sequence[str]) -> str:
    """Return a hint at a labels.txt beside the net that would name its classes; '' where they have names, or none fits.

    It is only a hint, because the file may be that of another data set with as many classes.
    """
    path = os.path.join(os.path.dirname(net), "labels.txt")
    if not same_names(names) or not os.path.isfile(path):
        return ""
    try:
        fits = len(read_names(path)) == len(names)
    except DataError:
        return ""
    return f"--labels {shlex.quote(path)} shows the names in this file in place of the numbers" if fits else ""


def same_names(names: Sequence[str]) -> bool:
    """Return whether the names are only the numbers of the classes."""
    return list(names) == [str(k) for k in range(len(names))]
