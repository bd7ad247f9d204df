"""Where batches come from: records in a database or a list, decoded, transformed, and read ahead.

    source (records by key) ─ samples (images and labels, endless) ─ batches (transformed) ─ prefetcher (a thread)
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

from minicaffe.errors import DataError


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
