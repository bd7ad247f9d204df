"""The slopes of a layer's loss, from `backward` and from difference quotients: how far apart they are, and why."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from minicaffe.blob import Blob

EVERY_ELEMENT = 400  # larger blobs are checked along random directions instead
DIRECTIONS = 8
NOTHING = 1e-8       # a slope below it is lost in the rounding of a difference quotient
ALIKE = 1e-5         # a mistake is named where it explains all numbers with this error, relative to the largest
FACTOR = -2.0        # where the tops' diffs are multiplied by this, every gradient must be so too

NOT_PROPORTIONAL = (f"is not proportional to the tops' diffs: with {FACTOR:g} times the diffs it should be {FACTOR:g} "
                    "times as large")


class GradientError(AssertionError):
    """`backward` disagrees with the difference quotient of `forward`; or both are 0, and nothing was checked."""


@dataclass(frozen=True)
class Slopes:
    """The slopes of L along some directions in one blob: from backward, and from the difference quotient."""

    places: list[str]
    directions: list[np.ndarray]
    backward: np.ndarray
    quotient: np.ndarray

    def largest_error(self, tolerance: float, zero: bool) -> float:
        """Return the largest error, relative to the largest slope. Raise GradientError where it exceeds the tolerance.

        `zero` says that all slopes must be 0. Otherwise it is an error too that all are 0: nothing was checked.
        """
        if not self.places:
            raise GradientError("was not checked: it has no element away from a kink")
        both = np.abs([self.backward, self.quotient])
        if zero and not (both < NOTHING).all():
            raise GradientError(f"must be 0, for `zeros` names it, but its largest number is {both.max():.9g}")
        if zero:
            return 0.0
        if (both < NOTHING).all():
            raise GradientError(f"was not checked: it is 0 in backward and in the difference quotient, in all of "
                                f"{len(self.places)} places; give the bottoms and the blobs numbers at which it is "
                                "not 0, leave it out, or name the bottom in `zeros` where no top depends on it")
        errors = np.abs(self.backward - self.quotient) / max(np.nanmax(both), NOTHING)
        worst = int(np.argmax(np.nan_to_num(errors, nan=np.inf)))
        if not errors[worst] <= tolerance:
            raise GradientError(
                f"is wrong in {np.count_nonzero(~(errors <= tolerance))} of {len(errors)} places, worst at "
                f"{self.places[worst]}: backward says {self.backward[worst]:.9g}, the difference quotient "
                f"{self.quotient[worst]:.9g}")
        return float(errors[worst])

    def explained_by(self, gradient: np.ndarray, without: Any = None) -> bool:
        """Return whether this gradient, in the place of backward's, agrees with the difference quotients.

        `without` is an index of numbers that are not looked at. Then two others that are not 0 must agree at least.
        """
        slopes = np.array([float((gradient * d).sum()) for d in self.directions])
        if without is None:
            return self.same_as(slopes)
        seen = np.array([not d[without].any() for d in self.directions])
        proven = np.count_nonzero(np.abs(self.quotient[seen]) > NOTHING) > 1
        return bool(proven and self.same_as(np.where(seen, slopes, self.quotient)))

    def same_as(self, slopes: Sequence[float] | np.ndarray) -> bool:
        """Return whether these slopes equal the difference quotients, apart from rounding."""
        return bool(np.allclose(slopes, self.quotient, rtol=0, atol=ALIKE * np.abs(self.quotient).max()))


def slopes_of(blob: Blob, analytic: np.ndarray, objective: Callable[[], float], draw: np.random.Generator, step: float,
            kinks: Sequence[float], kink_range: float) -> Slopes:
    """Return the slopes of a blob from both sides; `analytic` is its gradient from backward."""
    start, places, directions, quotient = blob.data.copy(), [], [], []
    for place, direction in _directions(start, draw, kinks, kink_range):
        blob.data[...] = start + step * direction
        above = objective()
        blob.data[...] = start - step * direction
        below = objective()
        places.append(place)
        directions.append(direction)
        quotient.append((above - below) / (2 * step))
    blob.data[...] = start
    backward = np.array([float((analytic * d).sum()) for d in directions])
    return Slopes(places, directions, backward, np.array(quotient))


def _directions(values: np.ndarray, draw: np.random.Generator, kinks: Sequence[float],
                kink_range: float) -> Iterator[tuple[str, np.ndarray]]:
    """Unit vectors for a small array, random directions for a large one; never across a kink."""
    smooth = np.ones(values.shape, bool)
    for kink in kinks:
        smooth &= np.abs(values - kink) > kink_range
    if values.size > EVERY_ELEMENT:
        for k in range(DIRECTIONS):
            yield f"random direction {k}", draw.standard_normal(values.shape) * smooth
        return
    for index in np.ndindex(values.shape):
        if smooth[index]:
            unit = np.zeros(values.shape)
            unit[index] = 1.0
            yield f"element {index}", unit


def alike(one: np.ndarray, other: np.ndarray) -> bool:
    """Return whether two gradients are equal, apart from rounding."""
    return bool(np.allclose(one, other, rtol=0, atol=1e-9 * np.abs(other).max(initial=0), equal_nan=True))


# --- the kind of a mistake ---------------------------------------------------------------------------


def kind_of_mistake(slopes: Slopes, analytic: np.ndarray, scaled: np.ndarray, bottom: Sequence[Blob]) -> str:
    """Name the mistake that explains all numbers, as the end of a message; '' where none does.

    `analytic` is the wrong gradient, `scaled` what it becomes where the tops' diffs are FACTOR times as large.
    """
    right = slopes.quotient
    if not np.isfinite([*slopes.backward, *right]).all() or (np.abs(right) < NOTHING).all():
        return ""
    if not analytic.any():
        return "; backward leaves it 0"
    if np.allclose(scaled, analytic, rtol=ALIKE, atol=0):
        return "; it is not multiplied by the top's diff, as it must be (for a loss: by loss_weight)"
    if not alike(scaled, FACTOR * analytic):
        return f"; it {NOT_PROPORTIONAL}"
    factor = float(slopes.backward @ right / (right @ right))
    if factor and slopes.same_as(slopes.backward / factor):
        return _kind_of_factor(factor, bottom, proven=int(np.count_nonzero(np.abs(right) > NOTHING)) > 1)
    return _wrong_order(slopes, analytic)


def _wrong_order(slopes: Slopes, analytic: np.ndarray) -> str:
    """Say how the numbers of a gradient are moved, where all of them are right but stand at wrong places; else ''."""
    axes = range(analytic.ndim)
    for order in itertools.permutations(axes):
        moved = [axis for axis, place in enumerate(order) if axis != place]
        stored = [analytic.shape[axis] for axis in order]
        if moved and (slopes.explained_by(analytic.reshape(stored).transpose(np.argsort(order)))
                      or slopes.explained_by(analytic.transpose(order).reshape(analytic.shape))):
            return f"; its {axes_in_words(moved)} are transposed"
    for count in range(1, analytic.ndim + 1):
        for some in itertools.combinations(axes, count):
            if slopes.explained_by(np.flip(analytic, some)):
                return f"; it is reversed along {axes_in_words(some)}"
    for axis in axes:
        for shift, edge in ((1, 0), (-1, -1)):
            if slopes.explained_by(np.roll(analytic, shift, axis), without=(slice(None),) * axis + (edge,)):
                return f"; its numbers are one place too far {'back' if shift == 1 else 'on'} along axis {axis}"
    return ""


def axes_in_words(axes: Sequence[int]) -> str:
    """Return 'axis 2', 'axes 0 and 2', 'axes 0, 1 and 2'."""
    few = ", ".join(map(str, axes[:-1]))
    return f"axes {few} and {axes[-1]}" if few else f"axis {axes[-1]}"


def _kind_of_factor(factor: float, bottom: Sequence[Blob], proven: bool) -> str:
    """Say that the gradient is `factor` times the right one, and why that may be.

    `proven` says that several numbers have this factor. With one number alone, any error would be a factor.
    """
    size = abs(factor)
    words = ["the sign is wrong"] if factor < 0 else []
    if not math.isclose(size, 1, rel_tol=ALIKE) or factor > 0:
        if size > 1 and (count := _count_of(size, bottom)):
            words.append(f"a constant factor: is 1/N missing? N = {count}")
        elif size < 1 and (count := _count_of(1 / size, bottom)):
            words.append(f"a constant factor: is it divided by N once too often? N = {count}")
        elif proven:
            words.append("a constant factor")
        else:
            return ""
    return f"; it is {factor:.6g} times the right one: {' and '.join(words)}"


def _count_of(size: float, bottom: Sequence[Blob]) -> str:
    """Say what a factor of this size counts: the batch, all values of a bottom, or its values without one axis."""
    for i, blob in enumerate(bottom):
        counts = [(n, f"size {axis} of") for axis, n in enumerate(blob.shape[:1])]
        counts += [(blob.count, "all values of")]
        counts += [(blob.count // n, f"the values beside axis {axis} of") for axis, n in enumerate(blob.shape) if n]
        counts += [(n, f"size {axis} of") for axis, n in enumerate(blob.shape)]
        for count, what in counts:
            if count > 1 and math.isclose(size, count, rel_tol=ALIKE):
                return f"{count} is {what} bottom[{i}] {blob.shape}"
    return ""
