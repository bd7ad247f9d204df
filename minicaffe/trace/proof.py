"""The proof column: beside each diff stands the slope of the loss, measured in float64.

A diff says how much the loss grows where a number grows a little. That can be measured: change the number, run the net
again, and look at the loss (minicaffe/testing/net_slopes.py). The net that runs again is a copy in float64, so that
rounding does not hide what is measured. It has the same weights, batch and random draws.

Where numbers cancel in a sum, float32 leaves a remainder that is large beside the slope, which is nearly 0. So the copy
runs backward once, too. Where its diff agrees with the slope, the remainder is one of rounding, as long as it is as
small as rounding makes it.

Some layers' backward deliberately is not quite the derivative. Their diffs agree where the float64 copy has the same
ones, and agrees with the slope once its backward has been made exact; the page then says what was changed.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np

from minicaffe import kernels
from minicaffe.blob import Blob
from minicaffe.net import Net
from minicaffe.testing.net_slopes import NetSlopes, Slope, slope_of, sources
from minicaffe.testing.twin import PassStart
from minicaffe.trace.arrays import Arrays
from minicaffe.trace.format import WHOLE, exact, number_of
from minicaffe.trace.trail import Waypoint

RELATIVE, OF_LARGEST = 2e-3, 1e-4  # float32 rounds sums, and what cancels in a sum leaves the error of its parts
ROUNDED = 16 * float(np.finfo(np.float32).eps)  # of the sum of a pass's numbers, which may be lost where they cancel
TOLERANCE = (f"A diff agrees where it is within {100 * RELATIVE:g} % of the measured slope, or differs from it by less "
             f"than {OF_LARGEST:g} of the largest slope beside it: the net computes in float32, the slope is measured "
             "in float64. Where numbers cancel, what backward gives in float64 must agree with the slope.")
NO_SLOPES = "The loss is not a finite number, so no slopes can be measured beside the gradients."
AFFORDABLE = 3e10  # multiply-adds in float64 for one page's slopes: some 20 seconds on one core
OF_A_LAYER = 1e5   # a pass of any layer takes as long as so many multiply-adds, and each number as four

Key = tuple[int, str, int]  # layer, role and place of a blob
Diffs = dict[Key, np.ndarray]


class Asked(NamedTuple):
    """A backward pass of a layer that is to be proved.

    rounding    how far float32 may be from float64 where numbers cancel
    """

    layer: int
    moment: dict[str, Any]
    rounding: float


class Proofs:
    """Measures the slopes for the passes of one net.

    places    of how many numbers of an array; 0 for none
    single    names of the layers that compute in float32 also in the copy. Their rounding hides the slopes, so none are
              measured
    """

    def __init__(self, net: Net, arrays: Arrays, places: int) -> None:
        self.net, self.arrays, self.places = net, arrays, places
        self.single: list[str] = []
        self._start: PassStart | None = None
        self._slopes: NetSlopes | None = None
        self._asked: list[Asked] = []
        self._as_here: Diffs = {}  # the diffs in float64, as the layers compute them here
        self._exact: Diffs = {}    # and as those of layers that have been made exact
        self._changed: dict[int, str] = {}  # layer -> how it has been made exact
        self._before: dict[int, np.ndarray] = {}
        self._known: dict[tuple[Any, ...], Slope | None] = {}
        self.notes: list[str] = []  # sentences for the page

    def pass_begins(self) -> None:
        """Keep what the pass begins with."""
        if self.places:
            self._start = PassStart(self.net)

    def layer_ran(self, i: int) -> None:
        """Keep the batch, where layer i has put it out."""
        if self._start:
            self._start.take_batch(i)

    def forward_ends(self) -> None:
        """Make the float64 net, while the weights are those of the pass."""
        self._asked, self._known, self._slopes = [], {}, None
        if self._start and any(self.net.plan.layers):
            with _fast():
                slopes = NetSlopes(self._start.twin(), draws=self.net.draws.place or (0,))
            self.single = [self.net.layer_names[i] for i in sorted(slopes.single)]
            self.notes = [] if np.isfinite(slopes.loss) else [NO_SLOPES]
            self._slopes = None if self.single or self.notes else slopes
            self._sources = sources(self.net)
            # where several passes make one update, the diffs of the passes before are in the parameters' diffs
            self._before = {id(param.blob): param.blob.diff.copy() for param in self.net.learnable_params
                            if not param.blob.storages[1].cleared and param.blob.storages[1].buffer is not None}

    def remember(self, i: int, moment: dict[str, Any], top_diffs: Sequence[np.ndarray]) -> None:
        """Note that layer i has run backward on these diffs; what it made of them is measured when the pass is over."""
        if self._slopes:
            sizes = [np.abs(blob.data).max(initial=0) for blob in (*self.net.bottoms[i], *self.net.layers[i].blobs)]
            summed = sum(float(np.abs(diff).sum(dtype=np.float64)) for diff in top_diffs)
            self._asked.append(Asked(i, moment, ROUNDED * summed * max((1.0, *map(float, sizes)))))

    def measure(self, waypoints: Sequence[Waypoint]) -> None:
        """Measure what was noted, and add the proofs to the moments; and to the entries of the numbers on a way."""
        if not self._slopes:
            return
        with _fast():
            self._as_here = self._exact = self._run_backward(self._slopes)
            self._changed = {i: words for i, layer in enumerate(self._slopes.net.layers)
                             if (words := layer.make_exact())}
            if self._changed:
                self._slopes.base_pass()
                self._exact = self._run_backward(self._slopes)
            for asked in self._asked:
                self._prove(asked)
            for waypoint in waypoints:
                self._prove_waypoint(waypoint)
        self._slopes, self._asked, self._as_here, self._exact = None, [], {}, {}

    def _run_backward(self, slopes: NetSlopes) -> Diffs:
        """Run the float64 net backward. Return what the page shows of each diff."""
        net = slopes.net
        found: Diffs = {}

        def keep(i: int, role: str, blobs: Sequence[Blob]) -> None:
            for j, blob in enumerate(blobs):
                found[i, role, j] = blob.diff.reshape(-1)[self.arrays.shown(blob.count)]

        def after(i: int) -> None:
            keep(i, "bottom", net.bottoms[i])
            keep(i, "param", net.layers[i].blobs)

        net.before_backward[:] = [lambda i: keep(i, "top", net.tops[i])]  # the net is ours alone
        net.after_backward[:] = [after]
        net.clear_param_diffs()
        slopes.set_loss_diffs()
        net.backward_pass()
        return found

    def _prove(self, asked: Asked) -> None:
        moment = asked.moment
        counts = {"bottom": 0, "top": 0, "param": 0}
        for value in moment["values"]:
            j = counts[value["role"]]
            counts[value["role"]] += 1
            if value["diff"] is not None:
                moment["proofs"].append(self._proof(asked, j, value))
        verdicts = {role: "".join(proof["verdicts"] for proof in moment["proofs"] if (proof["role"] == "top") == role)
                    for role in (True, False)}
        if "d" in verdicts[False] and "d" not in verdicts[True]:
            moment["verdict"] = "differs"

    def _proof(self, asked: Asked, j: int, value: dict[str, Any]) -> dict[str, Any]:
        i, key = asked.layer, (asked.layer, value["role"], j)
        entry = self.arrays.found[value["diff"]]
        shown = self.arrays.shown(math.prod(entry["shape"]))
        slopes = [self._slope(i, value["role"], j, flat) if k < self.places else None for k, flat in enumerate(shown)]
        largest = max((abs(slope.central) for slope in slopes if slope), default=0.0)
        before = self._before.get(id(self.net.layers[i].blobs[j])) if value["role"] == "param" else None
        verdicts, sides = "", {}
        for k, (slope, flat) in enumerate(zip(slopes, shown, strict=True)):
            diff = float(entry["values"][k]) - (float(before.reshape(-1)[flat]) if before is not None else 0.0)
            verdicts += verdict(diff, slope, largest)
            if slope and verdicts[-1] == "d":
                verdicts = verdicts[:-1] + self._second_verdict(diff, slope, largest, asked, key, k)
            if slope and verdicts[-1] == "k":
                sides[str(k)] = [_short(slope.left), _short(slope.right)]
        made = {"blob": value["blob"], "role": value["role"], "array": value["diff"], "verdicts": verdicts,
                "slopes": [None if slope is None else _short(slope.central) for slope in slopes]}
        return made | ({"sides": sides} if sides else {})

    def _second_verdict(self, diff: float, slope: Slope, largest: float, asked: Asked, key: Key, k: int) -> str:
        """Return the letter for a diff that differs: another one where rounding or a deliberate change explains it."""
        assert self._slopes
        here, exact_one = self._as_here[key], float(self._exact[key][k])
        deliberate = self._as_here is not self._exact and not math.isclose(here[k], exact_one, rel_tol=1e-9)
        room = asked.rounding
        if deliberate:
            room = max(room, RELATIVE * abs(here[k]), OF_LARGEST * float(np.abs(here).max(initial=0)))
        if not abs(diff - here[k]) <= room:
            return "d"
        letter = verdict(exact_one, slope, largest, self._slopes.rounding / slope.step)
        if letter != "d" and deliberate and (words := self._changed.get(asked.layer)):
            asked.moment["note"] = f"The slopes are those of the layer {words}."
        return letter

    def _slope(self, i: int, role: str, j: int, flat: int) -> Slope | None:
        """Return the slope along one number of a bottom, a top or a param of layer i; None beside NaN or infinity."""
        assert self._slopes
        layer, top = self._sources[i][j] if role == "bottom" else (i, j)
        key = role == "param", layer, top, flat
        if key not in self._known:
            slopes = self._slopes
            along = slopes.param(layer, top) if role == "param" else slopes.blob(layer, top)
            self._known[key] = slope_of(slopes, along, flat) if np.isfinite(along.arrays[0]).all() else None
        return self._known[key]

    def _prove_waypoint(self, waypoint: Waypoint) -> None:
        slope = self._slope(waypoint.layer, "bottom", waypoint.bottom, waypoint.flat)
        ends = self.arrays.found[waypoint.array]
        largest = max(abs(number_of(ends["min"] or 0)), abs(number_of(ends["max"] or 0)))
        letter = verdict(number_of(waypoint.entry["sum"]), slope, largest)
        waypoint.entry["proof"] = [letter, None if slope is None else _short(slope.central)]


def affordable(net: Net, iterations: int = 1) -> int:
    """Return beside how many numbers of each gradient slopes can be measured in about half a minute; 0 for none."""
    costs = [layer.multiply_adds(bottoms, tops) + 4 * sum(blob.count for blob in (*bottoms, *tops)) + OF_A_LAYER
             for layer, bottoms, tops in zip(net.layers, net.bottoms, net.tops, strict=True)]
    behind = [2 * iterations * sum(costs[i:]) for i in range(len(costs) + 1)]  # of one slope: two passes from layer i
    counts = [(blob.count, behind[i + is_top]) for i, layer in enumerate(net.layers) if net.plan.layers[i]
              for is_top, blobs in ((0, layer.blobs), (1, net.tops[i])) for blob in blobs]
    return next((places for places in (WHOLE, 32, 16, 8, 4, 2, 1)
                 if sum(min(places, count) * cost for count, cost in counts) <= AFFORDABLE), 0)


@contextmanager
def _fast() -> Iterator[None]:
    """Within the block, run the fastest engine: `plain` takes much longer, and what is computed here is not shown."""
    engine = kernels.engine()
    kernels.use_engine("auto")
    try:
        yield
    finally:
        kernels.use_engine(engine)


def verdict(diff: float, slope: Slope | None, largest: float, noise: float = 0.0) -> str:
    """Return the letter for a diff beside a slope: a agrees, d differs, k kink, - not measured.

    noise    by how much the slope itself may be wrong
    """
    if slope is None:
        return "-"
    low, high = min(slope.left, slope.right, slope.central), max(slope.left, slope.right, slope.central)
    if not slope.kink:
        low = high = slope.central
    room = max(RELATIVE * max(abs(low), abs(high)), OF_LARGEST * largest, noise, 1e-9)
    if not low - room <= diff <= high + room:  # also where one of them is no number
        return "d"
    return "k" if slope.kink else "a"


def _short(value: float) -> Any:
    """Return a measured number for the page, with the digits of a float32: no more of them are exact."""
    return exact(np.float32(value))
