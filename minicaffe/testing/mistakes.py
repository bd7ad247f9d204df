"""Find the mistake that explains all numbers of a wrong gradient in a net: a sign, a factor, a missing sum, ..."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence

import numpy as np

from minicaffe.testing.agreement import place_that_disagrees
from minicaffe.testing.backward_run import Gradient, LayerSlopes, asked_of, whole
from minicaffe.testing.net_slopes import Variable, slope_of
from minicaffe.testing.slopes import (
    ALIKE,
    EVERY_ELEMENT,
    FACTOR,
    NOTHING,
    GradientError,
    Slopes,
    axes_in_words,
    kind_of_mistake,
)

ELEMENTS = 40         # of a larger blob so many elements are looked at
MOST = 4_000_000      # numbers in the unit vectors of all of them
LOCAL_STEP = 1e-6     # of the size of the numbers


def kind_of(wrong: Gradient, layer: LayerSlopes) -> str:
    """Return where a gradient is wrong element by element, and which mistake explains it, as the end of a message.

    '' where no single element shows it.
    """
    slopes = layer.slopes
    analytic, scaled = whole(slopes, wrong), whole(slopes, wrong, factor=FACTOR)
    variable = wrong.variable(slopes)
    places = _places(layer, variable, analytic)
    found = _element_slopes(layer, variable, analytic, places)
    if not found.places:
        return ""
    try:
        found.largest_error(ALIKE, zero=False)
        return ""
    except GradientError as error:
        words = str(error)
    kind = kind_of_mistake(found, analytic, scaled, slopes.net.bottoms[wrong.layer])
    return words + (kind or _missing_sum(layer, wrong.variable(slopes), analytic, places)
                    or _of_another(layer, wrong, analytic, places) or _zeros(found))


def _places(layer: LayerSlopes, variable: Variable, analytic: np.ndarray) -> list[int]:
    """Return the places of the elements to look at: all of a small blob; of a large one also one that is wrong."""
    count = analytic.size
    if count <= EVERY_ELEMENT:
        return list(range(count))
    gradient, draw = analytic.reshape(-1), np.random.default_rng(count)
    direction = draw.standard_normal(count)

    def differs(places: np.ndarray) -> float:
        r = direction[places]
        quotient = layer.measure(variable, places, r, LOCAL_STEP * variable.size).central
        return abs(quotient - float(gradient[places] @ r))

    largest = np.argsort(-np.abs(gradient))[:ELEMENTS // 2]
    some = [place_that_disagrees(count, differs), *largest.tolist(), *draw.permutation(count)[:ELEMENTS // 2].tolist()]
    return sorted(dict.fromkeys(some[:max(8, MOST // count)]))


def _element_slopes(layer: LayerSlopes, variable: Variable, analytic: np.ndarray, places: list[int]) -> Slopes:
    """Return the slopes of single elements, without those at kinks; `places` loses these, too."""
    names, directions, backward, quotient = [], [], [], []
    for place in list(places):
        slope = slope_of(layer, variable, place)
        if slope.kink:
            places.remove(place)
            continue
        unit = np.zeros(analytic.size)
        unit[place] = 1
        names.append(f"element {tuple(int(n) for n in np.unravel_index(place, analytic.shape))}")
        directions.append(unit.reshape(analytic.shape))
        backward.append(float(analytic.reshape(-1)[place]))
        quotient.append(slope.central)
    return Slopes(names, directions, np.array(backward), np.array(quotient))


def _missing_sum(layer: LayerSlopes, variable: Variable, analytic: np.ndarray, places: Sequence[int]) -> str:
    """Return in words from which part of the tops' diffs alone the gradient comes, or which part it leaves out."""
    step = LOCAL_STEP * variable.size
    shares = []  # for each place, for each top, dy · ∂y/∂v in the shape of the top
    for place in places:
        above, below = (layer.slopes.tops_after(layer.layer, variable, place, sign * step) for sign in (1, -1))
        shares.append([d * (a - b) / (2 * step) for d, a, b in zip(layer.dy, above, below, strict=True)])
    wrong_numbers = analytic.reshape(-1)[list(places)]
    right = np.array([sum(float(part.sum()) for part in share) for share in shares])
    limit = ALIKE * max(np.abs(right).max(initial=0), NOTHING)
    adds_up = any(sum(map(np.count_nonzero, share)) > 1 for share in shares)
    parts = list(_parts_of_tops(layer.dy, shares))
    for words, part in parts:
        if np.abs(part - wrong_numbers).max() <= limit < np.abs(part - right).max():
            return f"; {'a sum is missing: of what must be added up, ' if adds_up else ''}it has only {words}"
    for words, part in parts:
        if np.abs(right - part - wrong_numbers).max() <= limit < np.abs(part).max():
            return f"; {'a sum is not complete: ' if adds_up else ''}{words} is left out"
    return ""


def _of_another(layer: LayerSlopes, wrong: Gradient, analytic: np.ndarray, places: Sequence[int]) -> str:
    """Say which other blob of the layer the gradient belongs to, where it is the right one of that blob; else ''."""
    numbers = analytic.reshape(-1)[list(places)]
    for other in asked_of(layer.slopes, wrong.layer):
        if other == wrong or other.blob(layer.slopes).count != analytic.size:
            continue
        variable = other.variable(layer.slopes)
        right = np.array([slope_of(layer, variable, place).central for place in places])
        if np.abs(right - numbers).max() <= ALIKE * np.abs(right).max():
            return f"; it is the gradient of {'blobs' if other.learned else 'bottom'}[{other.index}]"
    return ""


def _zeros(found: Slopes) -> str:
    """Say that all wrong numbers are 0, or that all of them should be; else ''."""
    wrong = np.abs(found.backward - found.quotient) > ALIKE * np.abs([found.backward, found.quotient]).max()
    if not found.backward[wrong].any():
        return "; backward leaves these numbers 0"
    if (np.abs(found.quotient[wrong]) < NOTHING).all():
        return "; they should be 0: is a mask missing?"
    return ""


def _parts_of_tops(dy: Sequence[np.ndarray],
                   shares: Sequence[Sequence[np.ndarray]]) -> Iterator[tuple[str, np.ndarray]]:
    """Yield parts of the tops' diffs, in words, with what each contributes at every place."""
    for t, diff in enumerate(dy):
        stacked = np.array([share[t] for share in shares])
        if len(dy) > 1:
            yield f"the diff of top[{t}]", stacked.reshape(len(shares), -1).sum(axis=1)
        for axis in range(diff.ndim):
            others = tuple(a + 1 for a in range(diff.ndim) if a != axis)
            for m, part in enumerate(stacked.sum(axis=others).T if diff.shape[axis] > 1 else ()):
                yield f"place {m} of axis {axis} of the diff of top[{t}] {diff.shape}", part
        long = [axis for axis in range(diff.ndim) if diff.shape[axis] > 1]
        several = itertools.chain.from_iterable(itertools.combinations(long, n) for n in range(2, len(long) + 1))
        for axes, (m, end) in itertools.product(several, ((0, "first"), (-1, "last"))):
            place = (slice(None), *(m if axis in axes else slice(None) for axis in range(diff.ndim)))
            part = stacked[place].reshape(len(shares), -1).sum(axis=1)
            yield f"the {end} place of {axes_in_words(axes)} of the diff of top[{t}]", part
