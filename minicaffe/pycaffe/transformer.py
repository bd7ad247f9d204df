"""Turn images into what a net reads, and back."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from minicaffe.errors import DataError, NetError
from minicaffe.log import plural
from minicaffe.pycaffe.errors import ImageError
from minicaffe.pycaffe.resize import resize_image

if TYPE_CHECKING:  # a script that only prepares images does not wait for nets
    from minicaffe.net import Net


class Transformer:
    """What is done to an image (H, W, K) before it goes into a net.

    inputs    the shape of each input by its name, such as {"data": net.blobs["data"].data.shape}

    The image is resized to the input's height and width. Everything else is done only where a setter asked for it.
    """

    def __init__(self, inputs: Mapping[str, Sequence[int]]) -> None:
        self.inputs = inputs
        self.transpose: dict[str, Sequence[int]] = {}
        self.channel_swap: dict[str, Sequence[int]] = {}
        self.raw_scale: dict[str, float] = {}
        self.mean: dict[str, np.ndarray] = {}
        self.input_scale: dict[str, float] = {}

    def preprocess(self, in_: str, data: np.ndarray) -> np.ndarray:
        """Return what the input `in_` reads of an image (H, W, K), as a new float32 array (K, h, w).

        The steps, in this order:
          make it float32
          resize it, if its height or width is not the input's
          put its axes into the order of set_transpose, and its channels into that of set_channel_swap
          multiply it by the raw scale
          subtract the mean
          multiply it by the input scale

        Raise ImageError for a mean that does not fit.
        """
        size, data = self._size(in_), np.asarray(data)
        if data.shape[:2] == size:
            image = np.array(data, np.float32)  # Caffe: is no copy where it need not be, and changes the caller's image
        else:
            image = resize_image(data.astype(np.float32, copy=False), size)
        if (order := self.transpose.get(in_)) is not None:
            image = image.transpose(order)
        if (swap := self.channel_swap.get(in_)) is not None:
            if max(swap) >= len(image):
                raise ImageError(f"set_channel_swap gave the order {tuple(swap)}, but the image has "
                                 f"{plural(len(image), 'channel')}")
            image = image[list(swap)]
        if (raw_scale := self.raw_scale.get(in_)) is not None:
            image *= raw_scale
        if (mean := self.mean.get(in_)) is not None:
            image -= self._fitting(mean, in_, image.shape)
        if (input_scale := self.input_scale.get(in_)) is not None:
            image *= input_scale
        return image

    def deprocess(self, in_: str, data: np.ndarray) -> np.ndarray:
        """Return the image (H, W, K) of what the input `in_` reads, (K, h, w) or with a batch of 1 in front of it.

        What `preprocess` does is undone in the opposite order, but for the resizing.
        """
        self._check_input(in_)
        data = np.asarray(data)
        image = self._without_batch(in_, np.array(data, np.result_type(data, np.float32)))
        if (input_scale := self.input_scale.get(in_)) is not None:
            image /= input_scale
        if (mean := self.mean.get(in_)) is not None:
            image += self._fitting(mean, in_, image.shape)
        if (raw_scale := self.raw_scale.get(in_)) is not None:
            image /= raw_scale
        if (swap := self.channel_swap.get(in_)) is not None:
            image = image[np.argsort(swap)]
        if (order := self.transpose.get(in_)) is not None:
            image = image.transpose(np.argsort(order))
        return image

    def set_transpose(self, in_: str, order: Sequence[int]) -> None:
        """Set the order of an image's axes; (2, 0, 1) makes (K, H, W) of (H, W, K)."""
        self._check_input(in_)
        axes = len(self.inputs[in_]) - 1
        if len(order) != axes:
            raise DataError(f"the order {tuple(order)} has {len(order)} axes, but without its batch axis the input "
                            f"{in_!r} has {axes}")
        self.transpose[in_] = order

    def set_channel_swap(self, in_: str, order: Sequence[int]) -> None:
        """Set the order of the channels, the first axis after set_transpose; (2, 1, 0) makes BGR of RGB."""
        self._check_input(in_)
        if len(order) != self.inputs[in_][1]:
            raise DataError(f"the order {tuple(order)} has {len(order)} channels, but the input {in_!r} has "
                            f"{self.inputs[in_][1]}")
        self.channel_swap[in_] = order

    def set_raw_scale(self, in_: str, scale: float) -> None:
        """Set what an image is multiplied by before the mean is subtracted; 255 for nets that were trained on bytes."""
        self._check_input(in_)
        self.raw_scale[in_] = scale

    def set_mean(self, in_: str, mean: np.ndarray) -> None:
        """Set the mean to subtract: a number for each channel (K,), or an array (K, H, W) or (H, W).

        An array in another height and width than the input's is resized. Raise ImageError for another shape.
        """
        self._check_input(in_)
        K, *size = self.inputs[in_][1:]
        if isinstance(mean, (str, os.PathLike)):
            raise ImageError(f"a mean is an array, got the name {str(mean)!r}",
                             hint="np.load(name) reads a .npy file; the message of a .binaryproto is a BlobProto, "
                                  "of which io.blobproto_to_array(message)[0] makes an array")
        mean = np.asarray(mean)
        if mean.ndim not in (1, 2, 3):
            raise ImageError(f"a mean has the shape (channels,), (channels, height, width) or (height, width), got "
                             f"{mean.shape}")
        for_all_channels = mean.ndim == 3 and len(mean) == 1
        mean = {1: mean[..., np.newaxis, np.newaxis], 2: mean[np.newaxis], 3: mean}[mean.ndim]
        if len(mean) != K and not for_all_channels:
            raise ImageError(f"the mean has {plural(len(mean), 'channel')}, but the input {in_!r} has {K}")
        self.mean[in_] = mean if mean.shape[1:] in ((1, 1), tuple(size)) else _resized_mean(mean, size)

    def set_input_scale(self, in_: str, scale: float) -> None:
        """Set what an image is multiplied by at the end, after the mean was subtracted."""
        self._check_input(in_)
        self.input_scale[in_] = scale

    def _check_input(self, in_: str) -> None:
        if in_ not in self.inputs:
            raise DataError(f"{in_!r} is not one of the inputs {', '.join(map(repr, self.inputs))}")

    def _size(self, in_: str) -> tuple[int, ...]:
        """Return the height and width of an input."""
        self._check_input(in_)
        shape = self.inputs[in_]
        if len(shape) != 4:
            raise ImageError(f"the input {in_!r} has the shape {tuple(shape)}, but an image needs (batch, channels, "
                             "height, width)")
        return tuple(shape[2:])

    def _fitting(self, mean: np.ndarray, in_: str, shape: tuple[int, ...]) -> np.ndarray:
        """Return the mean of an input. Raise ImageError where an image of this shape has no such mean."""
        try:
            np.broadcast_to(mean, shape)
        except ValueError:
            hint = "" if in_ in self.transpose else "set_transpose(name, (2, 0, 1)) puts the channels first"
            raise ImageError(f"the mean of the input {in_!r} has the shape {mean.shape}, but the image has {shape}",
                             hint=hint) from None
        return mean

    def _without_batch(self, in_: str, image: np.ndarray) -> np.ndarray:
        """Return the image without a batch axis of one image, and without other axes of size 1 that nobody needs."""
        order = self.transpose.get(in_)
        if order is None:
            return image.squeeze()
        axes = len(order)  # Caffe: squeezes here too, and fails where the image has one channel
        while image.ndim > axes and image.shape[0] == 1:
            image = image[0]
        return image


