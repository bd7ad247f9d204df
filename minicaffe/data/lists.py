"""Text files that list other files, one a line, and the files that they list."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from minicaffe.errors import DataError
from minicaffe.io.file_bytes import open_ordinary, read_file, read_ordinary
from minicaffe.io.files import PathLike, missing_hint, replace_file, windows_hint
from minicaffe.log import At, plural, warn

NUMBER = re.compile(rb"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
UNUSUAL = (b" ", b"\t", b'"', b"'")  # where a path begins with one of these, it may not belong to the path
DECIDING = 100  # at most so many lines are examined to find out the number of labels
ROUNDED = 2**24  # from here on, float32 cannot hold every whole number
LARGEST = 3.4e38  # of float32
LONGEST_PATH = 4096  # bytes, the limit of Linux; other systems open no longer paths
LONGEST_SHOWN = 1000  # characters of a line or of a path in a message
FEW = 20  # up to so many files of a folder are looked for one by one; for more, the whole folder is read
MOST_FOLDERS = 500  # the number of folders in which a missing file is searched


class Entry(NamedTuple):
    """A line of a list: the path as it stands there, its labels, and the number of the line."""

    path: str
    labels: tuple[float, ...]
    line: int


def read_image_list(path: str, root: str = "", label_size: int = 0, must_exist: bool = True) -> list[Entry]:
    """Return the images that a list names, with their labels: whole numbers as int, others as float.

    path        the list: text with a path and one or more numbers in each line, such as 'cat.jpg 3'
    root        put before each path as it is, so a folder must end with a slash
    label_size  the number of labels in each line; 0 finds it out
    must_exist  whether a path that names no file is an error

    As in Caffe, the last number of a line is its label, and all before it is the path. If no file has this path, but
    there is one once more numbers are taken from the end of the path, these are further labels. The first line whose
    path names a file decides how many labels all lines must have.

    A list that Caffe can read gives the same paths as there. Beyond that, a list may have tabs, several blanks, quotes
    around paths, blank lines, and lines that begin with # as comments. A line is read in such a way only if no file has
    the path that Caffe would read.

    Raise DataError, with the line, where the list cannot be read, is empty, or has a line of another form.
    """
    rows = _read_lines(path, "the list")
    reader = _ImageList(path, root, label_size, rows)
    entries = [reader.entry(number, line) for number, line in rows if not reader.is_comment(line)]
    if not entries:
        raise DataError(f"the list {path} is empty")
    missing = reader.missing(entries)
    if missing and must_exist:
        name, _, line = missing[0]
        more = f"; of the {len(entries)} files in the list, {len(missing)} are missing" if len(missing) > 1 else ""
        open_listed(name, f"{path}:{line}", root, more, none_is_there=len(missing) == len(entries)).close()
    _warn_of_rounding(path, entries)
    return entries


def read_path_list(path: str) -> list[Entry]:
    """Return the paths in a list of HDF5 files. White space separates them.

    A path with blanks stands in quotes, or alone in its line. A line that begins with # is a comment, unless there is
    such a file. Raise DataError where the list cannot be read.
    """
    found, files = [], Files()
    for number, text in read_list(path, "the list of HDF5 files"):
        names = [text] if text in files else [a or b for a, b in re.findall(r'"([^"]+)"|(\S+)', text)]
        if not text.startswith("#") or names[0] in files:
            found += [Entry(name, (), number) for name in names]
    return found


def read_list(path: str, what: str) -> list[tuple[int, str]]:
    """Return the number and the text of each line of a text file, without blank lines and without blanks around it.

    The file may begin with a byte order mark, as Windows' programs write it, and its lines may end as on any system.
    Bytes that are no UTF-8 are kept, as in `os.fsdecode`, so that they can name a file. Raise DataError where the file
    cannot be read; `what` is what the message calls it.
    """
    return [(number, os.fsdecode(line.strip())) for number, line in _read_lines(path, what)]


def write_list(path: PathLike, lines: Sequence[str]) -> None:
    """Write a text file of lines, so that the old file or the new one is there at every moment."""
    replace_file(path, ["".join(f"{line}\n" for line in lines).encode("utf-8", "surrogateescape")])


def has_others(path: PathLike, lines: Sequence[str]) -> bool:
    """Return whether there is a text file that does not have just these lines; blanks around a line do not count."""
    if not os.path.exists(path):
        return False
    return [line for _, line in read_list(str(path), "the text file")] != [line.strip() for line in lines]


def _read_lines(path: str, what: str) -> list[tuple[int, bytes]]:
    """Return the number and the bytes of each line that is not blank."""
    data = read_file(path, what)
    if b"\0" in data:
        utf_16 = data[:2] in (b"\xff\xfe", b"\xfe\xff")
        raise DataError(f"cannot read {what} {path}: it is no text in UTF-8", hint="it is UTF-16, as Windows' "
                        "PowerShell writes: save it as UTF-8" if utf_16 else f"{what} must be a text file")
    lines = data.removeprefix(b"\xef\xbb\xbf").splitlines()
    return [(number, line) for number, line in enumerate(lines, 1) if line.strip()]


class _ImageList:
    """Reads the lines of a list of images. All lines are bytes, because a file's name may be no UTF-8."""

    def __init__(self, path: str, root: str, label_size: int, rows: list[tuple[int, bytes]]) -> None:
        self.path, self.root, self.files = path, root, Files()
        self._numbers: dict[bytes, float] = {}  # of the labels read so far, since most labels come often
        self.label_size, self._reason = label_size or 1, "as label_size says" if label_size else ""
        # the first line decides; if its file is missing, the first of the next lines whose file is there
        for number, line in [] if label_size else rows[:DECIDING]:
            if sizes := self._sizes(line):
                self.label_size, self._reason = sizes[0], f"as line {number} has"
                break

    def is_comment(self, line: bytes) -> bool:
        """Return whether a line begins with # and names no file."""
        return line.lstrip().startswith(b"#") and not self._sizes(line)

    def entry(self, number: int, line: bytes) -> Entry:
        """Return what a line says, or raise a DataError where it has another form."""
        K = self.label_size
        name, *labels = line.rsplit(None, K)
        if len(labels) < K:
            raise self._other_form(number, line)
        values: tuple[Any, ...] = tuple(map(self._numbers.get, labels))
        if None in values:
            values = tuple([self._number(label, number, line) for label in labels])
        if name[:1] not in UNUSUAL and (K > 1 or len(line) == len(name) + 1 + len(labels[0])):
            return Entry(os.fsdecode(name), values, number)
        names = _names(line, name, labels)
        return Entry(self._existing(names) or names[-1], values, number)

    def missing(self, entries: list[Entry]) -> list[Entry]:
        """Return the entries that name no file. Raise a DataError where one has another number of labels."""
        missing = [entry for entry in entries if self.root + entry.path not in self.files]
        for entry in missing:
            if self.label_size == 1 and not NUMBER.fullmatch(b"".join(os.fsencode(entry.path).split()[-1:])):
                continue  # there is no further number to cut off
            text = " ".join([entry.path, *map(str, entry.labels)])
            if (sizes := self._sizes(os.fsencode(text))) and sizes[0] != self.label_size:
                raise self._other_form(entry.line, os.fsencode(text))
        return missing

    def _number(self, label: bytes, number: int, line: bytes) -> float:
        """Return the number that a label is: a whole one as int, another as float."""
        if not NUMBER.fullmatch(label):
            raise self._other_form(number, line)
        value = float(label)
        if abs(value) > LARGEST:
            raise DataError(f"the label {_short(label.decode())} is too large for float32",
                            where=f"{self.path}:{number}")
        if label.lstrip(b"+-").isdigit():  # Python refuses to make an int of thousands of digits, even of zeros
            value = int(label) if len(label) < 100 else int(value)
        self._numbers[label] = value
        return value

    def _sizes(self, line: bytes) -> list[int]:
        """Return how many labels a line can have: those counts with which its path names a file."""
        words = line.split()
        numbers = 0
        while numbers < len(words) - 1 and NUMBER.fullmatch(words[-1 - numbers]):
            numbers += 1
        # where a path may end: a line can have 100,000 numbers, so no name is made that no file can have
        ends = [word.end() for word in re.finditer(rb"\S+", line[:LONGEST_PATH + 1])]
        shortest = max(1, len(words) - len(ends))
        names = {size: _names(line, line[:ends[len(words) - size - 1]], words[-1:] if size == 1 else [])
                 for size in range(shortest, numbers + 1)}
        return [size for size in names if self._existing(names[size])]

    def _existing(self, names: list[str]) -> str:
        """Return the first of the paths that names a file, or ''."""
        return next((name for name in names if self.root + name in self.files), "")

    def _other_form(self, number: int, line: bytes) -> DataError:
        """Return the error for a line that has another form than it should."""
        K, text, where = self.label_size, _short(os.fsdecode(line.strip())), f"{self.path}:{number}"
        if K > 1 or self._sizes(line):
            return DataError(f"expected a path and {plural(K, 'label')}, {self._reason}, got {text!r}", where=where,
                             hint="each line must have the same number of labels")
        words = line.split()
        hint = "write a blank, not a comma, before the label" if re.fullmatch(rb".*,[+-]?\d+", words[-1]) else \
            "a label is a number: give the classes the numbers 0, 1, 2 and so on" if len(words) > 1 else \
            "where there are no labels, write 0 after each path"
        return DataError(f"expected 'PATH LABEL' with a number at the end, got {text!r}", where=where, hint=hint)


