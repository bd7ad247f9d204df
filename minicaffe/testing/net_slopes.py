"""The slope of a net's loss along one number of the net: how much the loss grows where the number grows a little.

    with pass_start(net) as start:       # minicaffe.testing.twin: what one forward pass of any net begins with
        net.forward()
    slopes = NetSlopes(start.twin())     # the same pass in float64, run again and again
    slopes.slope_of_param(i, k, index)   # blob k of layer i: what its diff must hold once layer i ran backward
    slopes.slope_of_blob(i, t, index)    # top t of layer i: what its diff must hold when layer i begins backward

Both return a Slope: the central difference (L(v + h) − L(v − h)) / 2h, the two one-sided differences, and whether the
number stands at a kink. At a kink the two sides have different slopes, as ReLU has at 0. Backward may give either of
them, or one between. An index is a tuple, as for an array, or the place in the flat array.

What a blob holds differs from layer to layer where layers run in place. `slope_of_blob` changes the number as it is
right after layer i wrote it, and runs only those layers again that depend on it. The tops of a Split are told apart,
though in the net they are one array: each has a diff of its own.

Several layers may share a parameter. Its diff is a sum that grows as backward goes from layer to layer. So
`slope_of_param` changes the number in layer i and in those after it that share it. For the first layer
this is the whole slope. With `alone=True` only layer i's share is meant.

Where the net computes no gradient for a bottom, such as the labels or a bottom with `propagate_down: false`, backward
leaves out what flows there. So do these slopes: the bottom keeps the numbers of the first pass. The same holds where
Caffe lets no gradient through, as from the second top of SoftmaxWithLoss (`gradient_to`, `gradient_from`).

Each pass draws the same random numbers and begins with the same statistics, so that a mask of Dropout does not move
and BatchNorm's averages do not drift. After each call all numbers are as they were before it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

import numpy as np

from minicaffe.blob import Blob
from minicaffe.net import Net
from minicaffe.testing.repeat import Repeated

DRAWS = (1701, 0)    # the pass whose random numbers are drawn, where none is named
STEP = 4e-6          # of a number of the size 1
SHRINK = 8.0         # after a step that may cross a kink, the next is so much smaller
TRIES = 4
STRAIGHT = 2e-5      # one-sided slopes that differ by no more than this part of them differ by curvature
SAME_GAP = 0.9       # a difference that stays although the step shrinks is that of a kink
ROUNDING = 16 * float(np.finfo(np.float64).eps)  # how much of the loss the rounding of a pass may change
SINGLE = 2.0 ** 29   # so many times as much in a layer that computes in float32

Index = int | Sequence[int]
Places = int | slice | np.ndarray  # of a flat array
Top = tuple[int, int]  # (layer, top): a blob as it is right after this layer wrote it


class Slope(NamedTuple):
    """The slope of the loss along one number.

    central       (L(v + h) − L(v − h)) / 2h
    left, right   (L(v) − L(v − h)) / h and (L(v + h) − L(v)) / h
    kink          whether these two differ by more than curvature and rounding explain
    step          h
    """

    central: float
    left: float
    right: float
    kink: bool
    step: float


@dataclass
class Variable:
    """The numbers that a slope is along: a blob after one layer wrote it, or a learnable blob.

    arrays    where the numbers are; those of a shared parameter are in several layers, of the same count
    layers    the layers that read the parameter
    top       the blob; None for a parameter
    start     the first layer that may have to run again
    """

    arrays: list[np.ndarray]
    start: int
    layers: set[int] = field(default_factory=set)
    top: Top | None = None

    @property
    def size(self) -> float:
        """How large the numbers are: `usual_size`."""
        return usual_size(self.arrays[0])


class Measures(Protocol):
    """What measures slopes: of the net's loss (NetSlopes), or of what one layer contributes to it (LayerSlopes)."""

    rounding: float

    def measure(self, variable: Variable, places: Places, direction: float | np.ndarray, step: float) -> Slope: ...


