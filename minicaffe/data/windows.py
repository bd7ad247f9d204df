"""The windows of WindowData: boxes in images, with objects or background, cut out and scaled to one size (R-CNN).

A window file repeats, for each image:

    # INDEX
    PATH
    CHANNELS
    HEIGHT
    WIDTH
    NUMBER OF WINDOWS
    CLASS OVERLAP X1 Y1 X2 Y2        (a line for each window)
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, BinaryIO

import numpy as np

from minicaffe.data.batches import Batch
from minicaffe.data.lists import Files, open_listed, read_list, read_listed
from minicaffe.data.turns import InTurns
from minicaffe.errors import DataError
from minicaffe.io import image
from minicaffe.log import At, one_line, plural, warn
from minicaffe.rng import SampleDraws


@dataclass(frozen=True)
class Window:
    """A box (x1, y1) to (x2, y2), both included, in the image at `path`, and its class (0: background)."""

    path: str
    label: int
    x1: int
    y1: int
    x2: int
    y2: int


@dataclass
class WindowFile:
    """The windows of a file, divided into objects and background by the thresholds for their overlap."""

    foreground: list[Window] = field(default_factory=list)
    background: list[Window] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    places: dict[str, str] = field(default_factory=dict)  # of a path: FILE:LINE where it is first named
    channels: int = 0
    root: str = ""  # what was put before the file's own path in each of `paths`

    def open(self, path: str, none_is_there: bool = False) -> BinaryIO:
        """Open one of the images. Raise a DataError as `open_listed` does, where it cannot be opened."""
        return open_listed(path.removeprefix(self.root), self.places[path], self.root, none_is_there=none_is_there)


def read_window_file(path: str, root: str, fg_threshold: float, bg_threshold: float) -> WindowFile:
    """Return the windows with an overlap of at least fg_threshold, and those with less than bg_threshold.

    As in Caffe, lines may also end at other places, as long as the words come in this order and no path has a blank.
    Raise a DataError, which names the file's line, when it is missing or not of this form.
    """
    rows = read_list(path, "the window file")
    try:
        return _read_rows(rows, path, root, fg_threshold, bg_threshold)
    except DataError:
        other_rows = list(_one_item_a_line(rows))
        if other_rows != rows:
            with contextlib.suppress(DataError):  # the first error says more
                return _read_rows(other_rows, path, root, fg_threshold, bg_threshold)
        raise


def _read_rows(lines: list[tuple[int, str]], path: str, root: str, fg_threshold: float,
               bg_threshold: float) -> WindowFile:
    """Return the windows of lines, given with their numbers. For the rest see `read_window_file`."""
    rows = iter(lines)
    foreground, background = np.float32(fg_threshold), np.float32(bg_threshold)
    found = WindowFile(root=root)
    for number, text in rows:
        words = text.split()
        _expect(len(words) == 2 and words[0] == "#", path, number, "'# INDEX'", words)
        number, text = _next(rows, path)
        quoted = len(text) > 2 and text[0] == text[-1] == '"'
        image_path = root + (text[1:-1] if quoted else text)
        found.paths.append(image_path)
        found.places.setdefault(image_path, f"{path}:{number}")
        (number, (found.channels,)), _, _, (_, (count,)) = (_numbers(rows, path, 1) for _ in range(4))
        _expect(found.channels > 0, path, number, "a positive number of channels", [found.channels])
        for _ in range(count):
            number, (label, overlap, *box) = _numbers(rows, path, 6)
            if overlap >= foreground:
                _expect(label > 0, path, number, "a class above 0 for a foreground window", [label])
                found.foreground.append(Window(image_path, label, *box))
            elif overlap < background:
                found.background.append(Window(image_path, 0, *box))
    for kind in ("foreground", "background"):
        if not getattr(found, kind):
            raise DataError(f"the window file {path} has no {kind} window with fg_threshold {fg_threshold:g} and "
                            f"bg_threshold {bg_threshold:g}")
    return found


def _one_item_a_line(lines: list[tuple[int, str]]) -> Iterator[tuple[int, str]]:
    """Yield the words of a window file as lines of the usual form, each with the number of its first word's line."""
    words = iter([(number, word) for number, text in lines for word in text.split()])
    while head := list(islice(words, 7)):  # '#', INDEX, PATH, CHANNELS, HEIGHT, WIDTH, NUMBER OF WINDOWS
        yield head[0][0], " ".join(word for _, word in head[:2])
        yield from head[2:]
        count = head[-1][1]
        for _ in range(int(count) if count.isdecimal() else 0):
            window = list(islice(words, 6))
            if not window:
                return
            yield window[0][0], " ".join(word for _, word in window)


