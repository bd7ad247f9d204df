"""Sources: what a data layer's records come from.

`open_source` and `new_database` are where a further kind of database is added.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol

from minicaffe.io.files import PathLike


class Source(Protocol):
    """A read-only, ordered collection of records."""

    path: str

    def __len__(self) -> int:
        """Return the number of records; at least one."""
        ...

    def records(self, start: int = 0) -> Iterator[tuple[bytes, bytes]]:
        """Return the records from number `start` to the last, as (key, value) in the order of the keys."""
        ...

    def take(self, numbers: Sequence[int]) -> list[tuple[bytes, bytes]]:
        """Return the records with these numbers, as (key, value)."""
        ...


def open_source(backend: str, path: str) -> Source:
    """Open a database by the name that `data_param.backend` gives it. Raise DataError when it cannot be read."""
    if backend == "LMDB":
        from minicaffe.data.lmdb import LmdbSource

        return LmdbSource(path)
    from minicaffe.data.leveldb.source import LevelDbSource

    return LevelDbSource(path)


class Writer(Protocol):
    """A new database, into which records are put in the order of their keys."""

    count: int

    def put(self, key: str | bytes, value: Any) -> None:
        """Add a record. A value is bytes or a Datum."""
        ...


def new_database(backend: str, path: PathLike, *, replace: bool = False) -> AbstractContextManager[Writer]:
    """Make a database of the kind "lmdb" or "leveldb", of the records that are put into it while the block runs.

    It appears at `path` when it is complete. Raise a DataError as `new_lmdb` and `new_leveldb` do.
    """
    if backend == "lmdb":
        from minicaffe.data.lmdb import new_lmdb

        return new_lmdb(path, replace=replace)
    from minicaffe.data.leveldb.writer import new_leveldb

    return new_leveldb(path, replace=replace)
