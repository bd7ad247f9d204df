"""One recorded pass: capture of the kernel calls that layers make (kernels/recording.py), and their replay.

Layers that do more than call kernels still run in Python, between the recordings. So does what a layer has to say of
the numbers that its kernels have computed: its loss, or that a label is none of the classes (`Layer.conclude`).
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, NamedTuple

from minicaffe import blob as blob_module
from minicaffe import kernels
from minicaffe.blob import Storage
from minicaffe.kernels.recording import Recording, recording
from minicaffe.layer import Layer
from minicaffe.net.hooks import Hook, Layers

if TYPE_CHECKING:
    from minicaffe.net.net import Net


class Range(NamedTuple):
    """What is asked of a pass.

    first, last      the layers that run; backward, `first` is the later one of the net
    before, after    the layers before and after which hooks are called
    cleared          backward: for the diff of each learnable blob whether it counts as zeros (Storage.cleared). Such a
                     diff is overwritten and not added to, so that other kernels are called
    """

    first: int
    last: int
    before: Layers
    after: Layers
    cleared: tuple[bool, ...] = ()


class Marks(NamedTuple):
    """What happened to the mark `cleared` of a diff: how it was before and after, and whether zeros were written."""

    storage: Storage
    before: bool
    after: bool
    filled: bool

    def joined(self, later: Marks) -> Marks:
        """Return the marks of these layers and those that follow."""
        return Marks(self.storage, self.before, later.after, self.filled or later.filled)


class Part:
    """Neighbouring layers of a pass: a recording of them, or layers that run in Python.

    first, last    the layers, in the order of the pass
    recording      their calls; None for layers that run in Python
    concludes      whether the last layer has something to say of the numbers that it has computed, such as a loss
    """

    def __init__(self, first: int, made: Recording | None) -> None:
        self.first = self.last = first
        self.recording, self.concludes = made, False
        self._play: Callable[[], None] | None = None
        self._layers: list[Layer] = []
        self._numbers: list[tuple[Layer, tuple[float, ...]]] = []
        self._diffs: dict[int, Marks] = {}

    def depend_on(self, layer: Layer, diffs: Iterable[Marks]) -> None:
        """Add a layer of the recording, and what its recording has found in the marks of diffs."""
        self._layers.append(layer)
        self._numbers.append((layer, layer.recorded_numbers()))
        for marks in diffs:
            key = id(marks.storage)
            self._diffs[key] = self._diffs[key].joined(marks) if key in self._diffs else marks

    def close(self) -> None:
        """Make ready to play, when all layers of the part are known."""
        self._play = self.recording.as_function() if self.recording else None
        self._attributes = [vars(layer).keys() for layer in self._layers]
        self._numbers = [(layer, numbers) for layer, numbers in self._numbers if numbers]
        self._marked = [(marks.storage, marks.before) for marks in self._diffs.values()]
        self._filled = [marks.storage for marks in self._diffs.values() if marks.filled]
        self._overwritten = [marks.storage for marks in self._diffs.values() if marks.before and not marks.after]

    def may_play(self, methods: frozenset[str]) -> bool:
        """Return whether the recording still stands for the layers.

        It does not where a layer computes with other numbers now, where the diffs are marked in another way, and where
        a user has replaced one of these methods on the object.
        """
        return (self._play is not None and all([names.isdisjoint(methods) for names in self._attributes])
                and all([layer.recorded_numbers() == numbers for layer, numbers in self._numbers])
                and all([storage.cleared is before for storage, before in self._marked]))

    def play(self) -> None:
        """Make the calls again, and treat the marks of diffs as the layers did."""
        for storage in self._filled:
            storage.fill_with_zeros()
        for storage in self._overwritten:
            storage.cleared = False
        assert self._play is not None
        self._play()


class RecordedPass:
    """A pass through some layers in parts: recordings, and between them layers that run in Python.

    changes    minicaffe.blob.changes, as it was when the pass was last known to be valid
    methods    those of a layer in whose place a recording runs
    """

    methods: frozenset[str]

    def __init__(self, net: Net, asked: Range) -> None:
        self._net, self._asked = net, asked
        self._thread, self._engine = threading.get_ident(), kernels.engine()
        self._parts: list[Part] = []
        self.changes = -1

    def record(self) -> float:
        """Run the layers and record the kernels that they call. Return the total loss."""
        loss = 0.0
        for i in self._order():
            self._call(self._hooks()[0], i)
            loss += self._record_layer(i)
            self._call(self._hooks()[1], i)
        for part in self._parts:
            part.close()
        self.changes = blob_module.changes
        return loss

    def _record_layer(self, i: int) -> float:
        """Run layer i. Add it to the last part, or begin a part with it. Return its loss."""
        layer, diffs = self._net.layers[i], self._diffs_of(i)
        before = [(storage.cleared, storage.fills) for storage in diffs]
        with recording() as made:
            loss = self._run_layer(i)
        recorded = made if made.usable and self._may_record(i) and self.methods.isdisjoint(vars(layer)) else None
        part = self._parts[-1] if self._parts else None
        if part is None or not self._may_join(part, i, recorded):
            part = Part(i, recorded)
            self._parts.append(part)
        elif part.recording is not None and recorded is not None:
            part.recording.extend(recorded)
        part.last = i
        if recorded is not None:
            part.concludes = self._concludes(layer)
            part.depend_on(layer, [Marks(storage, cleared, storage.cleared, storage.fills > fills)
                                   for storage, (cleared, fills) in zip(diffs, before, strict=True)])
        return loss

    def _may_join(self, part: Part, i: int, recorded: Recording | None) -> bool:
        """Return whether layer i may be in one part with those before it: hooks are called between parts alone."""
        if recorded is None or part.recording is None:
            return recorded is part.recording
        return not (part.concludes or i in self._asked.before or part.last in self._asked.after)

    def is_current(self) -> bool:
        """Return whether blobs, thread and engine are unchanged since the pass was last known to be valid."""
        return (self.changes == blob_module.changes and self._thread == threading.get_ident()
                and self._engine == kernels.engine())

    def replay(self) -> float:
        """Run the pass again. Return the total loss."""
        loss, (before, after) = 0.0, self._hooks()
        for part in self._parts:
            if self.changes != blob_module.changes:
                # A layer of this very pass has changed a shape: one that reads data may. The rest runs in Python.
                return self.run(part.first, self._asked.last, loss)
            if part.recording is None or not part.may_play(self.methods):
                loss = self.run(part.first, part.last, loss)
                continue
            self._call(before, part.first)
            part.play()
            if part.concludes:
                loss += self._net.conclude_layer(part.last)
            self._call(after, part.last)
        return loss

    @staticmethod
    def _call(hooks: Sequence[Hook], i: int) -> None:
        for hook in hooks:
            hook(i)

    # --- what differs between the directions ----------------------------------------------------------

    def run(self, first: int, last: int, loss: float = 0.0) -> float:
        """Run layers in Python. Return `loss`, with theirs added."""
        raise NotImplementedError

    def _order(self) -> range:
        raise NotImplementedError

    def _hooks(self) -> tuple[list[Hook], list[Hook]]:
        """Return the net's hooks before and after each layer."""
        raise NotImplementedError

    def _run_layer(self, i: int) -> float:
        raise NotImplementedError

    def _may_record(self, i: int) -> bool:
        raise NotImplementedError

    def _concludes(self, layer: Layer) -> bool:
        return False

    def _diffs_of(self, i: int) -> list[Storage]:
        """Return the diffs whose mark layer i may read or change."""
        return []


