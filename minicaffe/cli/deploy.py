"""Write the net to use after a training: Input for data layers, Softmax or Sigmoid for losses, and no labels.

  minicaffe deploy train_val.prototxt deploy.prototxt
  minicaffe deploy train_val.prototxt deploy.prototxt --weights F     and prove it
  minicaffe deploy lenet_train_test.prototxt lenet.prototxt --shape 1x28x28

Each change is printed as a line. With --weights, the test net and the deploy net are run on the same images and their
outputs compared, before OUT is written. The images are the first of the test net's source, or random numbers if that is
not there. A comment at the top of OUT says how images were prepared in training; minicaffe classify reads it.
"""

from __future__ import annotations

import argparse
import os
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from minicaffe import passes
from minicaffe.analysis import data_tops
from minicaffe.analysis.classifier import require_weights
from minicaffe.cli.flags import files, filled, positive
from minicaffe.cli.image_layer import comment
from minicaffe.cli.show import add_level_and_stage, stages
from minicaffe.cli.terminal import say
from minicaffe.cli.user_code import add_user_code
from minicaffe.errors import DataError, MinicaffeError, NetError
from minicaffe.io.files import check_can_write, replace_file
from minicaffe.layer import DataSource, LossLayer, layer_class
from minicaffe.layout import terminal_width, wrap
from minicaffe.log import number, one_line, plural, shape_text, silent
from minicaffe.net import Net, location
from minicaffe.passes import deploy as deploying
from minicaffe.passes.deploy import Deployed, Role
from minicaffe.passes.filter import is_included
from minicaffe.proto import TEST, NetParameter, NetState
from minicaffe.proto import text as proto_text

IMAGES = 4  # on which both nets are run for the proof


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("net", metavar="TRAIN_NET", help="the net that was trained, prototxt or YAML")
    parser.add_argument("out", metavar="OUT", type=filled,
                        help="the file to write, prototxt or YAML; one that exists is replaced")
    parser.add_argument("--weights", metavar="F,F", type=files,
                        help="files with the learned weights: prove that both nets give the same numbers")
    parser.add_argument("--shape", metavar="[TOP=]CxHxW", type=filled, action="append", default=[],
                        help="the shape of one sample (default: what the source, crop_size or new_height says)")
    parser.add_argument("--batch", metavar="N", type=positive, default=1,
                        help="number of samples in a batch (default: 1)")
    parser.add_argument("--keep", action="store_true",
                        help="keep lr_mult, decay_mult and fillers, which only training reads")
    parser.add_argument("--all-outputs", action="store_true",
                        help="keep the outputs of auxiliary losses too, such as GoogLeNet's")
    add_level_and_stage(parser)
    add_user_code(parser)


def run(args: argparse.Namespace) -> int:
    check_can_write("OUT", args.out)
    if os.path.exists(args.out) and os.path.exists(args.net) and os.path.samefile(args.net, args.out):
        raise NetError(f"{args.out} is the train net itself, which would be lost", hint="give another name for OUT")
    given, place = location.read(args.net)
    given.state.level = args.level
    given.state.stage.extend(stages(args))
    with place.in_errors(given), silent():
        upgraded = passes.upgrade(given)
        roles = roles_of(upgraded)
        data = deploying.data_layers(upgraded, roles)
        if not data:
            raise NetError("this net has no data layer, so there is nothing to replace", where=place.file,
                           hint="deploy takes the net that was trained")
        sizes = Sizes(upgraded, data, args.shape, args.batch)
        made = deploying.deploy(upgraded, roles, sizes.shapes, keep=args.keep, all_outputs=args.all_outputs)
    words = [line for layer in data for line in preprocessing(layer, sizes.shapes[layer.top[0]])]
    with silent():
        flags = comment(data[0], sizes.shapes[data[0].top[0]][1]) if words else ""
    with place.in_errors(given):  # before OUT is written: a net that gives other numbers is no use
        proof = prove(args, made, data[0], sizes)
    replace_file(args.out, [text(args, made, words, flags).encode()])
    for line in (*made.remarks, *made.notes, *sizes.remarks, *words, proof, f"wrote {args.out}"):
        for shown in wrap(one_line(line), terminal_width(), hanging="  "):
            say(shown)
    return 0


def text(args: argparse.Namespace, made: Deployed, words: Sequence[str], flags: str) -> str:
    """Return the content of OUT: a comment that says how images are prepared, then the net."""
    head = [f"made by minicaffe deploy from {Path(args.net).name}", *words]
    lines = [f"# {part}" for line in head for part in wrap(one_line(line), 118, hanging="  ")]
    lines += [f"# {flags}"] if flags else []  # on one line, because minicaffe classify reads it
    return "\n".join([*lines, "", proto_text.format_for(args.out, made.net)])


