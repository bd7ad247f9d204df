"""The net that leaves for another program, as `minicaffe convert` hands it to a writer: deployed, with its weights."""

from __future__ import annotations

import argparse
from argparse import ArgumentTypeError
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from minicaffe import passes
from minicaffe.analysis.classifier import require_weights
from minicaffe.analysis.resize import resize
from minicaffe.cli.deploy import Sizes, roles_of, sample_shape
from minicaffe.cli.flags import filled, listed, positive
from minicaffe.cli.show import add_level_and_stage, stages
from minicaffe.errors import DataError, MinicaffeError, NetError, near_names
from minicaffe.io.sniff import describe, sniff
from minicaffe.io.weights import SUFFIXES as WEIGHT_SUFFIXES
from minicaffe.log import silent
from minicaffe.net import Net, location
from minicaffe.net.copy_weights import LEARN_ANEW
from minicaffe.passes import deploy as deploying
from minicaffe.proto import TEST, NetParameter

READS = ("model", "batch", "shape", "outputs", "level", "stage")  # the flags that say which net leaves
FREE = 0  # what --batch free is read as
TWO_SIZES = (2, 3)  # the batch sizes that show which axes grow with the batch. At 1, a size of 1 could mean anything
DEFINITION_KINDS = ("prototxt", "text", "empty")
WEIGHT_KINDS = ("caffemodel", "hdf5", "npz", "safetensors")