def _short(text: str) -> str:
    """Return a text for a message. A long one loses its middle."""
    if len(text) <= LONGEST_SHOWN:
        return text
    return f"{text[:LONGEST_SHOWN // 2]} … {text[-LONGEST_SHOWN // 4:]}"


def _names(line: bytes, name: bytes, labels: list[bytes]) -> list[str]:
    """Return the possible paths of a line: first as Caffe reads it, last without the blanks and quotes around it."""
    found = []
    if len(labels) == 1:
        head, _, label = line.rpartition(b" ")
        found += [head] * (label == labels[0])  # Caffe: all before the last blank, further blanks included
    bare = name.lstrip()
    found += [name, bare]
    if len(bare) > 2 and bare[:1] == bare[-1:] and bare[:1] in b"\"'":
        found.append(bare[1:-1])
    return list(dict.fromkeys(map(os.fsdecode, found)))


def _warn_of_rounding(path: str, entries: list[Entry]) -> None:
    large = [(label, entry.line) for entry in entries for label in entry.labels if abs(label) >= ROUNDED]
    if large:
        label, line = large[0]
        warn(At.IMAGES_COUNTED, f"the list {path} has {plural(len(large), 'label')} of 2^24 or more, the "
                                f"first ({label}) in line {line}: a blob holds float32 numbers, which are rounded "
                                "there, so two labels may become one")


