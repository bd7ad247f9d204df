"""A net's forward pass at TEST played from tapes: what the layers call, without the layers.

A pass through small layers is mostly Python: shapes are checked, views are made, kernels are chosen, each time with
the same result. So the second pass with the same shapes in the same memory is recorded (kernels/tape.py), and later
ones play the recording. Layers that do more than call kernels run as ever, between the tapes.
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable, Hashable
from typing import TYPE_CHECKING, Any

from minicaffe import blob as blob_module
from minicaffe import kernels
from minicaffe.kernels.recording import Tape, recording
from minicaffe.layer import Layer
from minicaffe.proto import TEST

if TYPE_CHECKING:
    from minicaffe.net.net import Net

MOST = 64  # states that are remembered: a face detector shows its first net a dozen sizes of each image


class Replay:
    """The recordings of a net's forward passes, whole ones and those from one layer to another.

    There is one for each state that has come twice: the layers that run, the shapes of all blobs, the thread, whose
    borrowed memory the tapes use, and the engine. All are dropped when the memory of a blob or a layer is replaced.
    """

    def __init__(self, net: Net) -> None:
        self._net: Net = weakref.proxy(net)  # a net that is no longer used is gone at once
        self._tops = [top for tops in net.tops for top in tops]
        self._inputs = [net.blobs[name] for name in net.inputs]
        self._last: dict[tuple[int, int], Recording] = {}    # by the layers that run
        self._states: dict[Hashable, Recording | None] = {}  # None: the state has come once
        self._seen: set[Hashable] = set()                    # the layers and the shapes of the inputs then
        self._memory: list[Any] = []                         # held, so that no other array gets its identity
        self._identities: tuple[int, ...] = ()

    def forward(self, first: int, last: int) -> float:
        """Run layers `first` to `last` forward, from a recording where there is one; the total loss."""
        recording = self._last.get((first, last))
        if recording is not None and recording.stands():
            return recording.play()
        state = self._state_to_come(first, last)
        if state not in self._states:
            loss = self._net.run(first, last)
            self._remember(first, last)
            return loss
        recording = self._states[state]
        if recording is None:
            return self._record(state, first, last)
        recording.changes = blob_module.changes
        self._last[first, last] = recording
        return recording.play()

    def _state_to_come(self, first: int, last: int) -> Hashable:
        """The state that a pass will leave, or None where the inputs have shapes that are new."""
        if self._key(first, last) not in self._seen:
            return None
        state = self._state(first, last)
        if state not in self._states:  # the caller has gone back to shapes that the blobs behind have still to take
            self._net.reshape(first, last)
            state = self._state(first, last)
        return state

    def _record(self, state: Hashable, first: int, last: int) -> float:
        made, before = Recording(self._net), blob_module.changes
        loss = made.record(first, last)
        if made.changes == before:  # else memory was replaced while it was recorded
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
        """What a recording depends on, but for memory: where that has changed, all recordings are dropped."""
        layers = self._net.layers
        blobs = [*self._tops, *(blob for layer in layers for blob in layer.blobs)]
        memory = [*(blob.memory for blob in blobs), *(array for layer in layers for array in layer.scratch_arrays)]
        identities = tuple(map(id, memory))
        if identities != self._identities:
            self._forget()
            self._memory, self._identities = memory, identities
        return first, last, threading.get_ident(), kernels.engine(), tuple([blob.shape for blob in blobs])


class Recording:
    """A pass through layers as parts: tapes, and layers between them that run by themselves.

    changes    the number of the last change of any blob for which it is known to stand
    """

    def __init__(self, net: Net) -> None:
        self._net, self._thread, self._engine = net, threading.get_ident(), kernels.engine()
        self._parts: list[tuple[Callable[[], None] | None, int, int]] = []  # what plays it, and its layers
        self._tapes: list[Tape] = []
        self.changes = -1

    def record(self, first: int, last: int) -> float:
        """Run the layers and write down what they call; the total loss."""
        loss = 0.0
        runs: list[tuple[Tape | None, int, int]] = []
        for i in range(first, last + 1):
            with recording() as tape:
                loss += self._net.run(i, i)
            plays = _may_replay(self._net.layers[i]) and not tape.spoiled
            if runs and plays == (runs[-1][0] is not None):
                joined, start, _ = runs[-1]
                if joined is not None:
                    joined.extend(tape)
                runs[-1] = joined, start, i
            else:
                runs.append((tape if plays else None, i, i))
        self._tapes = [tape for tape, _, _ in runs if tape is not None]
        self._parts = [(tape.player() if tape else None, start, stop) for tape, start, stop in runs]
        self.changes = blob_module.changes
        return loss

    def stands(self) -> bool:
        """Whether nothing has changed since: no blob, not the thread, not the engine."""
        return (self.changes == blob_module.changes and self._thread == threading.get_ident()
                and self._engine == kernels.engine())

    def play(self) -> float:
        """Run the layers again; the total loss."""
        loss = 0.0
        for play, first, last in self._parts:
            if self.changes != blob_module.changes:  # a layer before, such as one that reads data, took other shapes
                return loss + self._net.run(first, self._parts[-1][2])
            if play is None:
                loss += self._net.run(first, last)
            else:
                play()
        return loss


def _may_replay(layer: Layer) -> bool:
    """Whether a tape can stand for the layer; a loss is summed up in Python, so none can for it, nor for a `forward`
    that somebody has put in the place of the class's."""
    return (layer.recordable and layer.phase == TEST and not any(layer.loss_weights)
            and {"forward", "Forward"}.isdisjoint(vars(layer)))
