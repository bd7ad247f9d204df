"""Classify images with a net that has an input for them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from minicaffe.analysis.answers import Answers, find
from minicaffe.data.preprocess import Preprocessing
from minicaffe.errors import LayerError, MinicaffeError, NetError
from minicaffe.log import shape_text
from minicaffe.net import Net
from minicaffe.proto import TEST

BATCH = 32  # images in a pass


def require_weights(net: Net, files: str | Sequence[str]) -> None:
    """Raise NetError where a layer of the net has weights that were in none of the files that it has loaded."""
    lacking = net.loaded.only_in_net if net.loaded else []
    if lacking:
        raise NetError(f"the weights of {', '.join(map(repr, lacking))} are in none of the files {files}",
                       hint="are these the weights of this net?")


class Classifier:
    """A net, and how images are made ready for it.

    definition      a NetParameter or a file, whose only input takes images (N, C, H, W)
    preprocessing   what is done to an image
    weights         the files with the learned weights
    output          the blob with the scores or probabilities; '' finds it
    any_size        whether images may have another size than the input of the definition; the net is reshaped to it

    Raise NetError where the net has no such input, or its input does not fit the preprocessing.
    """

    def __init__(self, definition: Any, preprocessing: Preprocessing, weights: str | Sequence[str] = (), *,
                 output: str = "", any_size: bool = False, allow_python: bool = True) -> None:
        self.net = Net(definition, TEST, weights=weights, allow_python=allow_python)
        require_weights(self.net, weights)
        self.preprocessing, self.any_size = preprocessing, any_size
        self.answers: Answers = find(self.net.param, output)
        if len(self.net.inputs) != 1:
            raise NetError(f"the net has {len(self.net.inputs)} inputs ({', '.join(self.net.inputs) or 'none'}), but "
                           "images go into a single one", where=self.net.where())
        self.input = self.net.inputs[0]
        shape = self.net.blobs[self.input].shape
        if len(shape) != 4:
            raise NetError(f"the input {self.input!r} has the shape {shape}, but images need (N, C, H, W)",
                           where=self.net.where())
        self.shape: tuple[int, ...] = shape[1:]
        self._declared = shape[0]

    def classify(self, images: Iterable[tuple[np.ndarray | MinicaffeError, str]]
                 ) -> Iterator[np.ndarray | MinicaffeError]:
        """Yield the probabilities (K,) of each image, which comes as pixels (C, H, W) with its name.

        In place of an image that does not fit the net comes the error that says so, with the name. An error among the
        images is handed on.
        """
        waiting: list[np.ndarray] = []
        names: list[str] = []
        for pixels, name in images:
            x = pixels if isinstance(pixels, MinicaffeError) else self._ready_or_error(pixels, name)
            if waiting and (isinstance(x, MinicaffeError) or x.shape != waiting[0].shape or len(waiting) == BATCH):
                yield from self._answers(waiting, names)
                waiting, names = [], []
            if isinstance(x, MinicaffeError):
                yield x
            else:
                waiting.append(x)
                names.append(name)
        if waiting:
            yield from self._answers(waiting, names)

    def _ready_or_error(self, pixels: np.ndarray, name: str) -> np.ndarray | MinicaffeError:
        try:
            return self.ready(pixels, name)
        except MinicaffeError as error:
            return error

    def _answers(self, images: Sequence[np.ndarray], names: Sequence[str]) -> Iterator[np.ndarray | MinicaffeError]:
        """Yield the probabilities of images of one shape, or for each the error where a layer refuses this shape."""
        try:
            yield from list(self._run(images))
        except LayerError as error:
            if images[0].shape == self.shape:
                raise  # no image is to blame
            shape = shape_text(images[0].shape)
            yield from (NetError(f"{name}, {shape}, does not fit the net: {error}") for name in names)

    def ready(self, pixels: np.ndarray, name: str) -> np.ndarray:
        """Return what the net reads of an image (C, h, w). Raise NetError where that has not the input's shape."""
        x = self.preprocessing([pixels], [name])[0]
        if x.shape[0] != self.shape[0]:
            hint = "--gray reads images in grey" if self.shape[0] == 1 else \
                "leave out --gray" if self.preprocessing.color is False else ""
            raise NetError(f"{name} comes out with {x.shape[0]} channels, but the input {self.input!r} has "
                           f"{self.shape[0]}", hint=hint)
        if x.shape != self.shape and not self.any_size:
            raise NetError(f"{name} comes out as {shape_text(x.shape)}, but the input {self.input!r} is "
                           f"{shape_text(self.shape)}",
                           hint=f"--resize {self.shape[1]}x{self.shape[2]} or --crop {self.shape[1]} gives that size")
        return x

    def _run(self, images: Sequence[np.ndarray]) -> Iterator[np.ndarray]:
        """Yield the probabilities of images of one shape."""
        batch = np.stack(images)
        if self._reshape(len(batch), batch.shape[1:]):
            yield from self._pass(batch)
            return
        # The net takes one batch size alone, such as one that a Reshape says: zeros fill the rest of the batch.
        N = self._declared
        for start in range(0, len(batch), N):
            part = batch[start:start + N]
            full: np.ndarray = np.zeros((N, *batch.shape[1:]), batch.dtype)
            full[:len(part)] = part
            yield from list(self._pass(full))[:len(part)]

    def _reshape(self, count: int, shape: Sequence[int]) -> bool:
        """Give the net's input the shape of `count` images, and return whether the net takes so many.

        If it does not, its input has the batch of the definition again. Raise NetError if images of this shape do not
        fit.
        """
        for N in (count, self._declared):
            self.net.blobs[self.input].reshape(N, *shape)
            try:
                self.net.reshape()
                scores = self.net.blobs[self.answers.scores].shape
                if scores and scores[0] == N:
                    return N == count
            except MinicaffeError:
                if N == self._declared:
                    raise
        raise NetError(f"the output {self.answers.scores!r} has the shape {scores}, which is not one answer for each "
                       "image", hint="--output BLOB names another")

    def _pass(self, batch: np.ndarray) -> Iterator[np.ndarray]:
        self.net.blobs[self.input].data[...] = batch
        self.net.forward()
        p = self.answers.probabilities(self.net.blobs[self.answers.scores].data)
        if len(p) != len(batch):
            raise NetError(f"the output {self.answers.scores!r} has {len(p) // len(batch)} answers for each image, one "
                           "for each place, and an image has one class", hint="--output BLOB names another")
        yield from p
