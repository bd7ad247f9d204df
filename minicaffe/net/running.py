"""How a net runs: forward and backward, layer by layer or from recordings (replay.py), with hooks around the layers."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, cast

from minicaffe.errors import NetError
from minicaffe.net import debug_info, hooks
from minicaffe.net.hooks import Hook
from minicaffe.net.replay import BackwardPasses, ForwardPasses, TestPasses
from minicaffe.proto import TEST

if TYPE_CHECKING:
    from minicaffe.blob import Blob
    from minicaffe.layer import Layer
    from minicaffe.net.backward_plan import BackwardPlan
    from minicaffe.net.net import Net


class Running:
    """The part of a Net that runs its layers. `Net` says what the attributes are."""

    name: str
    phase: int
    layers: list[Layer]
    bottoms: list[list[Blob]]
    tops: list[list[Blob]]
    plan: BackwardPlan
    reuse_memory: bool
    debug_info: bool

    def prepare_to_run(self) -> None:
        """Set the attributes that are needed to run."""
        self.before_layer: list[Hook] = []
        self.after_layer: list[Hook] = []
        self.before_backward: list[Hook] = []
        self.after_backward: list[Hook] = []
        self.replay = True
        self._recorded: tuple[ForwardPasses, BackwardPasses] | None = None

    def forward(self, start: int | str | None = None, stop: int | str | None = None) -> float:
        """Run the layers from `start` to `stop` forward (indices or names, both included). Return the total loss."""
        return self.forward_pass(start, stop)

    def backward(self, start: int | str | None = None, stop: int | str | None = None) -> None:
        """Run the layers from `start` down to `stop` backward (indices or names, both included)."""
        self.backward_pass(start, stop)

    def forward_pass(self, start: int | str | None = None, stop: int | str | None = None) -> float:
        """Do what `forward` does, under a name that no subclass overrides.

        In pycaffe's Net, `forward` and `backward` take and return arrays. A Solver trains such a net too, by this.
        """
        first, last = self._index(start, 0), self._index(stop, len(self.layers) - 1)
        cuts = self._cuts(self.before_layer, self.after_layer)
        return self.run(first, last) if cuts is None else self._passes()[0].run(first, last, cuts)

    def backward_pass(self, start: int | str | None = None, stop: int | str | None = None) -> None:
        """Do what `backward` does, under a name that no subclass overrides."""
        if self.reuse_memory:
            raise NetError(f"net {self.name!r} was made with reuse_memory: it keeps nothing that backward could read")
        first, last = self._index(start, len(self.layers) - 1), self._index(stop, 0)
        cuts = self._cuts(self.before_backward, self.after_backward)
        if cuts is None or self.phase == TEST:
            self.run_backward(first, last)
        else:
            self._passes()[1].run(first, last, cuts)
        if self.debug_info and start is None and stop is None:  # Caffe: only after a whole pass
            debug_info.print_norms(cast("Net", self))

    def forward_backward(self) -> float:
        """Run one pass forward and one backward. Return the total loss."""
        loss = self.forward_pass()
        self.backward_pass()
        return loss

    # --- without recordings ------------------------------------------------------------------------

    def run(self, first: int, last: int, loss: float = 0.0) -> float:
        """Run the layers `first` to `last` forward one by one, with their hooks. Return `loss` with theirs added."""
        for i in range(first, last + 1):
            for hook in self.before_layer:
                hook(i)
            loss += self.run_layer(i)
            for hook in self.after_layer:
                hook(i)
        return loss

    def run_layer(self, i: int) -> float:
        """Run layer i forward. Return its loss."""
        with self._located(i):
            return self.layers[i].Forward(self.bottoms[i], self.tops[i])

    def conclude_layer(self, i: int) -> float:
        """Do what is left of layer i's forward pass when a recording has run in its place. Return its loss."""
        with self._located(i):
            return self.layers[i].conclude(self.bottoms[i], self.tops[i])

    def run_backward(self, first: int, last: int, loss: float = 0.0) -> float:
        """Run the layers `first` down to `last` backward one by one, with their hooks. Return `loss` as it is."""
        for i in range(first, last - 1, -1):
            for hook in self.before_backward:
                hook(i)
            self.run_layer_backward(i)
            for hook in self.after_backward:
                hook(i)
        return loss

    def run_layer_backward(self, i: int) -> None:
        """Run layer i backward, if it is among those that do."""
        if self.plan.layers[i]:
            with self._located(i):
                self.layers[i].Backward(self.tops[i], self.plan.bottoms[i], self.bottoms[i])

    # --- helpers -----------------------------------------------------------------------------------

    def _cuts(self, before: Sequence[Hook], after: Sequence[Hook]) -> tuple[hooks.Layers, hooks.Layers] | None:
        """Return the layers before and after which hooks are called; None where each layer must run in Python."""
        cuts = hooks.wanted(before), hooks.wanted(after)
        return None if not self.replay or None in cuts else cuts  # type: ignore[return-value]

    def _passes(self) -> tuple[ForwardPasses, BackwardPasses]:
        """Return the recorded passes."""
        if self._recorded is None:
            net = cast("Net", self)
            self._recorded = (TestPasses if self.phase == TEST else ForwardPasses)(net), BackwardPasses(net)
        return self._recorded

    def __getstate__(self) -> dict[str, Any]:
        """A copy (copy.deepcopy) makes new recordings, for the original's compute in the original's memory."""
        return {**vars(self), "_recorded": None}

    if TYPE_CHECKING:
        def _index(self, given: int | str | None, default: int) -> int: ...
        def _located(self, i: int) -> AbstractContextManager[None]: ...