class NetSlopes:
    """The slopes of a net's loss, from passes that all begin alike.

    net         a float64 Net whose inputs are filled and that has not run since, such as `PassStart.twin()`. It belongs
                to this object from now on: the blobs of Split, Flatten and Reshape and shared parameters get memory of
                their own. After `base_pass`, backward may run on it
    draws       seed and place of the pass whose random numbers are drawn, as for `PassDraws.during`: a net whose pass
                ran under `net.draws.during(*draws)` had the same masks
    objective   (layer, top) -> the factor r, a number or an array of the top's shape: the loss is Σ r · y over these
                tops. None takes the loss weights of the net, as training does
    loss        the loss of the latest base pass, and `rounding`, by how much rounding may change it
    values      (layer, top) -> what it held in the base pass
    sources     for each bottom of each layer the (layer, top) that wrote it last
    single      the layers that compute in float32 all the same, whose slopes only large steps show

    Raises TypeError for a net that is not float64.
    """

    def __init__(self, net: Net, *, draws: Sequence[int] = DRAWS,
                 objective: Mapping[Top, float | np.ndarray] | None = None) -> None:
        if net.dtype is not np.float64:
            raise TypeError("slopes are measured in float64: make the net with dtype=np.float64")
        if objective is None:
            objective = {(i, t): weight for i, layer in enumerate(net.layers)
                         for t, weight in enumerate(layer.loss_weights) if weight}
        self.net, self.objective = net, dict(objective)
        self._layers = [Repeated(net, i, draws) for i in range(len(net.layers))]
        self._owners = _owners(net)
        self.sources = sources(net)
        self._flows = [[asked and layer.gradient_to(b) for b, asked in enumerate(net.plan.bottoms[i])]
                       for i, layer in enumerate(net.layers)]
        self.values: dict[Top, np.ndarray] = {}    # what each top held in the base pass
        self._holds: dict[int, Top | None] = {}    # blob, by identity -> whose numbers it holds; None: others
        self._begin()
        self.loss = self.base_pass()
        self.single = {i for i in range(len(net.layers)) if self._computes_in_float32(i)}

    def _begin(self) -> None:
        """Keep what the inputs hold, and give each parameter that shares memory memory of its own."""
        for i, layer in enumerate(self.net.layers):
            if layer.is_input:
                for t, top in enumerate(self.net.tops[i]):
                    self._keep((i, t), top)
        for param in self.net.all_params:
            if param.owner is not None:
                own = Blob(param.blob.shape, np.float64)
                own.data[...] = param.blob.data
                param.blob.share_data(own)

    # --- passes ------------------------------------------------------------------------------------

    def base_pass(self) -> float:
        """Run all layers forward on the numbers as they are, and return the loss. Backward may run after it."""
        for i in range(len(self.net.layers)):
            for t, top in enumerate(self.net.tops[i] if self.net.layers[i].is_input else ()):
                self._restore((i, t), top)
            self._layers[i].run()
            for t, top in enumerate(self.net.tops[i]):
                self._keep((i, t), top)
        parts = [r * self.values[top] for top, r in self.objective.items()]
        with np.errstate(all="ignore"):  # of a loss that is not finite, the loss itself tells
            self.rounding = ROUNDING * float(sum(np.abs(part).sum() for part in parts))
            self.loss = float(sum(part.sum() for part in parts))
        return self.loss

    def set_loss_diffs(self, factor: float = 1.0) -> None:
        """Write `factor` times r into the diffs of the tops that the loss sums, as backward needs it."""
        for (i, t), r in self.objective.items():
            self.net.tops[i][t].diff[...] = factor * np.asarray(r)

    def _keep(self, top: Top, blob: Blob) -> None:
        self.values[top] = blob.data.copy()
        self._holds[id(blob)] = top

    def _restore(self, top: Top, blob: Blob) -> None:
        """Let the blob hold what this top held in the base pass."""
        if self._holds.get(id(blob)) != top:
            blob.data[...] = self.values[top]
            self._holds[id(blob)] = top

    def _change_of_loss(self, variable: Variable) -> float:
        """Run again what depends on the variable, whose numbers were changed; return by how much the loss changed."""
        moved = set() if variable.top is None else {variable.top}
        change = sum(map(self._change_at, moved))
        for i in range(variable.start, len(self.net.layers)):
            touched = {top for top, flow in zip(self.sources[i], self._flows[i], strict=True) if flow and top in moved}
            if touched or i in variable.layers:
                self._run_again(i, touched)
                new = {(i, t) for t in range(len(self.net.tops[i])) if self.net.layers[i].gradient_from(t)}
                moved |= new
                change += sum(map(self._change_at, sorted(new)))
        return change

    def _run_again(self, i: int, touched: Collection[Top] = ()) -> None:
        """Run layer i on the numbers of the base pass, but for the bottoms that are `touched`."""
        for top, blob in zip(self.sources[i], self.net.bottoms[i], strict=True):
            if top not in touched:
                self._restore(top, blob)
        self._layers[i].run()
        for blob in self.net.tops[i]:
            self._holds[id(blob)] = None

    def _change_at(self, top: Top) -> float:
        """Return by how much the loss changed for what it sums of one top."""
        if top not in self.objective:
            return 0.0
        i, t = top
        return float((self.objective[top] * (self.net.tops[i][t].data - self.values[top])).sum())

    def _computes_in_float32(self, i: int) -> bool:
        """Return whether the tops hold only numbers of float32, though the bottoms that get gradients hold others.

        Whole numbers tell nothing: they may be counts, or all that a ReLU leaves.
        """
        given = [self.values[top] for top, flow in zip(self.sources[i], self._flows[i], strict=True) if flow]
        made = [self.values[i, t] for t in range(len(self.net.tops[i]))]
        return (bool(given) and not any(map(_is_single, given)) and all(map(_is_single, made))
                and any((values != np.round(values)).any() for values in made))

    # --- slopes ------------------------------------------------------------------------------------

    def slope_of_param(self, i: int, k: int, index: Index, *, alone: bool = False) -> Slope:
        """Return the slope along one number of blob k of layer i, in this layer and those after it that share it.

        With `alone` it is changed in layer i only.
        """
        return slope_of(self, self.param(i, k, alone=alone), index)

    def slope_of_blob(self, i: int, t: int, index: Index) -> Slope:
        """Return the slope along one number of top t of layer i, as it is right after the layer wrote it."""
        return slope_of(self, self.blob(i, t), index)

    def param(self, i: int, k: int, *, alone: bool = False) -> Variable:
        """Return blob k of layer i as a Variable, with the same blob in the layers after it that share it."""
        last = i if alone else len(self.net.layers)
        shared = [(i, k), *((j, m) for (j, m), owner in self._owners.items()
                            if owner == self._owners[i, k] and i <= j <= last and (j, m) != (i, k)
                            and self.net.layers[j].param_propagate_down[m])]
        return Variable([self.net.layers[j].blobs[m].data for j, m in shared], i, {j for j, _ in shared})

    def blob(self, i: int, t: int) -> Variable:
        """Return top t of layer i as a Variable."""
        self._restore((i, t), self.net.tops[i][t])
        return Variable([self.net.tops[i][t].data], i + 1, top=(i, t))

    def measure(self, variable: Variable, places: Places, direction: float | np.ndarray, step: float) -> Slope:
        """Return the slope along a direction, for this step alone; it does not say whether there is a kink.

        `places` are those of the flat array, and `direction` is a number or a flat array for them.
        """
        right = self._change(variable, places, step * direction) / step
        left = -self._change(variable, places, -step * direction) / step
        return Slope((left + right) / 2, left, right, False, step)

    def _change(self, variable: Variable, places: Places, shift: float | np.ndarray) -> float:
        """Return by how much the loss changes where the numbers at these places change by `shift`."""
        with self._shifted(variable, places, shift):
            return self._change_of_loss(variable)

    def tops_after(self, i: int, variable: Variable, places: Places, shift: float | np.ndarray) -> list[np.ndarray]:
        """Return what layer i puts out where some numbers of a bottom or a blob of it are changed by `shift`."""
        with self._shifted(variable, places, shift):
            self._run_again(i, set() if variable.top is None else {variable.top})
            return [top.data.copy() for top in self.net.tops[i]]

    @contextmanager
    def _shifted(self, variable: Variable, places: Places, shift: float | np.ndarray) -> Iterator[None]:
        """Within the block, the numbers at these places are changed; afterwards they are as before."""
        if variable.top is not None:
            top = self.net.tops[variable.top[0]][variable.top[1]]
            self._restore(variable.top, top)
            self._holds[id(top)] = None
        flats = [array.reshape(-1) for array in variable.arrays]
        before = [flat[places].copy() for flat in flats]
        for flat in flats:
            flat[places] += shift
        try:
            yield
        finally:
            for flat, values in zip(flats, before, strict=True):
                flat[places] = values


