"""A LevelDB's logs: the records that are in no table yet. Its manifest has the form of a log, too.

The format, little-endian:

    log       blocks of 32,768 bytes. A block holds fragments, and zeros where fewer than 7 bytes are left at its end.
    fragment  CRC-32C of what follows the size, size (2 bytes), kind (1 byte), and as many bytes of an entry:
              all of it (FULL), or its FIRST, a MIDDLE or its LAST part
    entry     of a log: the sequence number of its first change (8 bytes), the number of changes (4 bytes), and these:
              1, key, value for a record that is put in, 0, key for one that is taken out.
              A key and a value each begin with their size as a varint.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from minicaffe.data.leveldb.crc32c import crc32c, masked
from minicaffe.data.leveldb.files import COPY_AGAIN, Files, damaged, varint
from minicaffe.errors import DataError
from minicaffe.io.file_bytes import FileBytes

BLOCK, HEAD = 32768, 7
FULL, FIRST, MIDDLE, LAST = 1, 2, 3, 4
BATCH_HEAD = 12
DELETED, PUT = 0, 1


class Entry(NamedTuple):
    """An entry, and where its parts are: `starts[i]` in the entry is `places[i]` in the file."""

    data: bytes
    starts: list[int]
    places: list[int]

    def place(self, offset: int) -> int:
        """Return where in the file the byte is that the entry has at `offset`."""
        i = bisect_right(self.starts, offset) - 1
        return self.places[i] + offset - self.starts[i]


def entries(file: FileBytes) -> Iterator[Entry]:
    """Yield the entries of a log or a manifest. Raise a DataError where one is damaged or is not there to its end."""
    parts: list[bytes] | None = None
    starts: list[int] = []
    places: list[int] = []
    length = 0
    for kind, part, place in _fragments(file):
        if kind in (FULL, FIRST):
            if length:
                raise damaged(file.path, f"the entry before byte {place} has no end")
            parts, starts, places = [], [], []
        elif parts is None or place % BLOCK != HEAD:
            raise damaged(file.path, f"the entry at byte {place} has no beginning")
        parts.append(part)
        starts.append(length)
        places.append(place)
        length += len(part)
        if kind in (FULL, LAST):
            yield Entry(b"".join(parts), starts, places)
            parts, length = None, 0
        elif (place + len(part)) % BLOCK:
            raise damaged(file.path, f"the entry at byte {place} goes on before its block ends")
    if length:
        raise _cut(file)


def _fragments(file: FileBytes) -> Iterator[tuple[int, bytes, int]]:
    """Yield kind, bytes and place of each fragment. A FIRST may be empty, where 7 bytes were left in its block."""
    for begin in range(0, len(file), BLOCK):
        block = file.read(begin, min(BLOCK, len(file) - begin))
        at = 0
        while at + HEAD <= len(block):
            size, kind = block[at + 4] | block[at + 5] << 8, block[at + 6]
            if not kind and not size:  # zeros to the block's end: room that its writer reserved and did not need
                at = BLOCK
                break
            stop = at + HEAD + size
            if stop > len(block):
                raise _cut(file) if len(block) < BLOCK else damaged(
                    file.path, f"the fragment at byte {begin + at} runs over its block")
            if masked(crc32c(block[at + 6:stop])) != int.from_bytes(block[at:at + 4], "little"):
                raise damaged(file.path, f"the fragment at byte {begin + at} has another checksum (CRC-32C)")
            if not FULL <= kind <= LAST:
                raise damaged(file.path, f"the fragment at byte {begin + at} is of the unknown kind {kind}")
            yield kind, block[at + HEAD:stop], begin + at + HEAD
            at = stop
        if len(block) < BLOCK and any(block[at:]):
            raise _cut(file)


class Logs:
    """The records of some logs: for each key, the last change in them."""

    def __init__(self, files: Files, paths: list[Path]) -> None:
        self._files, self._paths = files, paths
        newest: dict[bytes, tuple[int, int, int, int]] = {}  # sequence number, log, place and size of the value
        for log, path in enumerate(paths):
            for entry in entries(files(path)):
                self._replay(entry, log, newest)
        self._keys = sorted(newest)
        self._found = [newest[key] for key in self._keys]
        self.range = (self._keys[0], self._keys[-1]) if newest else None

    def scan(self, table: int) -> Iterator[tuple[bytes, int, int, int, int, int]]:
        """Yield user key, negative sequence number, kind, `table`, 0 and place of each record, as a Table does."""
        for i, (key, (sequence, _, _, size)) in enumerate(zip(self._keys, self._found, strict=True)):
            yield key, -sequence, PUT if size >= 0 else DELETED, table, 0, i

    def record(self, place: int) -> tuple[bytes, bytes]:
        """Return a record as (key, value)."""
        _, log, at, size = self._found[place]
        return self._keys[place], _read(self._files(self._paths[log]), at, size)

    def check(self) -> None:
        """Raise DataError where another program has written to a log since it was read."""
        if self.range is not None:
            for path in self._paths:
                self._files(path).check()

    def _replay(self, entry: Entry, log: int, newest: dict[bytes, tuple[int, int, int, int]]) -> None:
        """Add the changes of an entry to `newest`."""
        data = entry.data
        sequence, count = int.from_bytes(data[:8], "little"), int.from_bytes(data[8:12], "little")
        at, done = BATCH_HEAD, 0
        try:
            while at < len(data):
                kind = data[at]
                size, at = varint(data, at + 1)
                key, at = data[at:at + size], at + size
                size = -1
                if kind == PUT:
                    size, at = varint(data, at)
                    newest[key] = sequence + done, log, entry.place(at), size
                    at += size
                elif kind == DELETED:
                    newest[key] = sequence + done, log, 0, -1
                else:
                    raise ValueError(f"a change is of the unknown kind {kind}")
                done += 1
            if at != len(data) or done != count:
                raise ValueError(f"an entry of {count} changes holds {done}")
        except (ValueError, IndexError) as error:
            raise damaged(self._paths[log], str(error)) from error


def _read(file: FileBytes, place: int, size: int) -> bytes:
    """Return `size` bytes of an entry, which begin at `place` in the file, without the heads of later fragments."""
    left = BLOCK - place % BLOCK  # in this block
    if size <= left:
        return file.read(place, size)
    heads = -(-(size - left) // (BLOCK - HEAD))
    whole = file.read(place, size + heads * HEAD)
    parts = [whole[:left]]
    parts += [whole[at + HEAD:at + BLOCK] for at in range(left, len(whole), BLOCK)]
    return b"".join(parts)


def _cut(file: FileBytes) -> DataError:
    # LevelDB's own library leaves out an entry that has no end, so its user silently gets fewer records
    return DataError(f"{file.path} ends in the middle of an entry: the copy is not whole, or the program that wrote it "
                     "was stopped", hint=COPY_AGAIN)
