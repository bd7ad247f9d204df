"""What a model carries along as text: how images are prepared for it, and the names of its classes.

The keys are listed in docs/leaving.md.
"""

from __future__ import annotations

import argparse
import base64
from collections.abc import Sequence
from typing import Any

import numpy as np

from minicaffe.cli.class_names import read_names
from minicaffe.cli.classify_net import of_comment
from minicaffe.cli.image_layer import Plan, of_data_layer
from minicaffe.cli.leaving import Leaving
from minicaffe.cli.preprocessing import from_comment, given
from minicaffe.data.preprocess import Preprocessing, of_layer
from minicaffe.errors import DataError, MinicaffeError
from minicaffe.io import prototxt
from minicaffe.layer import layer_class
from minicaffe.log import number, silent
from minicaffe.proto.text import float32_digits

COLOURS = ("red", "green", "blue")


def preparation(args: argparse.Namespace, made: Leaving) -> Plan | None:
    """Return how images are prepared for a net, as its data layer, its comment and the flags say.

    None where the net takes no images, or where nothing says how they are prepared.
    """
    shape = made.net.blobs[made.net.inputs[0]].shape if made.net.inputs else ()
    with silent():
        if made.data is None:
            text = prototxt.read_source(args.model).text
            if len(shape) != 4 or (from_comment(text) is None and not given(args)):
                return None
            found, remarks = of_comment(text, shape, args)
            return Plan(None, found, remarks)
        if len(shape) != 4 or not _takes_images(made.data):
            return None
        try:
            return of_data_layer(args, made.data)
        except MinicaffeError:
            if given(args):
                raise
            return Plan(None, of_layer(made.data), layer=made.data)  # what its fields say; its files are not there


def _takes_images(layer: Any) -> bool:
    """Return whether a data layer makes its batches of images, and not of numbers of any range and order."""
    return "transform_param" in layer_class(layer.type, layer.name).also_reads and not layer.HasField("hdf5_data_param")


def facts(plan: Plan | None, classes: Sequence[str]) -> tuple[dict[str, str], str]:
    """Return the texts by their keys, and in words what could not be carried along."""
    found, lacking = {}, ""
    if plan is not None:
        p, t = plan.preprocessing, plan.preprocessing.transform
        found["preprocessing"] = str(p)
        found["channels"] = "grey" if p.color is False else ",".join(COLOURS[c] for c in p.order)
        if p.size:
            found["resize"] = f"{p.size[0]}x{p.size[1]}"
        if t.resize_shorter:
            found["resize_shorter"] = str(t.resize_shorter)
        if t.crop_size:
            found["crop"] = str(t.crop_size)
        try:
            found.update(_mean(p))
        except MinicaffeError as error:
            lacking = f"the mean is not carried along: {error.message}"
        found["scale"] = float32_digits(t.scale)
    if classes:
        found["classes"] = "\n".join(classes)
    return found, lacking


def _mean(p: Preprocessing) -> dict[str, str]:
    """Return what is subtracted: a number for each channel or, of a mean image, all numbers."""
    mean = p.mean if p.mean is not None else p.transformer.mean_image
    if mean is None:
        return {"mean": ",".join(map(float32_digits, p.transform.mean_value))} if p.transform.mean_value else {}
    if mean.ndim == 1:
        return {"mean": ",".join(float32_digits(m) for m in mean.tolist())}
    return {"mean_image": base64.b64encode(np.ascontiguousarray(mean, "<f4").tobytes()).decode(),
            "mean_image_shape": "x".join(map(str, mean.shape))}


def class_names(args: argparse.Namespace, made: Leaving, plan: Plan | None) -> list[str]:
    """Return the names of the classes: those in --labels, or those of the class folders that the net was trained on.

    Raise DataError where no output has as many classes.
    """
    names = read_names(args.labels) if args.labels else list(getattr(plan.samples if plan else None, "classes", ()))
    counts = {one.shape[1] for one in (made.net.blobs[name] for name in made.outputs) if len(one.shape) > 1}
    counts |= {layer.param.num_classes for layer in made.net.layers if hasattr(layer.param, "num_classes")}
    if not args.labels and len(names) not in counts:
        return []
    if len(names) not in counts:
        raise DataError(f"--labels: {args.labels} names {len(names)} classes, but the net has "
                        f"{' or '.join(map(number, sorted(counts))) or 'none'}")
    return names
