"""The proof column: beside each diff stands the slope of the loss, measured in float64.

A diff says how much the loss grows where a number grows a little. That can be measured: change the number, run the net
again, and look at the loss (minicaffe/testing/net_slopes.py). The net that runs again is a copy in float64, so that
rounding does not hide what is measured. It has the same weights, batch and random draws.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from minicaffe import kernels
from minicaffe.net import Net
from minicaffe.testing.net_slopes import NetSlopes, Slope, sources
from minicaffe.testing.twin import PassStart
from minicaffe.trace.arrays import Arrays
from minicaffe.trace.format import exact, number_of
from minicaffe.trace.trail import Waypoint

RELATIVE, OF_LARGEST = 2e-3, 1e-4  # float32 rounds sums, and what cancels in a sum leaves the error of its parts
OF_TOPS = 1e-6  # the parts of a bias's only diff do not stand beside it but in the top's diff, and may cancel to 0
TOLERANCE = (f"A diff agrees where it is within {100 * RELATIVE:g} % of the measured slope, or differs from it by less "
             f"than {OF_LARGEST:g} of the largest slope beside it, or {OF_TOPS:.6f} of the largest that reaches the "
             "layer's tops: the net computes in float32, the slope is measured in float64.")


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
        self._asked: list[tuple[int, dict[str, Any], dict[str, np.ndarray]]] = []
        self._before: dict[int, np.ndarray] = {}
        self._known: dict[tuple[Any, ...], Slope] = {}

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
            slopes = NetSlopes(self._start.twin(), draws=self.net.draws.place or (0,))
            self.single = [self.net.layer_names[i] for i in sorted(slopes.single)]
            self._slopes = None if self.single else slopes
            self._sources = sources(self.net)
            # where several passes make one update, the diffs of the passes before are in the parameters' diffs
            self._before = {id(param.blob): param.blob.diff.copy() for param in self.net.learnable_params
                            if not param.blob.storages[1].cleared and param.blob.storages[1].buffer is not None}

    def remember(self, i: int, moment: dict[str, Any]) -> None:
        """Note that layer i has run backward; its diffs are measured when the pass is over."""
        if self._slopes:
            self._asked.append((i, moment, {}))

    def measure(self, waypoints: Sequence[Waypoint]) -> None:
        """Measure what was noted, and add the proofs to the moments; and to the entries of the numbers on a way."""
        if not self._slopes:
            return
        kernels.use_engine("auto")  # `plain` would take much longer, and what it computes is not shown
        try:
            for i, moment, _ in self._asked:
                self._prove(i, moment)
            for waypoint in waypoints:
                self._prove_waypoint(waypoint)
        finally:
            kernels.use_engine("plain")
        self._slopes, self._asked = None, []

    def _prove(self, i: int, moment: dict[str, Any]) -> None:
        reaching = 0.0
        for role in ("top", "bottom", "param"):
            for j, value in enumerate(value for value in moment["values"] if value["role"] == role):
                if value["diff"] is None:
                    continue
                proof, largest = self._proof(i, j, value, reaching)
                moment["proofs"].append(proof)
                reaching = max(reaching, largest) if role == "top" else reaching
        verdicts = {role: "".join(proof["verdicts"] for proof in moment["proofs"] if (proof["role"] == "top") == role)
                    for role in (True, False)}
        if "d" in verdicts[False] and "d" not in verdicts[True]:
            moment["verdict"] = "differs"

    def _proof(self, i: int, j: int, value: dict[str, Any], reaching: float) -> tuple[dict[str, Any], float]:
        """Return the proof of a value's diff, and the largest slope in it; `reaching` is the largest of the tops."""
        entry = self.arrays.found[value["diff"]]
        shown = self.arrays.shown(math.prod(entry["shape"]))
        slopes = [self._slope(i, value["role"], j, flat) if k < self.places else None for k, flat in enumerate(shown)]
        largest = max((abs(slope.central) for slope in slopes if slope), default=0.0)
        before = self._before.get(id(self.net.layers[i].blobs[j])) if value["role"] == "param" else None
        verdicts, sides = "", {}
        for k, (slope, flat) in enumerate(zip(slopes, shown, strict=True)):
            diff = float(entry["values"][k]) - (float(before.reshape(-1)[flat]) if before is not None else 0.0)
            verdicts += verdict(diff, slope, max(largest, reaching * OF_TOPS / OF_LARGEST))
            if slope and verdicts[-1] == "k":
                sides[str(k)] = [_short(slope.left), _short(slope.right)]
        made = {"blob": value["blob"], "role": value["role"], "array": value["diff"], "verdicts": verdicts,
                "slopes": [None if slope is None else _short(slope.central) for slope in slopes]}
        return made | ({"sides": sides} if sides else {}), largest

    def _slope(self, i: int, role: str, j: int, flat: int) -> Slope:
        """Return the slope along one number of a bottom, a top or a param of layer i."""
        assert self._slopes
        layer, top = self._sources[i][j] if role == "bottom" else (i, j)
        key = role == "param", layer, top, flat
        if key not in self._known:
            measured = self._slopes.slope_of_param if role == "param" else self._slopes.slope_of_blob
            self._known[key] = measured(layer, top, flat)
        return self._known[key]

    def _prove_waypoint(self, waypoint: Waypoint) -> None:
        slope = self._slope(waypoint.layer, "bottom", waypoint.bottom, waypoint.flat)
        ends = self.arrays.found[waypoint.array]
        largest = max(abs(number_of(ends["min"] or 0)), abs(number_of(ends["max"] or 0)))
        letter = verdict(number_of(waypoint.entry["sum"]), slope, largest)
        waypoint.entry["proof"] = [letter, _short(slope.central)]


def verdict(diff: float, slope: Slope | None, largest: float) -> str:
    """Return the letter for a diff beside a slope: a agrees, d differs, k kink, - not measured."""
    if slope is None:
        return "-"
    low, high = min(slope.left, slope.right, slope.central), max(slope.left, slope.right, slope.central)
    if not slope.kink:
        low = high = slope.central
    room = max(RELATIVE * max(abs(low), abs(high)), OF_LARGEST * largest, 1e-9)
    if not low - room <= diff <= high + room:  # also where one of them is no number
        return "d"
    return "k" if slope.kink else "a"


def _short(value: float) -> Any:
    """Return a measured number for the page, with the digits of a float32: no more of them are exact."""
    return exact(np.float32(value))
