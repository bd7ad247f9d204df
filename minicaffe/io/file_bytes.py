"""Read a file in blocks, and notice where another program writes to it meanwhile.

A memory map would be simpler. But when a mapped file becomes shorter, the system kills the process that reads it
(SIGBUS). When it is written over, the reader sees old and new bytes mixed, without an error. Here each change is an
error.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import threading
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from minicaffe import system
from minicaffe.errors import DataError
from minicaffe.io.files import PathLike, looked_in, missing_hint

BLOCK = 1 << 16  # bytes that are read at once; an array that is larger is read by itself


class FileBytes:
    """The bytes of an ordinary file, which can be indexed and sliced as if they were in memory.

    They are read in blocks, and the last `most` blocks stay in memory. Reading raises DataError if the file was written
    to since it was opened, so that all bytes come from one state of the file. It is no error when another file takes
    the name meanwhile, because the first one stays open. A copy (copy.deepcopy) opens the file again. Raise OSError
    where the file cannot be opened. `state` is the file's size and date.
    """

    def __init__(self, path: PathLike, block_size: int = BLOCK, most: int = 2) -> None:
        self.path, self._block_size, self._most, self._head = str(path), block_size, most, b""
        self._full_path = os.path.abspath(path)
        self._open()

    def __len__(self) -> int:
        return self._size

    def __getitem__(self, place: Any) -> Any:
        if isinstance(place, slice):
            begin = place.start or 0
            return self.read(begin, min(place.stop, self._size) - begin)
        block, at = self.block(place)
        return block[at]

    def block(self, place: int) -> tuple[bytes, int]:
        """Return the block that holds the byte at `place`, and the index of this byte in the block."""
        number, at = divmod(place, self._block_size)
        block = self._blocks.get(number)
        if block is None:
            block = self._read(place - at, min(self._block_size, self._size - place + at))
            with self._lock:  # two threads that read at once must not both take out the same block
                while len(self._blocks) >= self._most:  # a dict keeps its order, so the first key is the oldest
                    del self._blocks[next(iter(self._blocks))]
                self._blocks[number] = block
        return block, at

    def read(self, place: int, size: int) -> bytes:
        """Return the `size` bytes from `place` on. Raise IndexError where the file does not have them all."""
        if size > 0 and not 0 <= place <= self._size - size:
            raise IndexError(f"the bytes {place} to {place + size} of {self._size}")
        parts = []
        while size > 0:
            block, at = self.block(place)
            parts.append(block[at:at + size])
            place, size = place + len(parts[-1]), size - len(parts[-1])
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def piece(self, place: int, size: int) -> bytes:
        """Return the `size` bytes from `place` on, where nothing near them is asked for soon: no block is kept.

        The caller runs `check` before it uses what it has read.
        """
        if not 0 <= place <= self._size - size:
            raise IndexError(f"the bytes {place} to {place + size} of {self._size}")
        with self._one_error():
            return system.read_at(self._file, place, size)

    def read_into(self, values: np.ndarray, place: int) -> None:
        """Fill an array, which must be in one piece, with the bytes from `place` on."""
        target: Any = values.reshape(-1).view(np.uint8)
        if target.size <= self._block_size:  # the block before often holds most of these bytes
            target[:] = np.frombuffer(self.read(place, target.size), np.uint8)
            return
        with self._one_error():
            count = system.read_into(self._file, place, memoryview(target))
        self._check_read(place, count, target.size)

    def watch(self, size: int) -> None:
        """From now on compare the first `size` bytes too: not every change gives the file another date."""
        self._head = self.read(0, size)
        self.check()

    def check(self) -> None:
        """Raise DataError where the file has been written to since it was opened."""
        with self._one_error():
            found = os.fstat(self._file.fileno())
            head = system.read_at(self._file, 0, len(self._head))
        if (found.st_size, found.st_mtime_ns) != self.state or head != self._head:
            raise being_written(self.path)

    def _read(self, place: int, size: int) -> bytes:
        with self._one_error():
            data = system.read_at(self._file, place, size)
        self._check_read(place, len(data), size)
        return data

    def _check_read(self, place: int, count: int, size: int) -> None:
        """Run this after each read: if the file has not changed up to now, what was read is of one state."""
        self.check()
        if count < size:
            raise DataError(f"this file cannot be read beyond byte {place + count} of {self._size}", where=self.path)

    @contextlib.contextmanager
    def _one_error(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise DataError(f"this file cannot be read: {error.strerror or error}", where=self.path) from error

    def _open(self) -> None:
        self._file = open_ordinary(self._full_path)
        weakref.finalize(self, self._file.close)
        found = os.fstat(self._file.fileno())
        self._size, self.state = found.st_size, (found.st_size, found.st_mtime_ns)
        self._blocks: dict[int, bytes] = {}
        self._lock = threading.Lock()

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name not in ("_file", "_blocks", "_lock")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Open the file again, which must be the same one."""
        vars(self).update(state)
        try:
            self._open()
        except OSError as error:
            raise DataError(f"this file cannot be opened again: {error.strerror or error}", where=self.path) from error
        vars(self).update(state)  # its size and its date must still be those
        self.check()


