"""The files of a LevelDB: they are only read, and each one that is missing or damaged is an error with its name."""

from __future__ import annotations

from collections import OrderedDict
from pathlib import Path
from typing import Any

from minicaffe.errors import DataError
from minicaffe.io.file_bytes import FileBytes, being_written
from minicaffe.io.wire import DamagedError

COPY_AGAIN = "copy the LevelDB again, or run the tool that wrote it"
MOST_OPEN = 64  # files: a large LevelDB has more than a process may open
BLOCK = 4096  # bytes that are read at once; whole blocks of a table are read by themselves


class Files:
    """The open files of a LevelDB, by path. The one that was not used for the longest time is closed first.

    When it is opened again it must be the same file, so that old and new records are never mixed.
    """

    def __init__(self) -> None:
        self._open: OrderedDict[Path, FileBytes] = OrderedDict()
        self._states: dict[Path, tuple[int, int]] = {}

    def __call__(self, path: Path, size: int | None = None) -> FileBytes:
        """Return an open file. Raise DataError where it cannot be read, or has another size than its LevelDB says."""
        file = self._open.get(path)
        if file is None:
            file = open_file(path)
            if self._states.setdefault(path, file.state) != file.state:
                raise being_written(path)
            self._open[path] = file
            if size is not None and len(file) != size:
                raise damaged(path, f"it has {len(file)} bytes, but the LevelDB says {size}")
            if len(self._open) > MOST_OPEN:
                self._open.popitem(last=False)
        self._open.move_to_end(path)
        return file


def open_file(path: Path) -> FileBytes:
    """Open a file of a LevelDB. Raise a DataError where that cannot be done."""
    try:
        return FileBytes(path, BLOCK)
    except FileNotFoundError as error:
        raise DataError(f"the LevelDB {path.parent} lacks its file {path.name}",
                        hint=f"{COPY_AGAIN}; or does another program write it at this moment?") from error
    except (OSError, ValueError) as error:
        raise DataError(f"cannot read {path}: {getattr(error, 'strerror', None) or error}") from error


def damaged(path: Any, what: str) -> DataError:
    """Return the error for a file whose content cannot be right."""
    return DataError(f"{path} is damaged: {what}", hint=COPY_AGAIN)


def varint(data: Any, at: int) -> tuple[int, int]:
    """Return the base-128 number at `at` and the offset after it. Raise a DamagedError where there is none."""
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, at
        shift += 7
        if shift > 63:
            raise DamagedError("a number has more than 64 bits")
