"""Files read whole and replaced whole, with one clear error for what the system refuses."""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from minicaffe.errors import DataError, ProtoError
from minicaffe.system import sync_folder

PathLike = str | os.PathLike[str]


def read_bytes(path: PathLike) -> bytes:
    """The content of a file; ProtoError when it is missing, a folder, or may not be read."""
    try:
        return Path(path).read_bytes()
    except (OSError, ValueError) as error:
        raise unreadable(path, error) from error


def unreadable(path: PathLike, error: Exception) -> ProtoError:
    """The error for a path that the system did not open, with the names that stand beside it as a hint."""
    from minicaffe.errors import near_names

    if isinstance(error, FileNotFoundError):
        folder = Path(path).parent
        if not folder.is_dir():
            return ProtoError(f"no such file: {path}", hint=f"there is no folder {str(folder)!r}")
        beside = [entry.name for entry in folder.iterdir()]
        return ProtoError(f"no such file: {path}", hint=near_names(Path(path).name, beside))
    if isinstance(error, IsADirectoryError):
        return ProtoError(f"{path} is a folder, not a file")
    return ProtoError(f"cannot read {path}: {getattr(error, 'strerror', None) or error}")


def temporary(path: Path) -> Path:
    """A name beside `path` for its next content, until that is whole; another one each time."""
    return path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")


def replace_file(path: PathLike, chunks: Iterable[Any]) -> None:
    """Write the chunks (bytes or buffers) so that `path` is at every moment the old file or the new one.

    They go to a new file beside it, which takes its name once all is on the disk; when this returns, the name is on
    the disk too, and outlasts a loss of power. A path that is no
    ordinary file (`/dev/stdout`, a pipe) is written straight. DataError when the system refuses; nothing
    is left behind.
    """
    target = Path(os.path.realpath(path))  # through a link, so that the link stays one
    beside = temporary(target)
    device = target.exists() and not target.is_file() and not target.is_dir()
    straight = device or str(path).startswith(("/dev/std", "/dev/fd/"))  # a file that a shell holds open
    try:
        with open(path if straight else beside, "ab" if straight else "wb") as file:
            for chunk in chunks:
                file.write(chunk)
            file.flush()
            if not straight:
                os.fsync(file.fileno())
        if not straight:
            os.replace(beside, target)
            sync_folder(target.parent)
    except OSError as error:
        raise DataError(f"cannot write {path}: {error.strerror or error}") from error
    finally:
        if not straight:
            with contextlib.suppress(OSError):
                beside.unlink()
