"""Images to Datums, as Caffe's convert_imageset makes them: of the files in a list, or in a folder of class folders."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, NamedTuple

from minicaffe.data.batches import Order
from minicaffe.data.datum import make
from minicaffe.data.lists import read_image_list, read_listed
from minicaffe.errors import DataError, MinicaffeError
from minicaffe.io import image
from minicaffe.io.files import looked_in, read_bytes
from minicaffe.log import At, log, warn
from minicaffe.proto import Datum

SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm", ".pgm", ".pbm", ".jp2")
REPORTED = 1000  # records after which a log line says how many there were
AHEAD = 4  # images a thread that may be ready before they are written
LARGEST = 2**31 - 1  # Caffe: a Datum's label has 32 bits


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
        """Whether one of the two is above 0."""
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
    """Return the images in a folder of class folders, and the classes: the sorted names of these folders.

    An image's label is the number of its class. Images are known by the end of their names, and may lie deeper within
    the folder of their class. Raise a DataError where there is no such folder, or no image in one of them.
    """
    try:
        classes = sorted(entry.name for entry in os.scandir(folder) if entry.is_dir() and entry.name[:1] != ".")
    except OSError as error:
        hint = looked_in(folder) if isinstance(error, FileNotFoundError) else ""
        raise DataError(f"cannot read the folder {folder}: {error.strerror}", hint=hint) from error
    stray = sorted(entry.name for entry in os.scandir(folder) if entry.name.lower().endswith(SUFFIXES))
    if not classes or stray:
        raise DataError(f"{folder} has no folders in it, one for each class" if not classes else
                        f"{folder} holds images outside its class folders, the first of {len(stray)} is {stray[0]}",
                        hint="put each image into the folder of its class, or give a list of the images with labels")
    images: list[Listed] = []
    other = []
    for label, name in enumerate(classes):
        files = sorted(_files_below(folder, name))
        chosen = [file for file in files if file.lower().endswith(SUFFIXES)]
        other += [file for file in files if not file.lower().endswith(SUFFIXES)]
        if not chosen:
            raise DataError(f"the class folder {os.path.join(folder, name)} holds no image",
                            hint=f"images are files that end in {', '.join(SUFFIXES)}; delete an empty folder")
        root = os.path.join(folder, "")
        images += [Listed(root, file, label, "", len(images) + k) for k, file in enumerate(chosen)]
    if other:
        warn(At.IMAGESET_COUNTED, f"files in {folder} whose names are not those of images are left out: {len(other)}, "
                                  f"the first is {other[0]}")
    return images, classes


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
            raise DataError(f"{listed.root}{listed.path} is {_shown(shape)} (channels × height × width), and "
                            f"{first[0]} is {_shown(first[1])}, but --check_size wants equal sizes", where=listed.where,
                            hint="--resize_height and --resize_width make them equal")
        first = first or (listed.root + listed.path, shape)
        yield os.fsencode(f"{listed.number:08d}_{listed.path}"), datum
        count += 1
        if count % REPORTED == 0:
            log(At.IMAGESET_PROGRESS, f"Processed {count} files.")


def _make(listed: Listed, form: Form) -> tuple[Any, tuple[int, ...]] | MinicaffeError:
    """Return an image's Datum and the shape of its pixels, or the error that says why there is none."""
    path = listed.root + listed.path
    try:
        whole = read_listed(listed.path, listed.where, listed.root) if listed.where else read_bytes(path)
        pixels = image.decode(whole, path, not form.gray)
        if form.size:
            pixels = image.resize(pixels, form.size)
        if not (kind := _kind(listed.path, form)):
            datum = make(pixels, listed.label)
            datum.encoded = False  # Caffe: it is set, although that is the default
            return datum, pixels.shape
        # Caffe: one size alone resizes nothing, but has all images encoded anew
        as_it_is = not form.given_size and _has_kind(path, kind)
        data = whole if as_it_is else image.encode(pixels, f".{kind}")
    except MinicaffeError as error:
        error.where = error.where or listed.where or path
        return error
    return Datum(data=data, label=listed.label, encoded=True), pixels.shape


def _kind(path: str, form: Form) -> str:
    """Return the kind of file that an image is encoded as; '' for pixels as they are."""
    if form.encode_type or not form.encoded:
        return form.encode_type
    _, dot, suffix = path.rpartition(".")
    if not dot:
        warn(At.IMAGESET_NO_TYPE, f"Failed to guess the encoding of '{path}'")
    return suffix.lower()


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


def _files_below(folder: str, name: str) -> Iterator[str]:
    """Yield the paths, from `folder` on, of the files in its folder `name` and deeper; hidden ones are left out."""
    for inner, _, files in os.walk(os.path.join(folder, name)):
        for file in files:
            if not file.startswith("."):
                yield os.path.relpath(os.path.join(inner, file), folder)


def _shown(shape: Sequence[int]) -> str:
    return "×".join(map(str, shape))
