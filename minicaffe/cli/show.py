"""Print a net as its layers are made: upgraded from older formats, filtered by phase, and with Split layers.

The passes run in this order: upgrade_v0, upgrade_v1, upgrade_fields, filter (phase, level, stage), separate_relu,
insert_splits.
"""

from __future__ import annotations

import argparse
import sys

from minicaffe import passes
from minicaffe.cli.flags import listed, whole, words
from minicaffe.cli.terminal import is_utf8, say
from minicaffe.net import location
from minicaffe.proto import Phase
from minicaffe.proto import text as proto_text


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("net", metavar="NET", help="a prototxt or YAML file")
    parser.add_argument("--after", metavar="PASS", default=passes.PASSES[-1][0],
                        help="the last pass to run: " + ", ".join(name for name, _ in passes.PASSES))
    add_state_arguments(parser)


def add_state_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the flags that decide which layers are part of the net."""
    parser.add_argument("--phase", choices=["TRAIN", "TEST"], type=str.upper, default="TRAIN",
                        help="use the layers of this phase (default: TRAIN)")
    add_level_and_stage(parser)


def add_level_and_stage(parser: argparse.ArgumentParser, net: str = "net") -> None:
    """Add the other two of these flags, for a command whose phase is fixed."""
    parser.add_argument("--level", metavar="N", type=whole, default=0,
                        help=f"the {net}'s level, for layers with min_level or max_level (default: 0)")
    parser.add_argument("--stage", metavar="NAME,NAME", type=words, default="",
                        help=f"the {net}'s stages, for layers with stage or not_stage")


def add_permissive(parser: argparse.ArgumentParser) -> None:
    """Add --permissive, which accepts a net with parameters that its layers do not read."""
    parser.add_argument("--permissive", action="store_true",
                        help="only warn of parameters that a layer does not read, instead of refusing the net")


def stages(args: argparse.Namespace) -> list[str]:
    """Return the stages that --stage names."""
    return listed([args.stage])


def run(args: argparse.Namespace) -> int:
    net, place = location.read(args.net)
    location.set_state(net, Phase.Value(args.phase), args.level, stages(args))
    with place.in_errors(net):
        shown = passes.apply(net, args.after)
    say(proto_text.format(shown, ascii_only=not is_utf8(sys.stdout)), end="")  # escapes, which can be read back
    return 0
