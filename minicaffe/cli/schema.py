"""Write a JSON Schema with which editors complete and check nets and solvers in YAML, while they are written.

  minicaffe schema -o net.schema.json              of a net
  minicaffe schema solver -o solver.schema.json    of a solver

A first line `# yaml-language-server: $schema=net.schema.json` in a .yaml file tells the YAML extension of VS Code, and
other editors with that language server, where the schema is. The schema knows the fields with their comments, the
values of enums, and the types of layers, fillers and solvers; a layer type of your own is accepted too.
"""

from __future__ import annotations

import argparse
import json

from minicaffe.cli.terminal import say
from minicaffe.filler import FILLERS
from minicaffe.io.files import replace_file
from minicaffe.layer import registered_types
from minicaffe.proto import json_schema
from minicaffe.solvers import registered_solvers
from minicaffe.solvers.lr_policy import POLICIES

MESSAGES = {"net": "NetParameter", "solver": "SolverParameter"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("kind", nargs="?", choices=list(MESSAGES), default="net", help="what the YAML defines: "
                        "a net, unless solver is said")
    parser.add_argument("-o", "--output", metavar="FILE", help="the file to write, instead of stdout")


def run(args: argparse.Namespace) -> int:
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
