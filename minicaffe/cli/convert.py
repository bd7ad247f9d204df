"""Rewrite a definition: prototxt to YAML or YAML to prototxt, by the files' names, and nothing is lost."""

from __future__ import annotations

import argparse
from typing import Any

from minicaffe.errors import ProtoError
from minicaffe.proto import NetParameter, SolverParameter
from minicaffe.proto import text as proto_text


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("source", metavar="A", help="a net or solver, .prototxt or .yaml")
    parser.add_argument("target", metavar="B", help="the file to write, .prototxt or .yaml")


def run(args: argparse.Namespace) -> int:
    proto_text.write(args.target, read_net_or_solver(args.source))
    return 0


def read_net_or_solver(path: str) -> Any:
    """The NetParameter or the SolverParameter of a file, whichever it is; the net's error where it is neither."""
    try:
        return proto_text.read(path, NetParameter())
    except ProtoError as not_a_net:
        try:
            return proto_text.read(path, SolverParameter())
        except ProtoError as not_a_solver:
            # the reading that came further is the one that was meant
            raise max((not_a_net, not_a_solver), key=_line) from None


def _line(error: ProtoError) -> int:
    numbers = [int(part) for part in error.where.rsplit(":", 2)[1:] if part.isdigit()]
    return numbers[0] if numbers else 0
