"""What is in a source: the number of samples, their shapes, labels, means and deviations.

It also says which samples have the same content, and which cannot be read.
"""

from __future__ import annotations

import contextlib
import hashlib
import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from google.protobuf.message import DecodeError

from minicaffe.data.batches import DatumSamples, Sample, Samples
from minicaffe.data.images import Images
from minicaffe.errors import DataError
from minicaffe.io.exif import UPRIGHT, orientation
from minicaffe.proto import Datum

AT_ONCE = 32  # samples that are loaded together
LOOKED_AT = 100  # images whose bytes are looked at before they are decoded
MOST_COLUMNS = 16  # a row of so many numbers has a mean for each, a longer one a single mean


class Moments:
    """The mean and the standard deviation of many numbers in each of some groups, the channels, and their range.

    Numbers are added array by array. The deviation is computed from the distances to the mean so far, because as the
    difference of two large sums it would lose its digits. NaN and infinity are left out.
    """

    def __init__(self, groups: int) -> None:
        self.count = np.zeros(groups)  # numbers in each group
        self.mean, self._squares = np.zeros(groups), np.zeros(groups)
        self.least, self.largest = np.full(groups, np.inf), np.full(groups, -np.inf)

    def add(self, values: np.ndarray) -> None:
        """Take in an array (groups, n)."""
        x = values.astype(np.float64)
        known: Any = True
        n = np.full(len(x), x.shape[1])
        if not np.isfinite(x).all():
            known = np.isfinite(x)
            n = known.sum(axis=1)
        whole = np.maximum(self.count + n, 1)
        mean = x.sum(axis=1, where=known) / np.maximum(n, 1)
        distance = mean - self.mean
        apart = np.subtract(x, mean[:, None], where=known, out=np.zeros_like(x))
        self._squares += (apart ** 2).sum(axis=1) + distance ** 2 * (self.count * n / whole)
        self.mean += distance * (n / whole)
        self.count += n
        self.least = np.minimum(self.least, x.min(axis=1, where=known, initial=np.inf))
        self.largest = np.maximum(self.largest, x.max(axis=1, where=known, initial=-np.inf))

    @property
    def deviation(self) -> np.ndarray:
        """The standard deviation of each group: the root of the mean squared distance to the mean."""
        return np.sqrt(self._squares / np.maximum(self.count, 1))


@dataclass
class Survey:
    """What was found.

    count       the number of samples in the source
    read        how many of them were looked at
    shapes      how many samples have each shape
    types       how many samples have each type of number
    labels      how many samples have each label: a number, or a tuple of several
    moments     number of channels -> Moments
    not_finite  the keys of the samples that hold NaN or infinity
    unreadable  (the sample's number, what is wrong with it)
    duplicates  groups of samples with the same content; each sample is (key, label). Empty unless asked for
    """

    count: int
    read: int = 0
    shapes: Counter[tuple[int, ...]] = field(default_factory=Counter)
    types: Counter[str] = field(default_factory=Counter)
    labels: Counter[Any] = field(default_factory=Counter)
    moments: dict[int, Moments] = field(default_factory=dict)
    not_finite: list[str] = field(default_factory=list)
    unreadable: list[tuple[int, DataError]] = field(default_factory=list)
    duplicates: list[list[tuple[str, Any]]] = field(default_factory=list)

    @property
    def whole(self) -> bool:
        """Whether all samples were looked at."""
        return self.read == self.count

    def add(self, number: int, sample: Sample | DataError) -> None:
        """Take in a sample, or the error in its place."""
        self.read += 1
        if isinstance(sample, DataError):
            self.unreadable.append((number, sample))
            return
        x = sample.image
        self.shapes[tuple(x.shape)] += 1
        self.types[str(x.dtype)] += 1
        self.labels[plain_label(sample.label)] += 1
        if x.size:
            rows = x.reshape(groups_of(x.shape), -1)
            self.moments.setdefault(len(rows), Moments(len(rows))).add(rows)
            if not np.isfinite(rows).all():
                self.not_finite.append(sample.key)