def _resized_mean(mean: np.ndarray, size: Sequence[int]) -> np.ndarray:
    """Return a mean image (K, H, W) in another height and width."""
    low, high = mean.min(), mean.max()
    if not high > low:
        return np.full((len(mean), *size), low, np.float32)  # Caffe: divides by 0, and the mean is NaN
    unit = (mean - low) / (high - low)
    return resize_image(unit.transpose(1, 2, 0), size).transpose(2, 0, 1) * np.float32(high - low) + np.float32(low)


def transformer_of(net: Net, mean: np.ndarray | None, input_scale: float | None, raw_scale: float | None,
                   channel_swap: Sequence[int] | None) -> Transformer:
    """Return the Transformer for images (H, W, K) of a net's first input. Raise NetError where the net has none."""
    if not net.inputs:
        raise NetError("the net has no input into which images could go", where=net.where(),
                       hint="a net for answers begins with an Input layer; `minicaffe deploy` makes one of a net that "
                            "was trained")
    in_ = net.inputs[0]
    shape = net.blobs[in_].shape
    if len(shape) != 4:
        raise NetError(f"the input {in_!r} has the shape {tuple(shape)}, but images need (batch, channels, height, "
                       "width)", where=net.where())
    transformer = Transformer({in_: shape})
    transformer.set_transpose(in_, (2, 0, 1))
    if mean is not None:
        transformer.set_mean(in_, mean)
    if input_scale is not None:
        transformer.set_input_scale(in_, input_scale)
    if raw_scale is not None:
        transformer.set_raw_scale(in_, raw_scale)
    if channel_swap is not None:
        transformer.set_channel_swap(in_, channel_swap)
    return transformer
