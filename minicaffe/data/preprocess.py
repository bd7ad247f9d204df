"""Turn an image into what a net reads: resized, its channels in order, minus the mean, times the scale, cropped."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from minicaffe.data.transformer import Transformer
from minicaffe.errors import DataError
from minicaffe.io import image
from minicaffe.log import shape_text
from minicaffe.proto import TEST, TransformationParameter
from minicaffe.rng import SampleDraws

BLUE_GREEN_RED = (2, 1, 0)  # Caffe's order, counted in red, green, blue


@dataclass
class Preprocessing:
    """How an image is made ready.

    transform   a TransformationParameter. Its mirror has no effect here: an image is classified as it is
    mean        an array (C,) or (C, H, W) to subtract in place of the transform's, or None
    size        (height, width) to which an image is resized first, or None
    color       True for three channels, False for one, None for those that the file has
    order       the order of the net's channels, counted in red, green, blue: 2, 1, 0 is Caffe's
    """

    transform: Any = field(default_factory=TransformationParameter)
    mean: np.ndarray | None = None
    size: tuple[int, int] | None = None
    color: bool | None = None
    order: tuple[int, ...] = BLUE_GREEN_RED
    _made: Transformer | None = field(default=None, repr=False, compare=False)

    @property
    def transformer(self) -> Transformer:
        """The Transformer of `transform` and `mean`, which does what a data layer's does at TEST."""
        if self._made is None:
            param = TransformationParameter()
            param.CopyFrom(self.transform)
            param.mirror = False
            if self.mean is not None:
                param.ClearField("mean_file")
                param.ClearField("mean_value")
                if self.mean.ndim == 1:
                    param.mean_value.extend(self.mean.tolist())
            self._made = Transformer(param, TEST, "the preprocessing")
            if self.mean is not None and self.mean.ndim == 3:
                self._made.mean_image = np.asarray(self.mean, np.float32)
        return self._made

    def decode(self, encoded: bytes, name: str) -> np.ndarray:
        """Return the pixels (C, H, W) in the bytes of an image file. Raise DataError as `image.decode` does."""
        return image.decode(encoded, name, self.color)

    def __call__(self, pixels: Sequence[np.ndarray], names: Sequence[str]) -> np.ndarray:
        """Return what a net reads (N, C, h, w), float32, of images (C, H, W) in blue, green, red.

        Raise an error that names the image where one does not fit, or comes out in another shape than the first.
        """
        ready = [self._ordered(self._resized(x)) for x in pixels]
        shape = self.transformer.shape(ready[0], names[0])
        out: np.ndarray = np.empty((len(ready), *shape), np.float32)
        none = np.zeros(len(ready), np.int64)  # at TEST a crop is central, so nothing is drawn
        self.transformer.apply(ready, names, out, SampleDraws(0, none, none))
        return out

    def _resized(self, x: np.ndarray) -> np.ndarray:
        return image.resize(x, self.size) if self.size and x.shape[1:] != self.size else x

    def _ordered(self, x: np.ndarray) -> np.ndarray:
        """Return the channels, which come as blue, green, red, in the order that the net has."""
        if len(x) != 3 or self.order == BLUE_GREEN_RED:
            return x
        return x[[2 - channel for channel in self.order]]

    def __str__(self) -> str:
        """Say in words what is done, in the order in which it is done."""
        t = self.transform
        words = [{True: "colour", False: "grey", None: "the channels of the file"}[self.color]]
        if self.color is not False:
            names = ("red", "green", "blue")
            words[0] += ", channels in the order " + ", ".join(names[c] for c in self.order)
        if self.size:
            words.append(f"resized to {shape_text(self.size)}")
        if t.resize_shorter:
            words.append(f"shorter side resized to {t.resize_shorter}")
        if not self.size and not t.resize_shorter:
            words.append("not resized")
        if self.mean is not None:
            shown = ", ".join(f"{m:g}" for m in self.mean) if self.mean.ndim == 1 else \
                f"a mean image of {shape_text(self.mean.shape)}"
            words.append(f"minus {shown}")
        elif t.mean_value:
            words.append("minus " + ", ".join(f"{m:g}" for m in t.mean_value))
        elif t.HasField("mean_file"):
            words.append(f"minus the mean in {t.mean_file}")
        if t.scale != 1:
            words.append(f"times {t.scale:g}")
        if t.crop_size:
            words.append(f"the middle {t.crop_size}×{t.crop_size} of it")
        return "; ".join(words)


def of_layer(layer: Any) -> Preprocessing:
    """Return what a data layer does to an image, from its LayerParameter."""
    size, color = None, None
    for held, value in layer.ListFields():
        if held.name.endswith("_param") and hasattr(value, "new_height"):
            size = (int(value.new_height), int(value.new_width)) if value.new_height and value.new_width else None
            color = bool(value.is_color)
    t = layer.transform_param
    if color is None:
        color = True if t.force_color else False if t.force_gray else None
    transform = TransformationParameter()
    transform.CopyFrom(t)
    return Preprocessing(transform, size=size, color=color)


def check_mean(mean: np.ndarray, where: str) -> np.ndarray:
    """Return a mean as float32 of shape (C,) or (C, H, W). Raise DataError where it has another shape."""
    found = np.asarray(mean, np.float32)
    if found.ndim == 4 and found.shape[0] == 1:
        found = found[0]
    if found.ndim == 3 and found.shape[1:] == (1, 1):
        found = found[:, 0, 0]
    if found.ndim not in (1, 3) or not found.size:
        raise DataError(f"{where} holds an array of shape {found.shape}, but a mean is (C,) or (C, H, W)")
    if not np.isfinite(found).all():
        raise DataError(f"{where} holds NaN or infinity, and subtracting that would leave no number of an image")
    return found