def survey(samples: Samples, numbers: Sequence[int], find_duplicates: bool = False,
           follow: Any = lambda items, total: items) -> Survey:
    """Look at the samples with these numbers, and return what was found.

    find_duplicates     compare the contents of the samples, by their hashes
    follow              is called with the groups of samples to load and their number, and returns the same groups; a
                        progress bar counts them there
    """
    found = Survey(len(samples))
    seen: defaultdict[bytes, list[tuple[str, Any]]] = defaultdict(list)
    starts = range(0, len(numbers), AT_ONCE)
    for start in follow(starts, len(starts)):
        part = list(numbers[start:start + AT_ONCE])
        for number, sample in zip(part, samples.load(part), strict=True):
            found.add(number, sample)
            if find_duplicates and not isinstance(sample, DataError):
                seen[_content(sample.image)].append((sample.key, plain_label(sample.label)))
    found.duplicates = [group for group in seen.values() if len(group) > 1]
    return found


@dataclass
class Stored:
    """How some of the images of a source are stored.

    looked_at   how many images were looked at
    encoded     how many of them are encoded, as JPEG, PNG, …; image files always are
    turned      how many have EXIF data which says that the image must be turned
    turns       whether a data layer turns them: one that decodes into a given number of channels does
    """

    looked_at: int
    encoded: int
    turned: int
    turns: bool


def stored(samples: Samples) -> Stored | None:
    """Return how the images are stored, judged by some that are spread evenly; None where the samples are no images."""
    numbers = spread(len(samples), LOOKED_AT, LOOKED_AT // 20)
    if isinstance(samples, Images):
        return _stored([_bytes_of(samples, number) for number in numbers], len(numbers), True)
    if not isinstance(samples, DatumSamples):
        return None
    images = []
    for _, value in samples.source.take(numbers):
        with contextlib.suppress(DecodeError):  # that a record is damaged is told where it is decoded
            datum = Datum.FromString(value)
            images += [datum.data] if datum.encoded else []
    return _stored(images, len(numbers), samples.color is not None)


def _stored(images: Sequence[bytes], looked_at: int, turns: bool) -> Stored:
    return Stored(looked_at, len(images), sum(orientation(one) != UPRIGHT for one in images), turns)


def _bytes_of(images: Images, number: int) -> bytes:
    """Return the bytes of an image file, or b"" where it cannot be read: that is told where the image is decoded."""
    try:
        return images.read(images.entries[number])
    except DataError:
        return b""


def spread(count: int, limit: int, run: int = 1) -> list[int]:
    """Return at most `limit` of the numbers 0 to count − 1, spread evenly, in runs of `run` that follow each other.

    A database is read quickest in runs; files can be read in any order. There are at least 20 runs, or `limit` of them.
    """
    if count <= limit:
        return list(range(count))
    run = max(1, min(run, limit // 20))
    runs = limit // run
    starts = [round(i * (count - run) / max(1, runs - 1)) for i in range(runs)] if runs > 1 else [0]
    return list(dict.fromkeys(number for start in starts for number in range(start, min(start + run, count))))


def groups_of(shape: Sequence[int]) -> int:
    """Return how many means a sample has: one for each channel, or for each column of a short row, or else one."""
    if len(shape) == 3 or (len(shape) == 1 and shape[0] <= MOST_COLUMNS):
        return max(1, shape[0])
    return 1


def plain_label(label: Any) -> Any:
    """Return a label as a key: whole numbers as int, other numbers as float, several as a tuple."""
    if isinstance(label, Iterable):
        return tuple(plain_label(one) for one in label)
    if math.isnan(label):
        return math.nan  # always the same object, because a Counter tells two NaN apart
    return int(label) if float(label).is_integer() else float(label)


def _content(image: np.ndarray) -> bytes:
    """Return a hash of an image's shape, type and numbers."""
    whole = hashlib.blake2b(f"{image.shape} {image.dtype}".encode(), digest_size=16)
    whole.update(np.ascontiguousarray(image).tobytes())
    return whole.digest()
