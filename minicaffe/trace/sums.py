"""How the numbers of one array come about: products.py and elementwise_products.py make a record for each array."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

Indices = list[int]
# the value that a factor's letter stands for: its role, and which of its arrays
ROLES = {"x": ("bottom", "data"), "w": ("param", "data"), "dy": ("top", "diff")}


class Factor(NamedTuple):
    """An array from which factors of the products come, by its letter."""

    name: str
    values: np.ndarray


class Sum(NamedTuple):
    """How the numbers of one array come about.

    of       "data" or "diff"; with role and place, which array it is
    left, right    the arrays of the factors; right is None where the numbers are only summed, or divided by a count
    pairs    flat index -> flat indices in left, flat indices in right or a factor for each, and what is added besides
    chosen   whether one of the numbers is taken, rather than their sum: flat index -> the flat index in left, or None
    note     a sentence that says where the other factors come from, if they do not follow from the formula alone
    """

    role: str
    place: int
    of: str
    left: Factor
    right: Factor | None
    pairs: Callable[[int], tuple[Indices, Any, list[tuple[str, float]]]]
    chosen: Callable[[int], int] | None = None
    note: str = ""
