"""Which batches of a net this process runs, where several processes share them.

The data layers of minicaffe leave out the batches of other processes by themselves (data/turns.py), so that they can
read ahead. Of every other data layer the cursor is set before each batch.
"""

from __future__ import annotations

from typing import NamedTuple

from minicaffe import plugins
from minicaffe.data.turns import after
from minicaffe.errors import MinicaffeError, SolverError
from minicaffe.layer import DataSource, Layer, source_of
from minicaffe.net import Net


class _Source(NamedTuple):
    """A data layer with a cursor."""

    layer: DataSource
    size: int  # samples in a batch
    by_itself: bool  # whether it leaves out the batches of other processes, so that its cursor need not be set

    def go(self, cursor: int, batches: int) -> None:
        """Set the cursor so many batches behind this place, unless it stands there."""
        layer = self.layer
        to = after(cursor, batches, self.size, layer.epoch_size if layer.whole_epochs else None)
        if layer.cursor != to:
            layer.cursor = to


class OwnBatches:
    """The batches of a net that this process runs: of every `of` in a row `count`, from number `first` on.

    When it is made, it tells each data layer which batches to read (DataSource.take_turns). Call `begin`, then `place`
    before each own batch and `check` after its forward pass, and `end` after the last one.

    Raise SolverError where the net has a layer that must run in one process alone, unless this process runs all
    batches. After the error every data layer reads all batches.
    """

    def __init__(self, net: Net, first: int, count: int, of: int) -> None:
        self.first, self.count, self.of = first, count, of
        self._begun: list[int] = []  # the cursor of each source before the first batch
        self._sources = _sources(net, first, count, of)
        self._going_on = [(i, layer) for i, layer in enumerate(net.layers)
                          if of > count and type(layer).goes_on is not Layer.goes_on]
        self._net = net

    def begin(self) -> None:
        """Count the batches from where the data layers stand now."""
        self._begun = [source.layer.cursor or 0 for source in self._sources]

    def place(self, batch: int) -> None:
        """Make the data layers ready for the batch with this number."""
        self._go(batch, [not source.by_itself for source in self._sources])

    def check(self) -> None:
        """Raise SolverError where the forward pass of an own batch went on from one that another process has run."""
        for i, layer in self._going_on:
            if layer.goes_on(self._net.bottoms[i]):
                raise SolverError(f"layer {layer.name!r} ({layer.type}) goes on with the sequences of the batch "
                                  "before, which another process has computed", where=self._net.where(i),
                                  hint="train with one process; there, iter_size can take the place of shards")

    def end(self, batches: int) -> None:
        """Let all data layers stand behind so many batches, as if this process had run all of them."""
        self._go(batches, [True] * len(self._sources))

    def _go(self, batch: int, which: list[bool]) -> None:
        for source, cursor, goes in zip(self._sources, self._begun, which, strict=True):
            if goes:
                source.go(cursor, batch)


def _sources(net: Net, first: int, count: int, of: int) -> list[_Source]:
    """Give the layers of a net their turns, and return those with a cursor."""
    found = []
    try:
        for i, layer in enumerate(net.layers):
            source = source_of(layer)
            by_itself = _takes_turns(source or layer, first, count, of)
            if source is not None and source.cursor is not None:
                found.append(_Source(source, source.batch_size or net.tops[i][0].shape[0], by_itself))
            elif of > count and not by_itself and (source or layer.needs_all_batches or _may_read_data(net, i)):
                raise _cannot_share(net, i)
    except MinicaffeError:
        for layer in net.layers:  # those that have got their turns already
            _takes_turns(source_of(layer) or layer, 0, 1, 1)
        raise
    return found


def _takes_turns(layer: DataSource | Layer, first: int, count: int, of: int) -> bool:
    take_turns = getattr(layer, "take_turns", None)
    return take_turns is not None and bool(take_turns(first, count, of))


def _may_read_data(net: Net, i: int) -> bool:
    """Return whether layer i may read data without being a DataSource: a user's layer with tops and no bottom."""
    layer = net.layers[i]
    users = layer.users_code or plugins.origin_of(plugins.LAYER, layer.type) is not None
    return users and bool(net.tops[i]) and not net.bottoms[i] and not layer.blobs and not layer.is_input


def _cannot_share(net: Net, i: int) -> SolverError:
    layer = net.layers[i]
    kind = f"{layer.type}, {type(layer).__name__}" if layer.users_code else layer.type
    why, hint = "it has no cursor that says where a batch begins", \
        "let it be a minicaffe.DataSource whose forward begins at the sample number `cursor`; or, where any process " \
        "may make any batch, write 'def take_turns(self, first, count, of): return True' in the class"
    if layer.needs_all_batches:
        why, hint = "it must see every batch", "train in one process, or leave it out of the train net by a rule"
    return SolverError(f"layer {layer.name!r} ({kind}): several processes cannot share the batches of this net, "
                       f"because {why}", where=net.where(i), hint=hint)
