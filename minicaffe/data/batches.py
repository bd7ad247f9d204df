"""Batches for Data and ImageData: samples in their order, epoch after epoch, transformed and put together."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from minicaffe.data.datum import parse
from minicaffe.data.sources import Source
from minicaffe.data.transformer import Transformer
from minicaffe.data.workers import Workers
from minicaffe.errors import DataError
from minicaffe.log import At, one_line, warn
from minicaffe.rng import SampleDraws


@dataclass(slots=True)
class Sample:
    """An image (C, H, W) with its label.

    `key` identifies it in a data layer's `keys`. `name` is what messages call it. `label` is a number, or several.
    """

    key: str
    name: str
    image: np.ndarray
    label: float | Sequence[float]


@dataclass
class Batch:
    """The samples that a data layer gives to the net in one pass, and where the next batch begins."""

    data: np.ndarray  # (N, C, H, W)
    label: np.ndarray  # (N,), or (N, K) with K labels for each sample
    keys: list[str]
    cursor: int  # places in the order that were passed since the beginning, this batch included
    restarts: int  # how many epochs end within this batch


class Samples(Protocol):
    """A collection of images. Their numbers, 0 to len - 1, give their places in the source."""

    def __len__(self) -> int:
        """Return the number of images in one epoch."""
        ...

    def load(self, numbers: Sequence[int]) -> list[Sample | DataError]:
        """Return the images with these numbers; in place of one that cannot be read, the error that says why."""
        ...


class Order:
    """The order in which samples are read, epoch after epoch without end.

    size        the number of samples
    seed        of the random orders, a new one each epoch; or None to keep the source's order
    """

    def __init__(self, size: int, seed: int | None = None) -> None:
        self.size, self.seed = size, seed
        self._epoch, self._numbers = -1, np.arange(0)

    def at(self, start: int, count: int) -> tuple[np.ndarray, np.ndarray]:
        """Return the epochs and the numbers of the `count` samples from place `start` on."""
        places = np.arange(start, start + count)
        epochs = places // self.size
        numbers = places % self.size
        if self.seed is not None:
            for epoch in np.unique(epochs):
                here = epochs == epoch
                numbers[here] = self._shuffled(self.seed, int(epoch))[numbers[here]]
        return epochs, numbers

    def _shuffled(self, seed: int, epoch: int) -> np.ndarray:
        """Return the random order of an epoch. It follows from seed and epoch, so a resumed training has the same."""
        if epoch != self._epoch:
            self._epoch, self._numbers = epoch, np.random.default_rng([seed, epoch]).permutation(self.size)
        return self._numbers


class Batches:
    """Makes the next batch of a data layer each time it is called.

    A batch follows from the samples, the cursor and the seeds alone: what is drawn for a sample, such as its crop,
    follows from the seed, the epoch and the sample's number. So the net sees the same batches whether or not a thread
    prepares them, and whether or not the training was stopped and resumed.

    shuffle         the seed of the random orders, or None to keep the source's order
    whole_epochs    True: the last batch of an epoch ends with the epoch, and is smaller if need be. False: it is
                    filled up with the first samples of the next epoch
    skip_bad        True: a sample that cannot be read is left out, and the next ones fill the batch; with whole_epochs
                    the batch is smaller instead. False: it is an error
    workers         the threads that transform; None transforms on the calling thread alone
    left_out        what was wrong with each sample that was left out, by its number
    """

    def __init__(self, samples: Samples, transformer: Transformer, batch_size: int, *, dtype: type = np.float32,
                 cursor: int = 0, seed: int = 0, shuffle: int | None = None, skip_bad: bool = False,
                 workers: Workers | None = None) -> None:
        self.skip_bad, self.workers = skip_bad, workers or Workers(1)
        self.left_out: dict[int, str] = {}
        self._spare: np.ndarray | None = None
        self.samples, self.transformer, self.batch_size = samples, transformer, batch_size
        self.dtype, self.cursor, self.seed, self.whole_epochs = dtype, cursor, seed, False
        self.order = Order(len(samples), shuffle)

    @property
    def epoch_size(self) -> int:
        """The number of samples in one epoch."""
        return len(self.samples)

    @property
    def seeds(self) -> list[int]:
        """The seeds that a snapshot must keep: that of crops and mirrors, and with shuffle that of the order, too."""
        return [self.seed] if self.order.seed is None else [self.seed, self.order.seed]

    @seeds.setter
    def seeds(self, seeds: list[int]) -> None:
        self.seed = seeds[0]
        if self.order.seed is not None and len(seeds) > 1:
            self.order = Order(len(self.samples), seeds[1])

    def seek(self, cursor: int) -> None:
        """Go on at place number `cursor` of the order."""
        self.cursor = cursor

    def __call__(self) -> Batch:
        """Return the next batch."""
        start = place = self.cursor
        N, end = self.batch_size, self._end(start)
        samples: list[Sample] = []
        places: list[tuple[int, int]] = []  # the epoch and the number of each sample
        data: np.ndarray | None = None
        while len(samples) < N:
            if self.whole_epochs and place == end:
                if samples:
                    break
                end = self._end(place)  # all were left out: the batch is that of the next places
            count = 1 if data is None else end - place if self.whole_epochs else N - len(samples)
            self._load(place, count, samples, places)
            place += count
            if data is None and samples:
                # Caffe: the batch has the shape of its first image, so with batch_size 1 each batch may have another
                # one. It is read alone, and room is made for the batch, so that a batch too large for the memory fails
                # at once.
                shape = self.transformer.shape(samples[0].image, samples[0].name)
                data = self._room((end - start if self.whole_epochs else N, *shape))
            elif data is None and place - start >= 2 * self.epoch_size:  # so a whole epoch was among them
                raise DataError(f"all {self.epoch_size} samples were left out, because none can be read; the first: "
                                f"{next(iter(self.left_out.values()))}")
        assert data is not None
        data = data[:len(samples)]
        epochs, numbers = zip(*places, strict=True)
        self.transformer.apply([s.image for s in samples], [s.name for s in samples], data,
                               SampleDraws(self.seed, epochs, numbers), self.workers)
        self.cursor, epoch = place, self.epoch_size
        return Batch(data, np.array([s.label for s in samples], self.dtype), [s.key for s in samples],
                     place, place // epoch - start // epoch)

    def reuse(self, data: np.ndarray) -> None:
        """Take back the `data` of a batch that nobody reads any more, for the memory of a later batch.

        New memory must be cleared by the system before it is used, which takes as long as copying it.
        """
        self._spare = data

    def _room(self, shape: tuple[int, ...]) -> np.ndarray:
        """Return an array of this shape, whose values may be anything."""
        spare, self._spare = self._spare, None
        return spare if spare is not None and spare.shape == shape else np.empty(shape, self.dtype)

    def close(self) -> None:
        """End the threads. The next batch is made on the calling thread alone."""
        self.workers.close()

    def _end(self, place: int) -> int:
        """Return the place with which a batch that begins at `place` ends, where its epoch must not be exceeded."""
        return place + min(self.batch_size, self.epoch_size - place % self.epoch_size)

    def _load(self, place: int, count: int, samples: list[Sample], places: list[tuple[int, int]]) -> None:
        """Add the samples of `count` places, with their epochs and numbers. Leave out a bad one, or raise its error."""
        epochs, numbers = (array.tolist() for array in self.order.at(place, count))
        for epoch, number, sample in zip(epochs, numbers, self.samples.load(numbers), strict=True):
            if not isinstance(sample, DataError):
                samples.append(sample)
                places.append((epoch, number))
            elif not self.skip_bad:
                raise sample
            elif number not in self.left_out:
                place_in_file = f"{sample.where}: " if sample.where else ""
                self.left_out[number] = one_line(place_in_file + sample.message)
                warn(At.LEFT_OUT, f"left out: {self.left_out[number]}")


class DatumSamples:
    """The Datum records of a database as images. `color` is for encoded ones, as in `image.decode`."""

    def __init__(self, source: Source, color: bool | None = None) -> None:
        self.source, self.color = source, color
        self._warned = color is None
        self._next = -1  # the number of the record that `_records` gives next
        self._records: Iterator[tuple[bytes, bytes]] = iter(())

    def __len__(self) -> int:
        return len(self.source)

    def load(self, numbers: Sequence[int]) -> list[Sample | DataError]:
        """Return the records with these numbers as images, or the errors that say why they are none."""
        return [self._load(number) for number in numbers]

    def _load(self, number: int) -> Sample | DataError:
        if number != self._next:
            self._records, self._next = self.source.records(number), number
        key, value = next(self._records)
        self._next += 1
        text = key.decode(errors="replace")
        name = f"record {text!r} of {self.source.path}"
        try:
            image, label, encoded = parse(value, name, self.color)
        except DataError as error:
            return error
        if not encoded and not self._warned:
            self._warned = True
            warn(At.DATUM_COLOR, f"force_color and force_gray only for encoded datum; {name} holds plain values")
        return Sample(text, name, image, label)

    def __getstate__(self) -> dict[str, Any]:
        """Leave the open iterator out of a copy (copy.deepcopy), which cannot have one."""
        return {**vars(self), "_next": -1, "_records": iter(())}
