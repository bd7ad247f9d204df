"""Follow a gradient from a weight back to the loss, number by number.

A diff of a weight is a sum of products of numbers of dy. The layer above has made each of these, and again from numbers
of its own dy, up to the loss. The page shows products for some numbers only. For one number of each learnable blob this
adds those that a reader needs to go all the way: at each layer it follows the number of dy with the largest product.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

from minicaffe.trace import products
from minicaffe.trace.arrays import Arrays
from minicaffe.trace.format import number_of
from minicaffe.trace.sums import Sum


class Waypoint(NamedTuple):
    """A number on the way for which an entry was added: of the diff of a layer's bottom, at a flat index."""

    layer: int
    bottom: int
    flat: int
    array: int
    entry: dict[str, Any]


class Trails:
    """Adds the entries to the products of one backward pass after another."""

    def __init__(self, arrays: Arrays) -> None:
        self.arrays = arrays
        self._made: list[tuple[int, Sum, dict[str, Any]]] = []
        self._added: list[Waypoint] = []

    def remember(self, i: int, made: list[tuple[Sum, dict[str, Any]]]) -> None:
        """Keep the products of layer i, which has just run backward."""
        self._made += [(i, one, product) for one, product in made]

    def follow(self) -> list[Waypoint]:
        """Follow one number of each learnable blob, now that the pass is over. Return the numbers that were added."""
        self._added = []
        for k, (_, one, product) in enumerate(self._made):
            if one.role == "param":
                array = self.arrays.found[product["array"]]
                shown = self.arrays.shown(math.prod(array["shape"]))
                sizes = [abs(number_of(value)) for value in array["values"]]
                largest = max(range(len(sizes)), key=lambda i: (not math.isnan(sizes[i]), sizes[i]), default=None)
                if largest is not None:
                    product["follow"] = shown[largest]
                    self._walk(k, shown[largest])
        self._made = []
        return self._added

    def _walk(self, k: int, flat: int) -> None:
        while True:
            i, one, product = self._made[k]
            entry = product["entries"].get(str(flat))
            if entry is None:
                entry = product["entries"][str(flat)] = products.entry(one, flat, products.MOST_OF_LARGE)
                self._added.append(Waypoint(i, one.place, flat, product["array"], entry))
            side = "left" if product["left"]["name"] == "dy" else "right"
            if not entry["terms"] or not product[side] or product[side].get("of") != "diff":
                return
            flat, blob = entry["terms"][0][0 if side == "left" else 2], product[side]["blob"]
            makers = [m for m in range(k) if self._made[m][1].role == "bottom" and self._made[m][2]["blob"] == blob]
            if not makers:
                return
            k = makers[-1]  # where layers run in place, several write the blob's diff, and the last one is meant
