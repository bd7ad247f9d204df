"""Compare a slope that backward computes with difference quotients, in spite of rounding and kinks.

A kink is a place without a derivative, such as 0 for ReLU: the slopes to its two sides differ.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from minicaffe.testing.net_slopes import Measures, Places, Variable

STEPS = (1e-6, 2e-7, 3e-8, 1e-9)  # relative to the size of the numbers; a smaller one crosses fewer kinks
LARGER = (1e-4, 1e-2, 1.0, 1e3, 1e6, 1e9, 1e12)  # for very small numbers, where rounding hides the slope
LARGEST = 1e-3  # but no step is larger than this
KINKED = 0.02   # where the two sides differ by so much of the error, a kink may be the reason for it
SHRINKS = 0.5   # an error that becomes so much smaller with the step comes from the step
COARSE_STEP = 1e-3       # in a layer that computes in float32, where smaller ones are lost in rounding
COARSE_TOLERANCE = 0.05  # there: what such a step leaves of curvature and kinks is smaller, and a mistake is larger
ROUNDED = 3.0   # an error of so many times what rounding explains is no rounding
SMALL = 0.1     # a slope is small by chance where it is less than this part of the gradient's length
PARTS = 100     # after so many parts of a blob that stand at kinks, the rest of it is left out

AGREES, DISAGREES, KINK, ROUNDING, ZERO = "agrees", "disagrees", "kink", "rounding", "zero"


@dataclass(frozen=True)
class Outcome:
    """The result of a comparison of two slopes.

    what         AGREES; DISAGREES; KINK, where numbers stand at a kink; ROUNDING, where rounding may explain the whole
                 slope; ZERO, where both are 0
    backward     the slope that backward computes
    quotient     the difference quotient
    error        relative to the larger of them
    left_out     how many numbers stand at kinks, so that no slope of theirs was compared
    """

    what: str
    backward: float
    quotient: float
    error: float
    left_out: int = 0


def compare(slopes: Measures, variable: Variable, places: Places, direction: np.ndarray, along: float, length: float,
            tolerance: float, steps: Sequence[float] = STEPS) -> Outcome:
    """Compare the slope of some numbers along a direction, as backward has it, with difference quotients.

    along     the slope that backward computes
    length    the length of the gradient of these numbers

    Of several steps, the first that agrees decides. A wrong gradient rarely agrees by accident, because the tolerance
    is small.
    """
    found, last = Outcome(ROUNDING if length else ZERO, along, 0.0, 0.0), 0.0
    for step in (*steps, *LARGER) if steps == STEPS else steps:
        if step in LARGER and (found.what in (DISAGREES, KINK) or step * variable.size > LARGEST):
            break  # a large step is wrong by curvature and kinks, so it can only confirm
        slope = slopes.measure(variable, places, direction, step * variable.size)
        noise = slopes.rounding / slope.step
        error = abs(slope.central - along)
        scale = max(abs(along), abs(slope.central), SMALL * length)
        if length and error <= tolerance * scale:
            return Outcome(AGREES, along, slope.central, error / scale)
        if error <= ROUNDED * noise or step in LARGER:
            found = replace(found, quotient=slope.central)
        else:
            kink = abs(slope.right - slope.left) > KINKED * error + noise or error < SHRINKS * last
            last = error
            found = Outcome(KINK if kink else DISAGREES, along, slope.central, error / scale)
    return found


def compare_coarsely(slopes: Measures, variable: Variable, direction: np.ndarray, along: float,
                     length: float) -> Outcome:
    """Compare the slope along a direction in a layer that computes in float32: larger mistakes are found."""
    slope = slopes.measure(variable, slice(None), direction, COARSE_STEP * variable.size)
    scale, error = max(abs(along), abs(slope.central), SMALL * length), abs(slope.central - along)
    if not scale:
        return Outcome(ZERO, along, slope.central, 0.0)
    noise = slopes.rounding / slope.step
    what = AGREES if error <= COARSE_TOLERANCE * scale else ROUNDING if error <= ROUNDED * noise else DISAGREES
    return Outcome(what, along, slope.central, error / scale)


def compare_parts(slopes: Measures, variable: Variable, gradient: np.ndarray, direction: np.ndarray,
                  tolerance: float) -> Outcome:
    """Compare the slopes of parts of a blob, and leave out the numbers that stand at kinks.

    gradient, direction    flat arrays

    Parts that do not agree are halved. Parts without a sign of a kink come first. So, if backward is wrong, one number
    is found at which it is wrong, away from a kink. After PARTS parts at kinks the rest is left out. Numbers that occur
    more than once are looked at last, because where two numbers of a window are its largest, there is a kink.
    """
    values = variable.arrays[0].reshape(-1)
    _, first, count = np.unique(values, return_inverse=True, return_counts=True)
    often = count[first] > 1
    parts = deque(part for part in (np.flatnonzero(~often), np.flatnonzero(often)) if part.size)
    agreed: list[Outcome] = []
    left_out, kinks = 0, 0
    while parts:
        part = parts.popleft()
        if kinks == PARTS:
            left_out += part.size
            continue
        g, r = gradient[part], direction[part]
        outcome = compare(slopes, variable, part, r, float(g @ r), float(np.sqrt(g @ g)), tolerance)
        kinks += outcome.what == KINK
        if outcome.what == AGREES:
            agreed.append(outcome)
        elif outcome.what == DISAGREES and part.size == 1:
            return outcome
        elif outcome.what == DISAGREES:
            parts.extendleft(np.array_split(part, 2))
        elif outcome.what == KINK and part.size > 1:
            parts.extend(np.array_split(part, 2))
        else:
            left_out += part.size * (outcome.what == KINK)
    if not agreed:
        return Outcome(KINK, float(gradient @ direction), 0.0, 0.0, left_out)
    worst = max(agreed, key=lambda one: one.error)
    return Outcome(AGREES, worst.backward, worst.quotient, worst.error, left_out)


def place_that_disagrees(count: int, differs: Callable[[np.ndarray], float]) -> int:
    """Return a place in a flat array of `count` numbers at which backward is wrong, found by halving.

    `differs` is called with places and returns by how much the slopes along their directions differ.
    """
    places = np.arange(count)
    while places.size > 1:
        places = max(np.array_split(places, 2), key=differs)
    return int(places[0])
