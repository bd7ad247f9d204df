"""pycaffe's Classifier: a net with everything that is done to an image before it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from minicaffe.io.files import PathLike
from minicaffe.proto import TEST
from minicaffe.pycaffe import io
from minicaffe.pycaffe.errors import ImageError
from minicaffe.pycaffe.net import Net
from minicaffe.pycaffe.transformer import transformer_of

Size = Sequence[int] | np.ndarray


class Classifier(Net):
    """A net whose first input takes images, and whose first output has a probability for each class.

    image_dims      (height, width) to which each image is resized before it is cropped to the input's size; None is the
                    input's size, so that nothing is cropped away
    mean            what is subtracted: a number for each channel (K,), or an array (K, H, W)
    input_scale     what the image is multiplied by after the mean was subtracted
    raw_scale       what it is multiplied by before that
    channel_swap    the order of the channels; (2, 1, 0) makes blue, green, red of red, green, blue

    `transformer` is the Transformer that these make.
    """

    def __init__(self, model_file: PathLike, pretrained_file: PathLike, image_dims: Size | None = None,
                 mean: np.ndarray | None = None, input_scale: float | None = None, raw_scale: float | None = None,
                 channel_swap: Sequence[int] | None = None) -> None:
        super().__init__(model_file, TEST, weights=str(pretrained_file))
        self.transformer = transformer_of(self, mean, input_scale, raw_scale, channel_swap)
        self.crop_dims = np.array(self.blobs[self.inputs[0]].shape[2:])
        self.image_dims: Size = self.crop_dims if image_dims is None or not len(image_dims) else image_dims

    def predict(self, inputs: Sequence[np.ndarray] | np.ndarray, oversample: bool = True) -> np.ndarray:
        """Return the probabilities (N, C) of N images (H, W, K) for C classes.

        oversample    whether to take the mean over ten crops: the corners, the centre, and these mirrored. Without it,
                      only the centre is classified, and the result has the shape of the net's output

        Raise ImageError where there is no image, or one does not fit the net.
        """
        if not len(inputs):
            raise ImageError("there is no image to classify")
        if isinstance(inputs, str) or np.ndim(inputs[0]) == 2:
            raise ImageError("predict takes a list of images, got a single one", hint="write predict([image])")
        if (np.asarray(self.image_dims) < self.crop_dims).any():
            (H, W), (h, w) = self.image_dims, self.crop_dims
            raise ImageError(f"the net's input of {h}×{w} pixels (height × width) cannot be cut out of images that are "
                             f"resized to {H}×{W}")
        resized = [io.resize_image(one, self.image_dims) for one in inputs]
        crops = io.oversample(resized, self.crop_dims) if oversample else self._centres(resized)
        in_ = self.inputs[0]
        ready = np.stack([self.transformer.preprocess(in_, crop) for crop in crops])
        if ready.shape[1:] != tuple(self.blobs[in_].shape[1:]):
            cures = {1: "io.load_image(file, color=False) reads an image in grey",
                     3: "io.load_image(file) gives a grey image three channels, too"}
            raise ImageError(f"the images come out in the shape {ready.shape[1:]}, but the input {in_!r} has "
                             f"{tuple(self.blobs[in_].shape[1:])}", hint=cures.get(self.blobs[in_].shape[1], ""))
        arrays: dict[str, Any] = {in_: ready}
        predictions = self.forward_all(**arrays)[self.outputs[0]]
        if oversample:
            predictions = predictions.reshape(len(inputs), 10, -1).mean(1)
        return predictions

    def _centres(self, images: Sequence[np.ndarray]) -> list[np.ndarray]:
        """Return the middle of each image, in the size of the input."""
        h, w = self.crop_dims
        y, x = (np.asarray(self.image_dims) - self.crop_dims) // 2
        return [one[y:y + h, x:x + w] for one in images]
