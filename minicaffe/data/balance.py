"""balance_classes: an order in which each class comes equally often, however many samples it has."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from google.protobuf.message import DecodeError

from minicaffe.data.batches import Order
from minicaffe.data.datum import record_name
from minicaffe.data.sources import Source
from minicaffe.errors import DataError
from minicaffe.log import At, log
from minicaffe.proto import Datum
from minicaffe.rng import SampleDraws


class BalancedOrder(Order):
    """A random order in which each class comes equally often. It follows from the labels and the seed alone.

    An epoch has as many places as there are samples, shared equally among the classes. If their number is no multiple
    of the number of classes, some classes get one place more, and other classes in the next epoch.
    The samples of a class come in a random order until each has come once, then in a new order, and so on through the
    epochs. So a sample of a small class comes several times in an epoch, and one of a large class not in every epoch.

    labels      the label of each sample, in the source's order; a sample whose label is NaN never comes
    classes     the different labels; members[c] are the numbers of the samples of classes[c]
    """

    def __init__(self, labels: Sequence[float] | np.ndarray, seed: int) -> None:
        super().__init__(len(labels), seed)
        numbers = np.flatnonzero(~np.isnan(labels))
        self.classes, which = np.unique(np.asarray(labels)[numbers], return_inverse=True)
        self.members = [numbers[which == c] for c in range(len(self.classes))]

    def of(self, places: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the numbers as Order does, but in place of each epoch how often the sample has come before.

        What is drawn for a sample follows from both. So a sample that comes twice in an epoch is cropped in two ways.
        """
        found = np.empty((2, len(places)), int)
        for epoch in np.unique(places // self.size):
            here = places // self.size == epoch
            found[:, here] = self._epoch_of(int(epoch))[:, places[here] % self.size]
        return found[0], found[1]

    def _epoch_of(self, epoch: int) -> np.ndarray:
        """Return for each place of an epoch how often its sample has come before, and the sample's number (2, N)."""
        if epoch != self._epoch:
            N, K = self.size, len(self.classes)
            # the classes take turns, place after place and on over the epochs; then the places are shuffled
            first = [-(-(epoch * N - c) // K) for c in range(K)]  # the first turn of each class in this epoch
            after = [-(-((epoch + 1) * N - c) // K) for c in range(K)]
            drawn = [self._turns(c, turn, end) for c, (turn, end) in enumerate(zip(first, after, strict=True))]
            shuffled = np.random.default_rng([self._seed, epoch]).permutation(N)
            self._epoch, self._numbers = epoch, np.concatenate(drawn, axis=1)[:, shuffled]
        return self._numbers

    def _turns(self, c: int, first: int, end: int) -> np.ndarray:
        """Return for turns of class c how often its sample has come before, and the sample's number (2, n)."""
        members = self.members[c]
        rounds, places = np.divmod(np.arange(first, end), len(members))
        if not len(rounds):
            return np.empty((2, 0), int)
        # the random order of each round: the members sorted by numbers that they draw for it
        all_rounds = np.arange(rounds[0], rounds[-1] + 1)
        keys = SampleDraws(self._seed, np.repeat(all_rounds, len(members)), np.tile(members, len(all_rounds)))
        orders = np.argsort(keys.unit("balance").reshape(len(all_rounds), -1), axis=1, kind="stable")
        return np.stack([rounds, members[orders[rounds - rounds[0], places]]])

    @property
    def _seed(self) -> int:
        assert self.seed is not None
        return self.seed


def balanced(labels: Sequence[float | Sequence[float]], seed: int, owner: str) -> BalancedOrder:
    """Return the order for these labels, and log how many samples each class has.

    Raise DataError, whose message begins with `owner`, where samples have several labels or there is one class only.
    """
    if not all(np.isscalar(label) for label in labels):
        raise DataError(f"{owner}: balance_classes needs one label for each sample, but here each has several")
    order = BalancedOrder(np.asarray(labels), seed)
    sizes = [len(members) for members in order.members]
    if len(sizes) < 2:
        raise DataError(f"{owner}: balance_classes needs at least two classes, but all {sum(sizes)} samples have the "
                        f"label {next(iter(order.classes), np.nan):g}")
    log(At.BALANCED, f"Balancing {len(sizes)} classes of {min(sizes)} to {max(sizes)} samples: each comes "
                     f"{order.size // len(sizes)} times in an epoch.")
    return order


def labels_of(source: Source, skip_bad: bool = False) -> list[float]:
    """Return the labels of all Datum records of a database, which is read from end to end for that.

    Raise DataError for a record that is no Datum; with `skip_bad` its label is NaN instead.
    """
    labels: list[float] = []
    for key, value in source.records():
        try:
            labels.append(Datum.FromString(value).label)
        except DecodeError as error:
            if skip_bad:
                labels.append(np.nan)
                continue
            raise DataError(f"{record_name(key, source.path)} is no Datum ({len(value)} bytes)") from error
    return labels
