"""Where batches come from: records in a database or a list, decoded, transformed, and read ahead.

    source (records by key) ─ samples (images and labels, endless) ─ batches (transformed) ─ prefetcher (a thread)
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

from minicaffe.errors import DataError
from minicaffe.io.files import missing_hint, refuse_device


class Source(Protocol):
    """A read-only, ordered collection of records."""

    path: str

    def __len__(self) -> int:
        """The number of records; at least one."""
        ...

    def records(self, start: int = 0) -> Iterator[tuple[bytes, bytes]]:
        """The records from number `start` to the last, as (key, value) in the order of the keys."""
        ...


def looked_in(path: str) -> str:
    """Where a path that is not there was looked for, as a hint; nothing where it says so itself."""
    return "" if Path(path).is_absolute() else f"looked for in {Path.cwd()}"


def read_list(path: str, what: str) -> list[tuple[int, str]]:
    """The number and the text of each line of a text file, but for blank lines.

    A byte order mark, which Windows' programs put first, and the line ends of any system are left out. DataError,
    which calls the file `what`, where it cannot be read.
    """
    refuse_device(path)
    try:
        with open(path, encoding="utf-8-sig") as lines:
            return [(number, line.strip()) for number, line in enumerate(lines, 1) if line.strip()]
    except OSError as error:
        hint = looked_in(path) if isinstance(error, FileNotFoundError) else \
            "source names a text file, not a folder" if isinstance(error, IsADirectoryError) else ""
        raise DataError(f"cannot read {what} {path}: {error.strerror or error}", hint=hint) from error
    except UnicodeDecodeError as error:
        utf_16 = error.object[:2] in (b"\xff\xfe", b"\xfe\xff")
        raise DataError(f"cannot read {what} {path}: {error}", hint="it is UTF-16, as Windows' PowerShell writes: save "
                        "it as UTF-8" if utf_16 else f"{what} must be a text file in UTF-8") from error


def read_listed(path: str, where: str, root: str = "") -> bytes:
    """The content of root + path, which a list names at `where` (LIST:LINE). DataError where it cannot be read."""
    refuse_device(root + path)
    try:
        return Path(root + path).read_bytes()
    except (OSError, ValueError) as error:
        raise listed_file_error(path, where, error, root) from error


def listed_file_error(path: str, where: str, error: Exception, root: str = "") -> DataError:
    """The error for a file that a list names and the system does not open, with the usual mistakes as hints."""
    name, listed_in = root + path, where.rpartition(":")[0]
    if not isinstance(error, FileNotFoundError):
        return DataError(f"cannot read {name}, which the list {listed_in} names: "
                         f"{getattr(error, 'strerror', None) or error}", where=where)
    given, beside = Path(name), Path(listed_in).parent / path
    searched = "" if given.is_absolute() else f" (looked for in {Path.cwd()})"
    if root and os.path.exists(os.path.join(root, path)):
        hint = f"root_folder is put before each path as it is: end it with a slash, '{root}/'"
    elif "\\" in name and os.path.exists(name.replace("\\", "/")):
        hint = "write / instead of \\"
    elif searched and os.path.exists(beside):
        hint = f"paths in a list count from the folder in which minicaffe is started, and the file is {beside} here"
    else:
        hint = missing_hint(given)
    if searched and not hint:
        hint = "paths in a list count from the folder in which minicaffe is started, not from the list's"
    return DataError(f"there is no file {name}, which the list {listed_in} names{searched}", where=where, hint=hint)


def open_source(backend: str, path: str) -> Source:
    """Open a database by the name that `data_param.backend` gives it. DataError when it cannot be read."""
    if backend == "LMDB":
        from minicaffe.data.lmdb import LmdbSource

        return LmdbSource(path)
    if not Path(path).exists():
        raise DataError(f"there is no database {path}", hint=looked_in(path))
    if (Path(path) / "data.mdb").is_file():
        raise DataError(f"{path} is an LMDB, but it is opened as {backend}", hint="set backend: LMDB")
    raise DataError(f"cannot open {path}: databases of the kind {backend} cannot be read yet, only LMDB",
                    hint="write the records to an LMDB and set backend: LMDB")
