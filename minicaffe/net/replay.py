"""A net's forward pass at TEST played from tapes: what the layers call, without the layers.

A pass through small layers is mostly Python: shapes are checked, views are made, kernels are chosen, each time with
the same result. So the second pass with the same shapes in the same memory is recorded (kernels/tape.py), and later
ones play the recording. Layers that do more than call kernels run as ever, between the tapes.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable
from typing import TYPE_CHECKING, Any

from minicaffe import blob as blob_module
from minicaffe import kernels
from minicaffe.kernels.tape import Tape, recording
from minicaffe.layer import Layer
from minicaffe.proto import TEST

if TYPE_CHECKING:
    from minicaffe.net.net import Net

MOST = 64  # states that are remembered: a face detector shows its first net a dozen sizes of each image


class Replay:
    """The recordings of a net's layers `first` to `last`.

    There is one for each state that has come twice: the shapes of all blobs, the thread, whose borrowed memory the
    tapes use, and the engine. All are dropped when the memory of a blob or a layer is replaced.
    """

    def __init__(self, net: Net, first: int, last: int) -> None:
        self._net, self._first, self._last = net, first, last
        self._tops = [top for tops in net.tops for top in tops]
        self._inputs = [net.blobs[name] for name in net.inputs]
        self._now: Recording | None = None
        self._states: dict[Hashable, Recording | None] = {}  # None: the state has come once
        self._seen: set[Hashable] = set()                    # the shapes of the inputs then
        self._memory: list[Any] = []                         # held, so that no other array gets its identity
        self._identities: tuple[int, ...] = ()

    def forward(self) -> float:
        """Run the layers forward, from a recording where there is one; the total loss."""
        if self._now is not None and self._now.stands():
            return self._now.play()
        state = self._expected_state()
        self._now = self._states.get(state)
        if self._now is not None:
            self._now.changes = blob_module.changes
            return self._now.play()
        if state in self._states:
            return self._record(state)
        loss = self._net.run(self._first, self._last)
        self._remember()
        return loss

    def _expected_state(self) -> Hashable:
        """The state that a pass will leave; where the caller has reshaped an input, only if it has come before."""
        state = self._state()
        if state in self._states or self._input_shapes() not in self._seen:
            return state
        self._net.reshape(self._first, self._last)
        return self._state()

    def _record(self, state: Hashable) -> float:
        made, before = Recording(self._net), blob_module.changes
        loss = made.record(self._first, self._last)
        if made.changes == before:  # else memory was replaced while it was recorded
            self._now = self._states[state] = made
        return loss

    def _remember(self) -> None:
        if len(self._states) >= MOST:
            self._forget()
        self._states.setdefault(self._state(), None)
        self._seen.add(self._input_shapes())

    def _forget(self) -> None:
        self._states.clear()
        self._seen.clear()

    def _state(self) -> Hashable:
        """What a recording depends on, but for memory: where that has changed, all recordings are dropped."""
        layers = self._net.layers
        blobs = [*self._tops, *(blob for layer in layers for blob in layer.blobs)]
        memory = [*(blob.memory for blob in blobs), *(array for layer in layers for array in layer.scratch_arrays)]
        identities = tuple(map(id, memory))
        if identities != self._identities:
            self._forget()
            self._memory, self._identities = memory, identities
        return threading.get_ident(), kernels.engine(), tuple([blob.shape for blob in blobs])

    def _input_shapes(self) -> Hashable:
        return tuple([blob.shape for blob in self._inputs])


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
    """Whether a tape can stand for the layer; a loss is summed up in Python, so none can for it."""
    return layer.replays and layer.phase == TEST and not any(layer.loss_weights)
