"""Epochs, passes over all samples of a source: how many updates one takes, and how many batches a whole test has."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from minicaffe.errors import MinicaffeError, SolverError
from minicaffe.layer import DataSource, source_of
from minicaffe.log import At, log, warn
from minicaffe.net import Net
from minicaffe.solvers.fields import parts
from minicaffe.solvers.schedule.own_batches import OwnBatches


class Reader(NamedTuple):
    """A data layer that knows the size of its source."""

    layer: DataSource
    number: int  # of the layer in its net
    size: int  # samples in an epoch
    batch: int


def readers(net: Net) -> list[Reader]:
    """Return the data layers of a net that know the size of their source, the largest in batches first."""
    found = [Reader(source, i, size, source.batch_size or net.tops[i][0].shape[0]) for i, layer in enumerate(net.layers)
             if (source := source_of(layer)) and (size := source.epoch_size)]
    return sorted(found, key=lambda r: -r.size / r.batch)


def updates(net: Net, param: Any, where: str) -> int:
    """Return the updates in max_epoch epochs. Raise SolverError where no data layer knows the size of its source."""
    reader = _first(net, "max_epoch", "max_iter", where)
    epochs, in_update = param.max_epoch, reader.batch * parts(param)
    count = -(-epochs * reader.size // in_update)
    log(At.EPOCHS, f"max_epoch {epochs} is max_iter {count}: {reader.size} samples in layer "
                          f"{reader.layer.name}, {in_update} an update")
    return count


def whole_test(net: Net, number: int, where: str) -> int:
    """Return the number of batches in which test net #number sees each of its samples.

    The last batch holds the remaining samples, if the net can run on a smaller batch. If not, the batch is filled
    up with the first samples. Raise SolverError where no data layer of the net knows the size of its source.
    """
    reader = _first(net, "test_iter_auto", "test_iter", where)
    count, rest = -(-reader.size // reader.batch), reader.size % reader.batch
    last = f"the last one of {rest}" if rest else "all full"
    # where bad samples are left out, any batch may be smaller
    smaller = rest or getattr(reader.layer.param, "skip_bad", False)
    if smaller and (reader.layer.whole_epochs or _takes(net, reader, rest or 1)):  # it may be set by partial_last_batch
        reader.layer.whole_epochs = True
    elif rest:
        last = f"the last one filled up with {reader.batch - rest} samples that count twice"
        warn(At.TEST_SIZE, f"test net #{number}: {reader.size} samples are no multiple of the batch "
                         f"{reader.batch}, and the net cannot run on a smaller batch: {last}")
    batches = "1 batch" if count == 1 else f"{count} batches"
    log(At.TEST_SIZE, f"Test net #{number}: {reader.size} samples in {batches} of {reader.batch}, {last}")
    return count


class Test:
    """A test of so many batches: iterate over it to run them, and it says what each of them counts for.

    Where a data layer ends its batches with its epochs, and so many batches are whole epochs, the test ends with the
    last sample of them. That may be earlier: where no sample of a batch can be read, the next batch takes its place.

    own     which batches this process runs, where several share the test; then each begins at a place that is known
            before. None: it runs all, one after the other
    """

    def __init__(self, net: Net, batches: int, own: OwnBatches | None = None) -> None:
        self.net, self.batches, self.own = net, batches, own
        self._source: DataSource | None = None  # the layer whose epochs end the test, after `_end` samples
        self._end = 0
        for reader in readers(net) if own is None else ():
            in_epoch = -(-reader.size // reader.batch)
            if reader.layer.whole_epochs and reader.layer.cursor is not None and batches % in_epoch == 0:
                self._source = reader.layer
                self._end = reader.layer.cursor + batches // in_epoch * reader.size
                break

    def __iter__(self) -> Iterator[int]:
        """Yield the number of each batch, which the caller then runs.

        Where several processes share the test, it yields equally many numbers in each of them. A number that is not
        below `batches` is not run: the last round has no batch for this process.
        """
        if self.own is not None:
            yield from self._shared(self.own)
            return
        for batch in range(self.batches):
            if self._beyond() >= 0:
                break
            yield batch
        if self._source is not None and self._beyond() > 0:
            self._source.cursor = self._end  # so that the next test begins with the first sample

    def _shared(self, own: OwnBatches) -> Iterator[int]:
        own.begin()
        for round_begin in range(0, self.batches, own.of):
            for batch in range(round_begin + own.first, round_begin + own.first + own.count):
                if batch < self.batches:
                    own.place(batch)
                yield batch
        own.end(self.batches)  # also where the last round was not full, or had no batch for this process

    def share(self) -> float:
        """Return the weight of the batch that has just run in a mean: 1, or less where it was smaller.

        It is 0 where the batch belongs to the next epoch, because none of the samples before it can be read.
        """
        return 0.0 if self._beyond() > 0 else share_of_batch(self.net)

    def _beyond(self) -> int:
        """Return how many samples beyond the end of the test have come; below 0 where some are still missing."""
        return -1 if self._source is None else (self._source.cursor or 0) - self._end


def share_of_batch(net: Net) -> float:
    """Return the weight of the last batch in a mean: 1, or less where it was a smaller one at the end of an epoch.

    It is 0 for a batch that only stands in for one of which no sample can be read.
    """
    for layer, tops in zip(net.layers, net.tops, strict=True):
        source = source_of(layer)
        if source and source.whole_epochs and source.batch_size:
            return 0.0 if source.stands_in else tops[0].shape[0] / source.batch_size
    return 1.0


def _first(net: Net, field: str, instead: str, where: str) -> Reader:
    found = readers(net)
    if not found:
        raise SolverError(f"{field} needs a data layer that knows the size of its source, and net {net.name!r} has "
                          "none", where=where, hint=f"give {instead}")
    return found[0]


def _takes(net: Net, reader: Reader, rows: int) -> bool:
    """Return whether the net can run on a batch of fewer rows, with outputs of the same shapes as before.

    It is tried out: the tops of its data layer get that size, and all other layers are asked for their shapes.
    """
    # with several data layers the last batches may have sizes that do not fit each other
    if len(readers(net)) > 1 or reader.layer.whole_epochs is None or not reader.layer.batch_size:
        return False
    shapes = [net.blobs[name].shape for name in net.outputs]
    try:
        for top in net.tops[reader.number]:
            top.reshape(rows, *top.shape[1:])
        for i, layer in enumerate(net.layers):
            if i != reader.number:
                layer.Reshape(net.bottoms[i], net.tops[i])
        return shapes == [net.blobs[name].shape for name in net.outputs]
    except MinicaffeError:  # such as a Reshape with a fixed size of the batch
        return False
    finally:
        net.reshape()
