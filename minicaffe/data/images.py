"""The image files of ImageData: a list names them, with 'PATH LABEL' in each line."""

from __future__ import annotations

import re
from collections.abc import Sequence

from minicaffe.data.batches import Sample
from minicaffe.data.lists import read_list, read_listed
from minicaffe.errors import DataError
from minicaffe.io import image


class ImageFiles:
    """The images of a list file as samples.

    path        the list; a path in it may contain blanks, for the label is what follows the last blank
    root        put before each path as it is, so a folder must end with a slash
    size        (height, width) to resize each image to, or None
    color       True to read 3 channels, False to read 1
    """

    def __init__(self, path: str, root: str = "", size: tuple[int, int] | None = None, color: bool = True) -> None:
        self.path, self.root, self.size, self.color = path, root, size, color
        self.entries = read_entries(path)

    def __len__(self) -> int:
        return len(self.entries)

    def load(self, numbers: Sequence[int]) -> list[Sample | DataError]:
        """Return the images with these numbers, or the errors that say why they cannot be read."""
        return [self._load(number) for number in numbers]

    def _load(self, number: int) -> Sample | DataError:
        name, label, line = self.entries[number]
        try:
            whole = read_listed(name, f"{self.path}:{line}", self.root)
            pixels = image.decode(whole, f"{self.root}{name} ({self.path}:{line})", self.color)
        except DataError as error:
            return error
        if self.size is not None:
            pixels = image.resize(pixels, self.size)
        return Sample(name, f"{self.root}{name}", pixels, label)


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
