"""What `minicaffe classify` runs: the net with an input for images, how images are prepared, and the proof of both."""

from __future__ import annotations

import argparse
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from minicaffe import passes
from minicaffe.analysis import data_tops
from minicaffe.analysis.answers import find
from minicaffe.analysis.classifier import Classifier
from minicaffe.cli.deploy import roles_of
from minicaffe.cli.preprocessing import apply_flags, from_comment, given
from minicaffe.cli.show import stages
from minicaffe.data.batches import Sample, Samples
from minicaffe.data.preprocess import Preprocessing, of_layer
from minicaffe.errors import DataError, MinicaffeError, NetError
from minicaffe.io import prototxt
from minicaffe.io.files import read_bytes
from minicaffe.log import number, silent
from minicaffe.net import Net, location
from minicaffe.passes import deploy as deploying
from minicaffe.proto import TEST, NetParameter

ALLOWED = 1e-5  # the largest difference of a probability with which two ways count as the same


@dataclass
class Plan:
    """What to run.

    definition      the net, with an Input for the images
    preprocessing   what is done to an image
    remarks         where the preprocessing comes from, and what was assumed, in sentences
    test            the upgraded definition with its data layer, None for a net that has none
    layer           the data layer, and `samples` what it reads; None where its source is not there
    """

    definition: Any
    preprocessing: Preprocessing
    remarks: list[str] = field(default_factory=list)
    test: Any = None
    layer: Any = None
    samples: Samples | None = None


def plan(args: argparse.Namespace) -> Plan:
    """Return what the net and the flags say. Raise NetError where the size of the images is not known."""
    definition, place = location.read(args.net)
    definition.state.phase, definition.state.level = TEST, args.level
    definition.state.stage.extend(stages(args))
    with place.in_errors(definition), silent():
        upgraded = passes.upgrade(definition)
        roles = roles_of(upgraded)
        data = deploying.data_layers(upgraded, roles)
        if not data:
            return _of_deploy_net(args, definition)
        made = _of_data_layer(args, data[0])
        made.test = upgraded
        N = data_tops.batch_size(data[0]) or 1
        shapes = {top: [N] for layer in data for top in layer.top}
        shapes[data[0].top[0]] = [N, *_shape(made)]
        made.definition = deploying.deploy(upgraded, roles, shapes).net
    return made


def _of_deploy_net(args: argparse.Namespace, definition: Any) -> Plan:
    """Return the plan for a net with an Input: its comment, the flags, and the size of the input."""
    with silent():
        net = Net(definition, TEST, shapes_only=True, allow_python=not args.no_python)
    shape = net.blobs[net.inputs[0]].shape if net.inputs else ()
    base, remarks = Preprocessing(), []
    comment = from_comment(prototxt.read_source(args.net).text)
    if comment is not None:
        base = apply_flags(base, comment)
        remarks.append(f"The preprocessing is that of the net's comment{', and of the flags' * bool(given(args))}.")
    elif given(args):
        remarks.append("The preprocessing is that of the flags.")
    else:
        remarks.append("The net does not say how images are prepared, and no flag does: pixels from 0 to 255, nothing "
                       "subtracted.")
    made = apply_flags(base, args)
    if len(shape) == 4:
        made.color = made.color if made.color is not None else {1: False, 3: True}.get(shape[1])
        said = args.resize is not None or (comment is not None and comment.resize is not None)
        if not said and not made.transform.crop_size:
            made.size = shape[2], shape[3]
    return Plan(definition, made, remarks)


def _of_data_layer(args: argparse.Namespace, layer: Any) -> Plan:
    """Return the plan for a net with a data layer: what the layer says, the flags, and the size in its source."""
    made = Plan(None, of_layer(layer), layer=layer)
    name = f"the TEST layer {layer.name!r} ({layer.type})"
    first = _open(made)
    base = made.preprocessing
    if base.color is None:
        base.color = len(first.image) == 3 if first is not None else None
    made.remarks.append(f"The preprocessing is that of {name}" + (", and of the flags." if given(args) else "."))
    if base.transform.mirror:
        made.remarks.append("The layer mirrors images at random; here none is.")
    if base.size is None and first is not None and first.image.ndim == 3:
        base.size = first.image.shape[1], first.image.shape[2]
        made.remarks.append(f"Images are resized to {base.size[0]}×{base.size[1]}, the size of the first one in "
                            f"{data_tops.source(layer)}.")
    p = made.preprocessing = apply_flags(base, args)
    if p.size is None and args.resize is None:
        mean, crop = p.transformer.mean_image, p.transform.crop_size
        p.size = (mean.shape[1], mean.shape[2]) if mean is not None else (crop, crop) if crop else None
        what = "the size of the mean" if mean is not None else "the size of the crop"
        if p.size is None:
            raise NetError(f"{name} does not say the size of images, and its source {data_tops.source(layer)} is not "
                           "there", hint="--resize HxW says it")
        made.remarks.append(f"The source {data_tops.source(layer)} is not there: images are resized to {p.size[0]}×"
                            f"{p.size[1]}, {what}. --resize says otherwise.")
    if p.color is None:
        mean = p.transformer.mean_value if p.transformer.mean_image is None else p.transformer.mean_image
        p.color = mean is None or len(mean) != 1
    return made