def roles_of(net: Any) -> dict[str, Role]:
    """Return for each layer type of a net what it is for, as its class says."""
    found = {}
    test = NetState()
    test.CopyFrom(net.state)
    test.phase = TEST
    reads = any(data_tops.source(layer) or (_is_input(layer) and is_included(layer, test))
                for layer in net.layer if not layer.bottom)
    for layer in net.layer:
        cls = layer_class(layer.type, layer.name)
        if issubclass(cls, DataSource):
            # Beside a layer that reads files, or an Input, DummyData makes a constant that the net needs.
            made_up = not cls.message or hasattr(getattr(layer, cls.message), "data_filler")
            found[layer.type] = Role() if made_up and reads else Role(deploying.DATA)
        elif issubclass(cls, LossLayer):
            found[layer.type] = Role(deploying.LOSS, cls.contains, cls.label_bottoms)
        elif cls.label_bottoms:
            found[layer.type] = Role(deploying.MEASURE, "", cls.label_bottoms)
        elif not layer.top and not cls.auto_tops:
            found[layer.type] = Role(deploying.SINK)
        else:
            found[layer.type] = Role(moves=bool(layer.bottom) and (cls.shares_data or cls.passes_on))
    return found


def _is_input(layer: Any) -> bool:
    return layer_class(layer.type, layer.name).is_input


class Sizes:
    """The shapes of the tops of the data layers: from --shape, from the source, or from fields such as crop_size.

    shapes      top -> its shape in the deploy net
    tops        layer name -> what the layer puts out, as far as that is known
    remarks     in words, what had to be assumed
    """

    def __init__(self, net: Any, data: Sequence[Any], given: Sequence[str], batch: int) -> None:
        self.shapes: dict[str, list[int]] = {}
        self.remarks: list[str] = []
        self.real = True  # whether each source is there
        wanted = dict(sample_shape(one, data[0].top[0]) for one in given)
        known = {top for layer in data for top in layer.top}
        for top in wanted:
            if top not in known:
                raise NetError(f"--shape {top}=...: no data layer makes {top!r}; they make {', '.join(sorted(known))}")
        for layer in data:
            found = self._found(net, layer, wanted)
            for j, top in enumerate(layer.top):
                self.shapes[top] = [batch, *(wanted.get(top) or found.shapes[j][1:])]

    def _found(self, net: Any, layer: Any, wanted: dict[str, list[int]]) -> data_tops.Tops:
        """Return what a data layer puts out; if --shape says it, then for labels one number is assumed."""
        path = data_tops.source(layer)
        self.real = self.real and bool(path) and Path(path).exists()
        if layer.top[0] in wanted and not self.real:
            return data_tops.Tops([(1, *wanted[layer.top[0]]), *[(1,)] * (len(layer.top) - 1)])
        twins = [other for other in net.layer if other.type == layer.type and other.top[:1] == layer.top[:1]]
        for twin in (layer, *twins):  # the layer of the other phase may have the source or the crop_size
            if (found := data_tops.tops(twin)) is not None:
                if found.assumed:
                    self.remarks.append(f"the source {path} is not there, so {shape_text(found.shapes[0][1:])} is "
                                        "assumed; --shape CxHxW says otherwise")
                return found
        raise DataError(f"layer {layer.name!r} ({layer.type}): its source {one_line(path)} is not there, so the size "
                        "of its images is not known", hint="give it: --shape CxHxW, such as --shape 1x28x28")


def sample_shape(text: str, top: str) -> tuple[str, list[int]]:
    """Read [TOP=]CxHxW."""
    name, equals, sizes = text.rpartition("=")
    if not re.fullmatch(r"[1-9]\d*(x[1-9]\d*)*", sizes):
        raise NetError(f"--shape must be CxHxW or TOP=CxHxW, such as 3x227x227 or data=1x28x28, got {text!r}")
    return (name if equals else top), [int(n) for n in sizes.split("x")]


