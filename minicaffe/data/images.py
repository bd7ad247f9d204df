"""The image files of ImageData: a list names them, with 'PATH LABEL' in each line."""

from __future__ import annotations

import re
from collections.abc import Iterator

import numpy as np

from minicaffe.data.batches import Sample
from minicaffe.data.lists import read_list, read_listed
from minicaffe.errors import DataError
from minicaffe.io import image


class ImageFiles:
    """The images of a list file as samples, in the list's order or in a new random order each epoch.

    path        the list; a path in it may contain blanks, for the label is what follows the last blank
    root        put before each path as it is, so a folder must end with a slash
    size        (height, width) to resize each image to, or None
    color       True to read 3 channels, False to read 1
    shuffle     the seed of the random orders, or None to keep the list's order
    """

    def __init__(self, path: str, root: str = "", size: tuple[int, int] | None = None, color: bool = True,
                 shuffle: int | None = None) -> None:
        self.path, self.root, self.size, self.color, self.shuffle = path, root, size, color, shuffle
        self.entries = read_entries(path)

    def __len__(self) -> int:
        return len(self.entries)

    def read(self, start: int) -> Iterator[Sample]:
        """Yield the images from number `start` on, without end."""
        epoch, first = divmod(start, len(self))
        while True:
            for i in self._order(epoch)[first:]:
                name, label, line = self.entries[i]
                whole = read_listed(name, f"{self.path}:{line}", self.root)
                pixels = image.decode(whole, f"{self.root}{name} ({self.path}:{line})", self.color)
                if self.size is not None:
                    pixels = image.resize(pixels, self.size)
                yield Sample(name, f"{self.root}{name}", pixels, label)
            epoch, first = epoch + 1, 0

    def _order(self, epoch: int) -> np.ndarray:
        """Return the order of the images in an epoch.

        It follows from the seed and the epoch alone, so a resumed training has the same order.
        """
        if self.shuffle is None:
            return np.arange(len(self))
        return np.random.default_rng([self.shuffle, epoch]).permutation(len(self))


def read_entries(path: str) -> list[tuple[str, int, int]]:
    """Return the path, the label and the line number of each image in a list.

    Raise a DataError when the list is missing or empty, or a line is not 'PATH LABEL'.
    """
    entries = []
    for number, row in read_list(path, "the list"):
        name, _, label = row.rpartition(" ")
        if not name or not re.fullmatch(r"[+-]?\d+", label):
            raise DataError(f"expected 'PATH LABEL' with a whole number at the end, got {row!r}",
                            where=f"{path}:{number}")
        entries.append((name, int(label), number))
    if not entries:
        raise DataError(f"the list {path} is empty")
    return entries
