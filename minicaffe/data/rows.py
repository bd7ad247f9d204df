"""Batches for HDF5Data: rows in their order, read in advance, transformed and put together."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np

from minicaffe.data.batches import Order
from minicaffe.data.hdf5 import HDF5Rows
from minicaffe.data.transformer import Transformer
from minicaffe.data.turns import InTurns
from minicaffe.errors import DataError
from minicaffe.rng import SampleDraws

IN_ORDER, SHUFFLED = 1 << 24, 1 << 27  # bytes of rows, counted in the number type of the tops, that are read at once


class FilesOrder(Order):
    """The order of rows, file by file. With a seed the files, and the rows within each, have a new order each epoch.

    counts    the number of rows in each file
    """

    def __init__(self, counts: Sequence[int], seed: int | None = None) -> None:
        super().__init__(sum(counts), seed)
        self.counts, self._begins = list(counts), np.cumsum([0, *counts])

    def place(self, file: int, row: int) -> int:
        """Return the place of a row in a file; both count in the order of reading, the file through all epochs."""
        epoch, position = divmod(file, len(self.counts))
        counts = [self.counts[i] for i in self._files(epoch)]
        return epoch * self.size + sum(counts[:position]) + min(row, counts[position] - 1)

    def _files(self, epoch: int) -> np.ndarray:
        return np.arange(len(self.counts)) if self.seed is None else _permutation(self.seed, 0, epoch, len(self.counts))

    def _shuffled(self, seed: int, epoch: int) -> np.ndarray:
        if epoch != self._epoch:
            first = epoch * len(self.counts)
            self._epoch, self._numbers = epoch, np.concatenate([
                self._begins[file] + _permutation(seed, 1, first + i, self.counts[file])
                for i, file in enumerate(self._files(epoch))])
        return self._numbers


def _permutation(seed: int, kind: int, number: int, size: int) -> np.ndarray:
    """Return a random order. `kind` is 0 for files and 1 for rows, so that the two never get the same shuffle."""
    return np.random.default_rng([seed, kind, number]).permutation(size)


@dataclass
class RowBatch:
    """The rows that HDF5Data gives to the net in one pass, and where the next batch begins."""

    tops: list[np.ndarray]  # each (N, …)
    keys: list[str]
    cursor: int  # how many places of the order have been used up, those of this batch included
    turn: int  # how many batches of its own the process has then read for this update (InTurns)


class _Read(NamedTuple):
    """Rows that were read, in the order in which the net gets them."""

    places: np.ndarray  # in the order of all rows; they rise
    epochs: np.ndarray
    numbers: np.ndarray
    rows: list[np.ndarray]  # for each top


NOTHING = _Read(np.arange(0), np.arange(0), np.arange(0), [])


class RowBatches(InTurns):
    """Makes the next batch of HDF5Data each time it is called.

    A batch follows from the rows, the cursor and the seed alone, as those of `Batches` do.

    Rows that are not all in memory are read some thousands at a time. In a shuffled order the next SHUFFLED bytes of
    them are sorted by their places in the files, so that each part of a file is read once for all of them.

    order          makes the order of the rows from a seed, or from None that of the files
    transformer    for the rows of the first top, or None
    shuffled       whether the order is random
    seed           of the order and of what is drawn for a row; None where nothing is random
    left_out       empty: no row is left out, for HDF5Data has no skip_bad
    """

    left_out: Mapping[int, str] = MappingProxyType({})

    def __init__(self, rows: HDF5Rows, order: Callable[[int | None], Order], batch_size: int, *,
                 dtype: type = np.float32, transformer: Transformer | None = None, shuffled: bool = False,
                 seed: int | None = None) -> None:
        self.rows, self.batch_size, self.dtype, self.transformer = rows, batch_size, dtype, transformer
        self.shuffled, self.seed, self._order_of = shuffled, seed, order
        self.order = order(seed if shuffled else None)
        self._read = NOTHING

    @property
    def epoch_size(self) -> int:
        """The number of rows in one epoch."""
        return len(self.rows)

    @property
    def draws_for_samples(self) -> bool:
        """Whether something is drawn for each row, such as the place of its crop."""
        return self.transformer is not None and self.transformer.draws

    @property
    def ahead(self) -> int:
        """How many batches should be ready in advance, so that the net does not wait while the next rows are read."""
        return max(4, self._at_once // self.batch_size)

    @property
    def seeds(self) -> list[int]:
        """The seeds that a snapshot must keep: one, or none where nothing is random."""
        return [] if self.seed is None else [self.seed]

    @seeds.setter
    def seeds(self, seeds: list[int]) -> None:
        if self.seed is not None and seeds:
            self.seed, self._read = seeds[0], NOTHING
            self.order = self._order_of(self.seed if self.shuffled else None)

    def close(self) -> None:
        """Nothing to end: the rows are read by the thread that calls this object."""

    def __call__(self) -> RowBatch:
        """Return the next batch."""
        start = self.begin()
        end = self._end(start, self.batch_size)
        read = self._next(start, end - start)
        keys = self.rows.keys(read.numbers)
        tops: list[np.ndarray] = [self._cast(rows, keys) for rows in read.rows]
        if self.transformer:
            tops[0] = self._transformed(self.transformer, tops[0], keys,
                                        SampleDraws(self.seed or 0, read.epochs, read.numbers))
        self.move(end)
        return RowBatch(tops, keys, self.cursor, self.turn)

    def _cast(self, rows: np.ndarray, keys: list[str]) -> np.ndarray:
        """Return rows as numbers of the tops' type. Raise DataError for a finite number that would become infinite."""
        with np.errstate(over="ignore"):  # not "raise", for numpy before 1.24 does not notice it in a cast
            made: np.ndarray = rows.astype(self.dtype)
        if rows.dtype != made.dtype and np.isinf(made).any() and (lost := np.isinf(made) & np.isfinite(rows)).any():
            place = int(np.argwhere(lost)[0][0])
            raise DataError(f"{keys[place]} holds {rows[lost][0]:g}, which is too large for {made.dtype.name}")
        return made

    @property
    def _at_once(self) -> int:
        """The number of rows that are read at once: 0 where all rows stay in memory."""
        size = sum(int(np.prod(shape)) for shape in self.rows.shapes) * np.dtype(self.dtype).itemsize
        most = SHUFFLED if self.shuffled else IN_ORDER
        # rows in one chunk of the file can only be read together, and the next rows may begin in its middle
        return 0 if self.rows.kept else max(most // max(1, size), 2 * self.rows.together)

    def _next(self, start: int, count: int) -> _Read:
        """Return `count` rows from place `start` on. If they are not there yet, read them and those behind them."""
        begin = int(np.searchsorted(self._read.places, start))
        if not np.array_equal(self._read.places[begin:begin + count], np.arange(start, start + count)):
            self._read = NOTHING  # frees the memory of the old rows before that of the new ones is needed
            places, begin = self._own_places(start, max(count, self._at_once)), 0
            epochs, numbers = self.order.of(places)
            self._read = _Read(places, epochs, numbers, self.rows.read(numbers))
        here = slice(begin, begin + count)
        places, epochs, numbers, rows = self._read
        return _Read(places[here], epochs[here], numbers[here], [values[here] for values in rows])

    def _own_places(self, start: int, count: int) -> np.ndarray:
        """Return at least `count` places from `start` on, of the rows in this batch and in those that come after it."""
        if self.turns is None:
            return np.arange(start, start + count)
        here, found, total = (self.cursor, self.turn), [], 0
        while total < count:  # go through the batches that come, as if they were read, and then back to this one
            start = self.begin()
            end = self._end(start, self.batch_size)
            found.append(np.arange(start, end))
            total += len(found[-1])
            self.move(end)
        self.seek(*here)
        return np.concatenate(found)

    def _transformed(self, transformer: Transformer, rows: np.ndarray, names: list[str],
                     draws: SampleDraws) -> np.ndarray:
        """Return the transformed rows. Rows without the axes of an image become images of height and width 1."""
        images = rows if rows.ndim == 4 else rows.reshape(len(rows), -1, 1, 1)
        y: np.ndarray = np.empty((len(rows), *transformer.shape(images[0], names[0])), self.dtype)
        transformer.apply(list(images), names, y, draws)
        return y if rows.ndim == 4 else y.reshape(rows.shape)

    def __getstate__(self) -> dict[str, Any]:
        """Leave the rows out of a copy (copy.deepcopy), which reads them again."""
        return {**vars(self), "_read": NOTHING}
