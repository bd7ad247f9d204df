"""iter_size: the gradients of k passes are put together to the gradient of one pass over a batch k times as large.

A loss divides the sum over its cells by a count z (LossLayer.counted): the size of the batch, or the number of labels
that are not ignored. Caffe takes the mean of the passes, Σ g_i / k. This is the gradient of the large batch only where
all counts are equal. The large batch would give

    G = Σ z_i · g_i / Σ z_i         for a loss that divides,            z_i · g_i being the sum over pass i
    G = Σ g_i                       for one that does not (normalization: NONE)

The gradients of all passes add up in one buffer, and Σ z is known only after the last pass. So the gradient of pass i
is multiplied by z_i / z_1, and in the end the sum is divided by D = Σ z_i / z_1. Where all counts are equal, D is k and
the factors are 1, so that every bit is Caffe's.
The gradient of a loss that does not divide is multiplied by k, because the sum is divided by D, which is then k.
Where several losses of a net count in different proportions, each has a D of its own. Then the mean of these is taken,
and a warning says so.
"""

from __future__ import annotations

from minicaffe.layer import LossLayer
from minicaffe.log import At, number, warn
from minicaffe.net import Net


class Passes:
    """The passes of each update: call `weigh` after each forward pass, and `end` after the last backward pass."""

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
        """After a forward pass, tell each loss by which factor to multiply its gradient in the backward pass."""
        for i, layer in enumerate(self._losses):
            z = layer.counted
            if z is None:
                layer.share = float(self.count)
                continue
            self._first[i] = self._first[i] or z
            self._sums[i] += z
            layer.share = z / self._first[i] if z else 1.0  # with nothing counted the gradient is 0 anyway

    def end(self) -> float:
        """Return the divisor of the summed gradients, and make ready for the next update."""
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
        # 1e-9: more than the rounding of the sums, and less than one label in any batch
        if max(found) - min(found) > 1e-9 * max(found) and not self._warned:
            self._warned = True
            names = ", ".join(layer.name for layer in self._losses)
            warn(At.ITER_SIZE, f"iter_size: the losses {names} count their labels in different proportions "
                 f"from pass to pass ({number(min(found))} to {number(max(found))} times the first): this update is "
                 "not quite that of one larger batch")
        return sum(found) / len(found)
