"""Batches for Data and ImageData: samples in their order, epoch after epoch, transformed and put together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np

from minicaffe.data.datum import Layout, parse, record_name
from minicaffe.data.sources import Source
from minicaffe.data.transformer import Crops, Transformer
from minicaffe.data.turns import InTurns
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
    """Samples whose images have the same shape and lie in one array (N, C, H, W) of uint8.

    `name(key)` is what messages call the sample with this key.
    """

    def __init__(self, keys: list[str], images: np.ndarray, labels: Sequence[float | Sequence[float]],
                 name: Callable[[str], str]) -> None:
        self.keys, self.images, self.labels, self.name = keys, images, labels, name

    def __len__(self) -> int:
        return len(self.keys)

    def __getitem__(self, i: Any) -> Any:
        return Sample(self.keys[i], self.name(self.keys[i]), self.images[i], self.labels[i])


@dataclass
class Batch:
    """The samples that a data layer gives to the net in one pass, and where the next batch begins."""

    data: Any  # (N, C, H, W): the images as the net gets them; with `crops`, as the source has them
    label: np.ndarray  # (N,), or (N, K) with K labels for each sample
    keys: list[str]
    cursor: int  # how many places of the order have been used up, those of this batch included
    turn: int  # how many batches of its own the process has then read for this update (InTurns)
    restarts: int  # how many epochs end within this batch
    shape: tuple[int, ...]  # of all images as the net gets them
    crops: Crops | None = None  # what the kernel crop_and_scale must do to `data`; it then writes the top itself
    stands_in: bool = False  # whether it only takes the place of a batch none of whose samples can be read


class Samples(Protocol):
    """A collection of images, numbered from 0 on in the order of their source."""

    def __len__(self) -> int:
        """Return the number of images in one epoch."""
        ...

    def load(self, numbers: Sequence[int]) -> Sequence[Sample | DataError]:
        """Return the images with these numbers; in place of an image that cannot be read, the error that says why.

        Where all images have the same shape, the result may be a Stack, which is transformed faster.
        """
        ...


@runtime_checkable
class Prepared(Protocol):
    """Samples that save time between one `load` and the next."""

    def expect(self, numbers: Sequence[int]) -> None:
        """Prepare for these images, which are likely to be asked for after the next `load`."""
        ...

    def reuse(self, images: Sequence[np.ndarray]) -> None:
        """Take back images that nobody reads any more, so that later ones get their memory."""
        ...


class Order:
    """The order in which samples are read, epoch after epoch without end.

    A place in the order counts through all epochs: place `size` is the first one of the second epoch.

    size        the number of samples
    seed        where it is given, each epoch has a random order of its own, which follows from it; None keeps the
                order of the source
    """

    def __init__(self, size: int, seed: int | None = None) -> None:
        self.size, self.seed = size, seed
        self._epoch, self._numbers = -1, np.arange(0)

    def reseed(self, seed: int) -> None:
        """Go on with another seed."""
        self.seed, self._epoch = seed, -1

    def at(self, start: int, count: int) -> tuple[np.ndarray, np.ndarray]:
        """Return the epoch and the number of each of the `count` samples from place `start` on, as two arrays."""
        return self.of(np.arange(start, start + count))

    def of(self, places: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the epoch and the number of the sample at each of these places, as two arrays."""
        epochs = places // self.size
        numbers = places % self.size
        if self.seed is not None:
            for epoch in np.unique(epochs):
                here = epochs == epoch
                numbers[here] = self._shuffled(self.seed, int(epoch))[numbers[here]]
        return epochs, numbers

    def _shuffled(self, seed: int, epoch: int) -> np.ndarray:
        """Return the random order of an epoch. It follows from the two numbers, so a resumed training has the same."""
        if epoch != self._epoch:
            self._epoch, self._numbers = epoch, np.random.default_rng([seed, epoch]).permutation(self.size)
        return self._numbers


