"""Run a net backward and look at each gradient as soon as its layer has computed it, before it is overwritten."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from minicaffe.blob import Blob
from minicaffe.testing.net_slopes import ROUNDING, SINGLE, NetSlopes, Places, Slope, Top, Variable
from minicaffe.testing.twin import is_statistic


@dataclass(frozen=True)
class Gradient:
    """One gradient that the backward pass of a layer computes.

    layer     the layer's index
    index     of the bottom, or of the learnable blob
    learned   whether it is a learnable blob: of a shared one, this layer's share alone is meant
    """

    layer: int
    index: int
    learned: bool

    def blob(self, slopes: NetSlopes) -> Blob:
        """Return the blob whose diff it is."""
        layer = slopes.net.layers[self.layer]
        return layer.blobs[self.index] if self.learned else slopes.net.bottoms[self.layer][self.index]

    def variable(self, slopes: NetSlopes) -> Variable:
        """Return the numbers that the gradient is of."""
        if self.learned:
            return slopes.param(self.layer, self.index, alone=True)
        return slopes.blob(*slopes.sources[self.layer][self.index])

    def direction(self, count: int) -> np.ndarray:
        """Return normal numbers, `count` of them: always the same for this gradient."""
        return np.random.default_rng([self.layer, self.index, self.learned]).standard_normal(count)


@dataclass(frozen=True)
class GradientSummary:
    """What is kept of a gradient after the pass: its slope along a direction, and its length."""

    along: float
    length: float


def asked_of(slopes: NetSlopes, i: int) -> Iterator[Gradient]:
    """Yield the gradients that layer i computes: of its bottoms, then of its learnable blobs."""
    layer = slopes.net.layers[i]
    if not slopes.net.plan.layers[i]:
        return
    for b, asked in enumerate(slopes.net.plan.bottoms[i]):
        if asked:
            yield Gradient(i, b, False)
    for k, asked in enumerate(layer.param_propagate_down):
        if asked and not is_statistic(layer, k):
            yield Gradient(i, k, True)


def run_backward(slopes: NetSlopes, look: Callable[[Gradient, np.ndarray], None], *, factor: float = 1.0,
                 fill: Callable[[Gradient], float] | None = None) -> None:
    """Run the net forward and backward, and call `look` with each gradient when its layer has computed it.

    factor   by which the diffs of the tops that make up the loss are multiplied
    fill     returns the number with which a diff is filled before its layer runs. Without it, the diff of a bottom
             holds 0, and that of a parameter the sum so far
    """
    net = slopes.net
    slopes.base_pass()
    net.clear_param_diffs()
    slopes.set_loss_diffs(factor)
    for i in reversed(range(len(net.layers))):
        asked = list(asked_of(slopes, i))
        if not asked:
            continue
        tops = {id(top.storages[1]) for top in net.tops[i]}
        own = [one for one in asked if id(one.blob(slopes).storages[1]) not in tops]  # not one array with a top's diff
        for one in own:
            if fill or not one.learned:
                one.blob(slopes).diff.fill(fill(one) if fill else 0)
        before = {one: one.blob(slopes).diff.copy() for one in own if one.learned}
        net.backward_pass(i, i)
        for one in asked:
            diff = one.blob(slopes).diff
            look(one, diff - before[one] if one in before else diff)


def summaries_of(slopes: NetSlopes, *, factor: float = 1.0,
               fill: Callable[[Gradient], float] | None = None) -> dict[Gradient, GradientSummary]:
    """Run backward, and return for each gradient its slope along its direction."""
    found = {}

    def look(gradient: Gradient, values: np.ndarray) -> None:
        with np.errstate(all="ignore"):  # a NaN is reported later
            along = float(values.reshape(-1) @ gradient.direction(values.size))
            found[gradient] = GradientSummary(along, float(np.sqrt(np.square(values).sum())))

    run_backward(slopes, look, factor=factor, fill=fill)
    return found


def whole(slopes: NetSlopes, wanted: Gradient, *, factor: float = 1.0) -> np.ndarray:
    """Run backward, and return one gradient."""
    found = []
    run_backward(slopes, lambda gradient, values: found.append(values.copy()) if gradient == wanted else None,
                 factor=factor)
    return found[0]


def top_diffs(slopes: NetSlopes) -> dict[Top, np.ndarray]:
    """Run backward, and return the diff of each top as its layer finds it when it runs backward."""
    found = {}
    net = slopes.net

    def keep(i: int) -> None:
        found.update({(i, t): top.diff.copy() for t, top in enumerate(net.tops[i]) if net.plan.layers[i]})

    net.before_backward.append(keep)
    try:
        run_backward(slopes, lambda gradient, values: None)
    finally:
        net.before_backward.remove(keep)
    return found


class LayerSlopes:
    """The slopes of Σ dy · y over the tops of one layer, where dy are the diffs that backward hands to it.

    dy    what `top_diffs` returns

    Where dy is right, these slopes are those of the net's loss, by the chain rule, but with less rounding.
    """

    def __init__(self, slopes: NetSlopes, i: int, dy: dict[Top, np.ndarray]) -> None:
        self.slopes, self.layer = slopes, i
        self.dy = [dy[i, t] for t in range(len(slopes.net.tops[i]))]
        self.y = [slopes.values[i, t] for t in range(len(slopes.net.tops[i]))]
        rounding = ROUNDING * SINGLE if i in slopes.single else ROUNDING
        self.rounding = rounding * float(sum(np.abs(d * y).sum() for d, y in zip(self.dy, self.y, strict=True)))

    def measure(self, variable: Variable, places: Places, direction: float | np.ndarray, step: float) -> Slope:
        """Return the slope along a direction of some numbers of a bottom or a blob of the layer."""
        right, left = (sign * self._change(variable, places, sign * step * direction) / step for sign in (1, -1))
        return Slope((left + right) / 2, left, right, False, step)

    def _change(self, variable: Variable, places: Places, shift: float | np.ndarray) -> float:
        tops = self.slopes.tops_after(self.layer, variable, places, shift)
        return float(sum((d * (y - before)).sum() for d, y, before in zip(self.dy, tops, self.y, strict=True)))