def _next(rows: Iterator[tuple[int, str]], path: str) -> tuple[int, str]:
    """Return the number and the text of the next line. Raise a DataError at the end of the file."""
    row = next(rows, None)
    if row is None:
        raise DataError(f"the window file {path} ends in the middle of an image")
    return row


def _numbers(rows: Iterator[tuple[int, str]], path: str, count: int) -> tuple[int, list[Any]]:
    """Return the number of the next line and the `count` numbers in it: whole ones, but the second is an overlap."""
    number, text = _next(rows, path)
    try:
        read = [float(word) for word in text.split()]
        # Caffe: the overlap is a float32, like the threshold, so that 0.3 is not below 0.3
        values = [np.float32(value) if i == 1 else int(value) for i, value in enumerate(read)]
    except (ValueError, OverflowError):  # no number, NaN or infinite
        read = values = []
    whole = all(a == b for i, (a, b) in enumerate(zip(read, values, strict=True)) if i != 1)
    _expect(len(values) == count and whole, path, number, plural(count, "number"), text.split())
    return number, values


def _expect(holds: bool, path: str, number: int, what: str, got: list) -> None:
    """Raise the DataError for a line that has something else than `what`, unless the condition holds."""
    if not holds:
        raise DataError(f"expected {what}, got {' '.join(map(str, got))!r}", where=f"{path}:{number}")


