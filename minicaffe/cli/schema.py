"""Write a JSON Schema, with which an editor completes and checks a net or a solver in YAML while you write it.

  minicaffe schema -o net.schema.json              for nets
  minicaffe schema solver -o solver.schema.json    for solvers
  minicaffe schema --import softsign               with the types and fillers of a module of your own

The YAML extension of VS Code, and other editors with the same language server, find the schema if a .yaml file begins
with this line:

  # yaml-language-server: $schema=net.schema.json

The schema holds the fields with their comments, the values of enums, and the types of layers, fillers and solvers,
among them those of installed packages. A type that it does not list is accepted too.
"""

from __future__ import annotations

import argparse
import json

from minicaffe import plugins
from minicaffe.cli.flags import filled
from minicaffe.cli.terminal import say
from minicaffe.cli.user_code import add_user_code
from minicaffe.filler import FILLERS
from minicaffe.io.files import replace_file
from minicaffe.layer import registered_types
from minicaffe.proto import json_schema
from minicaffe.solvers import registered_solvers
from minicaffe.solvers.lr_policy import POLICIES

MESSAGES = {"net": "NetParameter", "solver": "SolverParameter"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("kind", nargs="?", choices=list(MESSAGES), default="net",
                        help="what the YAML files define (default: net)")
    parser.add_argument("-o", "--output", metavar="FILE", type=filled,
                        help="the file to write (default: print to stdout)")
    add_user_code(parser)


def run(args: argparse.Namespace) -> int:
    plugins.load_installed()
    words = {"LayerParameter.type": registered_types(), "FillerParameter.type": sorted(FILLERS),
             "SolverParameter.type": registered_solvers(), "SolverParameter.lr_policy": sorted(POLICIES),
             "SolverParameter.regularization_type": ["L2", "L1"]}
    made = json_schema.schema(MESSAGES[args.kind], f"a {args.kind} of minicaffe's", words)
    text = json.dumps(made, indent=1) + "\n"  # letters beyond ASCII as escapes, for any encoding of stdout
    if args.output:
        replace_file(args.output, [text.encode("ascii")])
    else:
        say(text, end="")
    return 0
