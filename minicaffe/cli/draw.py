"""Draw a net: each layer is a box with its settings and costs, each blob a line with its shape.

  minicaffe draw train_val.prototxt net.html     a page: a click on a layer shows its datasheet
  minicaffe draw train_val.prototxt net.svg      an image, for documents
  minicaffe draw train_val.prototxt net.dot      for graphviz

Where TRAIN and TEST have different layers, both nets are drawn as one. What only one of them has is marked. A layer
that runs in place stands in the box of the layer whose top it changes. In a large net, blocks that repeat are drawn
once; in a page, a click on their frame opens them. A tall drawing is cut into columns. If the source of a data layer
is not there, its shape follows from --size and --batch, or from its crop_size.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from minicaffe import passes, plugins
from minicaffe.cli.flags import positive
from minicaffe.cli.show import add_level_and_stage, add_permissive, stages
from minicaffe.cli.summary import made
from minicaffe.cli.terminal import say
from minicaffe.cli.user_code import add_user_code
from minicaffe.drawing import ENDINGS, Drawing, draw_versions
from minicaffe.drawing.definition import PHASES, differing_phases, state_of
from minicaffe.drawing.graph import Version, version_of_definition
from minicaffe.errors import DataError, MinicaffeError, near_names
from minicaffe.io.files import check_can_write, replace_file
from minicaffe.layout import terminal_width, wrap
from minicaffe.log import one_line, plural
from minicaffe.net import location, wiring
from minicaffe.proto import Phase

WIDTH = 1240  # pixels that a tall drawing may take for its columns, so that a screen of 1280 shows them all


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("net", metavar="NET", help="a prototxt or YAML file")
    parser.add_argument("out", metavar="OUT", help="the file to write: .html, .svg or .dot")
    parser.add_argument("--phase", choices=PHASES, type=str.upper, default=None,
                        help="draw the net of this phase alone (default: both, as one)")
    add_level_and_stage(parser)
    parser.add_argument("--batch", metavar="N", type=positive, default=0,
                        help="number of samples in a batch (default: what the net says)")
    parser.add_argument("--size", metavar="HxW", default="",
                        help="size of the images, also as CxHxW; the sources of data layers are then not read")
    parser.add_argument("--fold", action=argparse.BooleanOptionalAction, default=None,
                        help="draw blocks that repeat once (default: in nets of more than 30 boxes)")
    add_permissive(parser)
    add_user_code(parser)


def run(args: argparse.Namespace) -> int:
    ending = Path(args.out).suffix.lower()
    if ending not in ENDINGS:
        raise DataError(f"{one_line(args.out)}: a drawing ends in {', '.join(ENDINGS[:-1])} or {ENDINGS[-1]}, got "
                        f"{repr(ending) if ending else 'no ending'}", hint=near_names(ending, list(ENDINGS)))
    check_can_write("OUT", args.out)
    drawing, remarks = drawn(args)
    replace_file(args.out, [drawing.text(ending).encode("utf-8", "replace")])
    folds = f", {plural(drawing.folds, 'repeated block')} drawn once" if drawing.folds else ""
    for remark in [*remarks, f"{one_line(args.out)}: {drawing.layers}{folds}"]:
        say("\n".join(wrap(remark, terminal_width())))
    return 0


def drawn(args: argparse.Namespace) -> tuple[Drawing, list[str]]:
    """Return the drawing that the flags ask for, and in words what had to be assumed."""
    given, place = location.read(args.net)
    with place.in_errors(given):
        definition = passes.upgrade(given)
        phases = [args.phase] if args.phase else differing_phases(definition, _state(definition, args))
    versions: list[Version] = []
    remarks: list[str] = []
    failed: MinicaffeError | None = None
    for phase in phases:
        try:
            version, assumed = _version(args, (given, place), definition, phase)
            versions.append(version)
            remarks += assumed
        except MinicaffeError as error:
            if len(phases) == 1:
                raise
            failed = failed or error
            missing = phase
    if failed and not versions:
        raise failed
    if failed:
        remarks.append(f"Only the net of {versions[0].label} is drawn. The net of {missing} cannot be made: "
                       f"{failed.message}")
    return draw_versions(given.name, versions, fold=args.fold, width=WIDTH), list(dict.fromkeys(remarks))


def _state(definition: Any, args: argparse.Namespace) -> Any:
    """Return the NetState that the flags ask for, in the definition's own phase."""
    state = type(definition.state)()
    state.CopyFrom(definition.state)
    state.level = args.level
    state.stage.extend(stages(args))
    return state


def _version(args: argparse.Namespace, read: tuple[Any, location.Location], definition: Any,
             phase: str) -> tuple[Version, list[str]]:
    """Make the net of a phase, and return what is to be drawn of it, and remarks about what was assumed.

    Where the size of its images is not known, it is drawn without shapes.
    """
    try:
        net, remarks = made(*read, Phase.Value(phase), args.level, stages(args), args.batch, args.size,
                            args.permissive, not args.no_python)
        return version_of_definition(phase, definition, net.param, net), remarks
    except DataError as error:
        if "--size" not in error.hint and "--batch" not in error.hint:
            raise
        remark = f"Drawn without shapes and costs: {error.message}; {error.hint}."
    chosen = type(definition)()
    chosen.CopyFrom(definition)
    chosen.state.CopyFrom(state_of(_state(definition, args), phase))
    given, place = read
    with place.in_errors(given), plugins.permitted(not args.no_python):
        param = passes.apply(chosen)
        wiring.classes_of(param, not args.no_python, True)  # raises for an unknown type, as making the net would
    return version_of_definition(phase, definition, param, None), [remark]
