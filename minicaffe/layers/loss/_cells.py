"""The cells of a batch, for the losses of NormalizedLoss: which ones count, with what weight, divided by what."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

BLOCK = 1 << 16  # cells that are computed at a time: few enough for the processor's cache, and for little memory


@dataclass(frozen=True)
class Cells:
    """The facts about the cells of a loss that forward computes and backward needs again.

    The arrays belong to the loss. None of them is the memory of a bottom, which may change before backward runs.

    w         the weight of each cell, 0 where it is ignored; None where every cell weighs 1
    silent    True where a cell does not count, because it is ignored or weighs 0; None where all cells count
    valid     how many cells count; where there are weights, Σ w
    Z         the divisor of the sum over the cells
    """

    w: np.ndarray | None
    silent: np.ndarray | None
    valid: float
    Z: float

    def __getitem__(self, block):
        """Return the cells of a slice; their Z is still that of the whole batch."""
        return replace(self, w=None if self.w is None else self.w[block],
                       silent=None if self.silent is None else self.silent[block])

    def weigh(self, values, factor=None):
        """Multiply values by w, and by a factor where one is given, in place, and return them.

        `values` has one number for each cell, or one for each class of each cell.
        """
        if self.w is not None:
            factor = self.w if factor is None else self.w * factor
        if factor is not None:
            values *= factor
        if self.silent is not None:
            # 0 · ∞ and 0 · NaN are NaN, so multiplying by 0 does not silence a cell; writing 0 does
            np.copyto(values, 0, where=self.silent)
        return values


def blocks(count):
    """Return the slices that cut `count` cells into blocks."""
    return (slice(i, i + BLOCK) for i in range(0, count, BLOCK))


def times(a, b):
    """Return a · b, and 0 wherever a is 0, also where b is infinite: there 0 · ∞ would be NaN."""
    product = a * b
    np.copyto(product, 0, where=a == 0)
    return product
