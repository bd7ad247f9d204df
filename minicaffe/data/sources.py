"""Sources: what a data layer's records come from. `open_source` is where a further kind of database is added."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

from minicaffe.errors import DataError
from minicaffe.io.files import looked_in


class Source(Protocol):
    """A read-only, ordered collection of records."""

    path: str

    def __len__(self) -> int:
        """Return the number of records; at least one."""
        ...

    def records(self, start: int = 0) -> Iterator[tuple[bytes, bytes]]:
        """Return the records from number `start` to the last, as (key, value) in the order of the keys."""
        ...


def open_source(backend: str, path: str) -> Source:
    """Open a database by the name that `data_param.backend` gives it. Raise DataError when it cannot be read."""
    if backend == "LMDB":
        from minicaffe.data.lmdb import LmdbSource

        return LmdbSource(path)
    if not Path(path).exists():
        raise DataError(f"there is no database {path}", hint=looked_in(path))
    if (Path(path) / "data.mdb").is_file():
        raise DataError(f"{path} is an LMDB, but it is opened as {backend}", hint="set backend: LMDB")
    raise DataError(f"cannot open {path}: databases of the kind {backend} cannot be read yet, only LMDB",
                    hint="write the records to an LMDB and set backend: LMDB")
