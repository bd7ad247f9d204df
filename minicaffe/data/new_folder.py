"""A new database, which is a folder of files: it appears under its name when it is complete, or not at all."""

from __future__ import annotations

import contextlib
import glob
import os
import secrets
import shutil
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from minicaffe.errors import DataError
from minicaffe.io.files import PathLike
from minicaffe.log import At, warn


@contextlib.contextmanager
def plain_errors(path: str) -> Iterator[None]:
    """Turn what the system raises on writing into a DataError that names the path."""
    try:
        yield
    except OSError as error:
        raise DataError(f"cannot write {path}: {error.strerror or error}") from error


@contextlib.contextmanager
def new_folder(path: PathLike, kind: str, is_part: Callable[[str], bool], *, replace: bool = False,
               errors: Callable[[str], AbstractContextManager[None]] = plain_errors) -> Iterator[Path]:
    """Yield a folder beside `path`, which is renamed to `path` when the block ends without an error.

    So a program that is stopped leaves nothing half-written. `kind` is what messages call such a database ("an LMDB"),
    and `is_part` says whether a file of some name belongs to one. `errors` turns the system's errors into DataErrors.
    Raise a DataError when `path` exists, unless `replace` is set: then a database of this kind is replaced.
    """
    if not str(path):
        raise DataError(f"{kind} needs a name, got ''")
    target = Path(os.path.realpath(path))
    _check_free(str(path), target, kind, is_part, replace)
    _warn_of_leftovers(target, kind)
    beside = target.with_name(f".{target.name}.{secrets.token_hex(4)}.tmp")
    try:
        with errors(str(path)):
            beside.mkdir(parents=True)
        yield beside
        with errors(str(path)):
            _put_in_place(beside, target, str(path), replace)
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def as_bytes(key: str | bytes, value: Any) -> tuple[bytes, bytes]:
    """Return a record as bytes. A value is bytes or a Datum."""
    return (key.encode() if isinstance(key, str) else key,
            value if isinstance(value, bytes) else value.SerializeToString())


def printable(key: bytes) -> str:
    """Return a key as messages show it."""
    return repr(key.decode(errors="replace"))


def _check_free(path: str, target: Path, kind: str, is_part: Callable[[str], bool], replace: bool) -> None:
    """Raise a DataError where something is at `target` that a new database must not replace."""
    if not target.is_dir():
        if target.exists():
            raise DataError(f"{path} exists already, and is a file", hint="choose another name")
        return
    names = sorted(entry.name for entry in target.iterdir())
    if other := [name for name in names if not is_part(name)]:
        raise DataError(f"{path} exists already, and holds other files than {kind}, such as {other[0]}",
                        hint="choose another name")
    if names and not replace:
        raise DataError(f"{path} exists already", hint="delete it, choose another name, or replace it with --replace")


def _warn_of_leftovers(target: Path, kind: str) -> None:
    """Warn of folders that were left by programs which were killed while they made this database."""
    pattern = f".{glob.escape(target.name)}.{'[0-9a-f]' * 8}.tmp"
    for left in sorted([*target.parent.glob(pattern), *target.parent.glob(f"{pattern}.old")]):
        warn(At.LMDB_OPENED, f"{left} is part of {kind}: another program is writing it now, or was killed and left "
                             "it; then it can be deleted")


def _put_in_place(made: Path, target: Path, path: str, replace: bool) -> None:
    """Give the folder `made` the name `target`; the old folder is deleted only when the new one is in its place."""
    old = made.with_name(made.name + ".old")
    if replace:
        with contextlib.suppress(FileNotFoundError):  # another program may replace the database at the same moment
            target.rename(old)
    else:
        with contextlib.suppress(OSError):
            target.rmdir()  # an empty folder was there, which not every system replaces; another folder stays
    try:
        made.rename(target)
    except OSError as error:
        if not target.exists():
            if old.exists():
                old.rename(target)
            raise
        raise DataError(f"{path} was made by another program while this one ran", hint="choose another name") from error
    finally:
        if old.exists():
            shutil.rmtree(old)
