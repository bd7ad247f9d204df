"""Where the batches of data layers come from.

Records are read from a database or a list, decoded, transformed, and prepared by a thread while the net computes:

    source                records by key, from an LMDB
      → samples           images with labels, epoch after epoch without end (DatumSamples, ImageFiles)
      → batches           transformed and put together, one for each call (Batches, WindowBatches)
      → prefetcher        a thread that makes the next batches (Prefetcher)
      → tops              of a data layer, which copies each batch into them
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
        """Return the number of records, which is at least one."""
        ...

    def records(self, start: int = 0) -> Iterator[tuple[bytes, bytes]]:
        """Yield the records from number `start` to the last, as (key, value) in the order of the keys."""
        ...


def looked_in(path: str) -> str:
    """Return the hint for a path that is not there: the folder in which it was looked for; '' for an absolute path."""
    return "" if Path(path).is_absolute() else f"looked for in {Path.cwd()}"


def read_list(path: str, what: str) -> list[tuple[int, str]]:
    """Return the number and the text of each line of a text file, without blank lines.

    The file may begin with a byte order mark, as programs on Windows write it, and have the line ends of any system.
    Raise a DataError where it cannot be read; `what` is what the message calls the file.
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
    """Return the content of the file root + path. Raise a DataError where it cannot be read.

    `where` (LIST:LINE) is the line of the list that names it.
    """
    refuse_device(root + path)  # Caffe: root_folder is put before the path as it is, without a slash between them
    try:
        return Path(root + path).read_bytes()
    except (OSError, ValueError) as error:
        raise listed_file_error(path, where, error, root) from error


def listed_file_error(path: str, where: str, error: Exception, root: str = "") -> DataError:
    """Return the error for a file that a list names and that cannot be opened, with a hint at the likely mistake."""
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
    """Open a database of the kind that `data_param.backend` names. Raise a DataError when it cannot be read."""
    if backend == "LMDB":
        # here, because lmdb.py itself imports this module
        from minicaffe.data.lmdb import LmdbSource

        return LmdbSource(path)
    if not Path(path).exists():
        raise DataError(f"there is no database {path}", hint=looked_in(path))
    if (Path(path) / "data.mdb").is_file():
        raise DataError(f"{path} is an LMDB, but it is opened as {backend}", hint="set backend: LMDB")
    raise DataError(f"cannot open {path}: databases of the kind {backend} cannot be read yet, only LMDB",
                    hint="write the records to an LMDB and set backend: LMDB")