class WindowBatches(InTurns):
    """Makes batches of windows drawn at random: background first, then fg_fraction of foreground. There are no epochs.

    size        height and width of the images in a batch
    pad         pixels of such an image on each side that show the surroundings of the window
    square      whether to widen the window to a square first
    mean        what to subtract: (C, h, w), of which the middle is taken; or (C, 1, 1); or None
    skip_bad    True: where an image cannot be read, the next window of the same kind takes the place of each of its
                windows. False: it is an error
    left_out    what was wrong with each image that was left out, by its path
    """

    def __init__(self, windows: WindowFile, batch_size: int, fg_fraction: float, size: int, *, pad: int, square: bool,
                 mirror: bool, mean: np.ndarray | None, scale: float, cache: bool, dtype: type, seed: int,
                 skip_bad: bool = False) -> None:
        self.windows, self.batch_size, self.size, self.pad, self.square = windows, batch_size, size, pad, square
        self.mirror, self.mean, self.scale, self.dtype, self.seed = mirror, mean, scale, dtype, seed
        self.num_fg = int(np.float32(batch_size) * np.float32(fg_fraction))
        self.skip_bad = skip_bad
        self.left_out: dict[str, str] = {}
        there = Files()
        missing = [path for path in windows.paths if path not in there]
        if missing and not skip_bad:
            windows.open(missing[0], none_is_there=missing == windows.paths).close()
        self.files = {path: self._read(path) for path in windows.paths if path in there} if cache else {}

    draws_for_samples = True

    @property
    def seeds(self) -> list[int]:
        """The seeds that a snapshot must keep."""
        return [self.seed]

    @seeds.setter
    def seeds(self, seeds: list[int]) -> None:
        self.seed = seeds[0]

    def reuse(self, batch: Batch) -> None:
        """Do nothing with a batch that nobody reads any more."""

    def close(self) -> None:
        """There are no threads to end."""

    def __call__(self) -> Batch:
        """Return the next batch."""
        N, begin = self.batch_size, self.begin()
        # windows have no epochs: a draw follows from the seed and from how many windows were drawn before
        draws = SampleDraws(self.seed, [0] * N, range(begin, begin + N))
        pools = [self.windows.background if n < N - self.num_fg else self.windows.foreground for n in range(N)]
        places = draws.below(np.array([len(pool) for pool in pools]), "window")
        flips = draws.below(2, "mirror") if self.mirror else np.zeros(N, int)
        data: np.ndarray = np.zeros((N, self.windows.channels, self.size, self.size), self.dtype)
        chosen = []
        for pool, place, flip, y in zip(pools, places, flips, data, strict=True):
            chosen.append(self._draw(pool, int(place), bool(flip), y))
        self.move(begin + N)
        labels: np.ndarray = np.array([w.label for w in chosen], self.dtype)
        return Batch(data, labels, [f"{w.path} ({w.x1}, {w.y1})-({w.x2}, {w.y2})" for w in chosen], self.cursor,
                     self.turn, 0, data.shape)

    def _draw(self, pool: list[Window], place: int, flip: bool, y: np.ndarray) -> Window:
        """Write a window into y (C, size, size): that at `place` of the pool, or the next whose image can be read."""
        for window in pool[place:] + pool[:place] if self.skip_bad else pool[place:place + 1]:
            if window.path in self.left_out:
                continue
            try:
                pixels = self._pixels(window.path)
            except DataError as error:
                error.where = error.where or self.windows.places[window.path]
                if not self.skip_bad:
                    raise
                self.left_out[window.path] = one_line(f"{error.where}: {error.message}")
                warn(At.LEFT_OUT, f"left out: {self.left_out[window.path]}")
                continue
            self._cut(window, pixels, flip, y)
            return window
        raise DataError(f"all images with {'foreground' if pool[0].label else 'background'} windows were left out, "
                        f"because none can be read; the first: {self.left_out[pool[place].path]}")

    def _cut(self, window: Window, pixels: np.ndarray, flip: bool, y: np.ndarray) -> None:
        """Cut a window out of an image and write it, scaled, into y (C, size, size). Places beyond the image stay 0."""
        if len(pixels) != len(y):
            raise DataError(f"{window.path} has {len(pixels)} channels, but the window file says {len(y)}")
        box, (top, left, height, width) = self._place(window, pixels.shape[1:], flip)
        x1, y1, x2, y2 = box
        if not (0 <= x1 <= x2 < pixels.shape[2] and 0 <= y1 <= y2 < pixels.shape[1]):
            raise DataError(f"the window ({window.x1}, {window.y1})-({window.x2}, {window.y2}) does not lie in "
                            f"{window.path}, which is {pixels.shape[2]} wide and {pixels.shape[1]} high")
        warped = image.resize(pixels[:, y1:y2 + 1, x1:x2 + 1], (height, width))
        x: np.ndarray = (warped[:, :, ::-1] if flip else warped).astype(self.dtype)
        if self.mean is not None:
            x -= self._mean_at(self.mean, top, left, height, width)
        y[:, top:top + height, left:left + width] = x * self.dtype(self.scale)

    def _pixels(self, path: str) -> np.ndarray:
        """Return the image in a file, from the cache where there is one."""
        return image.decode(self.files[path] if path in self.files else self._read(path), path, True)

    def _read(self, path: str) -> bytes:
        """Return the bytes of an image file. Raise a DataError where it cannot be read."""
        return read_listed(path.removeprefix(self.windows.root), self.windows.places[path], self.windows.root)

    def _mean_at(self, mean: np.ndarray, top: int, left: int, height: int, width: int) -> np.ndarray:
        """Return the part of the mean to subtract from a scaled window that fills this place of the result."""
        if mean.shape[1:] == (1, 1):
            return mean
        off = (mean.shape[2] - self.size) // 2  # Caffe: from the width alone, also for the rows
        return mean[:, off + top:off + top + height, off + left:off + left + width]

    def _place(self, window: Window, image_size: tuple[int, ...],
               flip: bool) -> tuple[tuple[int, int, int, int], tuple[int, int, int, int]]:
        """Return the box to cut out of the image, and the place (top, left, height, width) that it fills in y."""
        size = self.size
        box = (window.x1, window.y1, window.x2, window.y2)
        if not self.pad and not self.square:
            return box, (0, 0, size, size)
        x1, y1, x2, y2 = expand(box, size, self.pad, self.square, self.dtype)
        height, width = image_size
        # how many of the box's columns and rows lie before the image, and how many after it
        before = (max(0, -x1), max(0, -y1))
        after = (max(0, x2 - width + 1), max(0, y2 - height + 1))
        scale_x, scale_y = self.dtype(size) / self.dtype(x2 - x1 + 1), self.dtype(size) / self.dtype(y2 - y1 + 1)
        x1, y1, x2, y2 = x1 + before[0], y1 + before[1], x2 - after[0], y2 - after[1]
        top = _round(before[1] * scale_y)
        left = _round((after if flip else before)[0] * scale_x)  # mirrored, the columns after the image come first
        return (x1, y1, x2, y2), (top, left, min(_round((y2 - y1 + 1) * scale_y), size - top),
                                  min(_round((x2 - x1 + 1) * scale_x), size - left))


def expand(box: tuple[int, int, int, int], size: int, pad: int, square: bool,
           dtype: type = np.float32) -> tuple[int, int, int, int]:
    """Return a larger box: once it is scaled to `size`, `pad` pixels on each side show the surroundings of `box`.

    It may reach beyond the image. Everything is computed in `dtype`, because its rounding decides about single pixels.
    """
    x1, y1, x2, y2 = box
    grow = dtype(size) / dtype(size - 2 * pad)
    half_height, half_width = dtype((y2 - y1 + 1) / 2), dtype((x2 - x1 + 1) / 2)
    center_x, center_y = dtype(x1) + half_width, dtype(y1) + half_height
    if square:
        half_height = half_width = max(half_height, half_width)
    return (_round(center_x - half_width * grow), _round(center_y - half_height * grow),
            _round(center_x + half_width * grow), _round(center_y + half_height * grow))


def _round(value: float) -> int:
    """Round to the nearest whole number, halves away from zero, as C's round does."""
    return int(math.copysign(math.floor(abs(float(value)) + 0.5), value))
