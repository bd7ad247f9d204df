"""The net that `minicaffe classify` runs, how it prepares images, and the proof that this is as in the test."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from minicaffe import passes
from minicaffe.analysis import data_tops
from minicaffe.analysis.answers import find
from minicaffe.analysis.classifier import Classifier
from minicaffe.cli.deploy import roles_of
from minicaffe.cli.image_layer import Plan, of_data_layer
from minicaffe.cli.preprocessing import apply_flags, from_comment, given
from minicaffe.cli.show import stages
from minicaffe.data.batches import Samples
from minicaffe.data.preprocess import Preprocessing
from minicaffe.errors import DataError, EngineError, MinicaffeError
from minicaffe.io import prototxt
from minicaffe.io.files import read_bytes
from minicaffe.log import number, silent
from minicaffe.net import Net, location
from minicaffe.passes import deploy as deploying
from minicaffe.proto import TEST, NetParameter

ALLOWED = 1e-5  # probabilities that differ by no more count as the same


def plan(args: argparse.Namespace) -> Plan:
    """Return what to run, as the net and the flags say. Raise NetError where the size of the images is not known."""
    definition, place = location.read(args.net, location.outside(TEST, args.level, stages(args)))
    location.set_state(definition, TEST, args.level, stages(args))
    with place.in_errors(definition), silent():
        upgraded = passes.upgrade(definition)
        roles = roles_of(upgraded)
        data = deploying.data_layers(upgraded, roles)
        if not data:
            return _of_deploy_net(args, definition)
        made = of_data_layer(args, data[0])
        made.test = upgraded
        tested = passes.apply(upgraded, "filter").layer
        if not any(_is_same(layer, data[0]) for layer in tested):
            made.samples = None  # only the training net has this layer, so there is no test to compare with
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
    made, remarks = of_comment(prototxt.read_source(args.net).text, shape, args)
    return Plan(definition, made, remarks)


def of_comment(text: str, shape: Sequence[int], args: argparse.Namespace) -> tuple[Preprocessing, list[str]]:
    """Return what the comment in a net's text and the flags say of how images are prepared, and remarks about that.

    shape    of the net's input; images get its size where nothing else is said
    """
    base, remarks = Preprocessing(), []
    comment = from_comment(text)
    if comment is not None:
        base = apply_flags(base, comment)
        remarks.append(f"The preprocessing is that of the net's comment{' and of the flags' * bool(given(args))}.")
    elif given(args):
        remarks.append("The preprocessing is that of the flags.")
    else:
        remarks.append("The net does not say how images are prepared, and no flag does: pixels from 0 to 255, nothing "
                       "subtracted.")
    made = apply_flags(base, args)
    if len(shape) == 4:
        made.color = made.color if made.color is not None else {1: False, 3: True}.get(shape[1])
        said = args.resize is not None or (comment is not None and comment.resize is not None)
        if not said and not made.transform.crop_size and not made.transform.resize_shorter:
            made.size = shape[2], shape[3]
            _fit_mean(made, shape[2:], remarks)
    return made, remarks


def _fit_mean(made: Preprocessing, size: Sequence[int], remarks: list[str]) -> None:
    """Where a mean image is larger than a square input, resize images to it, and crop them, as training does."""
    mean = made.transformer.mean_image
    if mean is None or mean.shape[1:] == tuple(size) or size[0] != size[1] or min(mean.shape[1:]) < size[0]:
        return
    made.size = mean.shape[1], mean.shape[2]
    made.transform.crop_size = size[0]
    made._made = None
    remarks.append(f"Images are resized to {made.size[0]}×{made.size[1]}, the size of the mean, and cropped to the "
                   "input. --resize and --crop say otherwise.")


def _shape(made: Plan) -> tuple[int, ...]:
    """Return the shape (C, h, w) that an image gets."""
    p = made.preprocessing
    size = p.size or (256, 256)  # a crop gives images of all sizes the same; without one, any size will do
    channels = 1 if p.color is False else 3
    return p.transformer.shape(np.empty((channels, *size), np.uint8), "an image")


def prove(args: argparse.Namespace, made: Plan, classifier: Classifier, count: int) -> tuple[bool, str]:
    """Classify the first samples of the test set twice: prepared here, and by the net with its own data layer.

    Return whether the answers agree, and a sentence about it.
    """
    assert made.samples is not None
    count = min(count, len(made.samples))
    theirs, keys = _by_data_layer(args, made, count)
    ours = []
    for one in classifier.classify(_read(made.samples, made.preprocessing, count)):
        if isinstance(one, MinicaffeError):
            raise one
        ours.append(one)
    pairs = list(zip(ours, theirs, strict=True))
    differences = [float(np.abs(a - b).max()) if a.shape == b.shape else np.inf for a, b in pairs]
    worst = int(np.argmax(differences))
    same = sum(int(a.argmax() == b.argmax()) for a, b in pairs)
    source = data_tops.source(made.layer)
    if differences[worst] <= ALLOWED:
        return True, (f"proved on the first {count} samples of {source}: images prepared here get the same answers "
                      "as those that come through the net's data layer, as in minicaffe test (largest difference of a "
                      f"probability: {number(differences[worst])})")
    return False, (f"on the first {count} samples of {source}, images prepared here get other answers than those that "
                   f"come through the net's data layer: {same} of {count} have the same best class, and a "
                   f"probability differs by up to {number(differences[worst])}, for {keys[worst]}")


def _by_data_layer(args: argparse.Namespace, made: Plan, count: int) -> tuple[list[np.ndarray], list[str]]:
    """Return the probabilities of the first samples, and their keys, as the net with its data layer computes them."""
    definition = NetParameter()
    definition.CopyFrom(made.test)
    for layer in definition.layer:
        if _is_same(layer, made.layer):
            data_tops.without_chance(layer).transform_param.ClearField("mirror")  # so the first samples come first
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


def _is_same(layer: Any, other: Any) -> bool:
    """Return whether two layers without bottoms are of one name and type."""
    return (layer.name, layer.type) == (other.name, other.type) and not layer.bottom


def _read(samples: Samples, preprocessing: Preprocessing, count: int) -> Any:
    """Yield the first samples as pixels with a name. Image files are read as those that the user names are."""
    for sample in samples.load(range(count)):
        if isinstance(sample, DataError):
            raise sample
        if Path(sample.name).is_file():
            yield preprocessing.decode(read_bytes(sample.name), sample.name), sample.name
        else:
            yield sample.image, sample.name


def decoded(path: str, preprocessing: Preprocessing) -> np.ndarray | MinicaffeError:
    """Return the pixels of an image file, or the error that says why there are none.

    Raise EngineError where images cannot be decoded at all, because a package is missing.
    """
    try:
        return preprocessing.decode(read_bytes(path), path)
    except EngineError:
        raise
    except MinicaffeError as error:
        return error
