"""Format prototxts: two spaces for each level, one field on each line. Comments and values stay as they are.

  minicaffe fmt lenet.prototxt solver.prototxt     rewrite the files
  minicaffe fmt --check *.prototxt                 print the names of those that would change
  minicaffe fmt --diff lenet.prototxt              print the lines that would change
  minicaffe fmt - < lenet.prototxt                 read stdin, write stdout

A message that stands on one line stays on one line if it fits into 120 characters. Each formatted text is read again,
and is written only if it means the same as before. If one of the files is not a prototxt, none of them is written.
"""

from __future__ import annotations

import argparse
import difflib
import os
import sys
from pathlib import Path
from typing import NamedTuple

from minicaffe.cli.terminal import say
from minicaffe.errors import DataError, ProtoError
from minicaffe.io import prototxt
from minicaffe.io.files import read_bytes, replace_file
from minicaffe.io.prototxt import as_net_or_solver
from minicaffe.proto.reformat import reformat
from minicaffe.proto.source import is_yaml

STDIN = "-"


class Made(NamedTuple):
    """A file with its bytes before and after."""

    path: str
    before: bytes
    after: bytes


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("files", metavar="FILE", nargs="+", help="prototxts of nets or solvers; - means stdin")
    parser.add_argument("--check", action="store_true", help="write no file; exit with status 1 if one would change")
    parser.add_argument("--diff", action="store_true", help="write no file; print the lines that would change")


def run(args: argparse.Namespace) -> int:
    if not (args.check or args.diff):
        for path in args.files:
            _refuse_pipe(path)
    made = [_format(path) for path in args.files]  # all of them first: an error in one must leave the others unchanged
    changed = [one for one in made if one.after != one.before]
    for one in changed:
        if args.diff:
            _show(one)
        elif args.check:
            say(f"would format {one.path}")
    if args.check or args.diff:
        return int(args.check and bool(changed))
    for one in made:
        if one.path == STDIN:
            sys.stdout.flush()
            sys.stdout.buffer.write(one.after)
        elif one.after != one.before:
            replace_file(one.path, [one.after])
            say(f"formatted {one.path}")
    return 0


def _format(path: str) -> Made:
    """Return a file's bytes before and after formatting. Raise ProtoError, with the line, if it is not a prototxt."""
    name = "<stdin>" if path == STDIN else path
    if is_yaml(path):
        raise ProtoError("this is YAML, and fmt formats prototxts", where=path,
                         hint=f"minicaffe convert {path} {Path(path).stem}.prototxt makes a prototxt of it")
    before = _stdin() if path == STDIN else read_bytes(path, prototxt.LARGEST + 1)
    text = prototxt.decode(before, name, with_comments=True)
    return Made(path, before, as_net_or_solver(lambda message: reformat(text, message, name)).encode())


def _stdin() -> bytes:
    if sys.stdin is None:  # Python's way to say that it was started with stdin closed
        raise ProtoError("stdin is closed, so there is nothing to format", hint="give the name of a file in place of -")
    return sys.stdin.buffer.read(prototxt.LARGEST + 1)


def _refuse_pipe(path: str) -> None:
    """Raise DataError for a pipe or a device: it can be read, but what is written to it would not replace its text."""
    if path != STDIN and os.path.exists(path) and not (os.path.isfile(path) or os.path.isdir(path)):
        raise DataError("this is no ordinary file, so it cannot be rewritten", where=path,
                        hint=f"minicaffe fmt - < {path} writes the formatted text to stdout")


def _show(made: Made) -> None:
    """Print a file's changes as a unified diff."""
    before, after = (data.decode("utf-8-sig").splitlines() for data in (made.before, made.after))
    for line in difflib.unified_diff(before, after, made.path, f"{made.path} (formatted)", lineterm=""):
        say(line)
