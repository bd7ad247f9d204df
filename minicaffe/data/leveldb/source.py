"""LevelDB, the other database of Caffe's tools, without LevelDB's own library: nothing is written into its folder.

A LevelDB is a folder:

    CURRENT           the name of the manifest
    MANIFEST-000002   which tables and which logs belong to the LevelDB
    000005.ldb        a table; older LevelDBs have .sst instead
    000003.log        the records that are in no table yet
    LOCK, LOG         not read here

The same key may be in several tables and logs. Then the record with the highest sequence number counts, and if that
record says that the key was deleted, there is none. So all keys are read when a LevelDB is opened.
"""

from __future__ import annotations

import os
from array import array
from collections import OrderedDict, deque
from collections.abc import Iterator, Sequence
from heapq import merge
from pathlib import Path
from typing import Any

from minicaffe.data.leveldb.files import Files, damaged
from minicaffe.data.leveldb.log import PUT, Logs
from minicaffe.data.leveldb.manifest import Manifest
from minicaffe.data.leveldb.table import Block, Table
from minicaffe.errors import DataError
from minicaffe.io.files import PathLike, looked_in, missing_hint

MOST_IN_MEMORY = 1 << 26  # bytes of unpacked blocks: a shuffled MNIST is then read once


class LevelDbSource:
    """The records of a LevelDB, given by its folder.

    Raise a DataError when it is missing, empty, not whole, damaged or no LevelDB; and while it is read, where a block
    is damaged.
    """

    def __init__(self, path: PathLike) -> None:
        self.path = str(path)
        self._files = Files()
        folder = Path(os.path.abspath(_folder(self.path)))  # files may be opened again after a change of folder
        manifest = Manifest(folder)
        self._tables = [Table(self._files, _table_path(folder, number), *table)
                        for number, table in sorted(manifest.tables.items())]
        self._logs = Logs(self._files, manifest.logs())
        # of each record its table, its block there and its place in the block; in a log, the table is len(_tables)
        self._where = array("i"), array("i"), array("i")
        self._blocks: OrderedDict[tuple[int, int], Block] = OrderedDict()
        self._in_memory = 0
        self._find_records()
        if not len(self):
            raise DataError(f"the LevelDB {self.path} holds no record", hint="run the tool that wrote it again")

    def __len__(self) -> int:
        return len(self._where[0])

    def records(self, start: int = 0) -> Iterator[tuple[bytes, bytes]]:
        """Yield the records from number `start` on, as (key, value) in the order of the keys."""
        for first in range(start, len(self), 64):
            yield from self.take(range(first, min(first + 64, len(self))))

    def take(self, numbers: Sequence[int]) -> list[tuple[bytes, bytes]]:
        """Return the records with these numbers, as (key, value)."""
        self._logs.check()
        tables, blocks, places = self._where
        found, before = [], (-1, -1)
        block: Any = None
        for number in numbers:
            here, place = (tables[number], blocks[number]), places[number]
            if here[0] == len(self._tables):
                found.append(self._logs.record(place))
                continue
            if here != before:
                block = self._blocks.get(here) or self._read(*here)
                before = here
            found.append(block.record(place))
        return found

    def _read(self, table: int, block: int) -> Block:
        """Return a block of a table, and keep it in memory in place of the oldest ones."""
        found = self._blocks[table, block] = self._tables[table].block(block)
        self._in_memory += found.size
        while self._in_memory > MOST_IN_MEMORY and len(self._blocks) > 1:
            self._in_memory -= self._blocks.popitem(last=False)[1].size
        return found

    def _find_records(self) -> None:
        """Find the newest record of each key, in the order of the keys."""
        found: list[tuple[Any, int]] = [(table, i) for i, table in enumerate(self._tables)]
        if self._logs.range is not None:
            found.append((self._logs, len(found)))
        parts = deque(sorted(found, key=lambda part: part[0].range))
        before = None
        while parts:  # most parts have keys of their own, and are read one by one; where they overlap, they are merged
            together = [parts.popleft()]
            last = together[0][0].range[1]
            while parts and parts[0][0].range[0] <= last:
                last = max(last, parts[0][0].range[1])
                together.append(parts.popleft())
            before = self._add(merge(*(part.scan(i) for part, i in together)), before)

    def _add(self, found: Iterator[tuple[bytes, int, int, int, int, int]], before: bytes | None) -> bytes | None:
        """Add those records that are the newest of their keys and are not deleted. Return the last key."""
        tables, blocks, places = self._where
        for key, _, kind, table, block, place in found:
            if key == before:
                continue
            if before is not None and key < before:
                raise damaged(self.path, f"the key {key!r} comes behind {before!r}")
            if kind == PUT:
                tables.append(table)
                blocks.append(block)
                places.append(place)
            before = key
        return before

    def __getstate__(self) -> dict[str, Any]:
        """Leave the blocks in memory out of a copy (copy.deepcopy)."""
        return {**vars(self), "_blocks": OrderedDict(), "_in_memory": 0}


def _folder(path: str) -> Path:
    """Return the folder of a LevelDB. Raise a DataError where there is none."""
    folder = Path(path)
    if not folder.exists():
        raise DataError(f"there is no LevelDB {path}", hint=missing_hint(folder) or looked_in(path))
    if (folder / "data.mdb").exists() or folder.suffix == ".mdb":
        raise DataError(f"{path} is an LMDB, but it is opened as LEVELDB", hint="set backend: LMDB")
    if not (folder / "CURRENT").exists():
        raise DataError(f"{path} is no LevelDB: the folder holds no file CURRENT" if folder.is_dir() else
                        f"{path} is no LevelDB, which is a folder")
    return folder


def _table_path(folder: Path, number: int) -> Path:
    """Return the path of a table, which older LevelDBs called .sst."""
    older = folder / f"{number:06d}.sst"
    return older if older.exists() else folder / f"{number:06d}.ldb"