def _open(made: Plan) -> Sample | None:
    """Open the source of the data layer, and return its first sample; None where it is not there or has no images."""
    path = data_tops.source(made.layer)
    if not path or not Path(path).exists():
        return None
    layer, _ = data_tops.opened(made.layer, 1)
    data_tops.close(layer)
    made.samples = getattr(getattr(layer, "batches", None), "samples", None)
    first = made.samples.load([0])[0] if made.samples is not None else None
    return None if isinstance(first, DataError) else first


def _shape(made: Plan) -> tuple[int, ...]:
    """Return the shape (C, h, w) that an image gets."""
    p = made.preprocessing
    size = p.size or (256, 256)  # of no importance where images keep their size, unless they are cropped
    channels = 1 if p.color is False else 3
    return p.transformer.shape(np.empty((channels, *size), np.uint8), "an image")


def prove(args: argparse.Namespace, made: Plan, classifier: Classifier, count: int) -> tuple[bool, str]:
    """Classify the first samples of the test set by both ways: prepared here, and by the net with its data layer.

    Return whether they agree, and a sentence about it.
    """
    assert made.samples is not None
    count = min(count, len(made.samples))
    theirs, keys = _by_data_layer(args, made, count)
    ours = list(classifier.classify(_read(made.samples, made.preprocessing, count)))
    pairs = list(zip(ours, theirs, strict=True))
    differences = [float(np.abs(a - b).max()) if a.shape == b.shape else np.inf for a, b in pairs]
    worst = int(np.argmax(differences))
    same = sum(int(a.argmax() == b.argmax()) for a, b in pairs)
    source = data_tops.source(made.layer)
    if differences[worst] <= ALLOWED:
        return True, (f"proved on the first {count} samples of {source}: prepared here they get the same answers as by "
                      "the net's data layer, as minicaffe test scores them (largest difference of a probability: "
                      f"{number(differences[worst])})")
    return False, (f"on the first {count} samples of {source}, images prepared here get other answers than by the "
                   f"net's data layer: {same} of {count} have the same best class, and a probability differs by up to "
                   f"{number(differences[worst])}, for {keys[worst]}")


def _by_data_layer(args: argparse.Namespace, made: Plan, count: int) -> tuple[list[np.ndarray], list[str]]:
    """Return the probabilities of the first samples, and their keys, as the net with its data layer computes them."""
    definition = NetParameter()
    definition.CopyFrom(made.test)
    for layer in definition.layer:
        if layer.name == made.layer.name and not layer.bottom:
            layer.transform_param.ClearField("mirror")
            for message in data_tops.messages(layer):  # so that the first batch holds the first samples
                for name in ("shuffle", "rand_skip"):
                    if hasattr(message, name):
                        message.ClearField(name)
    with silent():
        net = Net(definition, TEST, weights=args.weights, allow_python=not args.no_python)
        answers = find(net.param, args.output if args.output in net.blobs else "")
        found: list[np.ndarray] = []
        keys: list[str] = []
        while len(found) < count:
            net.forward()
            found += list(answers.probabilities(net.blobs[answers.scores].data))
            keys += [str(key) for key in getattr(net.layers[net.layer_index(made.layer.name)], "keys", ())]
        for one in net.layers:
            data_tops.close(one)
    return found[:count], [*keys, *map(str, range(len(keys), count))][:count]


def _read(samples: Samples, preprocessing: Preprocessing, count: int) -> Any:
    """Yield the first samples as pixels with a name. An image file is read as one that the user names."""
    for sample in samples.load(range(count)):
        if isinstance(sample, DataError):
            raise sample
        if Path(sample.name).is_file():
            yield preprocessing.decode(read_bytes(sample.name), sample.name), sample.name
        else:
            yield sample.image, sample.name


def decoded(path: str, preprocessing: Preprocessing) -> np.ndarray | MinicaffeError:
    """Return the pixels of an image file, or the error that says why there are none."""
    try:
        return preprocessing.decode(read_bytes(path), path)
    except MinicaffeError as error:
        return error
