"""The net that leaves for another program, as `minicaffe convert` hands it to a writer: deployed, with its weights."""

from __future__ import annotations

import argparse
from argparse import ArgumentTypeError
from dataclasses import dataclass, field
from typing import Any

from minicaffe import passes
from minicaffe.analysis.classifier import require_weights
from minicaffe.analysis.resize import resize
from minicaffe.cli.deploy import Sizes, roles_of
from minicaffe.cli.flags import filled, positive
from minicaffe.cli.show import add_level_and_stage, stages
from minicaffe.errors import DataError, MinicaffeError, NetError
from minicaffe.io.sniff import describe, sniff
from minicaffe.io.weights import SUFFIXES as WEIGHT_SUFFIXES
from minicaffe.log import silent
from minicaffe.net import Net, location
from minicaffe.passes import deploy as deploying
from minicaffe.proto import TEST, NetParameter

FREE = 0  # what --batch free is read as
TWO_SIZES = (2, 3)  # the batch sizes that show which axes grow with the batch. At 1, a size of 1 could mean anything
DEFINITION_KINDS = ("prototxt", "text", "empty")
WEIGHT_KINDS = ("caffemodel", "hdf5", "npz", "safetensors")


@dataclass
class Leaving:
    """A net that leaves.

    net         of the phase TEST, with its weights: data layers are Inputs, losses are Softmax or Sigmoid
    larger      the same net at a larger batch size, without weights (`shapes_only`); None where the batch size is fixed
    remarks     what became of the layers, in sentences
    data        the data layer whose images the net was trained on; None where the net has only Inputs
    place       where the layers stand in the file
    """

    net: Net
    larger: Net | None
    definition: Any
    remarks: list[str] = field(default_factory=list)
    data: Any = None
    given: Any = None
    place: location.Location = field(default_factory=lambda: location.Location(None))

    def at(self, batch: int) -> Net:
        """Return the net for another batch size, with the same weights."""
        made = _net(self.definition, batch)
        made.share_trained_layers_with(self.net)
        return made


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the flags that decide which net leaves."""
    parser.add_argument("--batch", metavar="free|N", type=_batch,
                        help="the number of samples that the model takes at once. free, the default, means any number; "
                             "where the net does not allow that, the model takes as many as the net says")
    parser.add_argument("--shape", metavar="[TOP=]CxHxW", type=filled, action="append", default=[],
                        help="the shape of one sample, where the source of a data layer is not there")
    add_level_and_stage(parser)


def _batch(text: str) -> int:
    try:
        return FREE if text == "free" else positive(text)
    except ArgumentTypeError:
        raise ArgumentTypeError(f"expects free, or a whole number, 1 or more, got {text!r}") from None


def check_files(args: argparse.Namespace) -> None:
    """Raise DataError where the net and its weights are not what they should be, before anything is read whole."""
    usage = f"minicaffe convert NET.prototxt WEIGHTS {args.target}"
    weights = args.source.split(",")
    kinds = [sniff(path) for path in weights]
    if not args.model:
        if kinds[0] in DEFINITION_KINDS:
            raise DataError(f"{args.source} is a net, and {args.target} needs its weights too", hint=usage)
        raise DataError(f"{args.source} is {describe(kinds[0])}, and {args.target} needs the net too", hint=usage)
    if kinds[0] in DEFINITION_KINDS and sniff(args.model) in WEIGHT_KINDS:
        raise DataError(f"{args.model} is {describe(sniff(args.model))}, and {args.source} is the net: they are in the "
                        "wrong order", hint=f"minicaffe convert {args.source} {args.model} {args.target}")
    for path, kind in zip(weights, kinds, strict=True):
        if kind not in WEIGHT_KINDS:
            raise DataError(f"{path} is {describe(kind)}, not weights",
                            hint=f"{usage}; the names of weights end in {', '.join(WEIGHT_SUFFIXES)}")


def leaving(args: argparse.Namespace) -> Leaving:
    """Return the net of args.model with the weights in args.source. Raise what NetError and LayerError have to say."""
    given, place = location.read(args.model, location.outside(TEST, args.level, stages(args)))
    given.state.level = args.level
    given.state.stage.extend(stages(args))
    with place.in_errors(given), silent():
        upgraded = passes.upgrade(given)
        data, definition, remarks = _deployed(upgraded, args)
        batch, made = _batch_of(definition, args, remarks)
        net = _net(definition, batch, weights=args.source, allow_python=not args.no_python)
        require_weights(net, args.source)
    return Leaving(net, made, definition, remarks, data, given, place)


def _deployed(upgraded: Any, args: argparse.Namespace) -> tuple[Any, Any, list[str]]:
    """Return the data layer (None where the net has Inputs), the definition after `deploy`, and its remarks."""
    roles = roles_of(upgraded)
    data = deploying.data_layers(upgraded, roles)
    if data:
        sizes = Sizes(upgraded, data, args.shape, args.batch or 1)
        made = deploying.deploy(upgraded, roles, sizes.shapes, keep=True)
        return data[0], made.net, [*made.remarks, *sizes.remarks]
    if args.shape:
        raise NetError("--shape says what a data layer puts out, and this net has none",
                       hint="its Inputs say their shapes themselves")
    inputs = {top: list(shape.dim) for layer in upgraded.layer if layer.type == "Input"
              for top, shape in zip(layer.top, _shapes_of(layer), strict=True)}
    if not inputs:
        raise NetError("the net has neither Inputs nor a data layer, so nothing could be put into the model")
    roles["Input"] = deploying.Role(deploying.DATA)
    made = deploying.deploy(upgraded, roles, inputs, keep=True)
    return None, made.net, [line for line in made.remarks if "becomes an Input" not in line]


def _shapes_of(layer: Any) -> list[Any]:
    """Return the shape of each top of an Input."""
    shapes = list(layer.input_param.shape)
    if not shapes:
        raise NetError(f"layer {layer.name!r} (Input) has no shape, so the model's input would have none",
                       hint="write input_param { shape { dim: ... } } into it")
    return shapes * len(layer.top) if len(shapes) == 1 else shapes


def _batch_of(definition: Any, args: argparse.Namespace, remarks: list[str]) -> tuple[int, Net | None]:
    """Return the batch size for which the net is made, and the larger net where the batch is free.

    Size 0 leaves the definition as it is.
    """
    if args.batch:
        return args.batch, None
    small, large = TWO_SIZES
    try:
        _net(definition, small, shapes_only=True, allow_python=not args.no_python)
        return small, _net(definition, large, shapes_only=True, allow_python=not args.no_python)
    except MinicaffeError as error:
        if args.batch == FREE:
            error.message += ", where the batch size is another than the net's"
            error.hint = "--batch N writes the model for one batch size"
            raise
        remarks.append(f"the batch size is that of the net, because with another one the net cannot be made: "
                       f"{error.message}")
        return 0, None


def _net(definition: Any, batch: int, **keywords: Any) -> Net:
    """Return the net of the phase TEST for a batch size; 0 is that of the definition."""
    copy = NetParameter()
    copy.CopyFrom(definition)
    if batch:
        resize(copy, batch, "")
    return Net(copy, TEST, **keywords)