def open_ordinary(path: PathLike) -> BinaryIO:
    """Open a file for reading. Raise OSError also for a pipe or a device: to open one could wait for ever."""
    kind = os.stat(path).st_mode
    if not stat.S_ISREG(kind) and not stat.S_ISDIR(kind):
        raise OSError(errno.EINVAL, "it is a pipe or a device, not an ordinary file")
    return open(path, "rb", buffering=0)


def read_ordinary(path: PathLike) -> bytes:
    """Return the content of a file. Raise OSError as `open_ordinary` does. For a small file this takes half as long."""
    # a pipe is opened without waiting for its writer, and then refused
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    try:
        file = os.open(path, flags)
    except PermissionError:
        open_ordinary(path).close()  # on Windows this is also the answer to a folder
        raise
    try:
        found, parts = os.fstat(file), []
        if stat.S_ISDIR(found.st_mode):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        if not stat.S_ISREG(found.st_mode):
            raise OSError(errno.EINVAL, "it is a pipe or a device, not an ordinary file")
        while part := os.read(file, max(found.st_size, 1 << 16)):
            parts.append(part)
            if len(part) == found.st_size:  # no need to ask for more, which would say that this is the end
                break
        return parts[0] if len(parts) == 1 else b"".join(parts)
    finally:
        os.close(file)


def read_file(path: PathLike, what: str) -> bytes:
    """Return the content of a file. Raise a DataError where it cannot be read; `what` is what the message calls it.

    A pipe or a device is such an error, because it may never answer or never end.
    """
    try:
        return read_ordinary(path)
    except UnicodeEncodeError:
        raise  # the locale has no letters for the name: the command line says so, with the cure
    except (OSError, ValueError) as error:
        hints = [looked_in(str(path)), missing_hint(Path(path))] if isinstance(error, FileNotFoundError) else []
        raise DataError(f"cannot read {what} {path}: {getattr(error, 'strerror', None) or error}",
                        hint="; ".join(filter(None, hints))) from error


@contextlib.contextmanager
def unchanged(path: PathLike) -> Iterator[None]:
    """Raise DataError where a file changes while the `with` block lets another library read it.

    An error that the library raises then is replaced by this one, for it is about a mixture of old and new bytes.
    """
    before = state_of(path)
    try:
        yield
    except Exception as error:
        if state_of(path) != before:
            raise being_written(path) from error
        raise
    if state_of(path) != before:
        raise being_written(path)


def state_of(path: PathLike) -> tuple[int, int] | None:
    """Return the size and the date of a file, which nearly every change changes; None where there is no file."""
    try:
        found = os.stat(path)
    except (OSError, ValueError):
        return None
    return found.st_size, found.st_mtime_ns


def being_written(path: PathLike) -> DataError:
    """Return the error for a file that another program has changed since it was opened."""
    return DataError("this file is being written: it has changed since it was opened", where=str(path),
                     hint="wait until the other program has finished, then begin again")
