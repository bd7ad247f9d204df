"""pycaffe's Detector: a net that classifies windows of images."""

from __future__ import annotations

import importlib
import os
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from minicaffe.errors import DataError
from minicaffe.io.files import PathLike
from minicaffe.proto import TEST
from minicaffe.pycaffe import io
from minicaffe.pycaffe.errors import ImageError
from minicaffe.pycaffe.net import Net
from minicaffe.pycaffe.transformer import transformer_of

Window = Sequence[float]  # ymin, xmin, ymax, xmax in pixels


class Detector(Net):
    """A net whose first input takes windows of images, and whose first output has a prediction for each.

    mean, input_scale, raw_scale, channel_swap    as those of Classifier
    context_pad    how many pixels on each side of the input show what surrounds the window; None for none
    """

    def __init__(self, model_file: PathLike, pretrained_file: PathLike, mean: np.ndarray | None = None,
                 input_scale: float | None = None, raw_scale: float | None = None,
                 channel_swap: Sequence[int] | None = None, context_pad: int | None = None) -> None:
        super().__init__(model_file, TEST, weights=str(pretrained_file))
        self.transformer = transformer_of(self, mean, input_scale, raw_scale, channel_swap)
        self.configure_crop(context_pad)

    def detect_windows(self, images_windows: Iterable[tuple[PathLike, Iterable[Window]]]) -> list[dict[str, Any]]:
        """Return what the net predicts for windows of image files, as dicts of filename, window and prediction.

        images_windows    files, each with its windows (ymin, xmin, ymax, xmax)

        Each window is resized to the input. Raise ImageError for a window outside its image.
        """
        in_ = self.inputs[0]
        found: list[dict[str, Any]] = []
        ready: list[np.ndarray] = []
        for filename, windows in images_windows:
            image = io.load_image(filename)
            for window in windows:
                ready.append(self.transformer.preprocess(in_, self.crop(image, window)))
                found.append({"window": window, "filename": filename})
        if found:
            inputs: dict[str, Any] = {in_: np.stack(ready)}
            predictions = self.forward_all(**inputs)[self.outputs[0]]
            for one, prediction in zip(found, predictions, strict=True):
                one["prediction"] = prediction
        return found

    def detect_selective_search(self, image_fnames: Iterable[PathLike]) -> list[dict[str, Any]]:
        """Return what the net predicts for the windows that selective search proposes, as `detect_windows` does.

        Raise DataError where its package, which runs in MATLAB, is not installed.
        """
        try:
            search = importlib.import_module("selective_search_ijcv_with_python")
        except ImportError as error:
            raise DataError("selective search needs MATLAB and the package 'selective_search_ijcv_with_python', which "
                            "is not installed",
                            hint="find windows in another way, and give them to detect_windows, or to the program in a "
                                 ".csv file with --crop_mode list") from error
        names = [os.path.abspath(name) for name in image_fnames]  # MATLAB works in another folder
        return self.detect_windows(zip(names, search.get_windows(names, cmd="selective_search_rcnn"), strict=True))

    def crop(self, im: np.ndarray, window: Window) -> np.ndarray:
        """Return a window (ymin, xmin, ymax, xmax) of an image (H, W, K), with its surroundings where there is context.

        Without context it is the window as it is. With it, the window and its surroundings fill the size of the input,
        and what lies outside the image is filled with the mean. Raise ImageError where nothing of the image is in it.
        """
        limits = np.array([*im.shape[:2], *im.shape[:2]])
        box = np.asarray(window, float)
        if not self.context_pad:
            box = np.clip(box, 0, limits).astype(int)
            return _part(im, box, window)
        size = self.crop_dims[:2]
        # Caffe: sizes count the last row and column of a window, although the part that is cut out does not have them
        half = (box[2:] - box[:2] + 1) / 2
        wide = half * size / (size - 2 * self.context_pad)
        centre = box[:2] + half
        box = np.round(np.concatenate([centre - wide, centre + wide]))
        scale = size / (box[2:] - box[:2] + 1)
        start = np.round(np.maximum(0, -box[:2]) * scale).astype(int)
        box = np.clip(box, 0, limits).astype(int)
        part = _part(im, box, window)
        shown = np.round((box[2:] - box[:2] + 1) * scale).astype(int)
        h, w = np.minimum(shown, size - start)
        out = np.empty(self.crop_dims, np.float32)
        out[...] = self.crop_mean
        if h > 0 and w > 0:  # else all that is in the image is less than a pixel here
            y, x = start
            out[y:y + h, x:x + w] = io.resize_image(part, (h, w))
        return out

    def configure_crop(self, context_pad: int | None) -> None:
        """Set how many pixels of context `crop` adds, and compute the mean in the values and order of a loaded image.

        Raise ImageError where so much context leaves nothing for the window.
        """
        in_ = self.inputs[0]
        axes = np.argsort(self.transformer.transpose[in_])
        self.crop_dims = np.array(self.blobs[in_].shape[1:])[axes]
        if context_pad and not 0 < 2 * context_pad < min(self.crop_dims[:2]):
            h, w = self.crop_dims[:2]
            raise ImageError(f"a context_pad of {context_pad} on each side leaves nothing for the window in an input "
                             f"of {h}×{w} pixels (height × width)")
        self.context_pad = context_pad
        mean = self.transformer.mean.get(in_)
        if mean is None:
            self.crop_mean = np.zeros(self.crop_dims, np.float32)
            return
        swap = self.transformer.channel_swap.get(in_)
        if swap is not None and len(mean) == len(swap):
            mean = mean[np.argsort(swap)]
        self.crop_mean = mean.transpose(axes) / (self.transformer.raw_scale.get(in_) or 1)


def _part(im: np.ndarray, box: np.ndarray, window: Window) -> np.ndarray:
    """Return what lies in a box of whole numbers. Raise ImageError where that is nothing."""
    part = im[box[0]:box[2], box[1]:box[3]]
    if not part.size:
        edges = ", ".join(f"{edge:g}" for edge in window)
        raise ImageError(f"the window {edges} (ymin, xmin, ymax, xmax) has no pixel of the image of {im.shape[0]}×"
                         f"{im.shape[1]} pixels (height × width)")
    return part