def preprocessing(layer: Any, shape: Sequence[int]) -> Iterator[str]:
    """Say in a sentence how the images of a data layer were prepared."""
    p, top = layer.transform_param, layer.top[0]
    if len(shape) != 4 or "transform_param" not in layer_class(layer.type, layer.name).also_reads:
        return
    order = {1: "one channel", 3: "channels blue, green, red"}.get(shape[1], f"{shape[1]} channels")
    takes = f"takes images as they were trained on: {order}, pixels 0 to 255"
    if layer.HasField("hdf5_data_param"):  # its rows are numbers of any range and order
        takes = "takes the numbers that its HDF5 files hold"
    steps = []
    resized = next(((m.new_height, m.new_width) for m in data_tops.messages(layer) if getattr(m, "new_height", 0)), ())
    if resized:
        steps.append(f"resized to {shape_text(resized)}")
    if p.resize_shorter:
        steps.append(f"the shorter side resized to {p.resize_shorter}")
    crop = data_tops.image_size(layer) if p.crop_size else ()
    steps += [f"the middle {shape_text(crop)} cut out"] if crop else []
    if p.mean_file:
        steps.append(f"the mean in {p.mean_file} subtracted")
    if p.mean_value:
        steps.append(f"the mean {', '.join(map(number, p.mean_value))} subtracted")
    if p.scale != 1:
        steps.append(f"multiplied by {number(p.scale)}")
    yield f"{top!r} {takes}" + "".join(f", {s}" for s in steps)


# --- the proof ------------------------------------------------------------------------------------------------

def prove(args: argparse.Namespace, made: Deployed, data: Any, sizes: Sizes) -> str:
    """Run both nets on the same numbers, and say how they compare. Raise NetError where they differ."""
    if not args.weights:
        return "nothing was proved: --weights F compares the numbers of both nets"
    images, what = first_samples(data, IMAGES) if sizes.real else ({}, "")
    if any(list(images[top].shape[1:]) != sizes.shapes[top][1:] for top in images):  # --shape says another one
        images, what = {}, ""
    with silent():
        nets = [_net_for(net, args, images) for net in (made.tested, made.net)]
        require_weights(nets[1], args.weights)
        try:
            _forward(nets, images, lambda draw, shape: draw.normal(0, 50, shape))
        except MinicaffeError:  # a layer such as Embed takes only small whole numbers
            _forward(nets, images, lambda draw, shape: draw.integers(0, 2, shape))
    names = [name for name in nets[1].blobs if name in nets[0].blobs]
    for name in dict.fromkeys([*made.compared, *names]):
        ours, theirs = nets[1].blobs[name].data, nets[0].blobs[name].data
        difference = float(np.abs(ours - theirs).max(initial=0)) if ours.shape == theirs.shape else np.inf
        if not difference == 0:
            raise NetError(f"the blob {name!r} of the deploy net differs from that of the test net by up to "
                           f"{number(difference)}: nothing was written")
    others = len(names) - len(made.compared)
    rest = f", and the same numbers in {plural(others, 'other blob')}" if others else ""
    return f"proved: on {what or f'{IMAGES} samples of random numbers'} both nets give the same " \
           f"{', '.join(made.compared)}{rest}; the largest difference is 0"


def _forward(nets: Sequence[Net], images: dict[str, np.ndarray], random: Callable[..., np.ndarray]) -> None:
    """Run both nets on the same numbers: the images where there are some, random ones for the other inputs."""
    draw = np.random.default_rng(0)
    for name in nets[1].inputs:
        values = images[name] if name in images else random(draw, nets[1].blobs[name].shape)
        for net in nets:
            net.blobs[name].data[...] = values
    for net in nets:
        net.forward()


def _net_for(net: Any, args: argparse.Namespace, images: dict[str, np.ndarray]) -> Net:
    """Return a net of the phase TEST with the weights, for the images that are given or for a few samples."""
    copy = NetParameter()
    copy.CopyFrom(net)
    for layer in copy.layer:
        for k, shape in enumerate(layer.input_param.shape):
            shape.dim[0] = IMAGES
            if layer.top[k] in images:
                shape.dim[:] = images[layer.top[k]].shape
    return Net(copy, TEST, weights=args.weights, allow_python=not args.no_python)


def first_samples(data: Any, count: int) -> tuple[dict[str, np.ndarray], str]:
    """Return the first samples of a data layer, at most `count`, by its tops' names, and what they are in words."""
    layer = type(data)()
    layer.CopyFrom(data)
    layer.phase = TEST
    with silent():
        source, tops = data_tops.opened(layer, count)
        try:
            if source is not None:
                source.Forward([], tops)
        finally:
            data_tops.close(source)
    found = {name: blob.data.copy() for name, blob in zip(data.top, tops, strict=True)}
    return found, f"the first {len(tops[0].data)} samples of {data_tops.source(data)}"