class Batches(InTurns):
    """Makes the next batch of a data layer each time it is called.

    A batch follows from the samples, the cursor and the seeds alone. What is drawn for a sample, such as its crop,
    follows from the seed, the epoch and the sample's number. So the net sees the same batches whether or not a thread
    prepares them, and whether or not the training was stopped and resumed.

    shuffle         the seed of the random orders, or None to keep the source's order
    order           an Order of another kind, in place of `shuffle`
    whole_epochs    True: the last batch of an epoch ends with the epoch, and is smaller if need be. False: it is
                    filled up with the first samples of the next epoch
    skip_bad        True: a sample that cannot be read is left out, and the next ones fill the batch; with whole_epochs
                    the batch is smaller instead. With turns, those next ones come in their own batch as well. False: it
                    is an error
    workers         the threads that share the images of other batches; None leaves them to the calling thread
    left_out        what was wrong with each sample that was left out, by its number
    """

    def __init__(self, samples: Samples, transformer: Transformer, batch_size: int, *, dtype: type = np.float32,
                 cursor: int = 0, seed: int = 0, shuffle: int | None = None, whole_epochs: bool = False,
                 skip_bad: bool = False, order: Order | None = None, workers: Workers | None = None) -> None:
        self.skip_bad, self.workers = skip_bad, workers or Workers(1)
        self.left_out: dict[int, str] = {}
        self._spare: np.ndarray | None = None
        self.samples, self.transformer, self.batch_size = samples, transformer, batch_size
        self.dtype, self.cursor, self.seed, self.whole_epochs = dtype, cursor, seed, whole_epochs
        self.order = Order(len(samples), shuffle) if order is None else order
        self._prepared = samples if isinstance(samples, Prepared) else None
        self._most = 0  # the number of images in the largest batch so far

    @property
    def epoch_size(self) -> int:
        """The number of samples in one epoch."""
        return len(self.samples)

    @property
    def draws_for_samples(self) -> bool:
        """Whether something is drawn for each sample, such as the place of its crop."""
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

    def __call__(self) -> Batch:
        """Return the next batch."""
        place = begin = self.begin()
        end = self._end(begin, self.batch_size)
        samples: list[Sample] = []
        places: list[tuple[int, int]] = []  # the epoch and the number of each sample
        room: np.ndarray | None = None
        while place < end:
            # the first image is read alone, so that a batch too large for the memory fails at once
            count = 1 if room is None and end - place > self._most else end - place
            epochs, numbers = self.order.at(place, count)
            place += count
            if self._prepared is not None:  # next comes the rest of this batch, or the batch after it
                begin_then = self.begin_after(place) if place == end else place
                end_then = self._end(begin_then, self.batch_size) if place == end else end
                self._prepared.expect(self.order.at(begin_then, end_then - begin_then)[1].tolist())
            found = self.samples.load(numbers.tolist())
            # a Stack that is the whole batch need not be taken apart into samples
            if isinstance(found, Stack) and self.transformer.only_crops and place == end and not samples:
                return self._batch_of(found, SampleDraws(self.seed, epochs, numbers), place)
            self._add(found, epochs, numbers, samples, places)
            if place == end and not (samples and self.whole_epochs):
                # the next samples replace those that were left out; a batch that ends with its epoch stays smaller
                end = self._end(place, self.batch_size - len(samples))
            if room is None and samples:
                room = self._room(len(samples) + end - place if self.whole_epochs else self.batch_size, samples[0])
            elif room is None and place - begin >= 2 * self.epoch_size:  # a whole epoch, wherever the batch began
                raise DataError(f"all {self.epoch_size} samples were left out, because none can be read; the first: "
                                f"{next(iter(self.left_out.values()))}",
                                hint="minicaffe data NET says what is wrong with them, and the likely cure")
        assert room is not None
        room = room[:len(samples)]
        draws, images = SampleDraws(self.seed, *np.array(places).T), [s.image for s in samples]
        names, labels, keys = [s.name for s in samples], [s.label for s in samples], [s.key for s in samples]
        if self.transformer.only_crops and all(image.dtype == np.uint8 for image in images):
            self.transformer.check(images, names, room.shape[1:])
            self._spare = room  # it only shows that there is memory for such a batch
            return self._batch(images, labels, keys, place, room.shape, self.transformer.crops(images, draws))
        self.transformer.apply(images, names, room, draws, self.workers)
        return self._batch(room, labels, keys, place, room.shape)

    def _batch_of(self, stack: Stack, draws: SampleDraws, place: int) -> Batch:
        """Return the batch of a stack, whose images are transformed as a whole; it ends before `place`."""
        shape = (len(stack), *self.transformer.shape(stack.images[0], stack[0].name))
        return self._batch(stack.images, stack.labels, stack.keys, place, shape,
                           self.transformer.crops(stack.images, draws))

    def _room(self, N: int, first: Sample) -> np.ndarray:
        """Return an array for a batch of `N` images like the first one. Its values may be anything."""
        # Caffe: the batch has the shape of its first image, so with batch_size 1 each batch may have another one
        shape = (N, *self.transformer.shape(first.image, first.name))
        spare, self._spare = self._spare, None
        return spare if spare is not None and spare.shape == shape else np.empty(shape, self.dtype)

    def _batch(self, data: Any, labels: Sequence[float | Sequence[float]], keys: list[str], place: int,
               shape: tuple[int, ...], crops: Crops | None = None) -> Batch:
        """Return a batch that ends before `place`, and move the cursor."""
        ends_later = self.whole_epochs and place > self._end(self.begin(), self.batch_size)
        before, self._most = self.cursor, max(len(data), self._most)
        self.move(place)
        restarts = self.cursor // self.epoch_size - before // self.epoch_size
        return Batch(data, np.array(labels, self.dtype), keys, self.cursor, self.turn, restarts, shape, crops,
                     stands_in=ends_later and self.turns is not None)

    def reuse(self, batch: Batch) -> None:
        """Take back a batch that nobody reads any more, so that a later batch gets its memory.

        New memory must be cleared by the system before it is used, which takes as long as copying it.
        """
        if batch.crops is None:
            self._spare = batch.data
        elif self._prepared is not None:
            self._prepared.reuse(batch.data)

    def close(self) -> None:
        """End the threads. Further batches are made on the calling thread alone."""
        self.workers.close()

    def _add(self, found: Sequence[Sample | DataError], epochs: np.ndarray, numbers: np.ndarray,
             samples: list[Sample], places: list[tuple[int, int]]) -> None:
        """Add the loaded samples to `samples`, and the epoch and number of each to `places`.

        A sample that cannot be read is left out with a warning or, without skip_bad, its error is raised.
        """
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
        self._warned = color is None  # then there is nothing to warn of
        self._layout = Layout()

    def __len__(self) -> int:
        return len(self.source)

    def load(self, numbers: Sequence[int]) -> Sequence[Sample | DataError]:
        """Return the images in the records with these numbers, or the error in place of one that cannot be read."""
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
        """Warn, once, that force_color and force_gray have no effect on a record that is not encoded."""
        if not self._warned:
            self._warned = True
            warn(At.DATUM_COLOR, "force_color and force_gray only for encoded datum; "
                                 f"{record_name(key, self.source.path)} holds plain values")
