"""Images without a list: in a folder that has a folder for each class, or in a tar with such folders.

The sorted names of the class folders are the classes, and an image's label is the number of its class. Images are known
by the ends of their names, and may lie deeper within the folder of their class.
"""

from __future__ import annotations

import contextlib
import gzip
import os
import posixpath
import shutil
import tarfile
import tempfile
import weakref
import zlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from minicaffe.data.images import Images
from minicaffe.data.lists import Entry, has_others, write_list
from minicaffe.data.workers import Workers
from minicaffe.errors import DataError
from minicaffe.io.file_bytes import FileBytes, open_ordinary, read_file
from minicaffe.io.files import looked_in
from minicaffe.io.sniff import GZIP
from minicaffe.log import At, log, one_line, warn

SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm", ".pgm", ".pbm", ".jp2")
HIDDEN = (".", "__MACOSX")  # how the names of hidden files and folders begin; macOS adds the second to archives
MADE_BY_SYSTEMS = ("thumbs.db", "desktop.ini")  # files that Windows puts beside images
PARTS = {"train", "training", "test", "testing", "val", "valid", "validation"}  # of a data set; no names of classes
MOST_LINKS = 40  # in a tar, from one to the next until a file comes; Linux follows as many


def is_tar(path: str) -> bool:
    """Return whether a file is a tar, by its name or by its content."""
    if not os.path.isfile(path):
        return False
    with contextlib.suppress(OSError, EOFError, ValueError, zlib.error):  # it is damaged; whoever reads it says how
        return path.lower().endswith((".tar", ".tar.gz", ".tgz")) or tarfile.is_tarfile(path)
    return False


def images_in_folder(path: str) -> tuple[list[Entry], list[str]]:
    """Return the images in a folder of class folders, class by class and sorted, with their labels; and the classes.

    Raise a DataError where a folder cannot be read, a class folder holds no image, or an image lies in none of them.
    """
    return _by_class(_names_below(path), f"the folder {path}")


def _by_class(names: Iterable[str], source: str) -> tuple[list[Entry], list[str]]:
    """Return the images among the names CLASS/…/IMAGE, sorted, with their labels, and the classes.

    The name of a folder ends with a slash. `source` is what messages call the folder or the tar. Other files are warned
    of; hidden ones are passed over.
    """
    shown = [name for name in names if not _is_hidden(name)]
    images = _images_among([name for name in shown if not name.endswith("/")], source)
    classes = sorted({_folder_of(name) for name in images})
    # If an empty folder were no class, the labels of the classes after it would be others than in the training set.
    if empty := sorted({_folder_of(name) for name in shown if "/" in name}.difference(classes)):
        raise DataError(f"{source} has a class folder without an image: {empty[0]}",
                        hint="fill it, or delete it in the training set and in the test set; names of images end in "
                             + ", ".join(SUFFIXES))
    _warn_of_odd_classes(classes, source)
    numbers = {name: number for number, name in enumerate(classes)}
    entries = [Entry(name, (numbers[_folder_of(name)],), 0) for name in images]
    return sorted(entries, key=lambda entry: entry.labels), classes


def _images_among(files: Sequence[str], source: str) -> list[str]:
    """Return the files that are images, sorted, and warn of the others.

    Raise DataError where there is no image, or one that lies in no folder.
    """
    images = sorted(name for name in files if name.lower().endswith(SUFFIXES))
    stray = [name for name in images if "/" not in name]
    if stray or not images:
        raise DataError(f"{source} holds images outside its class folders, the first of {len(stray)} is {stray[0]}"
                        if stray else f"{source} has no images in folders, one folder for each class",
                        hint="put each image into the folder of its class, or give a list of the images with labels")
    if other := len(files) - len(images):
        first = next(name for name in files if not name.lower().endswith(SUFFIXES))
        warn(At.IMAGES_COUNTED, f"files in {source} whose names are not those of images are left out: {other}, the "
                                f"first is {one_line(first)}", lambda: "Put them elsewhere if they are no images.")
    return images


