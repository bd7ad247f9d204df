"""LMDB, the database that Caffe's tools write.

Each page is checked when it is read. A new database is written as a whole or not at all.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from minicaffe.data.lmdb_tree import Tree
from minicaffe.data.new_folder import as_bytes, new_folder, printable
from minicaffe.errors import DataError, missing_extra
from minicaffe.io.files import PathLike, looked_in, missing_hint

try:
    import lmdb
except ImportError:
    lmdb = None  # type: ignore[assignment]

WRITES_PER_TRANSACTION = 1000
BYTES_PER_TRANSACTION = 1 << 24
FILES = ("data.mdb", "lock.mdb")  # of an LMDB
LONGEST_KEY = 511  # bytes: a limit that is compiled into LMDB


class LmdbSource:
    """The records of an LMDB, given by its folder or by the path of its data.mdb.

    Raise a DataError when it is missing, empty, truncated or no LMDB; and while it is read, where a page is damaged.
    """

    def __init__(self, path: PathLike) -> None:
        self.path = str(path)
        self._tree = Tree(_data_file(self.path))
        self._next = -1  # the number of the record that `_reading` gives next
        self._reading: Iterator[tuple[bytes, bytes]] = iter(())
        if not len(self):
            raise DataError(f"the LMDB {self.path} holds no record", hint="run the tool that writes it again")

    def __len__(self) -> int:
        return self._tree.entries

    def records(self, start: int = 0) -> Iterator[tuple[bytes, bytes]]:
        """Yield the records from number `start` on, as (key, value) in the order of the keys."""
        return self._tree.records(start)

    def take(self, numbers: Sequence[int]) -> list[tuple[bytes, bytes]]:
        """Return the records with these numbers, as (key, value). Records that follow each other are read fastest."""
        # the iterator reads pages in their order; numbers that jump would make it begin anew each time
        alone = len(numbers) == 1 and numbers[0] not in (0, self._next)
        if alone or any(after != (number + 1) % len(self) for number, after in pairwise(numbers)):
            return self._tree.pick(numbers)
        found = []
        for number in numbers:
            if number != self._next:
                self._reading = self.records(number)
            self._next = -1  # an iterator that raised an error has ended
            found.append(next(self._reading))
            self._next = number + 1
        return found

    def __getstate__(self) -> dict[str, Any]:
        """Leave the open iterator out of a copy (copy.deepcopy), which cannot have one."""
        return {**vars(self), "_next": -1, "_reading": iter(())}


def write_lmdb(path: PathLike, records: Iterable[tuple[str | bytes, Any]], *,
               replace: bool = False) -> int:
    """Make an LMDB of (key, value) pairs, where a value is bytes or a Datum; return how many there were.

    Raise a DataError as `new_lmdb` does.
    """
    with new_lmdb(path, replace=replace) as writer:
        for key, value in records:
            writer.put(key, value)
    return writer.count


@contextlib.contextmanager
def new_lmdb(path: PathLike, *, replace: bool = False) -> Iterator[Writer]:
    """Make an LMDB of the records that are put into it while the block runs.

    It is made in a folder beside `path`, which is renamed to `path` once everything is on the disk. So a program that
    is stopped leaves no half-written LMDB. Raise a DataError when `path` exists (unless `replace` is set, and only an
    LMDB or an empty folder is replaced), when a key comes twice, or when the disk is full.
    """
    if lmdb is None:
        raise missing_extra("lmdb", "data", "writing an LMDB")
    with new_folder(path, "an LMDB", FILES.__contains__, replace=replace, errors=_plain_errors) as folder:
        writer = Writer(folder, str(path))
        try:
            yield writer
            writer.sync()
        finally:
            writer.close()
        (folder / "lock.mdb").unlink(missing_ok=True)  # the lock of this program; each reader makes its own


class Writer:
    """The records of a new LMDB in `folder`, written some at a time. Messages call the database `name`."""

    def __init__(self, folder: Path, name: str) -> None:
        self.name, self.count = name, 0
        self._env = lmdb.open(str(folder), map_size=1 << 24, sync=False, lock=False)
        self._waiting: list[tuple[bytes, bytes]] = []
        self._bytes = 0

    def put(self, key: str | bytes, value: Any) -> None:
        """Add a record. A value is bytes or a Datum."""
        self._waiting.append(as_bytes(key, value))
        if not 0 < len(self._waiting[-1][0]) <= LONGEST_KEY:
            raise DataError(f"a key of an LMDB has 1 to {LONGEST_KEY} bytes, got {len(self._waiting[-1][0])}: "
                            f"{printable(self._waiting[-1][0])}", where=self.name)
        self._bytes += len(self._waiting[-1][1])
        self.count += 1
        if len(self._waiting) >= WRITES_PER_TRANSACTION or self._bytes >= BYTES_PER_TRANSACTION:
            self._write()

    def sync(self) -> None:
        """Write what is left, and wait until everything is on the disk."""
        self._write()
        with _plain_errors(self.name):
            self._env.sync(True)

    def close(self) -> None:
        """Close the files."""
        self._env.close()

    def _write(self) -> None:
        with _plain_errors(self.name):
            # map_size is the largest size that LMDB lets the file have, so it is doubled where the records need more
            while not _put(self._env, self._waiting, self.name):
                self._env.set_mapsize(2 * self._env.info()["map_size"])
        self._waiting, self._bytes = [], 0


def _put(env: Any, part: list[tuple[bytes, bytes]], name: str) -> bool:
    """Write some records in one transaction. Return False, with nothing written, where map_size is too small."""
    try:
        with env.begin(write=True) as transaction:
            for key, value in part:
                if not transaction.put(key, value, overwrite=False):
                    raise DataError(f"the key {printable(key)} comes twice in the records for {name}")
    except lmdb.MapFullError:
        return False
    return True


def _data_file(path: str) -> Path:
    """Return the file inside an LMDB folder, or the path itself where it is a file."""
    given = Path(path)
    if not given.exists():
        raise DataError(f"there is no LMDB {path}", hint=missing_hint(given) or looked_in(path))
    if not given.is_dir():
        return given
    if (given / "data.mdb").exists():
        return given / "data.mdb"
    if (given / "CURRENT").is_file():
        raise DataError(f"{path} is a LevelDB, not an LMDB", hint="set backend: LEVELDB")
    raise DataError(f"{path} is no LMDB: the folder holds no data.mdb")


@contextlib.contextmanager
def _plain_errors(path: str) -> Iterator[None]:
    """Turn what the lmdb package and the system raise on writing into a DataError that names the path."""
    try:
        yield
    except OSError as error:
        raise DataError(f"cannot write {path}: {error.strerror or error}") from error
    except lmdb.Error as error:
        # a full disk usually lets LMDB write less than it wanted to, and LMDB reports that as an input/output error
        full = "Input/output error" in str(error) or "No space left" in str(error)
        raise DataError(f"cannot write the LMDB {path}: {error}", hint="is the disk full?" if full else "") from error
