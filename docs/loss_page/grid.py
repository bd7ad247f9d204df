"""The numbers that the sliders of docs/loss.html pick: five versions and the truth, for each x, t, w and γ."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np

from loss_page.versions import true_values, version_values

T = (0.0, 0.25, 0.5, 0.75, 1.0)
W = (0.0, 0.5, 1.0, 2.0)
GAMMA = (0.0, 1.0, 2.0, 5.0)
THRESHOLDS = (15.536921, 16.118097, 16.635532, 88.72284)  # docs/maths/loss.md has where they come from
LARGEST, STEP = 100, 1 / 16  # the fine scores, on which the red regions are found, are 0, ±1/16, ±2/16 … ±100
QUANTITIES = ("loss", "slope")
KINDS = ("nan", "infinite", "zero", "flat", "inexact", "lost")  # how a number is wrong

TOLERANCE = 1e-3
ROUNDING = 1e-5  # what many float32 operations in a row leave, and about one unit of the fifth digit
TINY = 1e-6  # a wrong number that is no farther from the truth than this has lost its digits, and does little harm
SMALLEST = float(np.finfo(np.float32).tiny)  # below 1.2e-38 float32 has fewer digits, and then none
GAP = 1.0  # right numbers on a stretch of x shorter than this, between wrong ones of one kind, are right by luck
FLAT = 2.0  # a wrong number that stays the same on a stretch of x longer than this stands still


def scores() -> np.ndarray:
    """Return the x of the slider in float32, from −∞ to ∞: close together near 0, and where something begins."""
    right = {*np.arange(0, 4, 0.25), *np.arange(4, 20, 0.5), *range(20, LARGEST + 1, 4), *THRESHOLDS, np.inf}
    right = np.array(sorted(right), np.float32)
    return np.concatenate([-right[:0:-1], right])


def fine_scores() -> np.ndarray:
    """Return the x on which the red regions are found; those of the slider are among them."""
    steps = np.arange(-LARGEST / STEP, LARGEST / STEP + 1, dtype=np.float32) * np.float32(STEP)
    return np.unique(np.concatenate([steps, scores()]))


def grid() -> dict[str, Any]:
    """Return what the page holds, ready for JSON.

    x, t, w, gamma   the values of the sliders
    truth            {loss, slope: [combination][x]}; the combinations of (t, w, γ) run as itertools.product does
    versions         five of {loss, slope: [combination]: [x index, number, …], lossRed, slopeRed: [combination]}. Where
                     an x has no number, the version's is the truth's, but for float32's last digits. A red region is
                     [from x, to x, index into kinds]
    """
    x, fine = scores(), fine_scores()
    shown = np.searchsorted(fine, x)
    truth, versions = values_on(fine)
    data: dict[str, Any] = {"x": numbers(x, 9), "t": list(T), "w": list(W), "gamma": list(GAMMA), "kinds": list(KINDS),
                            "truth": {name: [numbers(row[shown]) for row in truth[name]] for name in QUANTITIES},
                            "versions": []}
    for version in versions:
        part: dict[str, Any] = {}
        for name in QUANTITIES:
            rows = list(zip(version[name], truth[name], strict=True))
            part[name] = [differing(own[shown], true[shown]) for own, true in rows]
            part[f"{name}Red"] = [regions(fine, own, true) for own, true in rows]
        data["versions"].append(part)
    return data


def values_on(x: np.ndarray) -> tuple[dict[str, np.ndarray], list[dict[str, np.ndarray]]]:
    """Return the truth and the five versions at x (n,) as {loss, slope: (combinations, n)}."""
    combinations = list(itertools.product(T, W, GAMMA))
    sets = [{name: np.empty((len(combinations), len(x)), kind) for name in QUANTITIES}
            for kind in (np.float64, *[np.float32] * 5)]
    for gamma in GAMMA:
        rows = [i for i, (_, _, g) in enumerate(combinations) if g == gamma]
        t, w = (np.repeat(np.array([combinations[i][axis] for i in rows], np.float32), len(x)) for axis in (0, 1))
        flat = np.tile(x, len(rows))
        for number, held in enumerate(sets):
            found = version_values(number, flat, t, w, gamma) if number else true_values(flat, t, w, gamma)
            for name, values in zip(QUANTITIES, found, strict=True):
                held[name][rows] = values.reshape(len(rows), -1)
    return sets[0], sets[1:]


def numbers(values: np.ndarray, digits: int = 5) -> list[float | int | str]:
    """Return numbers as the page holds them: to some digits, and "nan", "inf" or "-inf", which JSON lacks."""
    texts = [f"{float(value):.{digits}g}" for value in values]
    return [text if text[-1] in "nf" else int(float(text)) if float(text).is_integer() else float(text)
            for text in texts]


def differing(own: np.ndarray, true: np.ndarray) -> list:
    """Return [index, number, …] of the numbers that are not the true ones.

    The last digits of float32 differ among computers. A number that is off by no more than they are is the true one, so
    that the page is the same everywhere.
    """
    own = own.astype(np.float64)
    with np.errstate(invalid="ignore"):  # ∞ − ∞
        off = ~(np.abs(own - true) <= ROUNDING * np.abs(true))
    pairs = enumerate(zip(off, numbers(own), numbers(true), strict=True))
    return [part for i, (differs, a, b) in pairs if differs and a != b for part in (i, a)]


# --- where a version fails --------------------------------------------------------------------------------------------

def faults(x: np.ndarray, own: np.ndarray, true: np.ndarray) -> np.ndarray:
    """Return for each x the index into KINDS of how a number is wrong, and −1 where it is right.

    Right is what differs from the truth by at most a thousandth of it, or by 1.2e-38.
    """
    own = own.astype(np.float64)
    with np.errstate(invalid="ignore"):
        error = np.where(own == true, 0, np.abs(own - true))  # ∞ − ∞ would be NaN
    right = error <= np.where(np.isfinite(true), TOLERANCE * np.abs(true), 0) + SMALLEST
    found = np.full(len(x), KINDS.index("inexact"))
    for begin, end in runs(own):
        if end - begin > 1 and x[end - 1] - x[begin] > FLAT:
            found[begin:end] = KINDS.index("flat")
    found[own == 0] = KINDS.index("zero")
    found[error <= TINY] = KINDS.index("lost")
    found[np.isinf(own)] = KINDS.index("infinite")
    found[np.isnan(own)] = KINDS.index("nan")
    found[right] = -1
    return found


def runs(values: np.ndarray) -> list[tuple[int, int]]:
    """Return (begin, end) of each run of equal numbers."""
    edges = np.flatnonzero(values[1:] != values[:-1]) + 1
    return list(itertools.pairwise([0, *edges.tolist(), len(values)]))


def regions(x: np.ndarray, own: np.ndarray, true: np.ndarray) -> list[list]:
    """Return the red regions, [from x, to x, kind], of one version."""
    found = faults(x, own, true)
    for begin, end in runs(found):
        inside = 0 < begin and end < len(x)
        if found[begin] < 0 and inside and found[begin - 1] == found[end] and x[end] - x[begin - 1] <= GAP:
            found[begin:end] = found[end]
    return [[*numbers(x[[begin, end - 1]], 9), int(found[begin])] for begin, end in runs(found) if found[begin] >= 0]
