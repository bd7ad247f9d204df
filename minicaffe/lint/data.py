"""Rules about data. They read the first samples of each source that exists, and compare them with the net."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

import numpy as np
from google.protobuf.message import DecodeError

from minicaffe.analysis import data_tops
from minicaffe.errors import DataError, MinicaffeError
from minicaffe.io.exif import orientation
from minicaffe.layer import LossLayer
from minicaffe.lint.registry import DEFINITION, ERROR, WARNING, Finding, rule
from minicaffe.lint.subjects import Definition, caught, without_missing_mean
from minicaffe.proto import Datum

BATCH = 64  # samples that are read together, where a layer has to decode them


@dataclass
class Samples:
    """What was read of a source.

    names       what each sample is called
    labels      for each top after the first, an array with a label (or several) for each sample
    turned      the names of encoded records whose EXIF data asks for the image to be turned
    size        the number of samples in the source
    error       why no more could be read
    """

    names: list[str] = field(default_factory=list)
    labels: dict[int, np.ndarray] = field(default_factory=dict)
    turned: list[str] = field(default_factory=list)
    size: int = 0
    error: MinicaffeError | None = None


def samples(definition: Definition, i: int) -> Samples:
    """Return the first samples of the source of data layer i; an empty Samples where it is not there."""
    tops = definition.data.get(i)
    count = min(definition.samples, tops.size) if tops is not None and tops.size else 0
    if tops is None or tops.assumed or not count or not data_tops.source(definition.layers[i]):
        return Samples()
    if i not in definition.read:
        # without chance, so that lint says the same each time
        layer = data_tops.without_chance(without_missing_mean(definition.layers[i], definition.phase))
        definition.read[i] = found = Samples(size=tops.size or 0)
        try:
            with caught():
                _read(layer, count, found)
        except MinicaffeError as error:
            found.error = error
    seen: Samples = definition.read[i]
    return seen


def _read(layer: Any, count: int, found: Samples) -> None:
    """Read `count` samples with a data layer."""
    made, _ = data_tops.opened(layer, 1)
    records = made.source_records if made is not None else None
    data_tops.close(made)
    if records is not None:  # no image need be decoded
        _read_records(records, count, found)
        return
    made, blobs = data_tops.opened(layer, min(count, BATCH))
    try:
        if made is not None:
            _read_batches(made, blobs, count, found)
    finally:
        data_tops.close(made)


def _read_records(records: Any, count: int, found: Samples) -> None:
    """Read the labels of a database's records, and whether an image in them is to be turned; decode none."""
    labels: list[int] = []
    try:
        for key, value in islice(records.records(), count):
            name = f"record {key.decode(errors='replace')!r}"
            try:
                datum = Datum.FromString(value)
            except DecodeError:
                found.error = found.error or DataError(f"{name} is no Datum ({len(value)} bytes)")
                continue
            found.names.append(name)
            labels.append(datum.label)
            if datum.encoded and orientation(datum.data) > 1:
                found.turned.append(name)
    finally:  # a damaged page may end it early
        found.labels = {1: np.array(labels, float)}


def _read_batches(made: Any, blobs: Sequence[Any], count: int, found: Samples) -> None:
    """Let a layer read its samples, and keep their labels."""
    parts: dict[int, list[np.ndarray]] = {j: [] for j in range(1, len(blobs))}
    while len(found.names) < count:
        made.Forward([], blobs)
        N = min(len(blobs[0].data), count - len(found.names))
        begin = len(found.names)
        found.names += [f"sample {name}" for name in made.keys[:N]] or [f"sample {begin + n}" for n in range(N)]
        for j, part in parts.items():
            part.append(blobs[j].data[:N].copy())
        if not N:
            break
    found.labels = {j: np.concatenate(part) for j, part in parts.items() if part}


def read_in_words(definition: Definition) -> Iterator[str]:
    """Say for each source how many of its samples were read."""
    for i, layer in enumerate(definition.layers):
        if i in definition.data and (seen := samples(definition, i)).names:
            part = "all" if len(seen.names) >= seen.size else f"{len(seen.names):,} of the"
            yield f"{data_tops.source(layer)}: labels of {part} {seen.size:,} samples were read"


def _labels(definition: Definition) -> Iterator[tuple[int, int, np.ndarray, Samples]]:
    """Yield each loss whose labels a data layer makes: its index, that of the data layer, the labels, the samples."""
    for i, cls in enumerate(definition.classes):
        if cls is None or not issubclass(cls, LossLayer) or not cls.label_bottoms:
            continue
        j = cls.label_bottoms[0]
        top = definition.origin(definition.sources[i][j]) if j < len(definition.sources[i]) else None
        if top is not None and top[0] in definition.data:
            seen = samples(definition, top[0])
            if top[1] in seen.labels and len(seen.labels[top[1]]):
                yield i, top[0], seen.labels[top[1]], seen