def slope_of(slopes: Measures, variable: Variable, index: Index) -> Slope:
    """Return the slope along one number of a Variable. Where it may cross a kink, the step shrinks."""
    values = variable.arrays[0]
    flat = index if isinstance(index, int) else int(np.ravel_multi_index(tuple(index), values.shape))
    step = STEP * max(abs(float(values.reshape(-1)[flat])), variable.size)
    slope, gap = Slope(0.0, 0.0, 0.0, False, step), 0.0
    for attempt in range(TRIES):
        slope, before = slopes.measure(variable, flat, 1.0, step / SHRINK ** attempt), gap
        gap = abs(slope.right - slope.left)
        if gap <= slopes.rounding / slope.step + STRAIGHT * max(abs(slope.left), abs(slope.right)):
            return slope
        if attempt and gap > SAME_GAP * before:
            break
    return slope._replace(kink=True)


def _is_single(values: np.ndarray) -> bool:
    with np.errstate(all="ignore"):
        return np.array_equal(values, values.astype(np.float32), equal_nan=True)


def usual_size(values: np.ndarray) -> float:
    """Return the root of the mean square of an array; 1 where all numbers are 0."""
    return float(np.sqrt(np.mean(values * values))) if values.any() else 1.0


def sources(net: Net) -> list[list[Top]]:
    """Return for each bottom of each layer the layer, and its top, that wrote it last."""
    latest: dict[int, Top] = {}
    found = []
    for i, (bottoms, tops) in enumerate(zip(net.bottoms, net.tops, strict=True)):
        found.append([latest[id(blob)] for blob in bottoms])
        latest.update((id(blob), (i, t)) for t, blob in enumerate(tops))
    return found


def _owners(net: Net) -> dict[tuple[int, int], int]:
    """Return for each (layer, blob) a number that is the same for all that share one parameter."""
    by_blob = {id(param.blob): id(param.owner or param) for param in net.all_params}
    return {(i, k): by_blob[id(blob)] for i, layer in enumerate(net.layers) for k, blob in enumerate(layer.blobs)}
