"""The image files of ImageData: a list names them, with 'PATH LABEL' in each line."""

from __future__ import annotations

from collections.abc import Sequence

from minicaffe.data.batches import Sample
from minicaffe.data.lists import Files, read_image_list, read_listed
from minicaffe.errors import DataError
from minicaffe.io import image


class ImageFiles:
    """The images of a list file as samples.

    path        the list; a path in it may contain blanks, for the label is what follows the last blank
    root        put before each path as it is, so a folder must end with a slash
    size        (height, width) to resize each image to, or None
    color       True to read 3 channels, False to read 1
    label_size  the number of labels in each line; 0 finds it out
    must_exist  whether a path that names no file is an error at once, rather than when the image is loaded
    """

    def __init__(self, path: str, root: str = "", size: tuple[int, int] | None = None, color: bool = True, *,
                 label_size: int = 0, must_exist: bool = True) -> None:
        self.path, self.root, self.size, self.color = path, root, size, color
        self.entries = read_image_list(path, root, label_size, must_exist)

    def __len__(self) -> int:
        return len(self.entries)

    def files(self) -> list[str]:
        """Return the paths of those images that are there, with `root` before them."""
        there = Files()
        return [path for entry in self.entries if (path := self.root + entry.path) in there]

    def load(self, numbers: Sequence[int]) -> list[Sample | DataError]:
        """Return the images with these numbers, or the errors that say why they cannot be read."""
        return [self._load(number) for number in numbers]

    def _load(self, number: int) -> Sample | DataError:
        name, labels, line = self.entries[number]
        where = f"{self.path}:{line}"
        try:
            pixels = image.decode(read_listed(name, where, self.root), f"{self.root}{name}", self.color)
            if self.size is not None:
                pixels = image.resize(pixels, self.size)
        except DataError as error:
            error.where = error.where or where
            return error
        return Sample(name, f"{self.root}{name}", pixels, labels[0] if len(labels) == 1 else labels)
