"""The proof that another program computes what a net computes: the same numbers go in, and the outputs are compared."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from minicaffe.log import number, shape_text
from minicaffe.net import Net
from minicaffe.testing.random_numbers import random_inputs

LIMIT = 1e-4  # of the range of an output
SIZES = (1, 50)  # of the random numbers: some nets take numbers around 1, others pixels
TINY = 1e-30  # a smaller range counts as this, because no number may be divided by 0

Arrays = Mapping[str, np.ndarray]


@dataclass
class Difference:
    """How an output of the other program differs from ours.

    output      its name
    largest     the largest difference of a number
    range       from the smallest to the largest of our numbers, 0 included
    wrong       in words, why the two cannot be compared, such as another shape; '' where they can
    """

    output: str
    largest: float = 0.0
    range: float = TINY
    wrong: str = ""

    @property
    def share(self) -> float:
        """The largest difference as a part of the range."""
        return np.inf if self.wrong else self.largest / self.range

    @property
    def agrees(self) -> bool:
        """Whether the difference is small enough."""
        return self.share <= LIMIT

    def __str__(self) -> str:
        if self.wrong:
            return f"{self.output!r}: {self.wrong}"
        return f"{self.output!r}: the largest difference is {number(self.largest)}, {number(self.share)} of the range"


def difference(output: str, ours: Sequence[np.ndarray], theirs: Sequence[np.ndarray]) -> Difference:
    """Compare an output in several runs."""
    found = Difference(output)
    low, high = 0.0, 0.0
    for mine, other in zip(ours, theirs, strict=True):
        if mine.shape != other.shape:
            return Difference(output, wrong=f"its shape is {shape_text(other.shape)}, and should be "
                                            f"{shape_text(mine.shape)}")
        if (strange := ~np.isfinite(other) & np.isfinite(mine)).any():
            return Difference(output, wrong=f"{int(strange.sum())} numbers are NaN or infinity, and should not be")
        finite = np.isfinite(mine)
        low, high = min(low, float(mine[finite].min(initial=0))), max(high, float(mine[finite].max(initial=0)))
        gap = np.abs(mine[finite].astype(np.float64) - other[finite])
        found.largest = max(found.largest, float(gap.max(initial=0)))
    found.range = max(high - low, TINY)
    return found


def random_runs(nets: Sequence[Net], seed: int = 0) -> list[tuple[dict[str, np.ndarray], dict[str, np.ndarray]]]:
    """Run each net on random numbers that suit its layers, and return (inputs, outputs) of each run."""
    runs = []
    for net in nets:
        for size in SIZES:
            draw = np.random.default_rng(seed)
            for name in net.inputs:
                net.blobs[name].data[...] = 0
            random_inputs(net, draw)
            for name in net.inputs:
                net.blobs[name].data[...] *= size
            inputs = {name: net.blobs[name].data.copy() for name in net.inputs}
            net.forward()
            runs.append((inputs, {name: net.blobs[name].data.copy() for name in net.outputs}))
    return runs


def compare(runs: Sequence[tuple[Arrays, Arrays]], other: Callable[[Arrays], Sequence[np.ndarray]]) -> list[Difference]:
    """Run the other program on the inputs of each run, and compare each output, in the order of our outputs."""
    names = list(runs[0][1])
    theirs = [other(inputs) for inputs, _ in runs]
    return [difference(name, [outputs[name] for _, outputs in runs], [found[k] for found in theirs])
            for k, name in enumerate(names)]
