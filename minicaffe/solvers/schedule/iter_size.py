"""iter_size: the gradients of k passes joined so that they are the gradient of one pass over a k times larger batch.

A loss divides the sum over its cells by a count z (LossLayer.counted): the size of the batch, or how many labels are
not ignored. Caffe takes the mean of the passes, Σ g_i / k, which is the large batch's gradient only where all counts
are equal. What the large batch would give is

    G = Σ z_i · g_i / Σ z_i         for a loss that divides,            z_i · g_i being the sum over pass i
    G = Σ g_i                       for one that does not (normalization: NONE)

One buffer takes all passes up, and Σ z is known only after the last. So pass i enters with the factor z_i / z_1 and
the end divides by D = Σ z_i / z_1: k where all counts are equal, and then every bit is Caffe's.
A loss that does not divide enters with the factor k, for D is k beside it.
Where several losses of a net count in different proportions, their D differ: the mean of them is taken, with a warning.
"""

from __future__ import annotations

from minicaffe.layer import LossLayer
from minicaffe.log import At, number, warn
from minicaffe.net import Net


class Passes:
    """The passes of one update after the other: `weigh` after each forward pass, `end` after the last."""

    def __init__(self, net: Net, count: int) -> None:
        self.count = count
        self._losses = [layer for i, layer in enumerate(net.layers)
                        if isinstance(layer, LossLayer) and net.plan.layers[i] and count > 1]
        self._warned = False
        self._begin()

    def _begin(self) -> None:
        self._first = [0.0] * len(self._losses)  # z_1: the first count that is not 0
        self._sums = [0.0] * len(self._losses)

    def weigh(self) -> None:
        """After a forward pass: give each loss the factor of its gradient in the coming backward pass."""
        for i, layer in enumerate(self._losses):
            z = layer.counted
            if z is None:
                layer.share = float(self.count)
                continue
            self._first[i] = self._first[i] or z
            self._sums[i] += z
            layer.share = z / self._first[i] if z else 1.0  # with nothing counted the gradient is 0 anyway

    def end(self) -> float:
        """What the sum of the passes is to be divided by. The losses are as before, and the next update may begin."""
        divisor = self._divisor()
        for layer in self._losses:
            layer.share = 1.0
        self._begin()
        return divisor

    def _divisor(self) -> float:
        found = [total / first for total, first in zip(self._sums, self._first, strict=True) if first]
        if any(layer.counted is None for layer in self._losses):
            found.append(float(self.count))
        if not found:
            return float(self.count)
        if max(found) - min(found) > 1e-9 * max(found) and not self._warned:
            self._warned = True
            names = ", ".join(layer.name for layer in self._losses)
            warn(At.ITER_SIZE, f"iter_size: the losses {names} count their labels in different proportions "
                 f"from pass to pass ({number(min(found))} to {number(max(found))} times the first): this update is "
                 "not quite that of one larger batch")
        return sum(found) / len(found)
