"""Capture and replay of a net's forward pass at TEST: later passes run the recorded kernel calls, without the layers.

A pass through small layers spends most of its time in Python: it checks shapes, makes views and chooses kernels, each
time with the same result. So a net records the second pass with the same shapes in the same memory
(kernels/recording.py), and replays it from then on. Layers that do more than call kernels still run in Python, between
the recordings.
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable, Hashable
from typing import TYPE_CHECKING, Any

from minicaffe import blob as blob_module
from minicaffe import kernels
from minicaffe.kernels.recording import Recording, recording
from minicaffe.layer import Layer
from minicaffe.proto import TEST

if TYPE_CHECKING:
    from minicaffe.net.net import Net

MOST = 64  # states that are remembered: a face detector, for one, gives its first net a dozen sizes of each image


class RecordedPasses:
    """The recorded forward passes of a net, from its first layer to its last or from any layer to another.

    There is one pass for each state that a pass has found twice. A state is: which layers run, the shapes of all
    blobs, the thread (recordings use its borrowed memory), and the engine. All passes are dropped when the memory of a
    blob or a layer is replaced, because they hold addresses.
    """

    def __init__(self, net: Net) -> None:
        self._net: Net = weakref.proxy(net)  # a net that is no longer used is gone at once
        self._tops = [top for tops in net.tops for top in tops]
        self._inputs = [net.blobs[name] for name in net.inputs]
        self._last: dict[tuple[int, int], RecordedPass] = {}    # the latest, by the layers that run
        self._states: dict[Hashable, RecordedPass | None] = {}  # None: this state has come once
        self._seen: set[Hashable] = set()                       # layers and shapes of the inputs that have come
        self._memory: list[Any] = []             # what they use; held, so that no new array gets the same id()
        self._identities: tuple[int, ...] = ()   # id() of each of these

    def forward(self, first: int, last: int) -> float:
        """Run layers `first` to `last` forward, by a recorded pass if there is one. Return the total loss."""
        # The usual case, and the quick one: nothing at all has changed since the latest pass.
        known = self._last.get((first, last))
        if known is not None and known.is_current():
            return known.replay()
        state = self._state_to_come(first, last)
        if state not in self._states:
            loss = self._net.run(first, last)
            self._remember(first, last)
            return loss
        known = self._states[state]
        if known is None:
            return self._record(state, first, last)
        known.changes = blob_module.changes
        self._last[first, last] = known
        return known.replay()

    def _state_to_come(self, first: int, last: int) -> Hashable:
        """The state in which a pass will leave the net, or None if no pass has had inputs of these shapes yet."""
        if self._key(first, last) not in self._seen:
            return None
        state = self._state(first, last)
        if state not in self._states:
            # The caller has reshaped the inputs back to sizes of before, and the other blobs have not followed yet.
            self._net.reshape(first, last)
            state = self._state(first, last)
        return state

    def _record(self, state: Hashable, first: int, last: int) -> float:
        made, before = RecordedPass(self._net), blob_module.changes
        loss = made.record(first, last)
        if made.changes == before:  # else a blob changed meanwhile, and the recording may hold old addresses
            self._last[first, last] = self._states[state] = made
        return loss

    def _remember(self, first: int, last: int) -> None:
        if len(self._states) >= MOST:
            self._forget()
        self._states.setdefault(self._state(first, last), None)
        self._seen.add(self._key(first, last))

    def _forget(self) -> None:
        for known in (self._last, self._states, self._seen):
            known.clear()

    def _key(self, first: int, last: int) -> Hashable:
        return first, last, tuple([blob.shape for blob in self._inputs])

    def _state(self, first: int, last: int) -> Hashable:
        """Return what a recorded pass depends on, except memory. If memory was replaced, drop all recorded passes."""
        layers = self._net.layers
        blobs = [*self._tops, *(blob for layer in layers for blob in layer.blobs)]
        memory = [*(blob.memory for blob in blobs), *(array for layer in layers for array in layer.scratch_arrays)]
        identities = tuple(map(id, memory))
        if identities != self._identities:
            self._forget()
            self._memory, self._identities = memory, identities
        return first, last, threading.get_ident(), kernels.engine(), tuple([blob.shape for blob in blobs])


class RecordedPass:
    """A pass through some layers in parts: recordings, and between them layers that run in Python.

    changes    minicaffe.blob.changes, as it was when the pass was last known to be valid
    """

    def __init__(self, net: Net) -> None:
        self._net, self._thread, self._engine = net, threading.get_ident(), kernels.engine()
        self._parts: list[tuple[Callable[[], None] | None, int, int]] = []  # what replays it or None; its layers
        self._recordings: list[Recording] = []  # they keep the memory alive
        self.changes = -1

    def record(self, first: int, last: int) -> float:
        """Run the layers and record the kernels that they call. Return the total loss."""
        loss = 0.0
        runs: list[tuple[Recording | None, int, int]] = []  # neighbours of the same kind are joined
        for i in range(first, last + 1):
            with recording() as made:
                loss += self._net.run(i, i)
            replays = _may_replay(self._net.layers[i]) and made.usable
            if runs and replays == (runs[-1][0] is not None):
                joined, start, _ = runs[-1]
                if joined is not None:
                    joined.extend(made)
                runs[-1] = joined, start, i
            else:
                runs.append((made if replays else None, i, i))
        self._recordings = [made for made, _, _ in runs if made is not None]
        self._parts = [(made.as_function() if made else None, start, stop) for made, start, stop in runs]
        self.changes = blob_module.changes
        return loss

    def is_current(self) -> bool:
        """Return whether blobs, thread and engine are unchanged since the pass was last known to be valid."""
        return (self.changes == blob_module.changes and self._thread == threading.get_ident()
                and self._engine == kernels.engine())

    def replay(self) -> float:
        """Run the pass again. Return the total loss."""
        loss = 0.0
        for run_recording, first, last in self._parts:
            if self.changes != blob_module.changes:
                # A layer of this very pass has changed a shape: one that reads data may. The rest runs in Python.
                return loss + self._net.run(first, self._parts[-1][2])
            if run_recording is None:
                loss += self._net.run(first, last)
            else:
                run_recording()
        return loss


def _may_replay(layer: Layer) -> bool:
    """Return whether a recording may run in place of this layer.

    It may not for a loss, because Python adds up the losses of a net. Nor may it for a layer whose `forward` a user
    has replaced on the object, because a recording would not call the replacement.
    """
    return (layer.recordable and layer.phase == TEST and not any(layer.loss_weights)
            and {"forward", "Forward"}.isdisjoint(vars(layer)))
