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
from typing import Any, NoReturn

import numpy as np
from google.protobuf.message import DecodeError

from minicaffe.data.augment import Augmentation, changed, resized, shorter_to
from minicaffe.data.workers import Workers
from minicaffe.errors import DataError, LayerError
from minicaffe.io.binary import blob_to_array
from minicaffe.io.file_bytes import read_ordinary
from minicaffe.io.image import planes
from minicaffe.log import At, log
from minicaffe.proto import TRAIN, BlobProto
from minicaffe.rng import SampleDraws

CACHED = 1 << 18  # bytes of transformed images that are worked on at once, which the processor's cache holds


class Transformer:
    """The transformation that a TransformationParameter describes.

    `owner`, such as "layer 'mnist' (Data)", begins the message of each LayerError. There is one for mean_file beside
    mean_value, for scale 0, for force_color beside force_gray, for a field of ours that is out of bounds, and for a
    mean or a crop that does not fit the images.
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
        # fields of our own, 5700 and more, are not for apply_together
        self.together = not any(field.number >= 5700 for field, _ in param.ListFields())
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
            self._fail(f"mean_value is given {len(self.mean_value)} times, but {name} has {channels} "
                       f"channel{'s' * (channels > 1)}", hint="give one mean_value, or one for each channel")
        if self.mean_image is not None and self.mean_image.shape != shape:
            self._fail(f"mean_file holds a mean of shape {self.mean_image.shape}, but {name} is {shape}")
        if self.augmentation.values["saturation"] and channels != 3:
            self._fail(f"saturation needs images of 3 channels, blue, green and red, but {name} has {channels}")
        return (channels, self.crop, self.crop) if self.crop else (channels, height, width)

    def apply(self, images: Sequence[np.ndarray], names: Sequence[str], out: np.ndarray,
              draws: SampleDraws, workers: Workers | None = None) -> None:
        """Write the transformed images into `out` (N, C, h, w), with crops, mirrors and all else from `draws`.

        `workers` share the images; None leaves them to the calling thread. Raise a LayerError, which names the image,
        when one does not get the shape of the others.
        """
        for image, name in zip(images, names, strict=True):
            if (found := self.shape(image, name)) != out.shape[1:]:
                hint = "set crop_size, or resize the images when the database is made"
                if found[0] != out.shape[1]:
                    hint = "set force_color: true, which gives encoded images three channels; convert raw ones"
                self._fail(f"the images of a batch must have one shape: {name} comes out as {found}, {names[0]} as "
                           f"{out.shape[1:]}", hint=hint)
        changes = self.augmentation.drawn(draws) if self.augmentation.draws else None
        mirrored = draws.below(2, "mirror") if self.mirror else np.zeros(len(images), int)
        tops, lefts = self._offsets(images, draws)

        def apply_one(i: int) -> None:
            y = out[i, :, :, ::-1] if mirrored[i] else out[i]  # writing backwards mirrors
            image = resized(images[i], self.resize_shorter)
            self._apply_one(image if changes is None else changed(image, changes[i]), tops[i], lefts[i], y)

        (workers or Workers(1)).map(apply_one, range(len(images)))
        self.augmentation.erase(out, draws, centred=self.mean_value is not None or self.mean_image is not None)

    def apply_together(self, images: np.ndarray, out: np.ndarray, draws: SampleDraws) -> None:
        """Do what `apply` does, with the same bits, for images of one shape in one array (N, C, H, W).

        The shape of `out` must be the one that `shape` returns, and the attribute `together` must be True.
        """
        h, w = out.shape[2:]
        mirrored = draws.below(2, "mirror") if self.mirror else None
        tops, lefts = self._offsets(images, draws)
        some = max(1, CACHED // out[0].nbytes)
        for part in (slice(start, start + some) for start in range(0, len(images), some)):
            x, y, mean = images[part], out[part], self.mean_value
            if self.crop:
                x = _crops(x, tops[part], lefts[part], h, w)
            if self.mean_image is not None:
                mean = _crops(np.broadcast_to(self.mean_image, (len(x), *self.mean_image.shape)),
                              tops[part], lefts[part], h, w)
            turn: Any = [] if mirrored is None else np.flatnonzero(mirrored[part])
            if len(turn) == len(x):  # a large image is alone here: it is quicker to read it backwards
                x, mean, turn = x[..., ::-1], None if mean is None else mean[..., ::-1], []
            y[...] = x
            if mean is not None:
                y -= mean.astype(y.dtype, copy=False)
            if self.scale != 1:
                y *= y.dtype.type(self.scale)
            if len(turn):
                y[turn] = y[turn, :, :, ::-1]

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


def _crops(images: np.ndarray, tops: np.ndarray, lefts: np.ndarray, h: int, w: int) -> np.ndarray:
    """Return the crop (h, w) of each image (N, C, H, W) that begins at its row and column."""
    if (tops == tops[0]).all() and (lefts == lefts[0]).all():
        return images[:, :, tops[0]:tops[0] + h, lefts[0]:lefts[0] + w]
    windows = np.lib.stride_tricks.sliding_window_view(images, (h, w), (2, 3))
    return windows[np.arange(len(images)), :, tops, lefts]


def read_mean(path: str) -> np.ndarray:
    """Return the mean image (C, H, W) in a .binaryproto file. Raise a DataError when it is missing or is no mean."""
    log(At.MEAN_FILE, f"Loading mean file from: {path}")
    try:
        mean = blob_to_array(BlobProto.FromString(read_ordinary(path)))
    except (OSError, ValueError) as error:
        raise DataError(f"cannot read the mean file {path}: {getattr(error, 'strerror', None) or error}") from error
    except DecodeError as error:
        raise DataError(f"{path} is no mean file: it holds no BlobProto") from error
    except DataError as error:
        raise DataError(f"{path} is no mean file: {error.message}") from error
    if mean.ndim == 4 and mean.shape[0] == 1:
        mean = mean[0]
    if mean.ndim != 3:
        raise DataError(f"{path} holds a blob of shape {mean.shape}, but a mean is (1, C, H, W) or (C, H, W)")
    return mean