@dataclass
class Leaving:
    """A net that leaves.

    net         of the phase TEST, with its weights: data layers are Inputs, losses are Softmax or Sigmoid
    larger      the same net at a larger batch size, without weights (`shapes_only`); None where the batch size is fixed
    outputs     the blobs that leave the net, in order
    definition  what `net` is made of, whatever its batch size
    remarks     what became of the layers, in sentences
    data        the data layer that gave the net its images; None where it has only Inputs
    given       the definition as it is in the file, and `place` where its layers stand there
    """

    net: Net
    larger: Net | None
    outputs: Sequence[str]
    definition: Any
    remarks: list[str]
    data: Any
    given: Any
    place: location.Location

    def at(self, batch: int) -> Net:
        """Return the net for another batch size, with the same weights."""
        made = _net(self.definition, batch, allow_python=self.net.allow_python)
        made.share_trained_layers_with(self.net)
        return made

    def batch_axis(self, name: str) -> int:
        """Return the axis of an input along which samples follow one another."""
        shape = self.net.blobs[name].shape
        other = _resized(self.definition, max(shape, default=0) + 1)  # another size than all of the shape
        changed = next(sizes.dim for layer in other.layer if name in layer.top
                       for top, sizes in zip(layer.top, _shapes_of(layer), strict=True) if top == name)
        return next((axis for axis, (n, m) in enumerate(zip(shape, changed, strict=True)) if n != m), 0)

    def line_of(self, layer: str) -> str:
        """Return the file and the line of a layer, '' where it is in no file."""
        return self.place.of_layer(layer)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the flags that decide which net leaves."""
    parser.add_argument("--batch", metavar="free|N", type=_batch,
                        help="the number of samples that the model takes at once. free, the default, means any number; "
                             "where the net does not allow that, the model takes as many as the net says. Where A is "
                             "an ONNX model: the number in a batch of the net (default: as in the model, or 1)")
    parser.add_argument("--shape", metavar="[TOP=]CxHxW", type=filled, action="append", default=[],
                        help="the shape of one sample (default: what the Input says, the source of the data layer, or "
                             "the ONNX model)")
    parser.add_argument("--outputs", metavar="BLOB,BLOB", type=filled, action="append", default=[],
                        help="end the net at these blobs, or at these values of an ONNX model, and leave out what is "
                             "behind them (default: the blobs that no layer reads)")
    add_level_and_stage(parser)


def _batch(text: str) -> int:
    try:
        return FREE if text == "free" else positive(text)
    except ArgumentTypeError:
        raise ArgumentTypeError(f"expects free, or a whole number, 1 or more, got {text!r}") from None


def check_files(args: argparse.Namespace) -> None:
    """Raise DataError where the net and its weights are not what they should be, before anything is read whole."""
    usage = usage_of(args)
    weights = args.source.split(",")
    kinds = [sniff(path) for path in weights]
    if not args.model:
        if kinds[0] in DEFINITION_KINDS:
            args.model, args.source = args.source, ""  # it may have no weights
            return
        raise DataError(f"{args.source} is {describe(kinds[0])}, and {args.target} needs the net too", hint=usage)
    if kinds[0] in DEFINITION_KINDS and sniff(args.model) in WEIGHT_KINDS:
        raise DataError(f"{args.model} is {describe(sniff(args.model))}, and {args.source} is the net: they are in the "
                        "wrong order", hint=f"minicaffe convert {args.source} {args.model} {args.target}")
    for path, kind in zip(weights, kinds, strict=True):
        if kind not in WEIGHT_KINDS:
            raise DataError(f"{path} is {describe(kind)}, not weights",
                            hint=f"{usage}; the names of weights end in {', '.join(WEIGHT_SUFFIXES)}")


def usage_of(args: argparse.Namespace) -> str:
    """Return the form of the command that writes B."""
    return f"minicaffe convert NET.prototxt WEIGHTS {args.target}"


def leaving(args: argparse.Namespace, free: bool = True) -> Leaving:
    """Return the net of args.model with the weights in args.source, made for the writer of another format.

    free    whether the batch size is free where the flags and the net allow it

    Raise NetError or LayerError where it cannot be made.
    """
    given, place = location.read(args.model, location.outside(TEST, args.level, stages(args)))
    given.state.level = args.level
    given.state.stage.extend(stages(args))
    with place.in_errors(given), silent():
        upgraded = passes.upgrade(given)
        data, definition, remarks = _deployed(upgraded, args)
        outputs = listed(args.outputs)
        if outputs:
            definition = _ended_at(outputs, definition, remarks)
        batch, larger = _batch_of(definition, args, remarks) if free else (0, None)
        try:
            net = _net(definition, batch, weights=args.source or (), allow_python=not args.no_python)
        except DataError as error:
            if error.hint == LEARN_ANEW:
                error.hint = "without --shape the net has the sizes of its definition" if args.shape else \
                             "are these the weights of this net?"
            raise
        require_weights(net, args.source)
        if not args.source and any(layer.blobs for layer in net.layers):
            raise DataError(f"{args.target} needs the weights of this net too", hint=usage_of(args))
    return Leaving(net, larger, outputs or net.outputs, definition, remarks, data, given, place)


def _deployed(upgraded: Any, args: argparse.Namespace) -> tuple[Any, Any, list[str]]:
    """Return the data layer (None where the net has Inputs), the definition after `deploy`, and its remarks."""
    roles = roles_of(upgraded)
    roles["Input"] = deploying.Role(deploying.DATA)  # an Input that only a loss reads is left out as a data layer's is
    found = deploying.data_layers(upgraded, roles)
    inputs, data = ([layer for layer in found if _says_shapes(layer) == says] for says in (True, False))
    if not found:
        raise NetError("the net has neither Inputs nor a data layer, so nothing could be put into the model",
                       hint="write an Input with the shape of the data in place of "
                            + (", ".join(_data_in_python(upgraded)) or "the layer that makes the data"))
    wanted = dict(sample_shape(one, found[0].top[0]) for one in args.shape)
    shapes = {top: [*shape.dim[:1], *wanted.pop(top, shape.dim[1:])]
              for layer in inputs for top, shape in zip(layer.top, _shapes_of(layer), strict=True)}
    if wanted and not data:
        raise NetError(f"--shape {next(iter(wanted))}=...: no Input makes this blob; they make {', '.join(shapes)}")
    sizes = Sizes(upgraded, data, [f"{top}={'x'.join(map(str, shape))}" for top, shape in wanted.items()],
                  args.batch or 1)
    made = deploying.deploy(upgraded, roles, {**sizes.shapes, **shapes}, keep=True, all_outputs=bool(args.outputs))
    return (data[0] if data else None), made.net, [*made.remarks, *sizes.remarks]


def _ended_at(outputs: Sequence[str], definition: Any, remarks: list[str]) -> Any:
    """Return the definition without the layers that none of the blobs in `outputs` depends on."""
    made = {top: layer for layer in definition.layer for top in layer.top}
    for name in outputs:
        if name not in made:
            raise NetError(f"--outputs {name}: the net has no blob {name!r}", hint=near_names(name, list(made)))
        if made[name].type == "Input":
            raise NetError(f"--outputs {name}: this blob is an input", hint="name blobs that are computed")
    needed, layers = set(outputs), []
    for layer in reversed(definition.layer):
        if needed & set(layer.top):
            layers.append(layer)
            needed = needed - set(layer.top) | set(layer.bottom)
        else:
            remarks.append(f"layer {layer.name!r} ({layer.type}) is left out: none of {', '.join(outputs)} depends on "
                           "it")
    shorter = NetParameter()
    shorter.CopyFrom(definition)
    del shorter.layer[:]
    shorter.layer.extend(reversed(layers))
    return shorter


def _data_in_python(net: Any) -> list[str]:
    """Return the Python layers that have no bottom, in words."""
    return [f"layer {layer.name!r} (Python)" for layer in net.layer if layer.type == "Python" and not layer.bottom]


def _says_shapes(layer: Any) -> bool:
    """Return whether a layer without bottoms is an Input, or a DummyData with shapes, which may be in its place."""
    return layer.type == "Input" or bool(layer.dummy_data_param.shape)


def _shapes_of(layer: Any) -> list[Any]:
    """Return the shape of each top of an Input, or of a DummyData in its place."""
    shapes = list(layer.input_param.shape or layer.dummy_data_param.shape)
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
    return Net(_resized(definition, batch), TEST, **keywords)


def _resized(definition: Any, batch: int) -> Any:
    """Return a copy of a definition for a batch size; 0 is that of the definition."""
    copy = NetParameter()
    copy.CopyFrom(definition)
    if batch:
        resize(copy, batch, "")
    return copy
