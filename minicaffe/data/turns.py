"""Turns: which batches of a source a process reads, where several processes share those of each update."""

from __future__ import annotations

from dataclasses import dataclass


def after(cursor: int, batches: int, size: int, epoch: int | None = None) -> int:
    """Return the place in the order of a source that lies so many batches of `size` samples behind `cursor`.

    epoch   the number of samples in an epoch, where the last batch of each epoch ends with it and may be smaller;
            None where all batches are full
    """
    if epoch is None:
        return cursor + batches * size
    begun, used = divmod(cursor, epoch)
    left = -(-(epoch - used) // size)  # batches up to the end of the epoch in which the cursor stands
    if batches < left:
        return cursor + batches * size
    whole, rest = divmod(batches - left, -(-epoch // size))
    return (begun + 1 + whole) * epoch + rest * size


@dataclass(frozen=True)
class Turns:
    """The batches of a process: of every `of` batches in a row `count`, from number `first` on.

    first   in training the number of the first part of an update that the process computes
    count   the number of its parts
    of      the number of parts in an update
    """

    first: int
    count: int
    of: int


class InTurns:
    """The base of the objects that make the batches of a data layer. It says where the next batch begins.

    Other processes may read batches in between. The cursor counts the samples of all processes, so it is the same
    number in each process at the beginning of an update. From there on it moves by one batch with each batch that this
    process reads; with the last one of the update it moves to the update's end. So where the update begins at place c
    of the order, and batches have N samples, the batch with turn t of this process

        begins at               c + (first + t) · N
        leaves the cursor at    c + (t + 1) · N, or at c + of · N where it is the last, t + 1 = count

    turns           None where this process reads all batches
    cursor          how many places of the order have been used up
    turn            how many batches of its own the process has already read for this update
    batch_size      N
    whole_epochs    whether the last batch of an epoch ends with the epoch, and is smaller than N if need be
    """

    batch_size: int
    turns: Turns | None = None
    cursor: int = 0
    turn: int = 0
    whole_epochs: bool = False

    @property
    def epoch_size(self) -> int | None:
        """The number of samples in one epoch; None where there are no epochs."""
        return None

    def seek(self, cursor: int, turn: int = 0) -> None:
        """Go on at this place of the order, where the process has already read `turn` batches of the update."""
        self.cursor, self.turn = cursor, turn

    def begin(self) -> int:
        """Return the place of the order at which the next batch begins."""
        return self.cursor if self.turns is None else self._after(self.cursor, self.turns.first)

    def begin_after(self, end: int) -> int:
        """Return the place at which the batch after the next one begins, where the next one ends at `end`."""
        return end if self.turns is None else self._after(self._moved(self.turns)[0], self.turns.first)

    def move(self, end: int) -> None:
        """Set the cursor, after a batch that ends at `end`.

        A batch may end later than it would have, because samples that follow have replaced bad ones. With turns the
        next batch begins where it would have begun anyway, because no process knows what the others have found.
        """
        if self.turns is None:
            self.cursor = end
        else:
            self.cursor, self.turn = self._moved(self.turns)

    def _end(self, place: int, count: int) -> int:
        """Return the place behind the next `count` samples; with whole_epochs, not behind the end of the epoch."""
        epoch = self._whole_epoch
        return place + (count if epoch is None else min(count, epoch - place % epoch))

    def _moved(self, turns: Turns) -> tuple[int, int]:
        """Return the cursor and the turn after the next batch."""
        if self.turn + 1 < turns.count:
            return self._after(self.cursor, 1), self.turn + 1
        return self._after(self.cursor, turns.of - turns.count + 1), 0

    def _after(self, cursor: int, batches: int) -> int:
        return after(cursor, batches, self.batch_size, self._whole_epoch)

    @property
    def _whole_epoch(self) -> int | None:
        """The number of samples in an epoch where batches end with it; None where they go on into the next one."""
        return self.epoch_size if self.whole_epochs else None