class ForwardPass(RecordedPass):
    """A pass forward."""

    methods = frozenset({"forward", "Forward"})

    def run(self, first: int, last: int, loss: float = 0.0) -> float:
        return self._net.run(first, last, loss)

    def _order(self) -> range:
        return range(self._asked.first, self._asked.last + 1)

    def _hooks(self) -> tuple[list[Hook], list[Hook]]:
        return self._net.before_layer, self._net.after_layer

    def _run_layer(self, i: int) -> float:
        return self._net.run_layer(i)

    def _may_record(self, i: int) -> bool:
        return self._net.layers[i].recordable

    def _concludes(self, layer: Layer) -> bool:
        return any(layer.loss_weights) or type(layer).check_values is not Layer.check_values


class BackwardPass(RecordedPass):
    """A pass backward."""

    methods = frozenset({"backward", "Backward"})

    def __init__(self, net: Net, asked: Range) -> None:
        super().__init__(net, asked)
        self._plan = net.plan.layers[:], [flags[:] for flags in net.plan.bottoms], self._wanted_of_blobs()

    def run(self, first: int, last: int, loss: float = 0.0) -> float:
        return self._net.run_backward(first, last, loss)

    def is_current(self) -> bool:
        plan = self._net.plan
        return super().is_current() and self._plan == (plan.layers, plan.bottoms, self._wanted_of_blobs())

    def _wanted_of_blobs(self) -> list[list[bool]]:
        return [layer.param_propagate_down[:] for layer in self._net.layers if layer.blobs]

    def _order(self) -> range:
        return range(self._asked.first, self._asked.last - 1, -1)

    def _hooks(self) -> tuple[list[Hook], list[Hook]]:
        return self._net.before_backward, self._net.after_backward

    def _run_layer(self, i: int) -> float:
        self._net.run_layer_backward(i)
        return 0.0

    def _may_record(self, i: int) -> bool:
        return not self._net.plan.layers[i] or self._net.layers[i].recordable_backward

    def _diffs_of(self, i: int) -> list[Storage]:
        net = self._net
        blobs = [*net.tops[i], *net.bottoms[i], *net.layers[i].blobs] if net.plan.layers[i] else []
        return list({id(blob.storages[1]): blob.storages[1] for blob in blobs}.values())
