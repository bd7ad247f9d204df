"""List the layer types, or print one's datasheet: what it computes, its fields, and a sample that runs.

NAME is a layer type, in capitals or not: `minicaffe layers lrn`.
"""

from __future__ import annotations

import argparse

from minicaffe.cli.layout import code, entry, prose, terminal_width
from minicaffe.cli.terminal import say
from minicaffe.layer import registered_types
from minicaffe.layers.datasheet import datasheet, families, family_of, fields, find, sample, summary

PIPED = 80  # columns for a reader that is no terminal


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", metavar="NAME", nargs="?", help="a layer type; without it, all are listed")


def run(args: argparse.Namespace) -> int:
    say(page(find(args.name)) if args.name else overview())
    return 0


def overview() -> str:
    """All types by family, one line each."""
    column, width = max(map(len, registered_types())) + 4, terminal_width(PIPED)
    blocks = ["\n".join([family, *(line for name in types for line in entry(name, summary(name), column, width))])
              for family, types in families().items()]
    return "\n\n".join([*blocks, "minicaffe layers NAME prints a type's datasheet."])


def page(name: str) -> str:
    """One type's datasheet, its fields, and a sample."""
    width = terminal_width(PIPED)
    parts = [f"{name}, a layer of the family {family_of(name)}", prose(datasheet(name), width)]
    for message, rows in fields(name).items():
        widths = [max(len(row[i]) for row in rows) + 2 for i in range(3)]
        lines = [line for row in rows for line in
                 entry(f"{row.name:{widths[0]}}{row.type:{widths[1]}}{row.default:{widths[2]}}".rstrip(), row.comment,
                       2 + sum(widths), width)]
        parts.append(f"Fields of {message}, with type and default\n" + "\n".join(lines))
    return "\n\n".join([*parts, "\n".join(["Sample", *code(sample(name), width)])])
