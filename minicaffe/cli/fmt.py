"""Lay out prototxts anew: two blanks a level, one field a line. Comments, their places and all values stay.

  minicaffe fmt lenet.prototxt solver.prototxt     rewrites the files
  minicaffe fmt --check *.prototxt                 names those that would change
  minicaffe fmt --diff lenet.prototxt              shows what would change
  minicaffe fmt - < lenet.prototxt                 from stdin to stdout

A message on one line stays on one line, up to 120 letters. Each text is read again after it is laid out: unless it
says the same as before, nothing is written. No file is written either where another of them is no prototxt.
"""

from __future__ import annotations

import argparse
import difflib
import sys
from pathlib import Path
from typing import NamedTuple

from minicaffe.cli.convert import as_net_or_solver
from minicaffe.cli.terminal import say
from minicaffe.errors import ProtoError
from minicaffe.io import prototxt
from minicaffe.io.files import read_bytes, replace_file
from minicaffe.proto.reformat import reformat
from minicaffe.proto.source import is_yaml

STDIN = "-"


class Made(NamedTuple):
    """A file with its bytes before and after."""

    path: str
    before: bytes
    after: bytes


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("files", metavar="FILE", nargs="+", help="prototxts of nets and solvers; - is stdin")
    parser.add_argument("--check", action="store_true", help="write nothing; exit with 1 if a file would change")
    parser.add_argument("--diff", action="store_true", help="write nothing; print the lines that would change")


def run(args: argparse.Namespace) -> int:
    made = [_format(path) for path in args.files]  # all of them, before the first is written
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
    """A file's bytes, laid out anew. ProtoError, with the line, where it is no prototxt."""
    name = "<stdin>" if path == STDIN else path
    if is_yaml(path):
        raise ProtoError("this is YAML, and fmt lays out prototxts", where=path,
                         hint=f"minicaffe convert {path} {Path(path).stem}.prototxt writes it as one")
    before = sys.stdin.buffer.read(prototxt.LARGEST + 1) if path == STDIN else read_bytes(path, prototxt.LARGEST + 1)
    text = prototxt.decode(before, name, with_comments=True)
    return Made(path, before, as_net_or_solver(lambda message: reformat(text, message, name)).encode())


def _show(made: Made) -> None:
    before, after = (data.decode("utf-8-sig").splitlines() for data in (made.before, made.after))
    for line in difflib.unified_diff(before, after, made.path, f"{made.path} (formatted)", lineterm=""):
        say(line)
