"""What the rest of minicaffe asks of a layer, with the answers of an ordinary one.

Whoever needs to know something of a type (what it costs, why it came to a NaN, whether it may be recorded) asks the
layer. So nowhere outside the layers stands a list of types, and a new layer needs no edit but its own file.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from minicaffe.blob import Blob


class Traits:
    """Answers that a layer overrides where it is not ordinary.

    is_input        its tops are inputs of the net: the caller fills them
    recurrent       it goes through time: bottom[0] is (T, N, …), T time steps of N sequences, and bottom[1] (T, N)
                    says where sequences begin
    users_code      it runs code that a user wrote, of which nothing is known: it may keep a top from an earlier pass,
                    draw from numpy's and Python's own random generators, and do anything beside
    passes_on       it hands the numbers of its bottom on and has no function of its own, as Split and Dropout
    side_effects    its forward pass has a use beside its tops: it measures statistics or writes a file
    recordable      at TEST, while shapes stay, `forward` is nothing but kernel calls on the memory of the blobs and of
                    `scratch`, so that a Net may record the calls and make them without the layer
    can_dry_run     in both phases, `forward` and `backward` are nothing but kernel calls, and the kernels borrow
                    memory: a dry run finds out how much

    `recordable` and `can_dry_run` are not inherited, for a subclass may do more than its base: it says so itself. A
    layer for which `recordable` depends on its parameters sets it on `self`.
    """

    is_input: ClassVar[bool] = False
    recurrent: ClassVar[bool] = False
    users_code: ClassVar[bool] = False
    passes_on: ClassVar[bool] = False
    side_effects: ClassVar[bool] = False
    recordable: bool = False
    can_dry_run: ClassVar[bool] = False

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        cls.recordable = cls.__dict__.get("recordable", False)
        cls.can_dry_run = cls.__dict__.get("can_dry_run", False)

    def multiply_adds(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> int:
        """How many times a forward pass multiplies by a weight and adds; of what the shapes say, without values.

        Only products with a matrix of weights count, as is usual. The few operations that a layer does with each
        number are left out.
        """
        return 0

    def why_not_finite(self, bottom: Sequence[Blob]) -> str:
        """What in the layer's own formula has no finite value for these bottoms, such as log 0, and the cure; or ''.

        It is asked after a forward pass has put a NaN or an infinity into a top, and the bottoms were finite.
        """
        return ""

    def missing_statistics(self) -> str:
        """What it means that the layer goes by statistics and has none yet, as 'has no statistics, so ...'; or ''."""
        return ""
