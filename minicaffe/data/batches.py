"""Batches for Data and ImageData: samples in their order, epoch after epoch, transformed and put together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Protocol, runtime_checkable

import numpy as np

from minicaffe.data.datum import Layout, parse
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


class Stack(Sequence[Sample]):
    """Samples whose images have one shape, in one array (N, C, H, W) of uint8.

    `name` returns what messages call the sample with a key.
    """

    def __init__(self, keys: list[str], images: np.ndarray, labels: Sequence[float | Sequence[float]],
                 name: Callable[[str], str]) -> None:
        self.keys, self.images, self.labels, self.name = keys, images, labels, name

    def __len__(self) -> int:
        return len(self.keys)

    def __getitem__(self, i: Any) -> Any:
        return Sample(self.keys[i], self.name(self.keys[i]), self.images[i], self.labels[i])


def record_name(key: str, path: str) -> str:
    """Return what messages call a record of a database."""
    return f"record {key!r} of {path}"


@dataclass
class Batch:
    """The samples that a data layer gives to the net in one pass, and where the next batch begins."""

    data: np.ndarray  # (N, C, H, W); with `finish`, the images of another shape from which that is made
    label: np.ndarray  # (N,), or (N, K) with K labels for each sample
    keys: list[str]
    cursor: int  # places in the order that were passed since the beginning, this batch included
    restarts: int  # how many epochs end within this batch
    finish: Callable[[np.ndarray, np.ndarray], None] | None = None  # finish(data, out) transforms the images
    shape: tuple[int, ...] = ()  # of the transformed images

    def __post_init__(self) -> None:
        self.shape = self.shape or self.data.shape

    def write_to(self, out: np.ndarray) -> None:
        """Write the transformed images into an array of the shape `shape`."""
        if self.finish is None:
            out[...] = self.data
        else:
            self.finish(self.data, out)


class Samples(Protocol):
    """A collection of images. Their numbers, 0 to len - 1, give their places in the source."""

    def __len__(self) -> int:
        """Return the number of images in one epoch."""
        ...

    def load(self, numbers: Sequence[int]) -> Sequence[Sample | DataError]:
        """Return the images with these numbers; in place of one that cannot be read, the error that says why.

        A Stack is transformed as a whole, which is faster.
        """
        ...


@runtime_checkable
class Reusing(Protocol):
    """Samples that take back the `images` of a Stack that nobody reads any more, for their memory."""

    def reuse(self, images: np.ndarray) -> None:
        """Take back the array."""
        ...


class Order:
    """The order in which samples are read, epoch after epoch without end.

    size        the number of samples
    seed        of the random orders, a new one each epoch; or None to keep the source's order
    """

    def __init__(self, size: int, seed: int | None = None) -> None:
        self.size, self.seed = size, seed
        self._epoch, self._numbers = -1, np.arange(0)

    def reseed(self, seed: int) -> None:
        """Go on with another seed."""
        self.seed, self._epoch = seed, -1

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
    order           an Order of another kind, in place of `shuffle`
    whole_epochs    True: the last batch of an epoch ends with the epoch, and is smaller if need be. False: it is
                    filled up with the first samples of the next epoch
    skip_bad        True: a sample that cannot be read is left out, and the next ones fill the batch; with whole_epochs
                    the batch is smaller instead. False: it is an error
    late            True: where it can be done quickly, the images of a batch are transformed by its `finish`, straight
                    into the array where they are needed; numbers of 32 bits need not be written and copied then
    workers         the threads that transform; None transforms on the calling thread alone
    left_out        what was wrong with each sample that was left out, by its number
    """

    def __init__(self, samples: Samples, transformer: Transformer, batch_size: int, *, dtype: type = np.float32,
                 cursor: int = 0, seed: int = 0, shuffle: int | None = None, whole_epochs: bool = False,
                 skip_bad: bool = False, order: Order | None = None, workers: Workers | None = None,
                 late: bool = False) -> None:
        self.skip_bad, self.workers, self.late = skip_bad, workers or Workers(1), late
        self.left_out: dict[int, str] = {}
        self._spare: np.ndarray | None = None
        self.samples, self.transformer, self.batch_size = samples, transformer, batch_size
        self.dtype, self.cursor, self.seed, self.whole_epochs = dtype, cursor, seed, whole_epochs
        self.order = Order(len(samples), shuffle) if order is None else order
        self._most = 0  # images in the largest batch that was made

    @property
    def epoch_size(self) -> int:
        """The number of samples in one epoch."""
        return len(self.samples)

    @property
    def draws_for_samples(self) -> bool:
        """Whether something is drawn for each sample, such as a crop."""
        return self.transformer.draws

    @property
    def seeds(self) -> list[int]:
        """The seeds that a snapshot must keep: that of crops and mirrors, and with shuffle that of the order, too."""
        return [self.seed] if self.order.seed is None else [self.seed, self.order.seed]

    @seeds.setter
    def seeds(self, seeds: list[int]) -> None:
        self.seed = seeds[0]
        if self.order.seed is not None and len(seeds) > 1:
            self.order.reseed(seeds[1])

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
            count = end - place if self.whole_epochs else N - len(samples)
            if data is None and count > self._most:
                count = 1  # the first image is read alone, so that a batch too large for the memory fails at once
            epochs, numbers = self.order.at(place, count)
            found = self.samples.load(numbers.tolist())
            place += count
            if isinstance(found, Stack) and data is None and count > 1 and self.transformer.together:
                finish = partial(self.transformer.apply_together, draws=SampleDraws(self.seed, epochs, numbers))
                if self.late:
                    batch = self._batch(found.images, found.labels, found.keys, place)
                    shape = self.transformer.shape(found.images[0], found[0].name)
                    return replace(batch, finish=finish, shape=(count, *shape))
                data = self._room(count, found[0])
                finish(found.images, data)
                return self._batch(data, found.labels, found.keys, place)
            self._add(found, epochs, numbers, samples, places)
            if data is None and samples:
                data = self._room(end - start if self.whole_epochs else N, samples[0])
            elif data is None and place - start >= 2 * self.epoch_size:  # so a whole epoch was among them
                raise DataError(f"all {self.epoch_size} samples were left out, because none can be read; the first: "
                                f"{next(iter(self.left_out.values()))}",
                                hint="minicaffe data NET says what is wrong with them, and the likely cure")
        assert data is not None
        data = data[:len(samples)]
        epochs, numbers = np.array(places).T
        self.transformer.apply([s.image for s in samples], [s.name for s in samples], data,
                               SampleDraws(self.seed, epochs, numbers), self.workers)
        return self._batch(data, [s.label for s in samples], [s.key for s in samples], place)

    def _room(self, N: int, first: Sample) -> np.ndarray:
        """Return an array for a batch of `N` images like the first one. Its values may be anything."""
        # Caffe: the batch has the shape of its first image, so with batch_size 1 each batch may have another one
        shape = (N, *self.transformer.shape(first.image, first.name))
        spare, self._spare = self._spare, None
        return spare if spare is not None and spare.shape == shape else np.empty(shape, self.dtype)

    def _batch(self, data: np.ndarray, labels: Sequence[float | Sequence[float]], keys: list[str], place: int) -> Batch:
        """Return a batch that ends before `place`, and go on there."""
        restarts = place // self.epoch_size - self.cursor // self.epoch_size
        self.cursor, self._most = place, max(len(data), self._most)
        return Batch(data, np.array(labels, self.dtype), keys, place, restarts)

    def reuse(self, data: np.ndarray) -> None:
        """Take back the `data` of a batch that nobody reads any more, for the memory of a later batch.

        New memory must be cleared by the system before it is used, which takes as long as copying it.
        """
        if data.dtype == self.dtype:
            self._spare = data
        elif isinstance(self.samples, Reusing):
            self.samples.reuse(data)

    def close(self) -> None:
        """End the threads. The next batch is made on the calling thread alone."""
        self.workers.close()

    def _end(self, place: int) -> int:
        """Return the place with which a batch that begins at `place` ends, where its epoch must not be exceeded."""
        return place + min(self.batch_size, self.epoch_size - place % self.epoch_size)

    def _add(self, found: Sequence[Sample | DataError], epochs: np.ndarray, numbers: np.ndarray,
             samples: list[Sample], places: list[tuple[int, int]]) -> None:
        """Add samples that were loaded, with their epochs and numbers. Leave out a bad one, or raise its error."""
        for epoch, number, sample in zip(epochs.tolist(), numbers.tolist(), found, strict=True):
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
        self._layout = Layout()

    def __len__(self) -> int:
        return len(self.source)

    def load(self, numbers: Sequence[int]) -> Sequence[Sample | DataError]:
        """Return the records with these numbers as images, or the errors that say why they are none."""
        records = self.source.take(numbers)
        keys = [key.decode(errors="replace") for key, _ in records]
        if records and (found := self._layout.images([value for _, value in records])) is not None:
            self._warn_of_plain(keys[0])
            return Stack(keys, *found, lambda key: record_name(key, self.source.path))
        return [self._sample(key, value) for key, (_, value) in zip(keys, records, strict=True)]

    def _sample(self, key: str, value: bytes) -> Sample | DataError:
        name = record_name(key, self.source.path)
        try:
            image, label, encoded = parse(value, name, self.color)
        except DataError as error:
            return error
        if not encoded:
            self._warn_of_plain(key)
        return Sample(key, name, image, label)

    def _warn_of_plain(self, key: str) -> None:
        """Warn, once, where encoded images are to be decoded in another way and this record is none."""
        if not self._warned:
            self._warned = True
            warn(At.DATUM_COLOR, "force_color and force_gray only for encoded datum; "
                                 f"{record_name(key, self.source.path)} holds plain values")