# --- the files that a list names ---------------------------------------------------------------------------------


class Files:
    """Answers whether a path names an ordinary file: `path in files`.

    For many files of one folder this is fast, because the names in the folder are read once and remembered.
    """

    def __init__(self) -> None:
        self._asked: dict[str, int] = {}
        self._names: dict[str, set[str]] = {}

    def __contains__(self, path: str) -> bool:
        folder, slash, name = path.rpartition("/")
        names = self._names.get(folder)
        if names is None:
            asked = self._asked[folder] = self._asked.get(folder, 0) + 1
            if asked > FEW:
                self._names[folder] = _files_in(folder + slash or ".")
        # some file systems find a file under a name in other capitals, too, so the system is asked where it is missing
        return (names is not None and name in names) or os.path.isfile(path)


def _files_in(folder: str) -> set[str]:
    try:
        with os.scandir(folder) as found:
            return {entry.name for entry in found if entry.is_file()}
    except OSError:  # a folder that is not there, or that may be entered but not listed
        return set()


def read_listed(path: str, where: str, root: str = "") -> bytes:
    """Return the content of a file that a list names. The arguments and the errors are those of `open_listed`."""
    try:
        return read_ordinary(root + path)
    except (OSError, ValueError) as error:
        raise listed_file_error(path, where, error, root) from error


def open_listed(path: str, where: str, root: str = "", more: str = "", none_is_there: bool = False) -> BinaryIO:
    """Open the file root + path for reading. Raise DataError where it cannot be opened, as `listed_file_error` says.

    A pipe or a device is such an error, because it may never answer.
    """
    try:
        return open_ordinary(root + path)
    except (OSError, ValueError) as error:
        raise listed_file_error(path, where, error, root, more, none_is_there) from error


def listed_file_error(path: str, where: str, error: Exception, root: str = "", more: str = "",
                      none_is_there: bool = False) -> DataError:
    """Return the error for a file that a list names and that cannot be opened, with a hint at the likely mistake.

    path            as it stands in the list
    where           LIST:LINE, the line that names it
    root            what is put before each path
    more            put at the end of the message
    none_is_there   whether all files of the list are missing, so that root_folder is likely to be wrong
    """
    name, listed_in = root + path, where.rpartition(":")[0]
    if not isinstance(error, FileNotFoundError):
        reason = getattr(error, "strerror", None) or error
        return DataError(f"cannot read {_short(name)}, which the list {listed_in} names: {reason}{more}", where=where)
    given, beside = Path(name), Path(listed_in).parent / path
    searched = "" if given.is_absolute() else f" (looked for in {Path.cwd()})"
    if root and os.path.exists(os.path.join(root, path)):
        hint = f"root_folder is put before each path as it is: end it with a slash, '{root}/'"
    elif of_windows := windows_hint(name) or windows_hint(path):
        hint = of_windows
    elif none_is_there and (better := _likely_root(path, root, listed_in)) is not None:
        hint = f"did you mean root_folder: {better}" if better else "leave out root_folder: the path needs none"
    elif searched and os.path.exists(beside):
        hint = f"paths in a list count from the folder in which minicaffe is started, and the file is {beside} here"
    else:
        hint = missing_hint(given)
    if searched and not hint:
        hint = "paths in a list count from the folder in which minicaffe is started, not from the list's"
    return DataError(f"there is no file {_short(name)}, which the list {listed_in} names{searched}{more}", where=where,
                     hint=hint)


def _likely_root(path: str, root: str, listed_in: str) -> str | None:
    """Return the root_folder with which a path is there: none, a folder near the list, or one near the given root."""
    near = [os.path.dirname(listed_in), os.path.dirname(os.path.dirname(listed_in)), "",
            root.rstrip("/"), os.path.dirname(root.rstrip("/"))]
    candidates = ["", *near]
    for folder in dict.fromkeys(near):
        with contextlib.suppress(OSError), os.scandir(folder or ".") as found:
            candidates += [os.path.join(folder, entry.name) for entry in islice(found, MOST_FOLDERS) if entry.is_dir()]
    for candidate in dict.fromkeys(candidates):
        slashed = f"{candidate}/" if candidate and not candidate.endswith("/") else candidate
        if os.path.isfile(slashed + path):
            return slashed
    return None
