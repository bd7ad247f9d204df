"""Explain a layer type: its datasheet, the maths as code, an example with numbers, and where the formulas are derived.

  minicaffe explain lrn                             LRN may be written lrn
  minicaffe explain softsign --import softsign      a type of your own

minicaffe layers NAME prints the fields of a type, and a sample net. minicaffe layers lists all types.
"""

from __future__ import annotations

import argparse

from minicaffe.cli.terminal import say
from minicaffe.cli.user_code import add_user_code
from minicaffe.layers import datasheet, worked_example
from minicaffe.layout import code, prose, terminal_width, wrap

PIPED = 122  # columns for a reader that is no terminal: the code is up to 120 wide, and its margin 2


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("type", metavar="TYPE", help="a layer type")
    add_user_code(parser)


def run(args: argparse.Namespace) -> int:
    say(page(datasheet.find(args.type)))
    return 0


def page(name: str) -> str:
    """Return all that there is to say of a type, part by part."""
    width, sheet = terminal_width(PIPED), datasheet.datasheet(name)
    parts = [*wrap(f"{name}: {datasheet.own_path(name)}", width), *([prose(sheet, width)] if sheet else [])]
    for title, sources in (("Definitions of the kernels that it calls", datasheet.definitions(name)),
                           ("The code of the layer and its bases", datasheet.own_code(name))):
        parts += [title] if sources else []
        parts += ["\n".join([*wrap(f"{source.name} in {source.path}:", width), *code(source.text, width)])
                  for source in sources]
    parts += _example(name, width)
    if where := datasheet.derivation(name):
        parts += wrap(f"The formulas are derived in {where} of the repository.", width)
    return "\n\n".join(parts)


def _example(name: str, width: int) -> list[str]:
    """Return the example of a type with its words, its net and its numbers; [] for a type from outside."""
    example = worked_example.worked_example(name)
    if example is None:
        return []
    parts = ["\n".join(["Example", *(wrap(example.words, width, "  ") if example.words else [])])]
    if example.prototxt:
        numbers = worked_example.as_text(example, width - 2)
        parts += ["\n".join(code(example.prototxt, width)), "\n".join(f"  {line}" for line in numbers)]
    return parts