@rule("label-range", DEFINITION)
def label_range(definition: Definition) -> Iterator[Finding]:
    """A sample has a label for which the net has no score.

    Classes count from 0: 10 scores are for the labels 0 to 9. Training stops at such a label. Caffe does not check it,
    and reads memory outside of the scores. Only the first samples of a source are read (--samples), and the output of
    lint says how many.

    Example
        layer { name: "fc" type: "InnerProduct" bottom: "x" top: "fc" inner_product_param { num_output: 10 } }

        and a label 10 in the database

    Cure
        Set num_output to the largest label + 1, or let the labels begin with 0.
    """
    for i, data, labels, seen in _labels(definition):
        loss = definition.made(i)
        if not isinstance(loss, LossLayer) or not loss.classes:
            continue
        param = getattr(definition.layers[i], "loss_param", None)
        counted = labels != param.ignore_label if param is not None and param.HasField("ignore_label") \
            else np.ones(labels.shape, bool)
        wrong = counted & ((labels < 0) | (labels >= loss.classes) | (labels != np.floor(labels)))
        if wrong.any():
            n = int(np.argwhere(wrong)[0][0])
            value, share = labels[wrong].flat[0], int(wrong.reshape(len(wrong), -1).any(axis=1).sum())
            yield definition.found(
                ERROR, i, f"{definition.title(i)} has scores for {loss.classes} classes, 0 to {loss.classes - 1}, but "
                f"{seen.names[n]} of {definition.title(data)} has the label {value:g} ({share} of "
                f"{len(labels)} samples that were read have such a label)", _cure(labels, loss.classes))


def _cure(labels: np.ndarray, classes: int) -> str:
    largest = int(labels.max())
    if labels.min() >= 1 and largest == classes:
        return "the labels begin with 1: let them begin with 0"
    if largest >= classes:
        return f"the layer that gives the scores needs num_output: {largest + 1}, if these labels are right"
    if (labels != np.floor(labels)).any():
        return "classes are whole numbers; EuclideanLoss learns other numbers"
    return "set loss_param { ignore_label: -1 } if -1 means that there is no label; labels count from 0"


@rule("target-range", DEFINITION)
def target_range(definition: Definition) -> Iterator[Finding]:
    """A loss for yes-or-no answers gets a target below 0 or above 1.

    The loss then has no smallest value, and training drives it to −∞.

    Example
        layer { name: "loss" type: "SigmoidCrossEntropyLoss" bottom: "fc" bottom: "label" top: "loss" }

        and targets of 0 and 255

    Cure
        Scale the targets to 0 to 1. If one value means that there is no answer, set it as ignore_label.
    """
    for i, data, targets, seen in _labels(definition):
        loss = definition.made(i)
        if not isinstance(loss, LossLayer) or loss.classes or not loss.contains:
            continue
        param = definition.layers[i].loss_param
        counted = np.trunc(targets) != param.ignore_label if param.HasField("ignore_label") \
            else np.ones(targets.shape, bool)
        wrong = counted & ((targets < 0) | (targets > 1))
        if wrong.any():
            n = int(np.argwhere(wrong)[0][0])
            yield definition.found(
                WARNING, i, f"{definition.title(i)} takes targets in [0, 1], but {seen.names[n]} of "
                f"{definition.title(data)} has the target {targets[wrong].flat[0]:g}; those that were read lie in "
                f"[{targets.min():g}, {targets.max():g}]",
                "scale them by 1/255" if targets.max() == 255 else "−1 may mean no: write it as 0, or as ignore_label: "
                "-1 if it means that the answer is not known" if targets.min() == -1 else "scale them to [0, 1]")


@rule("unreadable-sample", DEFINITION)
def unreadable_sample(definition: Definition) -> Iterator[Finding]:
    """A sample among the first ones cannot be read.

    Training stops when it comes to this sample.

    Example
        A list whose third line names a JPEG that was cut off in a copy

    Cure
        Copy it again, or leave out what cannot be read: skip_bad: true in the data layer.
    """
    for i in definition.data:
        seen = samples(definition, i)
        if seen.error is not None:
            yield Finding(ERROR, definition.layers[i].name, definition.where(i), f"{definition.title(i)}: "
                          f"{seen.error.message}", seen.error.hint or "replace it, or set skip_bad: true")


@rule("turned-picture", DEFINITION)
def turned_picture(definition: Definition) -> Iterator[Finding]:
    """The EXIF data of images in a database says that they must be turned, and Data does not turn them.

    A camera that is held upright stores the image on its side, and notes this in the EXIF data. As in Caffe,
    ImageData turns such an image, and Data does not. A net that is trained with one of them and used with the other
    sees turned images.

    Example
        data_param { source: "photographs_lmdb" batch_size: 64 backend: LMDB }

        where the records hold a telephone's JPEG files

    Cure
        Make the database without --encoded. Then the images are turned when they are converted. With force_color or
        force_gray Data turns them, too.
    """
    for i in definition.data:
        seen, made = samples(definition, i), definition.layers[i].transform_param
        if seen.turned and not (made.force_color or made.force_gray):  # OpenCV turns what it brings into these channels
            yield definition.found(WARNING, i, f"{definition.title(i)}: the EXIF data of {len(seen.turned)} of "
                                   f"{len(seen.names)} records, the first {seen.turned[0]}, asks for the image to be "
                                   "turned, and Data does not do that",
                                   "make the database without --encoded, which turns them")


@rule("mirror-in-test", DEFINITION)
def mirror_in_test(definition: Definition) -> Iterator[Finding]:
    """A data layer mirrors images at random in a test.

    As in Caffe, `mirror` acts in both phases. The scores then differ from test to test.

    Example
        layer { name: "data" type: "Data" include { phase: TEST } transform_param { mirror: true } }

    Cure
        Set mirror: false in the layer of the phase TEST.
    """
    if not definition.tested:
        return
    for i in definition.data:
        layer = definition.layers[i]
        if layer.transform_param.mirror or any(getattr(m, "mirror", False) for m in data_tops.messages(layer)):
            yield definition.found(WARNING, i, f"{definition.title(i)} mirrors images at random in the phase TEST",
                                   "set mirror: false there")
