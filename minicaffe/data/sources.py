"""Sources: what a data layer's records come from. `open_source` is where a further kind of database is added."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol


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