def _warn_of_odd_classes(classes: Sequence[str], source: str) -> None:
    """Warn where the folders are not likely to be classes."""
    if len(classes) > 1 and {name.lower() for name in classes} <= PARTS:
        warn(At.IMAGES_COUNTED, f"the class folders of {source} are {', '.join(classes)}, which look like the parts of "
                                "a data set and not like classes",
             lambda: f"If each of them holds class folders, give one of them: .../{classes[-1]}")
    if len(classes) == 1:
        warn(At.IMAGES_COUNTED, f"{source} has only one class folder, {classes[0]}, so all labels are 0")


def _folder_of(name: str) -> str:
    """Return the class folder in a name CLASS/…/IMAGE."""
    return name.partition("/")[0]


def _is_hidden(name: str) -> bool:
    """Return whether a file or a folder is one that its user does not see, or that the system has put there."""
    parts = name.split("/")
    return any(part.startswith(HIDDEN) for part in parts) or parts[-1].lower() in MADE_BY_SYSTEMS


def write_labels(source: str, classes: Sequence[str]) -> None:
    """Write the names of the classes to labels.txt beside the source, one a line; the first is the class with label 0.

    A labels.txt with other names stays, with a warning. There is a warning too where the file cannot be written.
    """
    path = Path(os.path.abspath(source)).parent / "labels.txt"
    names = [one_line(name) for name in classes]  # the name of a folder may have a line end
    shown = ", ".join(f"{number} is {name}" for number, name in list(enumerate(names))[:20])
    try:
        if not path.exists():
            write_list(path, names)
        elif has_others(path, names):
            warn(At.IMAGES_COUNTED, f"{path} has other classes than {source}, where {shown}; it is left as it is",
                 lambda: "Delete it if it is out of date. Training and test set must have the same class folders.")
    except DataError as error:
        warn(At.IMAGES_COUNTED, f"the classes cannot be written to {path}: {one_line(error)}; {shown}")


def _names_below(path: str) -> Iterator[str]:
    """Yield what is below a folder and not hidden, as paths from there; those of folders end with a slash.

    Links are followed, but not one to a folder in which it lies, which would lead round and round.
    Raise DataError where a folder is locked.
    """
    waiting = [("", {os.path.realpath(path)})]  # a folder, and where it and those around it really are
    while waiting:
        folder, around = waiting.pop()
        try:
            with os.scandir(os.path.join(path, folder) if folder else path) as found:
                entries = [entry for entry in found if not entry.name.startswith(HIDDEN)]
        except OSError as error:
            hint = looked_in(path) if isinstance(error, FileNotFoundError) else ""
            raise DataError(f"cannot read the folder {error.filename}: {error.strerror}", hint=hint) from error
        for entry in entries:
            name = folder + entry.name
            if not os.path.isdir(entry.path):
                yield name
            elif (real := os.path.realpath(entry.path)) not in around:
                yield f"{name}/"
                waiting.append((f"{name}/", around | {real}))


class FolderImages(Images):
    """The images in a folder of class folders. For the other arguments see Images."""

    def __init__(self, path: str, size: tuple[int, int] | None, color: bool, workers: Workers) -> None:
        entries, self.classes = images_in_folder(path)
        super().__init__(entries, size, color, workers)
        self.path = path

    def name(self, entry: Entry) -> str:
        """Return what messages call an image."""
        return os.path.join(self.path, entry.path)

    def read(self, entry: Entry) -> bytes:
        """Return the content of the file."""
        return read_file(self.name(entry), "the image")

    def files(self) -> list[str]:
        """Return the paths of the images."""
        return [self.name(entry) for entry in self.entries]


