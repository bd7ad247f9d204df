"""The verdict on one gradient of a net: right, wrong, a consequence of another mistake, or not checked."""

from __future__ import annotations

import math
from dataclasses import dataclass

from minicaffe.testing.agreement import (
    AGREES,
    COARSE_TOLERANCE,
    DISAGREES,
    KINK,
    ROUNDING,
    STEPS,
    ZERO,
    Outcome,
    compare,
    compare_coarsely,
    compare_parts,
)
from minicaffe.testing.backward_run import Gradient, GradientSummary, LayerSlopes, whole
from minicaffe.testing.mistakes import kind_of
from minicaffe.testing.net_slopes import Measures, NetSlopes
from minicaffe.testing.slopes import FACTOR, NOT_PROPORTIONAL

RIGHT, WRONG, FOLLOWS, UNCHECKED = "right", "wrong", "follows", "not checked"

LINEAR = 1e-9  # how much a gradient may differ from one that is proportional to the tops' diffs, relative to its length
FILL = 7.0     # times the gradient's usual size: what a diff holds before a pass, which must overwrite it or add to it

ALONE = "on this layer alone"  # where differences of the net's loss tell nothing

UNCHECKED_BECAUSE = {ZERO: "0 on both sides", KINK: "all of its numbers stand at kinks",
                     ROUNDING: "so small that rounding may hide a mistake"}


@dataclass
class Row:
    """What was found of one gradient, or why a layer has none.

    layer, name, type    the layer that computes it: index, name and type
    blob                 'bottom[0] ip1' or 'blobs[1]'; '' where the layer computes no gradient
    shape                of the blob
    backward             the slope along a random direction, as backward computes it
    differences          the same slope, as a difference quotient of the net's loss
    error                |backward − differences|, relative to the larger one
    verdict              RIGHT; WRONG; FOLLOWS, where it is wrong because its layer was given a wrong gradient;
                         UNCHECKED
    why                  why it is wrong or was not checked
    """

    layer: int
    name: str
    type: str
    blob: str = ""
    shape: tuple[int, ...] = ()
    backward: float = 0.0
    differences: float = 0.0
    error: float = 0.0
    verdict: str = UNCHECKED
    why: str = ""


@dataclass(frozen=True)
class Passes:
    """What is known of a gradient from three backward passes, and what its layer was given.

    once      from an ordinary pass
    scaled    where the diffs of the loss were FACTOR times as large
    filled    where the diff held `before` before the layer ran
    layer     the slopes of the layer alone
    """

    once: GradientSummary
    scaled: GradientSummary
    filled: GradientSummary
    before: float
    layer: LayerSlopes


def size_from(summary: GradientSummary, count: int) -> float:
    """Return the root of the mean square of a gradient with so many numbers; 1 where it is 0 or not finite."""
    size = summary.length / math.sqrt(max(count, 1))
    return size if 0 < size < math.inf else 1.0


def judge(one: Gradient, passes: Passes, slopes: NetSlopes, tolerance: float, after_wrong: bool) -> Row:
    """Return the row of a gradient. `after_wrong` says that a layer which ran backward before is wrong."""
    net, i, k = slopes.net, one.layer, one.index
    name = "" if one.learned else " " + net.wiring.blob_names[net.wiring.bottoms[i][k]]
    row = Row(i, net.layer_names[i], net.layers[i].type, f"{'blobs' if one.learned else 'bottom'}[{k}]{name}",
              one.blob(slopes).shape, passes.once.along)
    if not math.isfinite(passes.once.along):
        row.verdict, row.why = (FOLLOWS, "") if after_wrong else (WRONG, "is not finite")
    else:
        _compare(row, one, passes, slopes, tolerance, after_wrong)
        if row.verdict == RIGHT:
            _compare_passes(row, one, passes, slopes, after_wrong)
        elif row.verdict == WRONG:
            row.why = _explained(row, one, passes)
    return row


def _compare(row: Row, one: Gradient, passes: Passes, slopes: NetSlopes, tolerance: float, after_wrong: bool) -> None:
    """Compare the slope that backward computes along a random direction with difference quotients.

    The first is one of the whole net. In a deep net rounding may hide the change of the loss, and each ReLU has kinks.
    Then the layer alone is looked at, with the diffs that backward hands to it. Where these diffs are right, that is as
    good, by the chain rule. Where they are wrong, it tells whether this layer is wrong too.
    """
    if slopes.single:  # so differences of the whole loss are lost in rounding
        _compare_alone(row, one, passes, slopes, tolerance, after_wrong)
        return
    net = _outcome(slopes, one, passes, tolerance, STEPS[:1])
    row.differences, row.error = net.quotient, net.error
    if net.what in (AGREES, ZERO) and not after_wrong:
        row.verdict, row.why = (RIGHT, "") if net.what == AGREES else (UNCHECKED, UNCHECKED_BECAUSE[ZERO])
        return
    alone = _outcome(passes.layer, one, passes, tolerance)
    if alone.what in (KINK, DISAGREES):
        alone = _outcome_of_parts(passes.layer, one, slopes, tolerance)
    if alone.what == DISAGREES or (not after_wrong and _net_disagrees(net, slopes, one, passes, tolerance)):
        row.verdict = WRONG
    elif after_wrong and net.what not in (AGREES, ZERO):
        row.verdict = FOLLOWS
    elif alone.what == AGREES:
        decisive = net if net.what == AGREES else alone
        row.verdict, row.backward, row.differences, row.error = (
            RIGHT, decisive.backward, decisive.quotient, decisive.error)
        words = [ALONE] if net.what != AGREES else []
        words += [f"without {alone.left_out} of its numbers, at or beside kinks"] if alone.left_out else []
        row.why = ", ".join(words)
    else:
        row.why = UNCHECKED_BECAUSE[alone.what]


