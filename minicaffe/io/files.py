"""Read and replace whole files. Where the system refuses, there is one clear error."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import stat
from collections.abc import Iterable
from itertools import islice
from pathlib import Path
from typing import Any

from minicaffe.errors import DataError, ProtoError, near_names
from minicaffe.log import one_line
from minicaffe.system import PathLike as PathLike
from minicaffe.system import sync_folder

HDF5_SUFFIXES = (".h5", ".hdf5")
LONGEST_STREAM = 256_000_000  # bytes that are read from a pipe or a device; some never end
MOST_NAMES = 1000  # of a folder that are compared with one that is missing


def read_bytes(path: PathLike, at_most: int = -1) -> bytes:
    """Return the content of a file, or its first `at_most` bytes.

    Raise ProtoError when it is missing, a folder, may not be read, or is a pipe or device that gives too much.
    """
    try:
        with open(path, "rb") as file:
            if at_most >= 0:
                return _first(file, at_most)
            if stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                return file.read()
            data = _first(file, LONGEST_STREAM + 1)
    except (OSError, ValueError) as error:
        raise unreadable(path, error) from error
    if len(data) > LONGEST_STREAM:
        raise ProtoError(f"more than {LONGEST_STREAM // 10**6} MB come from here, and this is no ordinary file",
                         where=str(path), hint="write it into a file first")
    return data


def is_hdf5_name(path: PathLike) -> bool:
    """Return whether a file of this name is written as HDF5: it ends in .h5 or .hdf5, in small letters or capitals."""
    return str(path).lower().endswith(HDF5_SUFFIXES)


def without_hdf5_suffix(name: str) -> str:
    """Return a file's name without the .h5 or .hdf5 at its end: 'a.solverstate' of 'a.solverstate.h5'."""
    return name.rpartition(".")[0] if is_hdf5_name(name) else name


def _first(file: Any, at_most: int) -> bytes:
    """Return the first bytes of a file. A single call to read them would ask for the memory of all of them at once."""
    pieces = []
    while at_most and (piece := file.read(min(at_most, 1 << 16))):
        pieces.append(piece)
        at_most -= len(piece)
    return b"".join(pieces)


def unreadable(path: PathLike, error: Exception) -> ProtoError:
    """Return the error for a path that the system did not open. The hint gives similar names in the same folder."""
    from minicaffe.proto.wording import path_hint

    shown = one_line(path)
    if isinstance(error, FileNotFoundError) and os.path.islink(path):
        return ProtoError(f"{shown} is a link to a file that does not exist: {one_line(os.readlink(path))}")
    if isinstance(error, FileNotFoundError):
        return ProtoError(f"no such file: {shown}", hint=path_hint(str(path)) or missing_hint(Path(path)))
    if isinstance(error, IsADirectoryError):
        return ProtoError(f"{shown} is a folder, not a file")
    return ProtoError(f"cannot read {shown}: {getattr(error, 'strerror', None) or error}", hint=path_hint(str(path)))


def missing_hint(path: Path) -> str:
    """Return a hint for a missing file: its folder does not exist, or a file there has a similar name."""
    if not path.parent.is_dir():
        return f"there is no folder {str(path.parent)!r}"
    try:
        return near_names(path.name, [entry.name for entry in islice(path.parent.iterdir(), MOST_NAMES)])
    except OSError:  # a folder that may be entered, but not listed
        return ""


def looked_in(path: str) -> str:
    """Return the hint for a path that is not there: the folder in which it was looked for. '' for an absolute path."""
    return "" if Path(path).is_absolute() else f"looked for in {Path.cwd()}"


def temporary(path: Path) -> Path:
    """Return a new name in the folder of `path`, for the file that will replace it, while that is being written."""
    return path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")


def check_can_write(flag: str, path: PathLike) -> None:
    """Raise DataError, before any work is done, where `replace_file` could not write a file; `flag` names it.

    Nothing is checked for '', and for a device or a pipe.
    """
    target, folder = Path(path), Path(path).parent
    if not str(path) or (target.exists() and not target.is_file() and not target.is_dir()):
        return
    if target.is_dir() or not (folder.is_dir() and os.access(folder, os.W_OK)):
        seen = "it is a folder" if target.is_dir() else f"{str(folder)!r} is not a folder that may be written to"
        raise DataError(f"{flag}: cannot write {path}: {seen}")


def replace_file(path: PathLike, chunks: Iterable[Any]) -> None:
    """Write the chunks (bytes or buffers) so that `path` is at every moment the old file or the new one.

    They are written to a new file in the same folder, which is renamed to `path` once all is on the disk. When this
    returns, the new name is on the disk too, and is there after a loss of power. The new file gets the permissions of
    the old one. Other things than files (`/dev/stdout`, a pipe) are written to directly. Raise DataError when
    the system refuses. Then no file is left behind.
    """
    target = Path(os.path.realpath(path))  # through a link, so that the link stays one
    beside = temporary(target)
    device = target.exists() and not target.is_file() and not target.is_dir()
    # A shell that redirects holds its file open by these names. A new file would not be the one that it holds.
    straight = device or str(path).startswith(("/dev/std", "/dev/fd/"))
    try:
        with open(path if straight else beside, "ab" if straight else "wb") as file:
            for chunk in chunks:
                file.write(chunk)
            file.flush()
        if not straight:
            move_into_place(beside, target)
    except OSError as error:
        raise DataError(f"cannot write {path}: {error.strerror or error}") from error
    finally:
        if not straight:
            with contextlib.suppress(OSError):
                beside.unlink()


def move_into_place(beside: Path, target: Path) -> None:
    """Rename a file that is complete, so that it replaces the one called `target` and has its permissions."""
    with open(beside, "rb+") as file:
        # before the rename: else a loss of power could leave the new name without its content
        os.fsync(file.fileno())
    with contextlib.suppress(OSError):  # a new file has no permissions to take over
        shutil.copymode(target, beside)
    os.replace(beside, target)
    sync_folder(target.parent)


class WritesUntilError:
    """An open, unbuffered file for a library that cannot deal with a full disk: errors wait until `check`."""

    def __init__(self, raw: Any) -> None:
        self._raw = raw
        self._error: OSError | None = None

    def check(self) -> None:
        """Raise the first error that writing met."""
        if self._error:
            raise self._error

    def write(self, data: Any) -> int:
        """Write all of the data, or nothing more after an error."""
        rest = memoryview(data)
        try:
            while rest and not self._error:
                rest = rest[self._raw.write(rest):]
        except OSError as error:
            self._error = error
        return len(data)

    def truncate(self, size: int) -> None:
        """Give the file a size."""
        try:
            self._raw.truncate(size)
        except OSError as error:
            self._error = self._error or error

    def __getattr__(self, name: str) -> Any:
        return getattr(self._raw, name)  # seek, tell, readinto, flush
