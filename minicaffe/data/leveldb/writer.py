"""Writes a LevelDB, so that nets which read one find what Caffe's tools would have made.

The records go into tables, as table.py describes them, with keys that are whole and blocks that are not compressed.
LevelDB's own library opens the result, and may write further records into it.
"""

from __future__ import annotations

import contextlib
import os
import re
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from minicaffe.data.leveldb.crc32c import crc32c, masked
from minicaffe.data.leveldb.log import BLOCK, FIRST, FULL, HEAD, LAST, MIDDLE, PUT
from minicaffe.data.leveldb.manifest import COMPARATOR, LAST_SEQUENCE, LOG_NUMBER, NEW_FILE, NEXT_FILE, ORDER
from minicaffe.data.leveldb.table import FOOTER, MAGIC, PLAIN
from minicaffe.data.new_folder import as_bytes, new_folder, plain_errors, printable
from minicaffe.errors import DataError
from minicaffe.io.files import PathLike
from minicaffe.io.wire import put_varint
from minicaffe.system import sync_folder

FULL_BLOCK = 4096  # bytes of records, after which a block of a table ends
FULL_TABLE = 1 << 25  # bytes, after which a table ends
MANIFEST, FIRST_TABLE = 2, 5  # numbers of files
LEVEL = 1  # of all tables: on this level of LevelDB's, no two hold the same keys
PARTS = re.compile(r"CURRENT|LOCK|LOG(\.old)?|MANIFEST-\d+|\d+\.(ldb|sst|log)")  # the files of a LevelDB


@contextlib.contextmanager
def new_leveldb(path: PathLike, *, replace: bool = False) -> Iterator[Writer]:
    """Make a LevelDB of the records that are put into it, in the order of their keys, while the block runs.

    It appears at `path` when it is complete. With `replace`, a LevelDB or an empty folder at `path` is replaced. Raise
    a DataError when anything else is there, when a key does not come after the one before, or when the disk is full.
    """
    with new_folder(path, "a LevelDB", lambda name: bool(PARTS.fullmatch(name)), replace=replace) as folder, \
            contextlib.closing(Writer(folder, str(path))) as writer:
        yield writer
        writer.finish()


class Writer:
    """The records of a new LevelDB in `folder`. Messages call the database `name`."""

    def __init__(self, folder: Path, name: str) -> None:
        self.name, self.count = name, 0
        self._folder = folder
        self._tables: list[tuple[int, int, bytes, bytes]] = []  # number, size, first key, last key
        self._file: BinaryIO | None = None
        self._block = bytearray()
        self._starts: list[int] = []  # where each record of the block begins
        self._index: list[tuple[bytes, int, int]] = []  # of each block of the table: last key, place, size
        self._first = self._last = b""

    def put(self, key: str | bytes, value: Any) -> None:
        """Add a record. A value is bytes or a Datum."""
        key, value = as_bytes(key, value)
        if self.count and key <= self._last[:-8]:
            twice = key == self._last[:-8]
            raise DataError(f"the key {printable(key)} comes twice in the records for {self.name}" if twice else
                            f"the key {printable(key)} comes after {printable(self._last[:-8])}, and a LevelDB is "
                            "written in the order of the keys", where="" if twice else self.name)
        self.count += 1
        self._last = key + struct.pack("<Q", self.count << 8 | PUT)
        self._first = self._first or self._last
        self._starts.append(len(self._block))
        self._block += b"\0" + put_varint(len(self._last)) + put_varint(len(value)) + self._last + value
        if len(self._block) >= FULL_BLOCK:
            self._end_block()

    def finish(self) -> None:
        """Write what is left, and the files that say which tables there are."""
        if self._starts:
            self._end_block()
        if self._index:
            self._end_table()
        next_file = FIRST_TABLE + len(self._tables)
        edit = put_varint(COMPARATOR) + _sized(ORDER)
        for field, number in ((LOG_NUMBER, 0), (NEXT_FILE, next_file), (LAST_SEQUENCE, self.count)):
            edit += put_varint(field) + put_varint(number)
        for number, size, first, last in self._tables:
            edit += b"".join(map(put_varint, (NEW_FILE, LEVEL, number, size))) + _sized(first) + _sized(last)
        name = f"MANIFEST-{MANIFEST:06d}"
        with plain_errors(self.name):
            for file, content in ((name, b"".join(_fragments(edit))), ("CURRENT", f"{name}\n".encode())):
                with open(self._folder / file, "wb") as out:
                    out.write(content)
                    _sync(out)
            sync_folder(self._folder)

    def close(self) -> None:
        """Close a file that an error has left unfinished. What it still holds cannot be written to a full disk."""
        if self._file is not None:
            with contextlib.suppress(OSError):
                self._file.close()

    def _end_block(self) -> None:
        """Write the block of records."""
        place, size = self._write_block(bytes(self._block), self._starts)
        self._index.append((self._last, place, size))
        self._block.clear()
        self._starts.clear()
        if place + size >= FULL_TABLE:
            self._end_table()

    def _end_table(self) -> None:
        """Write the index of a table, and where it is."""
        filters = self._write_block(b"", [0])
        rows, starts = bytearray(), []
        for last, place, size in self._index:
            starts.append(len(rows))
            row = put_varint(place) + put_varint(size)
            rows += b"\0" + put_varint(len(last)) + put_varint(len(row)) + last + row
        places = b"".join(map(put_varint, (*filters, *self._write_block(bytes(rows), starts))))
        assert self._file is not None  # a block was written
        with plain_errors(self.name), self._file as file:
            file.write(places.ljust(FOOTER - 8, b"\0") + struct.pack("<Q", MAGIC))
            size = file.tell()
            _sync(file)
        self._tables.append((FIRST_TABLE + len(self._tables), size, self._first, self._last))
        self._file, self._first = None, b""
        self._index.clear()

    def _write_block(self, records: bytes, starts: list[int]) -> tuple[int, int]:
        """Write a block to the table. Return its place there and its size without the bytes behind it."""
        block = records + struct.pack(f"<{len(starts) + 1}I", *starts, len(starts))
        checksum = masked(crc32c(block + bytes([PLAIN])))
        with plain_errors(self.name):
            if self._file is None:
                self._file = open(self._folder / f"{FIRST_TABLE + len(self._tables):06d}.ldb", "wb")  # noqa: SIM115
            place = self._file.tell()
            self._file.write(block + bytes([PLAIN]) + struct.pack("<I", checksum))
        return place, len(block)


def _fragments(entry: bytes) -> Iterator[bytes]:
    """Yield an entry as the fragments that a manifest or a log, which begins with it, is made of."""
    size = BLOCK - HEAD
    parts = [entry[i:i + size] for i in range(0, len(entry), size)]
    for i, part in enumerate(parts):
        first, last = i == 0, i == len(parts) - 1
        kind = bytes([FULL if first and last else FIRST if first else LAST if last else MIDDLE])
        yield struct.pack("<IH", masked(crc32c(kind + part)), len(part)) + kind + part


def _sized(data: bytes) -> bytes:
    return put_varint(len(data)) + data


def _sync(file: BinaryIO) -> None:
    file.flush()
    os.fsync(file.fileno())