class TarImages(Images):
    """The images in a tar, in class folders. For the other arguments see Images.

    A plain tar is read where it is. One that is compressed by gzip is unpacked to a temporary file first, because an
    image in the middle could not be read otherwise.
    """

    def __init__(self, path: str, size: tuple[int, int] | None, color: bool, workers: Workers) -> None:
        self.path = path
        try:
            with open_ordinary(path) as file:
                self._plain = _Unpacked(path) if file.read(len(GZIP)) == GZIP else None
            self._file = FileBytes(self._plain.path if self._plain else path)
            with tarfile.open(self._plain.path if self._plain else path, "r:") as tar:
                members = {_bare(member.name): member for member in tar}
                end = tar.offset
        except (OSError, EOFError, ValueError, zlib.error, tarfile.TarError) as error:
            raise DataError(f"cannot read the tar {path}: {getattr(error, 'strerror', None) or error}",
                            hint="a tar may be packed by gzip, but by nothing else") from error
        # tarfile takes a damaged header in the middle for the end, which zeros mark
        if (mark := self._file[end:end + tarfile.BLOCKSIZE]) != bytes(tarfile.BLOCKSIZE):
            raise DataError(f"the tar {path} is cut off: it has no end mark" if len(mark) < tarfile.BLOCKSIZE else
                            f"the tar {path} is damaged: the header at byte {end} has another checksum")
        top = _common_folders(members)
        entries, self.classes = _by_class(_names_from(top, members), f"the tar {path}")
        self._places = {entry.path: self._place(members, top + entry.path) for entry in entries}
        if cut := [entry.path for entry in entries if sum(self._places[entry.path]) > len(self._file)]:
            raise DataError(f"the tar {path} is cut off: it ends before {cut[0]} does")
        super().__init__(entries, size, color, workers)

    def _place(self, members: dict[str, tarfile.TarInfo], name: str) -> tuple[int, int]:
        """Return where in the tar the bytes of a file are, and how many. Links are followed within the tar."""
        member: tarfile.TarInfo | None = members[name]
        for _ in range(MOST_LINKS):
            if member is None or member.isreg():
                break
            if member.islnk():
                name = _bare(member.linkname)
            elif member.issym():
                name = _bare(posixpath.normpath(posixpath.join(posixpath.dirname(name), member.linkname)))
            member = members.get(name) if member.islnk() or member.issym() else None
        if member is None or not member.isreg() or member.issparse():
            raise DataError(f"{name} in the tar {self.path} is no ordinary file, nor a link to one in the tar",
                            hint="pack the tar with --dereference and without --sparse")
        return member.offset_data, member.size

    def name(self, entry: Entry) -> str:
        """Return what messages call an image."""
        return f"{entry.path} in {self.path}"

    def read(self, entry: Entry) -> bytes:
        """Return the bytes of the image. Several threads may call this at once."""
        return self._file.read(*self._places[entry.path])


class _Unpacked:
    """A temporary file with the content of a file that gzip has compressed.

    The temporary file is deleted when nothing refers to this object any more.
    """

    def __init__(self, path: str) -> None:
        number, self.path = tempfile.mkstemp(suffix=".tar")
        weakref.finalize(self, os.unlink, self.path)
        with gzip.open(path) as packed, open(number, "wb") as file:
            shutil.copyfileobj(packed, file, 1 << 20)
        log(At.IMAGES_COUNTED, f"{path} is unpacked to {self.path} for as long as it is read, "
                               f"{os.path.getsize(self.path)} bytes")

    def __deepcopy__(self, _: Any) -> _Unpacked:
        """Return the same object: a copy of a data layer reads the same temporary file."""
        return self


def _bare(name: str) -> str:
    """Return a name in a tar without empty parts and those that are . or .. alone."""
    return "/".join(part for part in name.split("/") if part not in ("", ".", ".."))


def _names_from(top: str, members: dict[str, tarfile.TarInfo]) -> Iterator[str]:
    """Yield the names of a tar's members as paths from the folder `top` on; those of folders end with a slash."""
    for name, member in members.items():
        if name == "":
            continue  # the folder that was packed
        if name.startswith(top):
            yield name[len(top):] + "/" * member.isdir()
        elif not member.isdir():
            yield posixpath.basename(name)  # lies beside the classes: it is counted, but its folder is no class


def _common_folders(names: Iterable[str]) -> str:
    """Return the folders around the class folders of a tar, such as 'photos/', or '' where there are none."""
    folders = [name.split("/")[:-1] for name in names if name.lower().endswith(SUFFIXES)]
    common = ""
    for parts in zip(*(parts[:-1] for parts in folders), strict=False):  # the last folder at least is the class
        if len(set(parts)) > 1:
            break
        common += f"{parts[0]}/"
    return common
