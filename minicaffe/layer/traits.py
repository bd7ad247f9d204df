"""Properties of a layer that the rest of minicaffe reads, with the values that fit most types.

A layer type says what is special about itself: what it costs, why it computed a NaN, whether it may be recorded.
So there are no lists of types elsewhere, and a new layer type needs no edit outside of its own file.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from minicaffe.blob import Blob


class Traits:
    """Answers about a layer. A type for which one of them is wrong overrides it.

    is_input        its tops are inputs of the net: the caller fills them
    recurrent       it computes over time: bottom[0] is (T, N, …), T time steps of N sequences, and bottom[1] (T, N)
                    says where sequences begin
    users_code      it runs code that a user wrote, which may do anything: not write a top, or draw from numpy's and
                    Python's own random generators
    passes_on       it copies the numbers of its bottom and computes nothing new from them, as Split and Dropout do
    shapes_alone    its tops follow from the shapes of its bottoms alone, so no gradient is asked for them
    side_effects    its forward pass does more than write its tops: it measures statistics or writes a file
    needs_all_batches   what it does is right only if it sees every batch, so that several processes cannot share them
    recordable      in both phases, while shapes stay, `forward` is nothing but kernel calls on the memory of the blobs
                    and of `scratch`, so that a Net may record the calls and make them without the layer
    recordable_backward    the same for `backward`, which then reads nothing of a pass but this memory
    can_dry_run     in both phases, `forward` and `backward` are nothing but kernel calls, and the kernels borrow
                    memory: a dry run finds out how much

    measured        what forward has measured of its batch for `remember`, such as the means and variances of BatchNorm,
                    in arrays that no later pass writes to; None for a layer that measures nothing
    remembers_later     whether the solver calls `remember`, after the last pass of an update. Otherwise forward calls
                    it itself

    decides         what the scores in bottom[0] decide: "one class", where each score is for a class and one class is
                    right, or "yes or no", where each score is the answer to a question of its own; '' for neither

    `recordable`, `recordable_backward` and `can_dry_run` are not inherited, for a subclass may do more than its base:
    it says so itself. A layer for which one of them depends on its parameters sets it on `self`.
    """

    is_input: ClassVar[bool] = False
    recurrent: ClassVar[bool] = False
    users_code: ClassVar[bool] = False
    passes_on: ClassVar[bool] = False
    shapes_alone: ClassVar[bool] = False
    side_effects: ClassVar[bool] = False
    needs_all_batches: ClassVar[bool] = False
    recordable: bool = False
    recordable_backward: bool = False
    can_dry_run: bool = False
    measured: tuple[Any, ...] | None = None
    remembers_later: bool = False
    decides: ClassVar[str] = ""

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        cls.recordable = cls.__dict__.get("recordable", False)
        cls.recordable_backward = cls.__dict__.get("recordable_backward", False)
        cls.can_dry_run = cls.__dict__.get("can_dry_run", False)

    def remember(self, measured: tuple[Any, ...]) -> None:
        """Add to the blobs what a forward pass has `measured`, which need not be a pass of this process.

        Where several passes make an update, the solver calls this in every process, for all passes in their order. So
        the blobs hold the same numbers everywhere, whichever process ran which pass.
        """

    def goes_on(self, bottom: Sequence[Blob]) -> bool:
        """Return whether the last forward pass began with what the pass before it has left, as recurrent layers can.

        Then one process must run both passes.
        """
        return False

    def gradient_to(self, j: int) -> bool:
        """Return whether backward computes a gradient for bottom j. For labels and indices any answer will do.

        There is none where the tops change in jumps, as ArgMax's do, or where Caffe lets no gradient through.
        """
        return True

    def gradient_from(self, t: int) -> bool:
        """Return whether backward reads the diff of top t. Of other tops, no gradient reaches the bottoms."""
        return True

    def make_exact(self) -> str:
        """Make backward exactly the derivative of forward, where Caffe's is only nearly so. Return what was changed.

        A check of gradients asks this of a copy of the layer that has run forward and is thrown away. What is returned
        ends the sentence "layer 'loss' is checked ...", and is empty where nothing was changed.
        """
        return ""

    def numbers_for(self, j: int, bottom: Sequence[Blob], draw: np.random.Generator) -> np.ndarray | None:
        """Return random numbers that bottom j may hold, such as labels, in its shape; None where any numbers will do.

        It is called after `reshape`.
        """
        return None

    def multiply_adds(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> int:
        """Return how many times a forward pass multiplies by a weight and adds, computed from the shapes alone.

        As is usual, only products with a matrix of weights count. The few operations that a layer does with each
        number are left out.
        """
        return 0

    def why_not_finite(self, bottom: Sequence[Blob]) -> str:
        """Return why the formula of the layer is not finite for these bottoms, such as log 0, and the cure; or ''.

        This is asked where a forward pass has computed a NaN or an infinity from finite bottoms.
        """
        return ""

    def missing_statistics(self) -> str:
        """Return what happens because statistics are missing: 'has no statistics, so ...'; '' if none are missing."""
        return ""