def _compare_alone(row: Row, one: Gradient, passes: Passes, slopes: NetSlopes, tolerance: float,
                   after_wrong: bool) -> None:
    """Compare the slope along a random direction with difference quotients of this layer alone."""
    words = ALONE
    if one.layer in slopes.single:
        words += f", within {COARSE_TOLERANCE:.0%}: it computes in float32"
        variable = one.variable(slopes)
        found = compare_coarsely(passes.layer, variable, one.direction(variable.arrays[0].size), passes.once.along,
                                 passes.once.length)
    else:
        found = _outcome(passes.layer, one, passes, tolerance)
        if found.what in (KINK, DISAGREES):
            found = _outcome_of_parts(passes.layer, one, slopes, tolerance)
        if found.left_out:
            words += f", without {found.left_out} of its numbers, at or beside kinks"
    row.verdict = {AGREES: FOLLOWS if after_wrong else RIGHT, DISAGREES: WRONG}.get(found.what, UNCHECKED)
    row.why = words if row.verdict == RIGHT else UNCHECKED_BECAUSE.get(found.what, "")
    row.backward, row.differences, row.error = found.backward, found.quotient, found.error


def _net_disagrees(first: Outcome, slopes: NetSlopes, one: Gradient, passes: Passes, tolerance: float) -> bool:
    """Return whether a gradient is wrong in the net, although its layer computes it right from what it was given."""
    if first.what != DISAGREES:
        return False
    again = _outcome(slopes, one, passes, tolerance, STEPS[1:])
    return again.what == DISAGREES and _outcome_of_parts(slopes, one, slopes, tolerance).what == DISAGREES


def _outcome(measures: Measures, one: Gradient, passes: Passes, tolerance: float,
             steps: tuple[float, ...] = STEPS) -> Outcome:
    """Compare the slope along the gradient's direction."""
    variable = one.variable(passes.layer.slopes)
    direction = one.direction(variable.arrays[0].size)
    return compare(measures, variable, slice(None), direction, passes.once.along, passes.once.length, tolerance, steps)


def _outcome_of_parts(measures: Measures, one: Gradient, slopes: NetSlopes, tolerance: float) -> Outcome:
    """Compare the slopes of parts of the blob, to tell a mistake from kinks."""
    gradient = whole(slopes, one).reshape(-1)
    return compare_parts(measures, one.variable(slopes), gradient, one.direction(gradient.size), tolerance)


def _compare_passes(row: Row, one: Gradient, passes: Passes, slopes: NetSlopes, after_wrong: bool) -> None:
    """Find a gradient that is right, but not where the tops' diffs or what the diff held before are other ones.

    After a layer with such a mistake, the diffs that this layer was given are wrong in these passes, too. Then only
    what its own mistake explains exactly is held against it.
    """
    once, scaled, filled = passes.once, passes.scaled, passes.filled
    limit = LINEAR * (1 + FILL) * once.length
    gained = filled.along - once.along
    if abs(scaled.along - FACTOR * once.along) > limit:
        same = abs(scaled.along - once.along) <= limit
        row.verdict, row.why = (FOLLOWS, "") if after_wrong else (WRONG, (
            "is not multiplied by the top's diff, as it must be (for a loss: by loss_weight)" if same
            else NOT_PROPORTIONAL))
    elif abs(gained) > limit:
        own = passes.before * float(one.direction(one.blob(slopes).count).sum()) * (-1 if one.learned else 1)
        follows = after_wrong and abs(gained - own) > limit
        row.verdict, row.why = (FOLLOWS, "") if follows else (WRONG, _keeps_or_loses(one))


def _keeps_or_loses(one: Gradient) -> str:
    """Return what is wrong with a gradient that depends on what the diff held before."""
    if one.learned:
        return "is not added to what the diff held before: backward overwrites it (= where += belongs)"
    return "is added to what the diff held before, which backward must overwrite (+= where = belongs)"


def _explained(row: Row, one: Gradient, passes: Passes) -> str:
    """Return what is wrong with a gradient, with the kind of the mistake where one explains all numbers."""
    if one.learned:
        # A shared parameter's diff already holds what later layers added. Where the layer overwrites it, its share,
        # which is what the diff gained, is wrong by just that.
        count = one.blob(passes.layer.slopes).count
        before = passes.before * float(one.direction(count).sum())
        if abs(passes.filled.along + before - row.differences) <= 1e-5 * max(abs(row.differences), abs(before)):
            return _keeps_or_loses(one)
    kind = "" if one.layer in passes.layer.slopes.single else kind_of(one, passes.layer)
    return kind or (
        f"is wrong: along a random direction backward says {row.backward:.9g}, the difference quotient "
        f"{row.differences:.9g}")
