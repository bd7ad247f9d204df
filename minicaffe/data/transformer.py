"""transform_param: how the data layers crop, mirror and scale an image before it goes into the net.

    y = (x − mean) · scale

Here x is a crop of the image, at a random place in TRAIN and in the middle in TEST. With `mirror`, half of the images
are mirrored, chosen at random in both phases.

With fields of ours more is done, in this order:

    resize_shorter                      in both phases
    rotate, zoom                        in TRAIN (augment.py)
    brightness, contrast, saturation    in TRAIN
    the crop, mirror, mean and scale
    erase                               in TRAIN
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, NoReturn

import numpy as np
from google.protobuf.message import DecodeError

from minicaffe.data.augment import Augmentation, changed, resized, shorter_to
from minicaffe.data.workers import Workers
from minicaffe.errors import DataError, LayerError
from minicaffe.io.binary import blob_to_array
from minicaffe.io.file_bytes import read_file
from minicaffe.io.image import planes
from minicaffe.log import At, log, plural
from minicaffe.proto import TRAIN, BlobProto
from minicaffe.rng import SampleDraws


class Crops(NamedTuple):
    """What the kernel crop_and_scale is to do to the images of a batch: its arguments between x and out."""

    tops: np.ndarray
    lefts: np.ndarray
    mirrored: np.ndarray
    mean: np.ndarray | None
    scale: float


class Transformer:
    """The transformation that a TransformationParameter describes.

    `owner`, such as "layer 'mnist' (Data)", begins the message of each LayerError. Making a Transformer raises one for
    mean_file beside mean_value, scale 0, force_color beside force_gray, and a field of our own that is out of bounds;
    and its methods for an image that does not fit the mean or the crop.
    """

    def __init__(self, param: Any, phase: int, owner: str) -> None:
        self.owner = owner
        if param.HasField("mean_file") and not param.mean_file:
            self._fail("mean_file must name a file, got nothing")
        self.crop, self.mirror, self.scale = param.crop_size, param.mirror, param.scale
        self.random_crop = phase == TRAIN
        self.mean_value = np.array(param.mean_value, np.float32).reshape(-1, 1, 1) if param.mean_value else None
        self.mean_image = read_mean(param.mean_file) if param.HasField("mean_file") else None
        if param.scale == 0:
            self._fail("scale must not be 0, which makes all images the same")
        if param.mean_value and param.HasField("mean_file"):
            self._fail("mean_file and mean_value cannot both be given")
        if param.force_color and param.force_gray:
            self._fail("force_color and force_gray cannot both be set")
        self.resize_shorter = param.resize_shorter
        self.augmentation = Augmentation(param, self.random_crop, owner, self._fail)
        # whether `crops` says all that is to be done; it knows no fields of our own, whose numbers begin at 5700
        self.only_crops = not any(field.number >= 5700 for field, _ in param.ListFields())
        self.color = True if param.force_color else False if param.force_gray else None

    @property
    def draws(self) -> bool:
        """Whether anything is drawn at random for an image."""
        return bool(self.mirror or (self.crop and self.random_crop) or self.augmentation.draws)

    def shape(self, image: np.ndarray, name: str) -> tuple[int, int, int]:
        """Return the shape (C, h, w) of a transformed image. Raise a LayerError when crop or mean do not fit it."""
        channels, height, width = shape = shorter_to(image.shape, self.resize_shorter)
        if self.crop > min(height, width):
            self._fail(f"crop_size {self.crop} is larger than the image {name}, {height} high and {width} wide")
        if self.mean_value is not None and len(self.mean_value) not in (1, channels):
            self._fail(f"mean_value is given {len(self.mean_value)} times, but {name} has "
                       f"{plural(channels, 'channel')}", hint="give one mean_value, or one for each channel")
        if self.mean_image is not None and self.mean_image.shape != shape:
            self._fail(f"mean_file holds a mean of shape {self.mean_image.shape}, but {name} is {shape}")
        if self.augmentation.values["saturation"] and channels != 3:
            self._fail(f"saturation needs images of 3 channels, blue, green and red, but {name} has {channels}")
        return (channels, self.crop, self.crop) if self.crop else (channels, height, width)

    def check(self, images: Sequence[np.ndarray], names: Sequence[str], shape: tuple[int, ...]) -> None:
        """Raise a LayerError, which names the image, where one comes out in another shape than the first's."""
        for image, name in zip(images, names, strict=True):
            if (found := self.shape(image, name)) != shape:
                hint = "set crop_size, or resize the images when the database is made"
                if found[0] != shape[0]:
                    hint = "set force_color: true, which gives encoded images three channels; convert raw ones"
                self._fail(f"the images of a batch must have one shape: {name} comes out as {found}, {names[0]} as "
                           f"{shape}", hint=hint)

    def crops(self, images: Sequence[np.ndarray] | np.ndarray, draws: SampleDraws) -> Crops:
        """Return where the images are cropped, which are mirrored, the mean and the scale.

        Where `only_crops` is True and the images are uint8, this is all that the kernel crop_and_scale has to know.
        """
        mirrored = draws.below(2, "mirror") if self.mirror else np.zeros(len(images), int)
        mean = self.mean_value if self.mean_image is None else self.mean_image
        tops, lefts = self._offsets(images, draws)
        return Crops(tops, lefts, mirrored, mean, self.scale)

    def apply(self, images: Sequence[np.ndarray], names: Sequence[str], out: np.ndarray,
              draws: SampleDraws, workers: Workers | None = None) -> None:
        """Write the transformed images into `out` (N, C, h, w). Crops, mirrors and all other chance come from `draws`.

        `workers` share the images; None leaves them to the calling thread. Raise what `check` raises.
        """
        self.check(images, names, out.shape[1:])
        changes = self.augmentation.drawn(draws) if self.augmentation.draws else None
        crops = self.crops(images, draws)

        def apply_one(i: int) -> None:
            y = out[i, :, :, ::-1] if crops.mirrored[i] else out[i]  # writing backwards mirrors
            image = resized(images[i], self.resize_shorter)
            self._apply_one(image if changes is None else changed(image, changes[i]), crops.tops[i], crops.lefts[i], y)

        (workers or Workers(1)).map(apply_one, range(len(images)))
        self.augmentation.erase(out, draws, centred=self.mean_value is not None or self.mean_image is not None)

    def _apply_one(self, image: np.ndarray, top: int, left: int, y: np.ndarray) -> None:
        """y = (x − mean) · scale for one image, where x is the crop that begins at `top` and `left`.

        One image at a time is small enough to stay in the processor's cache between the two steps.
        """
        H, W = y.shape[1:]
        crop = np.s_[:, top:top + H, left:left + W]
        x, scale = planes(image[crop]), y.dtype.type(self.scale)
        mean = self.mean_value if self.mean_image is None else self.mean_image[crop]
        if mean is None:
            np.multiply(x, scale, out=y, dtype=y.dtype)
            return
        np.subtract(x, mean.astype(y.dtype, copy=False), out=y, dtype=y.dtype)
        if scale != 1:
            y *= scale

    def _offsets(self, images: Sequence[np.ndarray] | np.ndarray, draws: SampleDraws) -> Any:
        """Return the first rows and the first columns of the images' crops."""
        if not self.crop:
            return np.zeros((2, len(images)), int)
        largest = np.array([shorter_to(image.shape, self.resize_shorter)[1:] for image in images]).T - self.crop
        if not self.random_crop:
            return largest // 2
        return draws.below(largest[0] + 1, "top"), draws.below(largest[1] + 1, "left")

    def _fail(self, message: str, hint: str = "") -> NoReturn:
        raise LayerError(f"{self.owner}: transform_param: {message}", hint=hint)


def read_mean(path: str) -> np.ndarray:
    """Return the mean image (C, H, W) in a .binaryproto file. Raise a DataError where there is none."""
    log(At.MEAN_FILE, f"Loading mean file from: {path}")
    content = read_file(path, "the mean file")
    try:
        mean = blob_to_array(BlobProto.FromString(content))
    except DecodeError as error:
        raise DataError(f"{path} is no mean file: it holds no BlobProto") from error
    except DataError as error:
        raise DataError(f"{path} is no mean file: {error.message}") from error
    if mean.ndim == 4 and mean.shape[0] == 1:
        mean = mean[0]
    if mean.ndim != 3:
        raise DataError(f"{path} holds a blob of shape {mean.shape}, but a mean is (1, C, H, W) or (C, H, W)")
    return mean
