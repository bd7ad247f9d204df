"""An array of numbers in one line of words: its range, its mean and its first numbers."""

from __future__ import annotations

import math

import numpy as np

from minicaffe.log import plural

FIRST = 6  # so many numbers are shown
BLOCK = 1 << 18  # an array is looked at in pieces, so that a large one needs no second array of its size


def in_words(values: np.ndarray) -> str:
    """Return the range, the mean and the first numbers: '-1 to 3.5, mean 0.2: -1, 0.25, 3.5, …'."""
    if not values.size:
        return "no numbers"
    flat = values.reshape(-1)
    few = ", ".join(map(short, flat[:FIRST])) + (", …" if flat.size > FIRST else "")
    if flat.size == 1:
        return few
    low, high, mean, nans, infinities = look(flat)
    odd = " and ".join([*([f"{nans:,} NaN"] if nans else []), *([f"{infinities:,} infinite"] if infinities else [])])
    finite = flat.size - nans - infinities
    if not finite:
        return f"{odd}: {few}"
    spread = f"{short(low)} to {short(high)}, mean {short(mean)}" if low < high else f"all {short(low)}"
    if odd:
        return f"{odd}; the other {plural(finite, 'number')} {spread}: {few}"
    return f"{spread}: {few}" if low < high else spread


def look(flat: np.ndarray) -> tuple[float, float, float, int, int]:
    """Return the lowest, the highest and the mean of the finite numbers, and how many are NaN and how many infinite."""
    low, high, mean, nans, infinities = math.inf, -math.inf, 0.0, 0, 0
    for start in range(0, flat.size, BLOCK):
        block = flat[start:start + BLOCK]
        finite = np.isfinite(block)
        if not finite.all():
            count = int(np.isnan(block).sum())
            nans, infinities = nans + count, infinities + int(block.size - finite.sum()) - count
            block = block[finite]
        if block.size:
            low, high = min(low, float(block.min())), max(high, float(block.max()))
            mean += float(np.divide(block, flat.size, dtype=np.float64).sum())  # their sum may be too large
    return low, high, mean * (flat.size / max(flat.size - nans - infinities, 1)), nans, infinities


def short(value: float) -> str:
    """Return a number with four digits."""
    return f"{float(value):.4g}"
