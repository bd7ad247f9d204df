"""Images as samples: `Images` is the base of all sources of image files, and `ImageFiles` reads those of a list."""

from __future__ import annotations

import contextlib
from abc import ABC, abstractmethod
from collections.abc import Sequence

import numpy as np

from minicaffe.data.batches import Sample
from minicaffe.data.lists import Entry, Files, read_image_list, read_listed
from minicaffe.data.workers import Workers
from minicaffe.errors import DataError
from minicaffe.io import image


class Images(ABC):
    """Images as samples. A subclass says how the bytes of an image are read.

    size        the (height, width) to which each image is resized, or None to keep its size
    color       True to read 3 channels, False to read 1
    workers     the threads that decode; None decodes on the calling thread alone
    classes     the names of the classes, in the order of their labels; empty where the labels come from a list
    """

    classes: Sequence[str] = ()

    def __init__(self, entries: Sequence[Entry], size: tuple[int, int] | None, color: bool,
                 workers: Workers | None = None) -> None:
        self.entries, self.size, self.color, self.workers = entries, size, color, workers or Workers(1)
        self._then: Sequence[int] = ()  # the numbers of the images after those of the next `load`
        self._spare: list[np.ndarray] = []  # images whose memory may be used again

    def __len__(self) -> int:
        return len(self.entries)

    @abstractmethod
    def name(self, entry: Entry) -> str:
        """Return what messages call an image."""

    @abstractmethod
    def read(self, entry: Entry) -> bytes:
        """Return the bytes of an image file. Raise DataError where it cannot be read."""

    def where(self, entry: Entry) -> str:
        """Return the place at which the image is named, LIST:LINE, or ''."""
        return ""

    def files(self) -> list[str]:
        """Return the paths of those images that are files of their own."""
        return []

    def labels(self) -> list[float | tuple[float, ...]]:
        """Return the label of each image, or its labels where there are several."""
        return [entry.labels[0] if len(entry.labels) == 1 else entry.labels for entry in self.entries]

    def load(self, numbers: Sequence[int]) -> Sequence[Sample | DataError]:
        """Return the images with these numbers, or the error in place of one that cannot be read."""
        then, self._then = self._then, ()
        return self.workers.map(self._load, numbers, then)

    def expect(self, numbers: Sequence[int]) -> None:
        """Let the threads go on with these images after the next `load`, so that none waits for the slowest image."""
        self._then = numbers

    def reuse(self, images: Sequence[np.ndarray]) -> None:
        """Take back images that nobody reads any more, so that later ones get their memory.

        New memory must be cleared by the system before it is used, which takes longer than copying an image.
        """
        self._spare += images

    def _kept(self, pixels: np.ndarray) -> np.ndarray:
        """Return the image, in the memory of an earlier one where there is one of its shape."""
        with contextlib.suppress(IndexError):  # there is none, because another thread took the last one
            if (room := self._spare.pop()).shape == pixels.shape:
                room[...] = pixels
                return room
        return pixels

    def _load(self, number: int) -> Sample | DataError:
        entry = self.entries[number]
        name, labels = self.name(entry), entry.labels
        try:
            pixels = image.decode(self.read(entry), name, self.color)
            if self.size is not None and self.size != pixels.shape[1:]:
                pixels = image.resize(pixels, self.size)
        except DataError as error:
            error.where = error.where or self.where(entry)
            return error
        return Sample(entry.path, name, self._kept(pixels), labels[0] if len(labels) == 1 else labels)


class ImageFiles(Images):
    """The images of a list file. For the other arguments see Images.

    path        the list; a path in it may contain blanks, for the label is what follows the last blank
    root        put before each path as it is, so a folder must end with a slash
    label_size  the number of labels in each line; 0 finds it out
    must_exist  True: a path that names no file is an error at once. False: it is one when the image is loaded
    """

    def __init__(self, path: str, root: str = "", size: tuple[int, int] | None = None, color: bool = True, *,
                 label_size: int = 0, must_exist: bool = True, workers: Workers | None = None) -> None:
        self.path, self.root, self.must_exist = path, root, must_exist
        super().__init__(read_image_list(path, root, label_size, must_exist), size, color, workers)

    def name(self, entry: Entry) -> str:
        """Return the path of an image, with `root` before it."""
        return self.root + entry.path

    def read(self, entry: Entry) -> bytes:
        """Return the content of the file."""
        return read_listed(entry.path, self.where(entry), self.root)

    def where(self, entry: Entry) -> str:
        """Return the line of the list."""
        return f"{self.path}:{entry.line}"

    def files(self) -> list[str]:
        """Return the paths of the images; without `must_exist`, of those that are there."""
        there = Files()
        paths = [self.root + entry.path for entry in self.entries]
        return paths if self.must_exist else [path for path in paths if path in there]
