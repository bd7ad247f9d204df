"""The two bases that most layers share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import numpy as np

from minicaffe.blob import Blob
from minicaffe.layer.checks import SWAPPED
from minicaffe.layer.contract import Layer
from minicaffe.layer.registry import Arity


class Elementwise(Layer):
    """A layer that computes each number from one number: y = f(x), dx = dy · f′.

    A subclass writes `value(x, y)`, which stores f(x) in y, and `slope(v)`, which returns f′ computed from
    x or from y, as `slope_from` says. It may always run in place: where the slope needs the x that y has replaced, a
    copy of x is kept.
    """

    in_place = True
    slope_from: ClassVar[str] = "y"  # "x" or "y"

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        cls.backward_reads = ("bottom",) if cls.slope_from == "x" else ("top",)

    def value(self, x: np.ndarray, y: np.ndarray) -> None:
        """Store f(x) in y; x and y may be the same array."""
        raise NotImplementedError

    def slope(self, v: np.ndarray) -> np.ndarray:
        """f′ where v is x or y, by `slope_from`."""
        raise NotImplementedError

    def reshape(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        top[0].reshape_like(bottom[0])
        # In place, y replaces the x that the slope needs. A copy is a step beside the kernel calls, so no recording.
        self._keeps_x = self.slope_from == "x" and top[0] is bottom[0] and self.runs_backward
        self.recordable = type(self).recordable and not self._keeps_x
        if self._keeps_x:
            self._x = self.scratch(bottom[0].shape)

    def forward(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        if self._keeps_x:
            self._x[...] = bottom[0].data
        self.value(bottom[0].data, top[0].data)

    def backward(self, top: Sequence[Blob], propagate_down: Sequence[bool], bottom: Sequence[Blob]) -> None:
        if not propagate_down[0]:
            return
        if self.slope_from == "y":
            v = top[0].data
        else:
            v = self._x if self._keeps_x else bottom[0].data
        np.multiply(top[0].diff, self.slope(v), out=bottom[0].diff)


class LossLayer(Layer):
    """A layer whose first top is a loss, one number that says how wrong the net is.

    Its loss_weight λ is 1 unless the prototxt says otherwise. `Forward` writes λ into the diff of the first top, and
    `backward` reads it there: λ is a factor of every gradient.

    `label_bottoms` are the bottoms that hold labels. No gradient flows to them; to ask for one is a LayerError.

    `share` is a factor of the gradient. A solver sets it where it adds several passes up for one update.

    Attributes that the doctor and the linter read
        contains            the type of the layer whose function the loss computes itself, such as "Softmax"; its
                            scores must not come from such a layer along the same `axis`
        least_probability   the loss is −log of the probability of a class, and smaller probabilities count as this one
        classes             how many classes the scores are for, set in `reshape`; 0 for other losses
    """

    bottoms: ClassVar[Arity] = 2
    auto_tops = True
    default_loss_weight = 1.0
    label_bottoms: ClassVar[tuple[int, ...]] = (1,)
    contains: ClassVar[str] = ""
    least_probability: ClassVar[float | None] = None
    classes: int = 0
    share: float = 1.0

    def allow_force_backward(self, bottom_index: int) -> bool:
        return bottom_index not in self.label_bottoms

    def numbers_for(self, j: int, bottom: Sequence[Blob], draw: np.random.Generator) -> np.ndarray | None:
        if j not in self.label_bottoms:
            return None
        if self.classes and j == self.label_bottoms[0]:
            return draw.integers(self.classes, size=bottom[j].shape)
        return draw.uniform(0.5, 1.5, bottom[j].shape)  # weights

    @property
    def counted(self) -> float | None:
        """The number of cells or samples by which the last forward pass divided its sum; None if it did not divide."""
        return 1.0

    def yes_no_answers(self, bottom: Sequence[Blob]) -> float:
        """The number of yes-or-no answers in the loss. Where the net answers ½ to each, the loss is ln 2 times that."""
        return 0.0

    def why_unbounded(self, bottom: Sequence[Blob]) -> str:
        """Why the loss has no least value with these targets, so that training drives it to −∞; or ''."""
        return ""

    def Backward(self, top: Sequence[Blob], propagate_down: Sequence[bool], bottom: Sequence[Blob]) -> None:
        for i in self.label_bottoms:
            if i < len(propagate_down) and propagate_down[i]:
                self.fail(f"cannot backpropagate to bottom[{i}], which holds labels",
                          hint=SWAPPED if i == 1 and not propagate_down[0] else
                          f"set propagate_down: false for bottom {i}")
        super().Backward(top, propagate_down, bottom)
