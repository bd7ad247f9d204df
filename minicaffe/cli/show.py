"""Print a net as it is after the passes that come before its first layer.

The passes in order: upgrade_v0, upgrade_v1, upgrade_fields, filter (phase, level, stage), insert_splits.
"""

from __future__ import annotations

import argparse
import sys

from minicaffe import passes
from minicaffe.cli.flags import whole, words
from minicaffe.cli.terminal import is_utf8, say
from minicaffe.net import location
from minicaffe.proto import Phase
from minicaffe.proto import text as proto_text


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("net", metavar="NET", help="a prototxt or YAML file")
    parser.add_argument("--after", metavar="PASS", default=passes.PASSES[-1][0],
                        help="stop after this pass: " + ", ".join(name for name, _ in passes.PASSES))
    add_state_arguments(parser)


def add_state_arguments(parser: argparse.ArgumentParser, phase: str = "TRAIN") -> None:
    """The flags that decide which layers take part."""
    parser.add_argument("--phase", choices=["TRAIN", "TEST"], type=str.upper, default=phase)
    parser.add_argument("--level", type=whole, default=0)
    parser.add_argument("--stage", type=words, default="", help="stages, separated by commas")


def add_permissive(parser: argparse.ArgumentParser) -> None:
    """The flag that lets a net pass whose layers do not read all that is set."""
    parser.add_argument("--permissive", action="store_true",
                        help="warn of parameters that a layer does not read, instead of refusing them")


def stages(args: argparse.Namespace) -> list[str]:
    """The stages of a --stage flag."""
    return [stage for stage in args.stage.split(",") if stage]


def run(args: argparse.Namespace) -> int:
    net, place = location.read(args.net)
    net.state.phase, net.state.level = Phase.Value(args.phase), args.level
    net.state.stage.extend(stages(args))
    with place.in_errors(net):
        shown = passes.apply(net, args.after)
    say(proto_text.format(shown, ascii_only=not is_utf8(sys.stdout)), end="")  # no stand-ins in names
    return 0
