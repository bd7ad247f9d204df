"""Which pass is replayed: later passes run the recorded kernel calls, without the layers.

A pass through small layers spends most of its time in Python: it checks shapes, makes views and chooses kernels, each
time with the same result. So a net records the second pass with the same shapes in the same memory, and replays it from
then on. `recorded_pass.py` records and replays one pass.
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Hashable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

from minicaffe import blob as blob_module
from minicaffe import kernels
from minicaffe.blob import Blob, Storage
from minicaffe.net.hooks import Layers
from minicaffe.net.recorded_pass import BackwardPass, ForwardPass, Range, RecordedPass

if TYPE_CHECKING:
    from minicaffe.net.net import Net

MOST = 64  # states that are remembered: a face detector, for one, gives its first net a dozen sizes of each image


class ForwardPasses:
    """The recorded forward passes of a net, from its first layer to its last or from any layer to another.

    There is one pass for each state that a pass has found twice. A state is: what is asked (Range), the shapes of all
    blobs, the thread (recordings use its borrowed memory), and the engine. All passes are dropped when the memory of a
    blob or a layer is replaced, because they hold addresses.

    After any change of a shape or of memory, the next pass runs in Python, because it alone finds out which shapes all
    blobs have then, and gives the layers the attributes that belong to these shapes.
    """

    def __init__(self, net: Net) -> None:
        self._net: Net = weakref.proxy(net)  # a net that is no longer used is gone at once
        self._tops = [top for tops in net.tops for top in tops]
        self._last: dict[Range, RecordedPass] = {}              # the latest
        self._states: dict[Hashable, RecordedPass | None] = {}  # None: this state has come once
        self._found: dict[Range, Hashable] = {}                 # how the latest pass has left the net
        self._memory: list[Any] = []             # what they use; held, so that no new array gets the same id()
        self._identities: tuple[int, ...] = ()   # id() of each of these

    def run(self, first: int, last: int, cuts: tuple[Layers, Layers]) -> float:
        """Run layers `first` to `last`, by a recorded pass if there is one. Return the total loss."""
        # The usual case, and the quick one: nothing at all has changed since the latest pass.
        asked = self._asked(first, last, cuts)
        known = self._last.get(asked)
        if known is not None and known.is_current():
            return known.replay()
        if asked in self._found and self._found[asked] == self._now():
            return self._record(self._state(asked), asked)
        loss = self._new_pass(asked).run(first, last)
        self._remember(asked)
        return loss

    def _asked(self, first: int, last: int, cuts: tuple[Layers, Layers]) -> Range:
        return Range(first, last, *cuts)

    def _new_pass(self, asked: Range) -> RecordedPass:
        return ForwardPass(self._net, asked)

    def _now(self) -> Hashable:
        return blob_module.changes, threading.get_ident(), kernels.engine()

    def _record(self, state: Hashable, asked: Range) -> float:
        made, before = self._new_pass(asked), blob_module.changes
        loss = made.record()
        if made.changes == before:  # else a blob changed meanwhile, and the recording may hold old addresses
            self._last[asked] = self._states[state] = made
        return loss

    def _remember(self, asked: Range) -> None:
        """After a pass in Python: note its state. If that one has a recording, it is played from now on."""
        if len(self._states) >= MOST:
            self._forget()
        known = self._states.setdefault(self._state(asked), None)
        self._found[asked] = self._now()
        if known is not None:
            known.changes = blob_module.changes
            self._last[asked] = known

    def _forget(self) -> None:
        for known in (self._last, self._states, self._found):
            known.clear()

    def _state(self, asked: Range) -> Hashable:
        """Return what a recorded pass depends on, except memory. If memory was replaced, drop all recorded passes."""
        layers = self._net.layers
        blobs = [*self._tops, *(blob for layer in layers for blob in layer.blobs)]
        memory = [*self._memory_of(blobs), *(array for layer in layers for array in layer.scratch_arrays)]
        identities = tuple(map(id, memory))
        if identities != self._identities:
            self._forget()
            self._memory, self._identities = memory, identities
        return asked, threading.get_ident(), kernels.engine(), tuple([blob.shape for blob in blobs])

    def _memory_of(self, blobs: Sequence[Blob]) -> Iterable[Any]:
        return (blob.memory for blob in blobs)


class TestPasses(ForwardPasses):
    """The recorded forward passes at TEST, where a net may see the same few sizes of its inputs over and over.

    When the caller has reshaped the inputs to sizes of before, the other blobs are brought to their shapes by `reshape`
    alone. So no pass in Python is needed between two sizes that have been recorded.
    """

    def __init__(self, net: Net) -> None:
        super().__init__(net)
        self._inputs = [net.blobs[name] for name in net.inputs]
        self._seen: set[Hashable] = set()  # what was asked, and the shapes of the inputs that came with it

    def run(self, first: int, last: int, cuts: tuple[Layers, Layers]) -> float:
        asked = self._asked(first, last, cuts)
        known = self._last.get(asked)
        if known is not None and known.is_current():
            return known.replay()
        state = self._state_to_come(asked)
        if state not in self._states:
            loss = self._net.run(first, last)
            self._remember(asked)
            return loss
        known = self._states[state]
        if known is None:
            return self._record(state, asked)
        known.changes = blob_module.changes
        self._last[asked] = known
        return known.replay()

    def _state_to_come(self, asked: Range) -> Hashable:
        """The state in which a pass will leave the net, or None if no pass has had inputs of these shapes yet."""
        if self._key(asked) not in self._seen:
            return None
        state = self._state(asked)
        if state not in self._states:
            # The caller has reshaped the inputs back to sizes of before, and the other blobs have not followed yet.
            self._net.reshape(asked.first, asked.last)
            state = self._state(asked)
        return state

    def _remember(self, asked: Range) -> None:
        super()._remember(asked)
        self._seen.add(self._key(asked))

    def _forget(self) -> None:
        super()._forget()
        self._seen.clear()

    def _key(self, asked: Range) -> Hashable:
        return asked, tuple([blob.shape for blob in self._inputs])


class BackwardPasses(ForwardPasses):
    """The recorded backward passes of a net. They use the memory of the diffs, too."""

    def __init__(self, net: Net) -> None:
        super().__init__(net)
        self._diffs: list[Storage] = []
        self._listed_at = -1  # blob.changes, when the diffs were listed

    def _asked(self, first: int, last: int, cuts: tuple[Layers, Layers]) -> Range:
        if self._listed_at != blob_module.changes:
            self._listed_at = blob_module.changes
            self._diffs = [blob.storages[1] for layer in self._net.layers for blob in layer.blobs]
        return Range(first, last, *cuts, tuple([diff.cleared for diff in self._diffs]))

    def _new_pass(self, asked: Range) -> RecordedPass:
        return BackwardPass(self._net, asked)

    def _memory_of(self, blobs: Sequence[Blob]) -> Iterable[Any]:
        return (storage.buffer for blob in blobs for storage in blob.storages)
