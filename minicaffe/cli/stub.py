"""Write a Python layer to fill in, for a layer type that minicaffe does not have.

  minicaffe stub FlowWarp net.prototxt
  minicaffe summary net.prototxt --phase TEST --import ./flow_warp.py

The file has a class with the tops' shapes that the net needs, as far as they are known. It runs at once and puts out
zeros. The shapes of the bottoms come from building the net up to each layer of the type. A top gets the shape of the
blob that it is added to or compared with, and else that of the first bottom.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from minicaffe import passes
from minicaffe.cli.flags import filled
from minicaffe.cli.show import add_level_and_stage, stages
from minicaffe.cli.terminal import say
from minicaffe.cli.user_code import add_user_code
from minicaffe.errors import DataError, LayerError, MinicaffeError, NetError, near_names
from minicaffe.io.files import check_can_write, replace_file
from minicaffe.layer import is_known, module_name, registered_types
from minicaffe.log import silent
from minicaffe.net import Net, location
from minicaffe.proto import LayerParameter, NetParameter, Phase

Shape = tuple[int, ...]
ALIKE = ("Eltwise", "EuclideanLoss", "SigmoidCrossEntropyLoss", "SmoothL1Loss")  # their bottoms have one shape


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("type", metavar="TYPE", help="the layer type, as the net writes it")
    parser.add_argument("net", metavar="NET", help="a prototxt or YAML file")
    parser.add_argument("--output", metavar="F", type=filled,
                        help="the file to write (default: the type in small letters, such as flow_warp.py)")
    parser.add_argument("--force", action="store_true", help="replace a file that is there already")
    parser.add_argument("--shape", metavar="TOP=SHAPE", action="append", default=[],
                        help="the shape of a top, such as flow=1x2x32x48. A layer without bottoms needs it. Repeat the "
                             "flag for each further top")
    parser.add_argument("--phase", choices=["TRAIN", "TEST"], type=str.upper, default="TEST",
                        help="use the layers of this phase (default: TEST)")
    add_level_and_stage(parser)
    add_user_code(parser)


def run(args: argparse.Namespace) -> int:
    if args.type in registered_types():
        raise MinicaffeError(f"minicaffe has the layer type {args.type!r}: it needs no stub",
                             hint=f"minicaffe layers {args.type} prints its datasheet")
    if not f"{args.type}Layer".isidentifier():
        raise MinicaffeError(f"{args.type!r} cannot be the name of a Python class",
                             hint="give the type as a net writes it, such as FlowWarp")
    path = Path(args.output or f"{module_name(args.type)}.py")
    check_can_write("--output", path)
    if path.exists() and not args.force:
        raise DataError(f"{path} is there already, and is not overwritten",
                        hint="--output F writes another file, --force replaces this one")
    definition, place = location.read(args.net)
    location.set_state(definition, Phase.Value(args.phase), args.level, stages(args))
    with place.in_errors(definition), silent():
        net = passes.apply(definition, "filter")
        wanted = [layer for layer in net.layer if layer.type == args.type]
        if not wanted:
            raise _not_in_net(args, net)
        found = _shapes(net, args.type, _given(args.shape), not args.no_python)
    replace_file(path, [_source(args.type, wanted, found).encode()])
    say(f"wrote {path}: {args.type}, for {', '.join(layer.name for layer in wanted)}. It puts out zeros until you fill "
        f"in forward and backward.\nTo use it: --import ./{path}")
    return 0


def _not_in_net(args: argparse.Namespace, net: Any) -> NetError:
    types = list(dict.fromkeys(layer.type for layer in net.layer))
    unknown = [name for name in types if not is_known(name)]
    others = f"types that minicaffe does not have: {', '.join(unknown)}" if unknown else "minicaffe has all its types"
    return NetError(f"no layer of the {args.phase} net has the type {args.type!r}",
                    hint=near_names(args.type, types) or others)


def _given(texts: Sequence[str]) -> dict[str, Shape]:
    """Read TOP=1x3x32x48, once for each top."""
    given = {}
    for text in texts:
        top, _, sizes = text.rpartition("=")
        if not top or not re.fullmatch(r"[1-9]\d*(x[1-9]\d*)*", sizes):
            raise NetError(f"--shape must be TOP=SHAPE, such as flow=1x2x32x48, got {text!r}")
        given[top] = tuple(map(int, sizes.split("x")))
    return given


Found = dict[str, tuple[list[Shape], list[Shape], list[str]]]  # layer -> shapes of bottoms and of tops, reasons


def _shapes(net: Any, wanted: str, given: dict[str, Shape], allow_python: bool) -> Found:
    """Return the shapes around each layer of the type. Layers of other unknown types count as stubs, too."""
    found: Found = {}
    made = NetParameter(state=net.state)  # the net so far, with Input layers in place of unknown ones
    for i, layer in enumerate(net.layer):
        if is_known(layer.type):
            made.layer.add().CopyFrom(layer)
            continue
        blobs = Net(made, None, shapes_only=True, allow_python=allow_python, permissive=True).blobs
        for name in layer.bottom:
            if name not in blobs:
                raise LayerError(f"layer {layer.name!r} ({layer.type}): no layer before it makes its bottom {name!r}")
        bottoms = [blobs[name].shape for name in layer.bottom]
        chosen = [_choose(net.layer[i + 1:], layer, top, bottoms, blobs, given) for top in layer.top]
        if layer.type == wanted:
            found[layer.name] = (bottoms, [shape for shape, _ in chosen], [why for _, why in chosen])
        for top, (shape, _) in zip(layer.top, chosen, strict=True):
            if top not in layer.bottom:
                stand_in = made.layer.add(name=f"{layer.name}/{top}", type="Input", top=[top])
                stand_in.input_param.shape.add().dim[:] = shape
    return found


def _choose(later: Sequence[Any], layer: Any, top: str, bottoms: list[Shape], blobs: Any,
            given: dict[str, Shape]) -> tuple[Shape, str]:
    """Return the shape of a top, and why it is that."""
    if top in given:
        return given[top], "as --shape says"
    for reader in later:
        others = [name for name in reader.bottom if name != top and name in blobs]
        if reader.type in ALIKE and top in reader.bottom and others:
            return blobs[others[0]].shape, f"that of {others[0]!r}, which layer {reader.name!r} reads beside it"
    if not bottoms:
        raise LayerError(f"layer {layer.name!r} ({layer.type}) has no bottom that could tell the shape of its top "
                         f"{top!r}", hint=f"give it: --shape {top}=1x3x224x224")
    return bottoms[0], "assumed: that of the first bottom"


def _source(name: str, layers: Sequence[Any], found: Found) -> str:
    """Return the text of the module."""
    bvlc = {field.name for field in LayerParameter.DESCRIPTOR.fields if field.number <= 99}
    messages = list(dict.fromkeys(field.name for layer in layers for field, _ in layer.ListFields()
                                  if field.name.endswith("_param") and field.name not in bvlc))
    more = list(dict.fromkeys(field.name for layer in layers for field, _ in layer.ListFields()
                              if field.name.endswith("_param") and field.name not in messages))
    messages += more
    lines = [f'"""{name}: a layer to fill in. It puts out zeros."""', "", "from minicaffe import Layer, register", "",
             "SHAPES = {  # of the tops of each layer of this type"]
    for layer in layers:
        bottoms, tops, reasons = found[layer.name]
        lines.append(f"    # bottoms: {', '.join(f'{b!r} {s}' for b, s in zip(layer.bottom, bottoms, strict=True))}")
        lines += [f"    # {top!r}: {why}" for top, why in zip(layer.top, reasons, strict=True)]
        lines.append(f"    {layer.name!r}: {tops!r},")
    counts = [len(layer.bottom) for layer in layers], [len(layer.top) for layer in layers]
    lines += ["}", "", "", f'@register("{name}")', f"class {name}Layer(Layer):",
              *([f"    message = {messages[0]!r}  # its fields are those of self.param"] if messages else []),
              *([f"    also_reads = {tuple(messages[1:])!r}"] if messages[1:] else []),
              f"    bottoms = ({min(counts[0])}, {max(counts[0])})", f"    tops = ({min(counts[1])}, {max(counts[1])})",
              "", "    def setup(self, bottom, top):", '        """Check the parameters, and make learnable blobs."""']
    for layer in layers:
        for field, value in layer.ListFields():
            if field.name in messages:
                text = " ".join(str(value).split())
                lines.append(f"        # {layer.name!r}: {field.name} {{ {text} }}")
    return "\n".join([*lines, "", "    def reshape(self, bottom, top):",
                      "        for blob, shape in zip(top, SHAPES[self.name], strict=True):",
                      "            blob.reshape(*shape)", "", "    def forward(self, bottom, top):",
                      "        for blob in top:", "            blob.data[...] = 0", "",
                      "    def backward(self, top, propagate_down, bottom):",
                      "        for blob, wanted in zip(bottom, propagate_down, strict=True):",
                      "            if wanted:", "                blob.diff[...] = 0", ""])
