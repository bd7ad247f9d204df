"""What operating systems offer in different ways, or not at all: reads at a place in a file, folders put on the disk.

Everything that exists on POSIX systems alone is used here and nowhere else, each with the portable way beside it.
"""

from __future__ import annotations

import contextlib
import os
from typing import BinaryIO


def read_at(file: BinaryIO, offset: int, size: int) -> bytes:
    """Up to `size` bytes of an open file from byte `offset` on; fewer where the file ends before.

    Unlike a mapping, a read finds out without harm that a file has become shorter. Safe to call from several threads
    where the system has `pread`; elsewhere the file's position is moved.
    """
    parts = []
    while size > 0:
        part = _read_once(file, offset, size)
        if not part:
            break
        parts.append(part)
        offset, size = offset + len(part), size - len(part)
    return parts[0] if len(parts) == 1 else b"".join(parts)


def read_into(file: BinaryIO, offset: int, target: memoryview) -> int:
    """As `read_at`, into memory that is there already; the number of bytes read."""
    done = 0
    while done < len(target):
        if hasattr(os, "preadv"):
            count = os.preadv(file.fileno(), [target[done:]], offset + done)
        else:
            part = _read_once(file, offset + done, min(len(target) - done, 1 << 20))
            count = len(part)
            target[done:done + count] = part
        if not count:
            break
        done += count
    return done


def _read_once(file: BinaryIO, offset: int, size: int) -> bytes:
    if hasattr(os, "pread"):
        return os.pread(file.fileno(), size, offset)
    file.seek(offset)
    return file.read(size)


def sync_folder(path: str | os.PathLike[str]) -> None:
    """Put a folder's entries on the disk, so that a rename in it outlasts a loss of power.

    Systems that cannot open a folder (Windows) keep their own journal of names: there nothing is done.
    """
    with contextlib.suppress(OSError):
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_DIRECTORY", 0))
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
