"""List the layer types, or print the datasheet of one: what it computes, its fields, and a sample net that runs.

  minicaffe layers                        list all types by family
  minicaffe layers lrn                    print one type; LRN may be written lrn
  minicaffe layers --import softsign      also list the types and fillers of a module of your own

Types and fillers from installed packages are listed too, with the package that each comes from. minicaffe explain TYPE
prints the maths of a type as code, with an example in numbers.
"""

from __future__ import annotations

import argparse

from minicaffe import plugins
from minicaffe.cli.terminal import say
from minicaffe.cli.user_code import add_user_code
from minicaffe.filler import FILLERS
from minicaffe.layer import registered_types
from minicaffe.layers.datasheet import datasheet, families, family_of, fields, find, sample, samples, summary
from minicaffe.layout import code, entry, prose, terminal_width, wrap

PIPED = 80  # columns where the output is not a terminal


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", metavar="NAME", nargs="?", help="a layer type; without it, all types are listed")
    add_user_code(parser)


def run(args: argparse.Namespace) -> int:
    say(page(find(args.name)) if args.name else overview())
    return 0


def overview() -> str:
    """Return all types by family, one line each; then those from outside, by the module that they come from."""
    plugins.load_installed()
    column, width = max(map(len, registered_types())) + 4, terminal_width(PIPED)
    blocks = ["\n".join([family, *(line for name in types for line in entry(name, summary(name), column, width))])
              for family, types in families().items()]
    for origin, found in plugins.brought().items():
        layers_first = sorted(found, key=lambda one: (one[0] != plugins.LAYER, one[1]))
        lines = [line for kind, name in layers_first for line in entry(name, _says(kind, name), column, width)]
        blocks += ["\n".join([*wrap(f"from the {origin}", width), *lines])] if found else []
    return "\n\n".join([*blocks, *_left_out(width), "minicaffe layers NAME prints the datasheet of a type."])


def _says(kind: str, name: str) -> str:
    """Return what the list says of a type: its docstring's first sentence, after the word "Filler" if it is one."""
    if kind == plugins.LAYER:
        return summary(name)
    told = (FILLERS[name].__doc__ or "").split("\n\n")[0]
    return f"Filler: {' '.join(told.split())}" if told else "Filler."


def _left_out(width: int) -> list[str]:
    """Return a line about the installed packages whose types --no-python keeps out of the list."""
    found = plugins.left_out()
    return ["\n".join(wrap(f"Not loaded, because of --no-python: {', '.join(found)}.", width))] if found else []


def page(name: str) -> str:
    """Return the datasheet of a type, its fields, and a sample."""
    width = terminal_width(PIPED)
    origin, told = plugins.origin_of(plugins.LAYER, name), datasheet(name)
    head = f"{name}, a layer from the {origin}" if origin else f"{name}, a layer of the family {family_of(name)}"
    parts = ["\n".join(wrap(head, width)), *([prose(told, width)] if told else [])]
    for message, rows in fields(name).items():
        widths = [max(len(row[i]) for row in rows) + 2 for i in range(3)]
        lines = [line for row in rows for line in
                 entry(f"{row.name:{widths[0]}}{row.type:{widths[1]}}{row.default:{widths[2]}}".rstrip(), row.comment,
                       2 + sum(widths), width)]
        parts.append("\n".join([*wrap(f"Fields of {message}, with type and default", width), *lines]))
    if name in samples():  # a type from outside has none
        parts.append("\n".join(["Sample", *code(sample(name), width)]))
    return "\n\n".join(parts)
