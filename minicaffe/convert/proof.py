"""Run a net and a model on the same random numbers, and say how far their outputs are apart."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

MOST = 1e-4  # of the range of an output: the largest difference that is accepted


class Difference(NamedTuple):
    """How far two arrays of one output are apart.

    name        of the output
    largest     the largest difference of two numbers
    part        this as a part of the range of the output
    """

    name: str
    largest: float
    part: float

    @property
    def fails(self) -> bool:
        """Return whether it is larger than what is accepted."""
        return not self.part <= MOST


def compare(ours: Mapping[str, np.ndarray], theirs: Mapping[str, np.ndarray]) -> list[Difference]:
    """Return the difference of each output, in the order of `ours`. Outputs of another shape differ by infinity."""
    return [_difference(name, values, theirs[name]) for name, values in ours.items()]


def _difference(name: str, ours: np.ndarray, theirs: np.ndarray) -> Difference:
    if ours.shape != theirs.shape:
        return Difference(name, np.inf, np.inf)
    if not ours.size:
        return Difference(name, 0.0, 0.0)
    largest = float(np.abs(ours - theirs).max())
    return Difference(name, largest, largest / max(float(np.ptp(theirs)), float(np.abs(theirs).max()) * 1e-6, 1e-30))
