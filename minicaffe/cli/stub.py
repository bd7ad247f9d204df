"""Write a Python layer to fill in, for a layer type that minicaffe does not have.

  minicaffe stub FlowWarp net.prototxt
  minicaffe summary net.prototxt --phase TEST --import ./flow_warp.py

The file has a class with the tops' shapes that the net needs, as far as they are known. It runs at once and puts out
zeros. The shapes of the bottoms come from making the layers before it. Of a data layer whose source is not here, and of
a Python layer whose module is missing, they are assumed where the net tells enough, and else --shape gives them.
"""

from __future__ import annotations

import argparse
import re
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from minicaffe import passes
from minicaffe.cli.flags import files, filled
from minicaffe.cli.show import add_level_and_stage, stages
from minicaffe.cli.stub_shapes import Around, find, suggested
from minicaffe.cli.stub_source import source
from minicaffe.cli.terminal import say
from minicaffe.cli.user_code import add_user_code
from minicaffe.errors import DataError, LayerError, MinicaffeError, NetError, ProtoError, near_names
from minicaffe.io.files import check_can_write, replace_file
from minicaffe.layer import is_known, module_name, registered_types
from minicaffe.log import one_line, silent
from minicaffe.net import copy_weights, location
from minicaffe.proto import Phase

Shape = tuple[int, ...]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("type", metavar="TYPE", help="the layer type, as the net writes it")
    parser.add_argument("net", metavar="NET", help="a prototxt or YAML file")
    parser.add_argument("--output", metavar="F", type=filled,
                        help="the file to write (default: the type in small letters, such as flow_warp.py)")
    parser.add_argument("--force", action="store_true", help="replace a file that is there already")
    parser.add_argument("--shape", metavar="TOP=SHAPE", action="append", default=[],
                        help="the shape of a top, such as data=1x3x224x224 or data=1,3,224,224. A layer without "
                             "bottoms needs it where its data are not here. Repeat the flag for each further top")
    parser.add_argument("--weights", metavar="F,F", type=files,
                        help="weight files: the learnable blobs get the shapes that they have there")
    parser.add_argument("--phase", choices=["TRAIN", "TEST"], type=str.upper, default="TEST",
                        help="use the layers of this phase (default: TEST)")
    add_level_and_stage(parser)
    add_user_code(parser)


def run(args: argparse.Namespace) -> int:
    if args.type in registered_types():
        raise MinicaffeError(f"minicaffe has the layer type {args.type!r}: it needs no stub",
                             hint=f"minicaffe layers {args.type} prints its datasheet")
    if not location.is_stub_name(args.type):
        raise MinicaffeError(f"{args.type!r} cannot be the name of a Python class",
                             hint="give the type as a net writes it, such as FlowWarp")
    path = Path(args.output or f"{module_name(args.type)}.py")
    check_can_write("--output", path)
    if path.exists() and not args.force:
        raise DataError(f"{path} is there already, and is not overwritten",
                        hint="--output F writes another file, --force replaces this one")
    definition, place, left_out = _read(args.net)
    location.set_state(definition, Phase.Value(args.phase), args.level, stages(args))
    with place.in_errors(definition), silent():
        net = passes.apply(definition, "filter")
        wanted = [layer for layer in net.layer if layer.type == args.type]
        if not wanted:
            raise _not_in_net(args, net)
        found = find(net, args.type, _given(args.shape, net), not args.no_python)
        for layer in wanted:
            _check_known(layer, found[layer.name], args)
    with silent():
        blobs = _blobs(wanted, args.weights)
    replace_file(path, [source(args.type, wanted, found, blobs, left_out).encode()])
    say(f"wrote {path}: {args.type}, for {', '.join(layer.name for layer in wanted)}. It puts out zeros until you fill "
        f"in forward and backward.\nTo use it: --import ./{path}")
    return 0


def _read(path: str) -> tuple[Any, location.Location, Sequence[str]]:
    """Return the definition without what the schema does not know in its layers, its Location, and what that was."""
    try:
        return *location.read(path), ()
    except ProtoError as error:
        if not error.unknown:
            raise
        return *location.read(path, lambda layer, net: True), error.unknown


def _not_in_net(args: argparse.Namespace, net: Any) -> NetError:
    types = list(dict.fromkeys(layer.type for layer in net.layer))
    unknown = [name for name in types if not is_known(name)]
    others = f"types that minicaffe does not have: {', '.join(unknown)}" if unknown else "minicaffe has all its types"
    return NetError(f"no layer of the {args.phase} net has the type {args.type!r}",
                    hint=near_names(args.type, types) or others)


def _given(texts: Sequence[str], net: Any) -> dict[str, Shape]:
    """Read TOP=1x3x32x48 or TOP=1,3,32,48, once for each top."""
    given = {}
    tops = [top for layer in net.layer for top in layer.top]
    for text in texts:
        top, _, sizes = text.rpartition("=")
        if not top or not re.fullmatch(r"[1-9]\d*([x,][1-9]\d*)*", sizes):
            raise NetError(f"--shape must be TOP=SHAPE, such as flow=1x2x32x48, got {text!r}")
        if top not in tops:
            raise NetError(f"--shape {text}: no layer makes {top!r}", hint=near_names(top, tops))
        given[top] = tuple(map(int, re.split("[x,]", sizes)))
    return given


def _check_known(layer: Any, around: Around, args: argparse.Namespace) -> None:
    """Raise LayerError, with the command that cures it, unless all shapes around a layer of the type are known."""
    if not around.causes:
        return
    cause = next(iter(around.causes.values()))
    what = f"the shape of its top {layer.top[0]!r}" if cause.layer == layer else \
        f"the shape of its bottom {next(b for b, s in zip(layer.bottom, around.bottoms, strict=True) if s is None)!r}"
    shapes = [f"{top}={'x'.join(map(str, suggested(cause.layer, top)))}" for top, cause in around.causes.items()]
    raise LayerError(f"layer {layer.name!r} ({layer.type}): {what} is not known: {cause.why}",
                     hint=f"give it, with the right numbers: {_command(args, shapes)}")


def _command(args: argparse.Namespace, shapes: Sequence[str]) -> str:
    """Return the command that the user gave, with more shapes."""
    words = ["minicaffe", "stub", args.type, args.net]
    for flag in ("output", "weights", "stage", "level"):
        if getattr(args, flag):
            words += [f"--{flag}", str(getattr(args, flag))]
    words += ["--phase", args.phase] if args.phase != "TEST" else []
    words += [f"--{flag.replace('_', '-')}" for flag in ("force", "no_python") if getattr(args, flag)]
    words += [word for module in args.imports for word in ("--import", module)]
    return shlex.join([*words, *(word for shape in [*args.shape, *shapes] for word in ("--shape", shape))])


def _blobs(layers: Sequence[Any], weights: str | None) -> dict[str, list[Shape]]:
    """Return for each layer the shapes of its learnable blobs: those in the weights, else (1,) for each `param`."""
    shapes: dict[str, list[Shape]] = {layer.name: [(1,)] * len(layer.param) for layer in layers}
    if not weights:
        return shapes
    stored = {layer.name: [tuple(map(int, blob.shape)) for blob in layer.blobs]
              for _, one in copy_weights.read(weights).files for layer in one if layer.blobs}
    if not stored.keys() & shapes.keys():
        raise DataError(f"--weights {one_line(weights)}: it has no blobs for {', '.join(map(repr, shapes))}",
                        hint="without --weights, the file has one blob for each param { } of the net")
    return {name: stored.get(name, found) for name, found in shapes.items()}
