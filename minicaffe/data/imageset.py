"""Images to Datums, as Caffe's convert_imageset makes them: of the files in a list, or in a folder of class folders."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from minicaffe.data.batches import Order
from minicaffe.data.class_folders import images_in_folder
from minicaffe.data.datum import make
from minicaffe.data.lists import read_image_list, read_listed
from minicaffe.errors import DataError, MinicaffeError
from minicaffe.io import image
from minicaffe.io.file_bytes import read_file
from minicaffe.log import At, log, shape_text, warn
from minicaffe.proto import Datum

REPORTED = 1000  # records after which a log line says how many there were
AHEAD = 4  # images a thread that may be ready before they are written
LARGEST = 2**31 - 1  # of labels. Caffe: a Datum's label has 32 bits


class Listed(NamedTuple):
    """An image file: its path below `root`, its label, LIST:LINE where a list names it, and its number."""

    root: str
    path: str
    label: int
    where: str
    number: int


@dataclass(frozen=True)
class Form:
    """How a file becomes a Datum. The names are those of convert_imageset's flags."""

    gray: bool = False
    resize_height: int = 0  # an image is resized where both are above 0
    resize_width: int = 0
    encoded: bool = False
    encode_type: str = ""
    check_size: bool = False

    @property
    def size(self) -> tuple[int, int] | None:
        """The height and width of all images; None where each keeps its own."""
        size = (self.resize_height, self.resize_width)
        return size if min(size) > 0 else None

    @property
    def given_size(self) -> bool:
        """Whether at least one of the two sizes is given."""
        return max(self.resize_height, self.resize_width) > 0


def read_list(path: str, root: str, *, must_exist: bool) -> list[Listed]:
    """Return the images that a list names, numbered by their lines from 0 on.

    Raise a DataError where the list cannot be read, a line has another form than 'PATH LABEL' or, with `must_exist`,
    a path names no file.
    """
    images = []
    for entry in read_image_list(path, root, must_exist=must_exist):
        where = f"{path}:{entry.line}"
        label = entry.labels[0]
        if len(entry.labels) > 1 or not isinstance(label, int):
            what = f"{len(entry.labels)} labels" if len(entry.labels) > 1 else f"the label {label:g}"
            raise DataError(f"{entry.path} has {what}, and a Datum holds a single whole number", where=where,
                            hint="write it in digits alone, or read the list by an ImageData layer as it is")
        if not -LARGEST - 1 <= label <= LARGEST:
            raise DataError(f"the label {label} does not fit into the 32 bits that a Datum has for it", where=where)
        images.append(Listed(root, entry.path, label, where, entry.line - 1))
    return images


def read_folder(folder: str) -> tuple[list[Listed], list[str]]:
    """Return the images in a folder of class folders, numbered from 0 on, and the classes.

    Raise a DataError as `images_in_folder` does.
    """
    entries, classes = images_in_folder(folder)
    root = os.path.join(folder, "")
    return [Listed(root, entry.path, int(entry.labels[0]), "", k) for k, entry in enumerate(entries)], classes


def shuffled(images: Sequence[Listed], seed: int) -> list[Listed]:
    """Return the images in a random order, which follows from the seed, with numbers from 0 on."""
    log(At.IMAGESET_SHUFFLED, "Shuffling data")
    _, order = Order(len(images), seed).at(0, len(images))
    return [images[k]._replace(number=number) for number, k in enumerate(order)]


def records(images: Iterable[Listed], form: Form, threads: int = 1,
            left_out: list[MinicaffeError] | None = None) -> Iterator[tuple[bytes, Any]]:
    """Yield (key, Datum) of each image, in the given order; `threads` threads read and decode.

    A key is the image's number in eight digits, a line below and the path. Where an image cannot be read, raise the
    error or, where `left_out` is a list, add the error to it and go on. Raise a DataError for an image of another
    size than the first, where the form has `check_size`.
    """
    first: tuple[str, tuple[int, ...]] | None = None
    count = 0
    for listed, made in _in_order(lambda listed: _make(listed, form), images, threads):
        if isinstance(made, MinicaffeError):
            if left_out is None:
                raise made
            left_out.append(made)
            continue
        datum, shape = made
        if form.check_size and first and shape != first[1]:
            raise DataError(f"{listed.root}{listed.path} is {shape_text(shape)} (channels × height × width), and "
                            f"{first[0]} is {shape_text(first[1])}, but --check_size wants equal sizes",
                            where=listed.where, hint="--resize_height and --resize_width make them equal")
        first = first or (listed.root + listed.path, shape)
        yield os.fsencode(f"{listed.number:08d}_{listed.path}"), datum
        count += 1
        if count % REPORTED == 0:
            log(At.IMAGESET_PROGRESS, f"Processed {count} files.")


def _make(listed: Listed, form: Form) -> tuple[Any, tuple[int, ...]] | MinicaffeError:
    """Return an image's Datum and the shape of its pixels, or the error that says why there is none."""
    path = listed.root + listed.path
    try:
        whole = read_listed(listed.path, listed.where, listed.root) if listed.where else read_file(path, "the image")
        pixels = image.decode(whole, path, not form.gray)
        if form.size:
            pixels = image.resize(pixels, form.size)
        if not (kind := _kind(listed.path, form)):
            datum = make(pixels, listed.label)
            datum.encoded = False  # Caffe: it is set, although that is the default
            return datum, pixels.shape
        # Caffe: one size alone resizes nothing, but has all images encoded anew
        as_it_is = not form.given_size and _has_kind(path, kind)
        data = whole if as_it_is else _encode(pixels, kind, form)
    except MinicaffeError as error:
        # most messages name the file already
        error.where = error.where or listed.where or ("" if path in error.message else path)
        return error
    return Datum(data=data, label=listed.label, encoded=True), pixels.shape


def _kind(path: str, form: Form) -> str:
    """Return the kind of file, such as 'png', in which an image is stored, or '' where its pixels are stored."""
    if form.encode_type or not form.encoded:
        return form.encode_type
    _, dot, suffix = path.rpartition(".")
    if not dot:
        warn(At.IMAGESET_NO_TYPE, f"Failed to guess the encoding of '{path}'")
    return suffix.lower()


def _encode(pixels: np.ndarray, kind: str, form: Form) -> bytes:
    """Return the bytes of an image file of this kind. Raise a DataError where there is no such kind."""
    try:
        return image.encode(pixels, f".{kind}")
    except DataError as error:
        if not form.encode_type:
            error.hint = "the kind is what follows the last dot of the name; --encode_type=png gives one for all images"
        raise


def _has_kind(path: str, kind: str) -> bool:
    """Return whether a file has this kind, by the end of its name."""
    suffix, kind = path.rpartition(".")[2].lower(), kind.lower()
    return suffix == kind or (kind, suffix) == ("jpg", "jpeg")


def _in_order(work: Callable[[Listed], Any], images: Iterable[Listed], threads: int) -> Iterator[tuple[Listed, Any]]:
    """Yield each image with what `work` returns for it, in the given order. Threads work on the next ones meanwhile."""
    if threads < 2:
        yield from ((listed, work(listed)) for listed in images)
        return
    pool = ThreadPoolExecutor(threads)
    waiting: deque[tuple[Listed, Future[Any]]] = deque()
    try:
        for listed in images:
            waiting.append((listed, pool.submit(work, listed)))
            if len(waiting) >= AHEAD * threads:
                done, future = waiting.popleft()
                yield done, future.result()
        while waiting:
            done, future = waiting.popleft()
            yield done, future.result()
    finally:
        pool.shutdown(cancel_futures=True)
