"""How the data layer of a net prepares images, and the size that they have in its source."""

from __future__ import annotations

import argparse
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from minicaffe.analysis import data_tops
from minicaffe.cli.preprocessing import apply_flags, as_flags, given, no_flags
from minicaffe.data.batches import Sample, Samples
from minicaffe.data.preprocess import Preprocessing, of_layer
from minicaffe.errors import DataError, MinicaffeError, NetError


@dataclass
class Plan:
    """What `minicaffe classify` runs.

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


def of_data_layer(args: argparse.Namespace, layer: Any) -> Plan:
    """Return the plan for a net with a data layer: what the layer says, the flags, and the size in its source."""
    made = Plan(None, of_layer(layer), layer=layer)
    name = f"the data layer {layer.name!r} ({layer.type})"
    tops = data_tops.tops(layer)
    if tops is not None and not tops.assumed and len(tops.shapes[0]) < 3:
        raise NetError(f"{name} reads rows of numbers and no images",
                       hint="minicaffe test --predictions writes what the net answers to each row")
    first = _open(made)
    base = made.preprocessing
    if base.color is None:
        base.color = len(first.image) == 3 if first is not None else None
    made.remarks.append(f"The preprocessing is that of {name}" + (", and of the flags." if given(args) else "."))
    if base.transform.mirror:
        made.remarks.append("The layer mirrors images at random; here none is.")
    shorter = base.transform.resize_shorter or args.resize_shorter  # it gives images of all sizes what they need
    if base.size is None and first is not None and first.image.ndim == 3 and not shorter:
        base.size = first.image.shape[1], first.image.shape[2]
        made.remarks.append(f"Images are resized to {base.size[0]}×{base.size[1]}, the size of the first one in "
                            f"{data_tops.source(layer)}.")
    p = made.preprocessing = apply_flags(base, args)
    if p.size is None and args.resize is None and not p.transform.resize_shorter:
        made.remarks.append(_assume_size(p, name, data_tops.source(layer)))
    if p.color is None:
        mean = p.transformer.mean_image  # a single mean_value says nothing: it may be meant for all three channels
        p.color = mean is None or len(mean) != 1
    return made


def _assume_size(p: Preprocessing, name: str, path: str) -> str:
    """Set the size of images to that of the mean or of the crop, and return a sentence that says so.

    Raise NetError where there is neither. Messages call the layer `name`; `path` is its source, which is not there.
    """
    why = f"its source {path} is not there" if path else "it reads no source that could say it"
    mean, crop = p.transformer.mean_image, p.transform.crop_size
    if mean is not None:
        p.size, what = (mean.shape[1], mean.shape[2]), "mean"
    elif crop:
        p.size, what = (crop, crop), "crop"
    else:
        raise NetError(f"{name} does not say the size of images, and {why}", hint="--resize HxW says it")
    return (f"Images are resized to {p.size[0]}×{p.size[1]}, the size of the {what}, because {why}. --resize says "
            "otherwise.")


def _open(made: Plan) -> Sample | None:
    """Open the source of the data layer, and return its first sample; None where it is not there or has no images."""
    path = data_tops.source(made.layer)
    if not path or not Path(path).exists():
        return None
    layer, _ = data_tops.opened(made.layer, 1)
    data_tops.close(layer)
    made.samples = data_tops.held_samples(layer)
    first = made.samples.load([0])[0] if made.samples is not None else None
    return None if isinstance(first, DataError) else first


def comment(layer: Any, channels: int) -> str:
    """Return the comment of a deploy net for images of so many channels, from which minicaffe classify takes how they
    are prepared.

    It is '' where the layer reads no images, or does not say their size.
    """
    try:
        made = of_data_layer(no_flags(), layer)
    except MinicaffeError:
        return ""
    made.preprocessing.color = {1: False, 3: True}.get(channels)
    return f"preprocessing: {as_flags(made.preprocessing)}"
