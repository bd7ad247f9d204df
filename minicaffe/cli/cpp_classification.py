"""Caffe's example of a classifier in C++: `classification NET WEIGHTS MEAN LABELS IMAGE` prints the five best classes.

`minicaffe classify` does more, and prepares images as the net was trained. Here an image is always resized to the net's
input, and the mean of each channel is subtracted.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from minicaffe.cli.class_names import read_names
from minicaffe.cli.terminal import say
from minicaffe.data.preprocess import Preprocessing
from minicaffe.data.transformer import read_mean
from minicaffe.errors import DataError, MinicaffeError, NetError
from minicaffe.io import image
from minicaffe.io.file_bytes import read_file
from minicaffe.log import shape_text
from minicaffe.net import Net
from minicaffe.proto import TEST
from minicaffe.records import glog

TOP = 5


def run(args: Sequence[str]) -> int:
    """Classify an image, given the five files. Raise MinicaffeError where one of them does not fit the net."""
    if len(args) != 5:
        raise MinicaffeError(f"classification takes five files, got {len(args)}",
                             hint="classification deploy.prototxt net.caffemodel mean.binaryproto labels.txt image.jpg")
    definition, weights, mean, labels, picture = args
    with glog.writing():
        net = Net(definition, TEST, weights=weights, permissive=True)
    if len(net.inputs) != 1 or len(net.outputs) != 1:
        raise NetError(f"the net must have one input and one output; it has {len(net.inputs)} and {len(net.outputs)}",
                       where=definition)
    blob = net.blobs[net.inputs[0]]
    if len(blob.shape) != 4 or blob.shape[1] not in (1, 3):
        raise NetError(f"the input must be images of 1 or 3 channels, and its shape is {shape_text(blob.shape)}",
                       where=definition)
    _, C, H, W = blob.shape
    prepare = Preprocessing(mean=_channel_means(mean, C), size=(H, W), color=C == 3)
    names = read_names(labels)
    pixels = image.decode(read_file(picture, "the image"), picture, color=C == 3)
    blob.reshape(1, C, H, W)
    net.reshape()
    blob.data[...] = prepare([pixels], [picture])
    net.forward()
    scores = net.blobs[net.outputs[0]].data.reshape(-1)
    if len(names) != len(scores):
        raise DataError(f"{labels} names {len(names)} classes, and the net has {len(scores)}")
    say(f"---------- Prediction for {picture} ----------")
    for k in np.argsort(-scores, kind="stable")[:TOP]:
        say(f'{scores[k]:.4f} - "{names[k]}"')
    return 0


def _channel_means(path: str, channels: int) -> np.ndarray:
    """Return the mean of each channel of a mean image. Raise DataError where it has other channels than the net."""
    mean = read_mean(path)
    if len(mean) != channels:
        raise DataError(f"the mean image is {shape_text(mean.shape)}, and the net's input has {channels} channels",
                        where=path)
    return mean.reshape(channels, -1).mean(axis=1)
