"""Our own fields of transform_param: images are changed at random, so that a net learns from more than there are.

All changes follow from `SampleDraws`, and so from the seed, the epoch and the number of the sample.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NoReturn

import numpy as np

from minicaffe.io import image as images_io
from minicaffe.log import At, warn
from minicaffe.rng import SampleDraws

# the least and the largest value of each field
BOUNDS = {"rotate": (0, 180), "zoom": (0, 0.9), "brightness": (0, 1), "contrast": (0, 1), "saturation": (0, 1),
          "erase": (0, 1), "erase_area": (0, 1)}
OURS = ("resize_shorter", *BOUNDS)
CHANGES = ("rotate", "zoom", "brightness", "contrast", "saturation")  # in the order in which they are made
GREY = np.array([0.114, 0.587, 0.299], np.float32).reshape(3, 1, 1)  # how bright blue, green and red appear to an eye
LONGEST = 3.0  # of a rectangle, its longer side divided by the shorter


class Augmentation:
    """The random changes that a TransformationParameter asks for, with u a new random number from −1 to 1 each time.

    `warped`, at the beginning
        rotate          turned by u · rotate degrees around the middle, and
        zoom            made 1 + u · zoom times as large; beyond its border the image is reflected
    `coloured`, after that
        brightness      x ← x · (1 + u · brightness)
        contrast        x ← m + (x − m) · (1 + u · contrast), where m is the mean of the image
        saturation      x ← g + (x − g) · (1 + u · saturation), where g is how bright the pixel is
    `erase`, at the end
        erase           with this chance a rectangle is set to the mean; it covers up to `erase_area` of the image, and
                        is at most three times as long as wide

    Values are not cut off at 0 or 255.

    active  False in TEST, where nothing is changed
    owner   begins the message of a warning, such as "layer 'mnist' (Data)"
    fail    is called with a message where a field's value is out of bounds
    """

    def __init__(self, param: Any, active: bool, owner: str, fail: Callable[[str], NoReturn]) -> None:
        for field, (least, most) in BOUNDS.items():
            if not least <= getattr(param, field) <= most:
                fail(f"{field} must be from {least} to {most}, got {getattr(param, field):g}")
        if param.HasField("erase_area"):
            if param.erase_area == 0:
                fail("erase_area must be above 0: it is a part of the image")
            if not param.erase:
                warn(At.LAYER_PARAMETER, f"{owner}: transform_param.erase_area has no effect: erase is 0")
        self.values = {field: getattr(param, field) if active else 0.0 for field in BOUNDS}

    @property
    def draws(self) -> bool:
        """Whether anything is drawn for an image."""
        return any(self.values[field] for field in (*CHANGES, "erase"))

    def drawn(self, draws: SampleDraws) -> np.ndarray:
        """Return for each sample u · the field's value of each of the CHANGES (N, 5)."""
        return np.stack([self.values[field] * (2 * draws.unit(field) - 1) if self.values[field] else
                         np.zeros(len(draws)) for field in CHANGES], axis=1)

    def erase(self, out: np.ndarray, draws: SampleDraws, centred: bool) -> None:
        """Set a rectangle in some of the images `out` (N, C, H, W) to the mean.

        That is 0 where the mean was subtracted (`centred`), and otherwise the mean of each channel of the image.
        """
        if not self.values["erase"]:
            return
        H, W = out.shape[2:]
        chosen = draws.unit("erase") < self.values["erase"]
        area = draws.unit("erase_area") * self.values["erase_area"] * H * W
        ratio = LONGEST ** (2 * draws.unit("erase_shape") - 1)
        heights = np.clip(np.sqrt(area * ratio), 1, H).astype(int)
        widths = np.clip(np.sqrt(area / ratio), 1, W).astype(int)
        tops, lefts = draws.below(H - heights + 1, "erase_top"), draws.below(W - widths + 1, "erase_left")
        for n in np.flatnonzero(chosen):
            y, value = out[n], 0.0 if centred else out[n].mean(axis=(1, 2), keepdims=True)
            y[:, tops[n]:tops[n] + heights[n], lefts[n]:lefts[n] + widths[n]] = value


def shorter_to(shape: tuple[int, ...], shorter: int) -> tuple[int, ...]:
    """Return the shape (C, H, W) of an image whose shorter side is resized to `shorter` pixels; 0 keeps the size."""
    channels, height, width = shape
    if not shorter:
        return shape
    scale = shorter / min(height, width)
    return channels, max(shorter, round(height * scale)), max(shorter, round(width * scale))


def resized(image: np.ndarray, shorter: int) -> np.ndarray:
    """Return the image (C, H, W) resized so that its shorter side has so many pixels; 0 keeps the size."""
    shape = shorter_to(image.shape, shorter)
    return image if shape == image.shape else images_io.resize(image, (shape[1], shape[2]))


def changed(image: np.ndarray, drawn: np.ndarray) -> np.ndarray:
    """Return the image (C, H, W), of the same shape, after all changes but `erase`. A change by 0 does nothing."""
    rotate, zoom, brightness, contrast, saturation = drawn
    return coloured(warped(image, rotate, 1 + zoom), 1 + brightness, 1 + contrast, 1 + saturation)


def warped(image: np.ndarray, angle: float, zoom: float) -> np.ndarray:
    """Return the image (C, H, W) turned by `angle` degrees to the left and made `zoom` times as large; the same size.

    A pixel p comes from the place c + R · (p − c) / zoom, where c is the middle and R turns by the angle to the right.
    """
    if angle == 0 and zoom == 1:
        return image
    middle = np.array([image.shape[2] - 1, image.shape[1] - 1]) / 2
    cos, sin = math.cos(math.radians(angle)), math.sin(math.radians(angle))
    turn = np.array([[cos, -sin], [sin, cos]]) / zoom
    return images_io.warp(image, np.column_stack([turn, middle - turn @ middle]))


def coloured(image: np.ndarray, brightness: float, contrast: float, saturation: float) -> np.ndarray:
    """Return the image (C, H, W) with these three factors applied, one after the other; 1 changes nothing."""
    if brightness == contrast == saturation == 1:
        return image
    x = image.astype(np.float32) * np.float32(brightness)
    if contrast != 1:
        mean = x.mean()
        x = mean + (x - mean) * np.float32(contrast)
    if saturation != 1:
        grey = (GREY * x).sum(axis=0)
        x = grey + (x - grey) * np.float32(saturation)
    return x
