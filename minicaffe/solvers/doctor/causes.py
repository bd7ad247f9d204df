"""The likely causes of a NaN or Inf in a training, the one with the best evidence first."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from minicaffe.layer import Layer, LossLayer, source_of
from minicaffe.log import number
from minicaffe.net import Net
from minicaffe.solvers.doctor.watch import Place, finite

GROWTH = 10  # in a training that goes well, losses and gradients do not grow by this factor
STEP = 1e3  # in a well initialised net, activations do not grow by this factor from the first layer to the last
LARGE_INPUT = 200  # inputs of this size are bytes that were neither scaled nor had a mean subtracted
EARLY = 50  # updates; in a training that has gone well for longer, the size of the inputs is not the cause


class Moment(NamedTuple):
    """The numbers of an iteration. The gradient's norm is None where the iteration ended before it was computed."""

    iteration: int
    loss: float
    norm: float | None
    rate: float


def likely(param: Any, place: Place, iteration: int, history: Sequence[Moment]) -> list[str]:
    """At least one sentence; each names a cause, the evidence for it, and the cure.

    `param` is the SolverParameter, `history` the iterations before this one, the oldest first.
    """
    net, layer = place.net, place.net.layers[place.layer_index]
    if place.kind == "top" and not net.bottoms[place.layer_index]:
        return [_bad_input(layer, place)]  # nothing was computed before, so nothing else can be the cause
    if (place.kind, place.part) == ("param", "data"):
        return [_bad_weights(param, history)]
    found = [_statistics(place), _own_formula(net, place), *_targets(net), _growth(param, history)]
    if iteration == 0:
        found.append(_initial_weights(net, place))
    if iteration < EARLY:
        found.append(_large_inputs(net))
    known = [cause for cause in found if cause]
    if iteration == 0 and not known:
        return ["no update has been made yet: look at the weights that the training begins with, and at the inputs"]
    if iteration and not any("learning rate" in cause for cause in known):
        known.append(f"the learning rate is too high for this net: {_slower(param)}")
    return known


def of_growth(param: Any, net: Net, iteration: int) -> list[str]:
    """Return the likely causes of a loss that grows while it is finite; at least one sentence, as those of `likely`."""
    found = [f"the learning rate is too high for this net: {_slower(param)}", *_targets(net)]
    if iteration < EARLY:
        found.append(_large_inputs(net))
    return [cause for cause in found if cause]


def without_statistics(place: Place) -> Layer | None:
    """The first layer, up to the place, that needs statistics and has none yet, such as a new BatchNorm in a test."""
    layers = place.net.layers[:place.layer_index + 1]
    return next((layer for layer in layers if layer.missing_statistics()), None)


def _statistics(place: Place) -> str:
    layer = without_statistics(place)
    return f"layer {layer.name!r} ({layer.type}) {layer.missing_statistics()}" if layer else ""


def _bad_input(layer: Any, place: Place) -> str:
    at, source = place.first(), source_of(layer)
    keys = source.keys if source else []
    record = f", record {keys[at[0]]!r}" if at and at[0] < len(keys) else ""
    sample = f": sample {at[0]} of the batch{record}" if at else ""
    return f"the data are not finite before the net computes anything{sample}; look at the source, and at " \
           "mean and scale in transform_param"


def _bad_weights(param: Any, history: Sequence[Moment]) -> str:
    if not history:
        return "the weights were not finite before the first update: look at the file that they came from, " \
               "or at the fillers"
    last = history[-1]
    if last.norm is not None and not np.isfinite(last.norm):
        return "the last update was made with a gradient that was not finite"
    norm = f" of L2 norm {number(last.norm)}" if last.norm is not None else ""
    return f"the last update was too large for the weights' number type: learning rate {number(last.rate)} times " \
           f"a gradient{norm}; {_slower(param)}"


def _growth(param: Any, history: Sequence[Moment]) -> str:
    for what, values in (("the gradients' L2 norm", [m.norm for m in history if m.norm is not None]),
                         ("the loss", [abs(m.loss) for m in history])):
        finite_values = [v for v in values if np.isfinite(v)]
        if len(finite_values) > 1 and finite_values[-1] > GROWTH * min(finite_values) > 0:
            low = min(finite_values)
            return f"the learning rate is too high: {what} has grown from {number(low)} to " \
                   f"{number(finite_values[-1])} within {len(history)} iterations; {_slower(param)}"
    return ""


def _slower(param: Any) -> str:
    clipped = "" if param.clip_gradients > 0 else ", or set clip_gradients"
    return f"try base_lr: {number(param.base_lr / 10)}{clipped}, or begin with warmup_iter"


def _targets(net: Net) -> list[str]:
    """For each loss that can fall without limit on these targets, the reason."""
    return [layer.why_unbounded(bottoms) for layer, bottoms in zip(net.layers, net.bottoms, strict=True)
            if isinstance(layer, LossLayer)]


def _own_formula(net: Net, place: Place) -> str:
    """Return the part of the layer's own formula that has no finite value, such as log 0."""
    layer, bottoms, tops = net.layers[place.layer_index], net.bottoms[place.layer_index], net.tops[place.layer_index]
    # a layer that runs in place has overwritten the values that its formula was applied to
    if not bottoms or not bottoms[0].count or any(bottoms[0] is top for top in tops):
        return ""
    return layer.why_not_finite(bottoms)


def _initial_weights(net: Net, place: Place) -> str:
    """Return whether activations grow from layer to layer. Only layers that have already run in this pass count."""
    last = place.layer_index if place.kind == "top" else len(net.layers)
    sizes = [(layer.name, float(np.abs(tops[0].data).mean(dtype=np.float64)))
             for layer, tops, bottoms in zip(net.layers[:last], net.tops, net.bottoms, strict=False)
             if tops and tops[0].num_axes > 1 and tops[0].count and finite(tops[0].data)]
    if len(sizes) < 2 or not 0 < STEP * sizes[0][1] < sizes[-1][1]:
        return ""
    return f"the initial weights are too large: the mean size of a value grows from {number(sizes[0][1])} after " \
           f"layer {sizes[0][0]!r} to {number(sizes[-1][1])} after {sizes[-1][0]!r}; fill weights with xavier or msra"


def _large_inputs(net: Net) -> str:
    for layer, tops, bottoms in zip(net.layers, net.tops, net.bottoms, strict=True):
        if not bottoms and tops and tops[0].num_axes > 1 and tops[0].count:
            largest = float(np.max(np.abs(tops[0].data)))
            if LARGE_INPUT < largest < np.inf:
                return f"the inputs of layer {layer.name!r} run up to {number(largest)}: bring them near 1, images " \
                       "by scale: 0.00390625 in transform_param"
    return ""
