"""Batches for Data and ImageData: samples in their order, epoch after epoch, transformed and put together."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from minicaffe.data.datum import parse
from minicaffe.data.sources import Source
from minicaffe.data.transformer import Transformer
from minicaffe.log import At, warn


@dataclass
class Sample:
    """An image (C, H, W) with its label.

    `key` identifies it in a data layer's `keys`. `name` is what messages call it.
    """

    key: str
    name: str
    image: np.ndarray
    label: float


@dataclass
class Batch:
    """The samples that a data layer gives to the net in one pass, and where the next batch begins."""

    data: np.ndarray  # (N, C, H, W)
    label: np.ndarray  # (N,)
    keys: list[str]
    cursor: int  # samples read since the beginning, this batch included
    restarts: int  # how many epochs end within this batch


class Samples(Protocol):
    """An ordered collection of images, read over and over."""

    def __len__(self) -> int:
        """Return the number of images in one epoch."""
        ...

    shuffle: int | None  # the seed of the orders in which they come, or None

    def read(self, start: int) -> Iterator[Sample]:
        """Yield the images from number `start` on, without end: number n is in epoch n // len(self)."""
        ...


class Batches:
    """Makes the next batch of a data layer each time it is called.

    A batch follows from the samples, the cursor and the seed alone: crops and mirrors are drawn from the seed and the
    cursor. So the net sees the same batches whether or not a thread prepares them, and whether or not the training
    was stopped and resumed.

    whole_epochs    True: the last batch of an epoch ends with the epoch, and is smaller if need be. False: it is
                    filled up with the first samples of the next epoch
    """

    def __init__(self, samples: Samples, transformer: Transformer, batch_size: int, *,
                 dtype: type = np.float32, cursor: int = 0, seed: int = 0) -> None:
        self.samples, self.transformer, self.batch_size = samples, transformer, batch_size
        self.dtype, self.cursor, self.seed, self.whole_epochs = dtype, cursor, seed, False
        self._next: Iterator[Sample] = samples.read(cursor)

    @property
    def epoch_size(self) -> int:
        """The number of samples in one epoch."""
        return len(self.samples)

    @property
    def seeds(self) -> list[int]:
        """The seeds that a snapshot must keep: that of crops and mirrors, and with shuffle that of the order, too."""
        return [self.seed] if self.samples.shuffle is None else [self.seed, self.samples.shuffle]

    @seeds.setter
    def seeds(self, seeds: list[int]) -> None:
        self.seed = seeds[0]
        if self.samples.shuffle is not None and len(seeds) > 1:
            self.samples.shuffle = seeds[1]

    def seek(self, cursor: int) -> None:
        """Go on with sample number `cursor`."""
        self.cursor, self._next = cursor, self.samples.read(cursor)

    def __getstate__(self) -> dict[str, Any]:
        """Leave the iterator out of a copy (copy.deepcopy), which cannot have one; the copy needs a `seek`."""
        return {**vars(self), "_next": None}

    def __call__(self) -> Batch:
        """Return the next batch."""
        N, start = self.batch_size, self.cursor
        if self.whole_epochs:
            N = min(N, self.epoch_size - start % self.epoch_size)
        samples = [next(self._next)]
        # Caffe: the batch has the shape of its first image, so with batch_size 1 each batch may have another one
        shape = self.transformer.shape(samples[0].image, samples[0].name)
        # before the other samples are read, so that a batch too large for the memory fails at once
        data: np.ndarray = np.empty((N, *shape), self.dtype)
        samples += [next(self._next) for _ in range(N - 1)]
        self.transformer.apply([s.image for s in samples], [s.name for s in samples], data,
                               np.random.default_rng([self.seed, start]))
        self.cursor = start + N
        epoch = self.epoch_size
        return Batch(data, np.array([s.label for s in samples], self.dtype), [s.key for s in samples],
                     self.cursor, self.cursor // epoch - start // epoch)


class DatumSamples:
    """The Datum records of a database as images. `color` is for encoded ones, as in `image.decode`."""

    shuffle: int | None = None

    def __init__(self, source: Source, color: bool | None = None) -> None:
        self.source, self.color = source, color
        self._warned = color is None

    def __len__(self) -> int:
        return len(self.source)

    def read(self, start: int) -> Iterator[Sample]:
        """Yield the images from number `start` on, without end."""
        start %= len(self)
        while True:
            for key, value in self.source.records(start):
                text = key.decode(errors="replace")
                name = f"record {text!r} of {self.source.path}"
                image, label, encoded = parse(value, name, self.color)
                if not encoded and not self._warned:
                    self._warned = True
                    warn(At.DATUM_COLOR, "force_color and force_gray only for encoded datum; "
                                         f"{name} holds plain values")
                yield Sample(text, name, image, label)
            start = 0
