"""What commands give to other programs: JSON and CSV."""

from __future__ import annotations

import argparse
import csv
import io
import json
import math
from collections.abc import Iterable
from typing import Any

from minicaffe.cli.terminal import say
from minicaffe.io.files import check_can_write, replace_file

STDOUT = "-"  # the value of --json without a file


def add_json(parser: argparse.ArgumentParser, what: str) -> None:
    """Add --json. A command that takes any number of files needs a flag without a value, which could be one of them."""
    parser.add_argument("--json", metavar="F", nargs="?", const=STDOUT, default="",
                        help=f"write {what} as JSON to a file as well; without F, to stdout in place of the text")


def check_json(path: str) -> None:
    """Raise DataError, before any work is done, where the file of --json could not be written."""
    if path != STDOUT:
        check_can_write("--json", path)


def write_json(path: str, content: Any) -> None:
    """Write what --json asks for, to a file or to stdout."""
    if path == STDOUT:
        say(json_text(content), end="")
    else:
        replace_file(path, [json_text(content).encode()])


def json_text(content: Any) -> str:
    """Return the content as JSON. A number that is not finite becomes null, for JSON has no word for it."""
    return json.dumps(_finite(content), indent=1) + "\n"


def _finite(value: Any) -> Any:
    """Return the value with None in place of each NaN and Inf in it."""
    if isinstance(value, dict):
        return {key: _finite(one) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(one) for one in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def csv_text(rows: Iterable[Iterable[object]], delimiter: str = ",") -> str:
    """Return the rows as CSV. Bytes of a file's name that are not UTF-8 are written as escapes."""
    out = io.StringIO()
    csv.writer(out, delimiter=delimiter, lineterminator="\n").writerows(rows)
    return out.getvalue().encode("utf-8", "backslashreplace").decode()
