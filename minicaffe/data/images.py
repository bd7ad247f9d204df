"""Image files named in a list: one 'PATH LABEL' a line."""

from __future__ import annotations

import re
from collections.abc import Iterator

import numpy as np

from minicaffe.data.batches import Sample
from minicaffe.errors import DataError
from minicaffe.io import image
from minicaffe.proto.files import refuse_device


class ImageFiles:
    """The images of a list file as samples, in the list's order or in a new random order each epoch.

    path        the list; a path in it may hold blanks, its label stands after the last one
    root        is put before each path, as it is
    size        (height, width) to resize to, or None
    color       read as 3 channels, else as 1
    shuffle     a seed for the orders, or None
    """

    def __init__(self, path: str, root: str = "", size: tuple[int, int] | None = None, color: bool = True,
                 shuffle: int | None = None) -> None:
        self.path, self.root, self.size, self.color, self.shuffle = path, root, size, color, shuffle
        self.entries = read_list(path)

    def __len__(self) -> int:
        return len(self.entries)

    def read(self, start: int) -> Iterator[Sample]:
        """Images from number `start` on, without end."""
        epoch, first = divmod(start, len(self))
        while True:
            for i in self._order(epoch)[first:]:
                name, label = self.entries[i]
                pixels = image.read(self.root + name, self.color, self.size)
                yield Sample(name, f"{self.root}{name}", pixels, label)
            epoch, first = epoch + 1, 0

    def _order(self, epoch: int) -> np.ndarray:
        if self.shuffle is None:
            return np.arange(len(self))
        return np.random.default_rng([self.shuffle, epoch]).permutation(len(self))


def read_list(path: str) -> list[tuple[str, int]]:
    """The (path, label) pairs of a list file. DataError when it is missing or empty, or a line is none."""
    refuse_device(path)
    try:
        with open(path, encoding="utf-8") as lines:
            rows = [line.strip() for line in lines]
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"cannot read the list {path}: {getattr(error, 'strerror', None) or error}",
                        hint="source is a text file of lines 'PATH LABEL'") from error
    entries = []
    for number, row in enumerate(rows, 1):
        if not row:
            continue
        name, _, label = row.rpartition(" ")
        if not name or not re.fullmatch(r"[+-]?\d+", label):
            raise DataError(f"expected 'PATH LABEL' with a whole number at the end, got {row!r}",
                            where=f"{path}:{number}")
        entries.append((name, int(label)))
    if not entries:
        raise DataError(f"the list {path} is empty")
    return entries
