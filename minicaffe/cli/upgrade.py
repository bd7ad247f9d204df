"""Bring a net, the weights of one or a solver into today's format, and say what changed.

  minicaffe upgrade old.prototxt new.prototxt
  minicaffe upgrade old.caffemodel new.caffemodel
  minicaffe upgrade old_solver.prototxt new_solver.prototxt

A definition is written as Caffe's upgrade_net_proto_text and upgrade_solver_proto_text write it, without comments. No
file has to be upgraded, because all commands read old formats too. The exit status is 1 if fields had to be dropped.
"""

from __future__ import annotations

import argparse
import logging
from collections.abc import Iterator
from typing import Any

from minicaffe import passes
from minicaffe.cli import convert
from minicaffe.cli.flags import add_dialect
from minicaffe.cli.terminal import complain, say
from minicaffe.errors import DataError
from minicaffe.io import binary, prototxt, weights
from minicaffe.io.files import replace_file
from minicaffe.log import At, plural
from minicaffe.passes.upgrade_v0 import TRANSFORM_FIELDS
from minicaffe.passes.upgrade_v1 import TRANSFORMED
from minicaffe.proto import NetParameter
from minicaffe.proto.source import is_yaml
from minicaffe.proto.text import format_as_caffe
from minicaffe.records import glog
from minicaffe.solvers.definition import with_type


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("source", metavar="OLD", help="a prototxt or YAML file, or a .caffemodel")
    parser.add_argument("target", metavar="NEW", help="the file to write; it may be OLD")
    add_dialect(parser)


def run(args: argparse.Namespace) -> int:
    kind = binary.sniff(args.source)
    dropped = _Dropped()
    with glog.listening(dropped):
        if kind == "caffemodel":
            changed = _upgrade_weights(args.source, args.target, args.dialect)
        elif kind in ("prototxt", "text", "empty"):
            changed = _upgrade_text(args.source, args.target)
        else:
            raise DataError(f"this is {binary.describe(kind)}, and only nets, solvers and .caffemodel files have older "
                            "formats", where=args.source)
    for line in changed:
        say(f"  {line}")
    for line in dropped.lines:
        complain(f"minicaffe: warning: {line}")
    say(f"wrote {args.target}" + ("" if changed or dropped.lines else f": {args.source} has today's format already"))
    return int(bool(dropped.lines))  # Caffe: it writes the file, too, and exits with this status


def _upgrade_text(source: str, target: str) -> list[str]:
    """Write a net's or a solver's definition anew, and return what changed."""
    message = convert.read_net_or_solver(source)
    if message.DESCRIPTOR.name == "NetParameter":
        _write(target, passes.upgrade(message))
        return list(_changes(message))
    new = with_type(message, source)
    _write(target, new)
    return [f"solver_type became type: {new.type!r}"] if message.HasField("solver_type") else []


def _write(path: str, message: Any) -> None:
    if is_yaml(path):
        prototxt.write(path, message)
    else:
        replace_file(path, [format_as_caffe(message).encode()])


def _upgrade_weights(source: str, target: str, dialect: str | None) -> list[str]:
    """Write a .caffemodel anew, and return what changed."""
    changed = list(_changes(binary.read(source, NetParameter(), dialect)))
    layers, definition = convert.upgraded_weights(source, weights.read(source), dialect)
    # Caffe: upgrade_net_proto_binary writes a binary net, whatever the file is called
    write = weights.write if target.lower().endswith(weights.SUFFIXES) else weights.write_caffemodel
    write(target, layers, definition)
    return changed


def _changes(net: Any) -> Iterator[str]:
    """Yield in words what `passes.upgrade` changes of a net."""
    old = [layer.layer for layer in net.layers if layer.HasField("layer")]
    if old:
        yield f"{plural(len(old), 'layer')} of 2013's format (V0) became `layer`"
    padding = [layer for layer in old if layer.type == "padding"]
    if padding:
        yield f"{plural(len(padding), 'layer')} of type padding became `pad` of the layer that reads it"
    if len(net.layers) > len(old):
        yield f"{plural(len(net.layers[len(old):]), 'layer')} of 2014's format (V1, `layers`) became `layer`"
    moved = [layer for layer in net.layers if _transforms(layer)]
    if moved:
        yield f"scale, mean_file, crop_size and mirror of {plural(len(moved), 'layer')} moved into transform_param"
    if net.input:
        became = "became a layer of type Input" if net.input_shape or net.input_dim else "was left out: it has no shape"
        yield f"input {', '.join(net.input)} {became}"
    fixed = [layer for layer in net.layer if layer.type == "BatchNorm" and len(layer.param) == 3
             and any(spec.lr_mult or spec.decay_mult for spec in layer.param)]
    if fixed:
        yield (f"lr_mult and decay_mult of {plural(len(fixed), 'layer')} of type BatchNorm became 0: its blobs are not "
               "learned")


def _transforms(layer: Any) -> bool:
    """Return whether an old data layer says in its own message how images are transformed."""
    fields = tuple(TRANSFORM_FIELDS.values())
    return any(layer.layer.HasField(name) for name in TRANSFORM_FIELDS) or any(
        getattr(layer, message).HasField(name) for message in TRANSFORMED.values() for name in fields)


class _Dropped(logging.Handler):
    """Keeps the lines about fields that have no place in today's format."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        if getattr(record, "at", "") != At.SOLVER_TYPE_DEPRECATED:  # that change is told as such
            self.lines.append(record.getMessage())
