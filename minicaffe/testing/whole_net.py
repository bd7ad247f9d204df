"""Check a whole net: each of its gradients is compared with difference quotients of its loss, in float64.

The first layer that is wrong, in the order of a backward pass, is the one to mend: it was given right gradients. What
the layers after it in this order compute follows from its mistake.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import numpy as np

from minicaffe.layer import source_of
from minicaffe.log import plural
from minicaffe.net import Net
from minicaffe.testing.backward_run import Gradient, LayerSlopes, asked_of, summaries_of, top_diffs
from minicaffe.testing.net_slopes import NetSlopes, Top, sources
from minicaffe.testing.random_numbers import random_inputs, random_weights
from minicaffe.testing.slopes import FACTOR, GradientError
from minicaffe.testing.twin import PassStart, brings_data
from minicaffe.testing.verdict import FILL, RIGHT, WRONG, Passes, Row, judge, size_from

TOLERANCE = 1e-6
SHOWN = 6  # names in a remark

Follow = Callable[[Iterable[Gradient], int], Iterable[Gradient]]


@dataclass(repr=False)
class NetReport:
    """What check_net found.

    rows      one for each gradient, in the order of a backward pass, and one for each layer without a gradient
    loss      the loss of the pass that was checked
    first     the first row that is wrong; None where all are right
    where     the file and line of its layer, or ''
    remarks   what was done to the net before it was checked
    """

    rows: list[Row]
    loss: float
    first: Row | None = None
    where: str = ""
    remarks: list[str] = field(default_factory=list)

    @property
    def largest_error(self) -> float:
        """The largest error among the gradients that are right."""
        return max((row.error for row in self.rows if row.verdict == RIGHT), default=0.0)

    def __repr__(self) -> str:
        gradients = plural(sum(bool(row.blob) for row in self.rows), "gradient")
        wrong = f", {self.message()}" if self.first else ""
        return f"<NetReport: {self.count(RIGHT)} of {gradients} right{wrong}>"

    def count(self, verdict: str) -> int:
        """Return how many gradients have a verdict."""
        return sum(row.verdict == verdict for row in self.rows if row.blob)

    def message(self) -> str:
        """Return what is wrong in the first layer that is wrong; '' where all is right."""
        if self.first is None:
            return ""
        row = self.first
        return f"layer {row.name!r} ({row.type}): the gradient of {row.blob} {row.shape} {row.why}"


def check_net(net: Net, *, seed: int = 1701, tolerance: float = TOLERANCE) -> NetReport:
    """Compare every gradient of a net with difference quotients of its loss, and return the NetReport.

    net          any Net, of float32 or float64. It stays as it is, except that its data layers read one more batch
    seed         what all random numbers follow from: directions, masks of Dropout, inputs
    tolerance    the largest allowed error of a slope, relative to the slope

    A copy in float64 is checked. Its inputs and learnable blobs get random numbers where all their numbers are equal. A
    layer may compute in float32 all the same, and there rounding hides small changes. So it is compared with a larger
    step, within 5 %, and each layer of such a net is looked at alone.

    A net without a loss gets the loss Σ r · y over its outputs, for random r.

    Raises GradientError that names the first layer that is wrong, what is wrong there, and the kind of the mistake
    where one explains all numbers. Raises LayerError where a layer cannot run.
    """
    report = examine_net(net, seed=seed, tolerance=tolerance)
    if report.first is not None:
        raise GradientError(f"{report.where}: {report.message()}" if report.where else report.message())
    return report


def examine_net(net: Net, *, seed: int = 1701, tolerance: float = TOLERANCE,
                follow: Follow = lambda gradients, count: gradients) -> NetReport:
    """Do what check_net does, and return the report also where a gradient is wrong.

    `follow` is called with the gradients and their number, and returns the same gradients; it may show how many are
    done.
    """
    slopes, remarks = _prepared(net, seed)
    _check_finite(slopes)
    _check_repeats(slopes)
    once = summaries_of(slopes)
    scaled = summaries_of(slopes, factor=FACTOR)
    before = {one: FILL * size_from(summary, one.blob(slopes).count) for one, summary in once.items()}
    filled, dy = summaries_of(slopes, fill=before.__getitem__), top_diffs(slopes)
    report = NetReport([], slopes.loss, remarks=remarks)
    for one in follow(once, len(once)):
        passes = Passes(once[one], scaled[one], filled[one], before[one], LayerSlopes(slopes, one.layer, dy))
        row = judge(one, passes, slopes, tolerance, report.first is not None and report.first.layer != one.layer)
        if row.verdict == WRONG and report.first is None:
            report.first = row
        report.rows.append(row)
    report.rows += [_without_gradient(net, i) for i in reversed(range(len(net.layers)))
                    if not any(True for _ in asked_of(slopes, i))]
    report.rows.sort(key=lambda row: -row.layer)
    if report.first is not None:
        report.where = net.where(report.first.layer)
    return report


# --- the net that is checked -----------------------------------------------------------------------------------------


def _prepared(net: Net, seed: int) -> tuple[NetSlopes, list[str]]:
    """Return the slopes of a float64 copy of the net that is ready to be checked, and what was done to it, in words."""
    start, draw, remarks = PassStart(net), np.random.default_rng(seed), []
    for i in range(len(net.layers)):
        if brings_data(net, i):
            net.run(i, i)
            start.take_batch(i)
    losses = {(i, t) for i, layer in enumerate(net.layers) for t, weight in enumerate(layer.loss_weights) if weight}
    forced = not losses or not any(net.plan.layers)
    twin = start.twin(force_backward=True if forced else None)
    if forced:
        _leave_out_without_gradient(twin)
    read = {i for i in start.batch if getattr(source_of(net.layers[i]), "source_path", "")}
    for what, names in (("inputs", random_inputs(twin, draw, read)),
                        ("blobs of layers", random_weights(twin, draw))):
        if names:
            more = f" and {len(names) - SHOWN} more" if names[SHOWN:] else ""
            remarks.append(f"{what} whose numbers were all equal got random ones: {', '.join(names[:SHOWN])}{more}")
    if forced and losses:
        remarks.append("nothing in this net learns, so the gradients of all blobs are checked")
    slopes = NetSlopes(twin, draws=(seed, 0), objective=None if losses else {})
    if exact := [f"layer {layer.name!r} is checked {words}" for layer in twin.layers if (words := layer.make_exact())]:
        remarks += exact
        slopes.base_pass()
    if not losses:
        remarks.append("this net has no loss, so the gradients of Σ r · y over its outputs are checked, for random r")
        slopes.objective = _random_objective(twin, draw)  # now, for the first pass may have given the tops other shapes
        slopes.base_pass()
    return slopes, remarks


def _leave_out_without_gradient(twin: Net) -> None:
    """Ask for no gradient where a layer has none, as ArgMax, or where the bottom holds labels."""
    for i, layer in enumerate(twin.layers):
        twin.plan.bottoms[i] = [asked and layer.gradient_to(b) for b, asked in enumerate(twin.plan.bottoms[i])]
        twin.plan.layers[i] = any(twin.plan.bottoms[i]) or any(twin.plan.params[i])


def _random_objective(twin: Net, draw: np.random.Generator) -> dict[Top, np.ndarray]:
    """Return a random r for each top that passes a gradient back, and that no layer needs which does so itself.

    Where Accuracy or ArgMax end a net, these are the tops before them.
    """
    used = {top for layer, tops in zip(twin.layers, sources(twin), strict=True) for b, top in enumerate(tops)
            if layer.gradient_to(b)}
    return {(i, t): draw.standard_normal(top.shape) for i, layer in enumerate(twin.layers)
            for t, top in enumerate(twin.tops[i])
            if (i, t) not in used and layer.gradient_from(t) and not layer.is_input}


def _check_finite(slopes: NetSlopes) -> None:
    """GradientError where the loss is not finite: then there is no slope to measure."""
    if math.isfinite(slopes.loss):
        return
    words = f"the loss is {slopes.loss}, so that no gradient can be checked"
    for (i, t), values in slopes.values.items():
        if not np.isfinite(values).all():
            words += f"; the first numbers that are not finite are in {_top_of(slopes, i, t)}"
            break
    raise GradientError(words)


def _check_repeats(slopes: NetSlopes) -> None:
    """GradientError where two passes that begin alike end differently: then there is no slope to measure."""
    before, values = slopes.loss, dict(slopes.values)
    if slopes.base_pass() == before:
        return
    words = f"two passes with the same numbers give the losses {before:.17g} and {slopes.loss:.17g}"
    for (i, t), now in slopes.values.items():
        if not np.array_equal(now, values[i, t], equal_nan=True):
            words += f"; the first numbers that differ are in {_top_of(slopes, i, t)}"
            break
    raise GradientError(f"{words}. The layer draws random numbers that do not come from self.rng, or keeps something "
                        "from the pass before that is not in its resume_state")


def _top_of(slopes: NetSlopes, i: int, t: int) -> str:
    """Return a top of a layer in words."""
    net = slopes.net
    name = net.wiring.blob_names[net.wiring.tops[i][t]]
    return f"top[{t}] {name} of layer {net.layer_names[i]!r} ({net.layers[i].type})"


# --- layers without a gradient ---------------------------------------------------------------------------------------


def _without_gradient(net: Net, i: int) -> Row:
    """Return the row of a layer that computes no gradient, and why it does not."""
    layer, bottoms = net.layers[i], len(net.bottoms[i])
    if not bottoms:
        why = "it puts out data" if not layer.blobs else "its blobs are not learned"
    elif not any(layer.gradient_to(b) and layer.allow_force_backward(b) for b in range(bottoms)) and not layer.blobs:
        why = "the type computes none"
    else:
        why = "the net needs none from it: nothing before it learns, or no loss depends on it"
    return Row(i, layer.name, layer.type, why=f"no gradient: {why}")
