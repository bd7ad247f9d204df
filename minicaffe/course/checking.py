"""What the checks of all steps use: numbers to try, comparisons, and known mistakes by which a wrong value is told."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

TOLERANCE = 1e-9  # relative, and absolute near 0: float64 has some 16 digits, and a check adds up few numbers
SHOWN = 8  # numbers of an array that are shown; of a larger one, the first that is wrong
UNKNOWN = "wrong_values"  # the name of the hint where no known mistake gives the student's numbers


class Wrong(Exception):  # noqa: N818, because it is raised for a student's mistake, and no error of the program
    """A check has failed: what was called, what came out, what was expected, and the hint with its name."""

    def __init__(self, called: str, got: object, expected: object, name: str, hint: str) -> None:
        super().__init__(name)
        self.called, self.got, self.expected, self.name, self.hint = called, str(got), str(expected), name, hint


class Mistake(NamedTuple):
    """A mistake that students make, the value that it gives, and the hint for whoever made it."""

    name: str
    value: Any
    hint: str


class Draw:
    """Sizes and numbers to try a student's code with. They follow from a seed and the name of the check."""

    def __init__(self, seed: int, name: str) -> None:
        self.rng = np.random.default_rng([seed, *name.encode()])

    def sizes(self, count: int, low: int = 2, high: int = 7) -> tuple[int, ...]:
        """Return sizes from `low` to `high`, no two of them equal: swapped axes would hide behind equal ones."""
        return tuple(int(n) for n in self.rng.permutation(np.arange(low, high + 1))[:count])

    def numbers(self, *shape: int, largest: float = 2.0) -> np.ndarray:
        """Return numbers of either sign with two decimals, from 0.01 to `largest` in size."""
        size = self.rng.integers(1, round(largest * 100) + 1, shape) / 100
        return np.asarray(size * self.rng.choice([-1.0, 1.0], shape))


def same(got: Any, expected: Any, tolerance: float = TOLERANCE) -> bool:
    """Return whether two arrays have one shape and, up to rounding, the same numbers; NaN is equal to NaN."""
    got, expected = np.asarray(got), np.asarray(expected)
    return got.shape == expected.shape and bool(np.allclose(got, expected, tolerance, tolerance, equal_nan=True))


def compare(called: str, got: Any, expected: Any, mistakes: Sequence[Mistake] = (), *,
            tolerance: float = TOLERANCE) -> None:
    """Raise Wrong where `got` is not `expected`, with the hint of the first mistake that gives what was got.

    `called` says in the student's words what was called.
    """
    try:
        found, right = np.asarray(got, np.float64), np.asarray(expected, np.float64)
    except (TypeError, ValueError):
        found = None
    if got is None or found is None:
        raise Wrong(called, repr(got), numbers_text(expected), "no_numbers", "this must be an array of numbers, or a "
                    "number. " + ("A function without `return` gives None." if got is None else ""))
    if same(found, right, tolerance):
        return
    for mistake in mistakes:
        if same(found, mistake.value, tolerance):
            raise Wrong(called, *pair(found, right, tolerance), mistake.name, mistake.hint)
    if found.shape != right.shape and not same(found.T, right, tolerance):
        raise Wrong(called, f"shape {found.shape}", f"shape {right.shape}", "wrong_shape",
                    "the shape is another one. Say for each axis what it counts, and where its size comes from.")
    raise Wrong(called, *pair(found, right, tolerance), *_kind(found, right, tolerance))


def _kind(found: np.ndarray, right: np.ndarray, tolerance: float) -> tuple[str, str]:
    """Return the name and the hint of a kind of mistake that may happen anywhere."""
    if same(found.T, right, tolerance):
        return "transposed", "rows and columns are exchanged"
    if np.isnan(found).any() and not np.isnan(right).any():
        return "not_a_number", "NaN comes of 0 / 0, ∞ − ∞, 0 · ∞, or the logarithm or root of a negative number"
    if same(found, -right, tolerance):
        return "sign_turned", "all numbers are right but for the sign"
    largest = np.unravel_index(np.argmax(np.abs(right)), right.shape) if right.size else ()
    factor = float(found[largest] / right[largest]) if right.size and right[largest] else 0.0
    if right.size > 1 and factor and same(found, factor * right, tolerance):
        return "constant_factor", (f"all numbers are {factor:.6g} times what they must be: which factor is missing, or "
                                   "is there twice? Think of sizes such as N, and of parameters."
                                   + " The sign is turned round, too." * (factor < 0))
    return UNKNOWN, ("none of the mistakes that this check knows gives these numbers. Compute one of them on paper, "
                     "and print what your code computes on the way to it.")


def expect(right: bool, called: str, got: object, expected: object, name: str, hint: str) -> None:
    """Raise Wrong where something that is no array of numbers isn't as it must be."""
    if not right:
        raise Wrong(called, got, expected, name, hint)


def pair(got: np.ndarray, expected: np.ndarray, tolerance: float = TOLERANCE) -> tuple[str, str]:
    """Return both arrays in words: whole where they are small or of two shapes, else the first number that differs."""
    if got.shape != expected.shape or got.size <= SHOWN:
        return numbers_text(got), numbers_text(expected)
    wrong = ~np.isclose(got, expected, tolerance, tolerance, equal_nan=True)
    place = tuple(int(i) for i in np.argwhere(wrong)[0])
    where = f"at [{', '.join(map(str, place))}], and {int(wrong.sum())} of {got.size} numbers differ"
    return f"{got[place]:.8g} {where}", f"{expected[place]:.8g}"


def numbers_text(value: Any) -> str:
    """Return an array in a few words."""
    array = np.asarray(value)
    if array.ndim == 0:
        return f"{float(array):.8g}"
    if array.size > SHOWN:
        return f"an array of shape {array.shape}"
    return " ".join(np.array2string(array, precision=8, suppress_small=True, separator=", ").split())


def slopes(loss: Callable[[np.ndarray], float], x: np.ndarray, h: float = 1e-5) -> np.ndarray:
    """Return the difference quotient (loss(x + h) − loss(x − h)) / 2h for each number of x, moved alone."""
    found = np.zeros(x.shape)
    for place in np.ndindex(x.shape):
        up, down = x.astype(np.float64), x.astype(np.float64)
        up[place] += h
        down[place] -= h
        found[place] = (loss(up) - loss(down)) / (2 * h)
    return found
