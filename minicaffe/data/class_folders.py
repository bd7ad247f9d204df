"""Images that no list names: in a folder of class folders, or in a tar with such folders.

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
from minicaffe.data.lists import Entry
from minicaffe.data.workers import Workers
from minicaffe.errors import DataError
from minicaffe.io.file_bytes import FileBytes, open_ordinary, read_ordinary
from minicaffe.io.files import replace_file
from minicaffe.log import At, log, one_line, warn

SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm", ".pgm", ".pbm", ".jp2")
HIDDEN = (".", "__MACOSX")  # how the names of hidden files and folders begin
GZIP = b"\x1f\x8b"
MOST_LINKS = 40  # in a tar, from one to the next until a file comes; Linux follows as many


def is_tar(path: str) -> bool:
    """Return whether a file is a tar, by its name or by its content."""
    if not os.path.isfile(path):
        return False
    with contextlib.suppress(OSError, EOFError, ValueError, zlib.error):  # it is damaged; whoever reads it says how
        return path.lower().endswith((".tar", ".tar.gz", ".tgz")) or tarfile.is_tarfile(path)
    return False


def by_class(names: Iterable[str], source: str) -> tuple[list[Entry], list[str]]:
    """Return the images among the names CLASS/…/IMAGE, in order, with their labels, and the classes.

    The name of a folder ends with a slash. `source` is what messages call the folder or the tar. Other files are warned
    of; hidden ones are passed over. Raise a DataError where there is no class folder, or one without an image, or an
    image outside of one.
    """
    shown = [name for name in names if not any(part.startswith(HIDDEN) for part in name.split("/"))]
    folders = {name.partition("/")[0] for name in shown if "/" in name}
    files = [name for name in shown if not name.endswith("/")]
    images = sorted(name for name in files if name.lower().endswith(SUFFIXES))
    stray = [name for name in images if "/" not in name]
    if stray or not images:
        raise DataError(f"{source} holds images outside its class folders, the first of {len(stray)} is {stray[0]}"
                        if stray else f"{source} has no images in folders, one folder for each class",
                        hint="put each image into the folder of its class, or give a list of the images with labels")
    if other := len(files) - len(images):
        first = next(name for name in files if not name.lower().endswith(SUFFIXES))
        warn(At.IMAGES_COUNTED, f"{other} files in {source} are left out, because their names are not those of images; "
                                f"the first is {one_line(first)}")
    classes = sorted({name.partition("/")[0] for name in images})
    if empty := sorted(folders.difference(classes)):  # left out, it would shift the numbers of the classes behind it
        raise DataError(f"the class folder {empty[0]} of {source} holds no image",
                        hint=f"images are files that end in {', '.join(SUFFIXES)}; delete a folder that is no class")
    numbers = {name: number for number, name in enumerate(classes)}
    if len(classes) == 1:
        warn(At.IMAGES_COUNTED, f"{source} has only one class folder, {classes[0]}, so all labels are 0")
    entries = [Entry(name, (numbers[name.partition("/")[0]],), 0) for name in images]
    return sorted(entries, key=lambda entry: entry.labels), classes


def write_labels(source: str, classes: Sequence[str]) -> None:
    """Write the classes to labels.txt beside the source, one a line. Warn where there is another one, or it cannot be.

    The first line is the class with label 0.
    """
    path = Path(os.path.abspath(source)).parent / "labels.txt"
    text = os.fsencode("".join(f"{one_line(name)}\n" for name in classes))
    shown = ", ".join(f"{number} is {name}" for number, name in list(enumerate(classes))[:20])
    try:
        if not path.exists():
            replace_file(path, [text])
        elif _lines(read_ordinary(path)) != _lines(text):
            warn(At.IMAGES_COUNTED, f"{path} has other classes than {source}, where {shown}; it is left as it is",
                 lambda: "Delete it if it is out of date. Training and test set must have the same class folders.")
    except (OSError, DataError) as error:
        warn(At.IMAGES_COUNTED, f"the classes cannot be written to {path}: {one_line(error)}; {shown}")


def _lines(text: bytes) -> list[bytes]:
    return [line.strip() for line in text.removeprefix(b"\xef\xbb\xbf").splitlines() if line.strip()]


def _names_below(path: str) -> Iterator[str]:
    """Yield what is below a folder and not hidden, as paths from there; those of folders end with a slash.

    Links are followed, but not one to a folder in which it lies, which would lead round and round.
    Raise DataError where a folder is locked.
    """
    waiting = [("", {os.path.realpath(path)})]  # a folder, and where it and those around it really are
    while waiting:
        folder, around = waiting.pop()
        try:
            with os.scandir(os.path.join(path, folder)) as found:
                entries = [entry for entry in found if not entry.name.startswith(HIDDEN)]
        except OSError as error:
            raise DataError(f"cannot read the folder {error.filename}: {error.strerror}") from error
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
        entries, self.classes = by_class(_names_below(path), f"the folder {path}")
        super().__init__(entries, size, color, workers)
        self.path = path

    def name(self, entry: Entry) -> str:
        """Return what messages call an image."""
        return os.path.join(self.path, entry.path)

    def read(self, entry: Entry) -> bytes:
        """Return the content of the file."""
        try:
            return read_ordinary(self.name(entry))
        except OSError as error:
            raise DataError(f"cannot read {self.name(entry)}: {error.strerror or error}") from error

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
                self._plain = _Unpacked(path) if file.read(2) == GZIP else None
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
        entries, self.classes = by_class(_names_from(top, members), f"the tar {path}")
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
        """Return the content of the file. Several threads may call this at once."""
        return self._file.read(*self._places[entry.path])


class _Unpacked:
    """A temporary file with the content of one that gzip has compressed. It is deleted with the last reference."""

    def __init__(self, path: str) -> None:
        number, self.path = tempfile.mkstemp(suffix=".tar")
        weakref.finalize(self, os.unlink, self.path)
        with gzip.open(path) as packed, open(number, "wb") as file:
            shutil.copyfileobj(packed, file, 1 << 20)
        log(At.IMAGES_COUNTED, f"{path} is unpacked to {self.path} for as long as it is read, "
                               f"{os.path.getsize(self.path)} bytes")

    def __deepcopy__(self, _: Any) -> _Unpacked:
        return self


def _bare(name: str) -> str:
    """Return a name in a tar without . and .. and empty parts."""
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
    """Return the folders in which all images of a tar lie, beside their class folders: '' or such as 'photos/'."""
    folders = [name.split("/")[:-1] for name in names if name.lower().endswith(SUFFIXES)]
    common = ""
    for parts in zip(*(parts[:-1] for parts in folders), strict=False):  # the last folder at least is the class
        if len(set(parts)) > 1:
            break
        common += f"{parts[0]}/"
    return common
