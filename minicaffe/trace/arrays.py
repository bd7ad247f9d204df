"""The arrays of a page: each different array once. A small one is whole; a large one is a picture and some numbers."""

from __future__ import annotations

import hashlib
import math
import random
from typing import Any

import numpy as np

from minicaffe.pages import grey_levels, heat_map, image
from minicaffe.pages.picture import shrunk
from minicaffe.trace.format import WHOLE, exact

LARGEST, SMALL = 48, 16  # rows and columns of a picture of a blob, and of an array that a line has written
SHADES = 19  # of each colour of a heat map: enough to see, and the page stays small


class Arrays:
    """Gives arrays the numbers by which the page refers to them.

    found     the arrays as the page has them
    places    count -> the flat indices that are shown of an array of so many numbers; they follow from the seed
    """

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.found: list[dict[str, Any]] = []
        self.places: dict[str, list[int]] = {}
        self._numbers: dict[tuple[Any, ...], int] = {}
        self._small: set[int] = set()  # those with a small picture

    def add(self, array: np.ndarray, images: bool = False, small: bool = False) -> int:
        """Return the number of an array.

        With `images` its picture shows it as images, in grey or in colour. With `small` a small picture is enough.
        """
        array = np.ascontiguousarray(array).reshape(np.shape(array))  # the former makes a vector of a single number
        # the hash stands for the content, so that not all arrays of a large net stay in memory
        digest = hashlib.blake2b(array.reshape(-1).view(np.uint8).data, digest_size=16).digest()
        key = array.shape, array.dtype.str, images, digest
        number = self._numbers.setdefault(key, len(self.found))
        if number == len(self.found):
            self.found.append(self._entry(array))
            self._small.add(number)
            if array.size > WHOLE and small:
                self.found[number] |= picture(array, images, SMALL)
        if number in self._small and not small:
            self._small.discard(number)
            if array.size > WHOLE:
                self.found[number] |= picture(array, images, LARGEST)
        return number

    def shown(self, count: int) -> list[int]:
        """Return the flat indices that the page shows of an array of `count` numbers, in order."""
        if count <= WHOLE:
            return list(range(count))
        if str(count) not in self.places:
            self.places[str(count)] = sorted(random.Random(f"{self.seed} {count}").sample(range(count), WHOLE))
        return self.places[str(count)]

    def _entry(self, array: np.ndarray) -> dict[str, Any]:
        flat = array.reshape(-1)
        made: dict[str, Any] = {"shape": list(array.shape)}
        if array.dtype != np.float32:
            made["type"] = array.dtype.name
        made["values"] = [exact(value) for value in flat[self.shown(array.size)]]
        if array.size > WHOLE:
            made["whole"] = False
            finite = flat[np.isfinite(flat)]
            ends = (finite.min(), finite.max(), np.float32(finite.mean(dtype=np.float64))) if finite.size else None
            made |= {name: exact(ends[k]) if ends else None for k, name in enumerate(("min", "max", "mean"))}
        return made


def picture(array: np.ndarray, images: bool, largest: int) -> dict[str, Any]:
    """Return an array as {"picture": data URL, "width", "height", "seen": what it shows, in words}.

    The picture of an array has at most `largest` rows and columns, unless it shows images.
    """
    if images and array.ndim == 4 and array.shape[1] in (1, 3):
        return _as_images(array)
    matrix, seen = matrix_of(array, largest)
    # a large matrix is made smaller in its own type first, for in float64 it takes twice the memory
    url, width, height = heat_map(shrunk(matrix, largest), largest=largest, shades=SHADES)
    return {"picture": url, "width": width, "height": height, "seen": seen}


def _as_images(array: np.ndarray) -> dict[str, Any]:
    """Show the first images in a row, their smallest number black and their largest one white."""
    N, _, H, W = array.shape
    count = max(1, min(N, 4 * LARGEST // W))
    step = max(1, math.ceil(max(H, W) / (2 * LARGEST)))  # of large images every second pixel, or every third, ...
    row = np.concatenate(list(array[:count, :, ::step, ::step]), axis=2)
    pixels = grey_levels(row)
    url, width, height = image(pixels[0] if len(pixels) == 1 else pixels)
    return {"picture": url, "width": width, "height": height,
            "seen": f"{_some(count, N, 'image', 'images')} of {H} × {W}; the smallest number is black, the largest "
                    "white"}


def matrix_of(array: np.ndarray, largest: int) -> tuple[np.ndarray, str]:
    """Return an array laid out as a matrix, and in words how."""
    if array.ndim < 2:
        columns = math.ceil(math.sqrt(array.size))
        padded = np.zeros(math.ceil(array.size / columns) * columns)
        padded[:array.size] = array.reshape(-1)
        return padded.reshape(-1, columns), f"the numbers in order, {columns} in a row"
    H, W = array.shape[-2:]
    if array.ndim == 2:
        return array, "a row of pixels for each row of the matrix" if max(H, W) <= largest else \
            f"the matrix, {H} × {W}, made smaller: a pixel shows the number farthest from 0 of several"
    if W == 1 or (H == 1 and array.ndim > 3):  # (N, C, 1, 1): a tile would be a single number
        return matrix_of(array.reshape(array.shape[0], -1), largest)
    return _tiles(array.reshape(-1, H, W), largest)


def _tiles(tiles: np.ndarray, largest: int) -> tuple[np.ndarray, str]:
    """Lay out the first tiles (n, H, W) side by side, with a line of zeros between them."""
    n, H, W = tiles.shape
    across, down = max(1, (largest + 1) // (W + 1)), max(1, (largest + 1) // (H + 1))
    across = min(across, math.ceil(math.sqrt(n))) if across * down >= n else across
    down = min(down, math.ceil(n / across))
    count = min(n, across * down)
    laid = np.zeros((down * (H + 1) - 1, across * (W + 1) - 1))
    for i in range(count):
        y, x = i // across * (H + 1), i % across * (W + 1)
        laid[y:y + H, x:x + W] = tiles[i]
    return laid, f"{_some(count, n, 'tile', 'tiles')} of {H} × {W}"


def _some(count: int, total: int, one: str, many: str) -> str:
    if count == total:
        return f"{total} {one if total == 1 else many}"
    return f"the first {count} of {total} {many}" if count > 1 else f"the first of {total} {many}"
