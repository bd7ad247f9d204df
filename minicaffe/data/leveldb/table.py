"""A LevelDB's table: records in the order of their keys, in blocks that may be compressed.

The format, little-endian:

    table     blocks, then 48 bytes: where the block of filters is (unread here), where the index is, MAGIC
    index     a block, which has for each block of records a key that is not before its last one, and where it is
    block     what follows, packed by Snappy or not; then 1 byte that says so, and the CRC-32C of all before (4 bytes)
    records   how many bytes the key has in common with the one before, how many others, the size of the value (three
              varints); these other bytes; the value. Then come the places of records with their whole key (4 bytes
              each), and the number of these places (4 bytes).
    key       the user's key, then kind (1 byte) and sequence number (7 bytes)
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from itertools import accumulate, chain
from pathlib import Path
from typing import Any

from minicaffe.data.leveldb.crc32c import crc32c, masked
from minicaffe.data.leveldb.files import Files, damaged, varint
from minicaffe.data.leveldb.snappy import unpack
from minicaffe.io.file_bytes import FileBytes
from minicaffe.io.wire import DamagedError

FOOTER, TRAILER, SUFFIX = 48, 5, 8
MAGIC = 0xDB4775248B80FB57
PLAIN, SNAPPY = 0, 1
LONG_BLOCK, LONG_VALUE = 1 << 14, 1 << 12  # bytes; see Table._rows_of
Row = tuple[bytes, int, int]  # key, start and end of the value


class Block:
    """The records of an unpacked block.

    Keys and places are kept in few plain pieces of memory. As Python objects they would take several times as much as
    small records themselves.
    """

    def __init__(self, data: bytes) -> None:
        keys, starts, ends = zip(*rows(data, 0, len(data)), strict=True)
        self._data, self._keys = data, b"".join([key[:-SUFFIX] for key in keys])
        self._key_ends = array("I", accumulate([len(key) - SUFFIX for key in keys], initial=0))  # after a first 0
        self._starts, self._ends = array("I", starts), array("I", ends)

    @property
    def size(self) -> int:
        """The number of bytes of memory that the block takes."""
        return len(self._data) + len(self._keys) + 3 * len(self._ends) * self._ends.itemsize

    def record(self, place: int) -> tuple[bytes, bytes]:
        """Return the key and the value of a record, given its place in the block."""
        return (self._keys[self._key_ends[place]:self._key_ends[place + 1]],
                self._data[self._starts[place]:self._ends[place]])


class Table:
    """The records of a table. Its size, its first key and its last key come from the LevelDB's manifest."""

    def __init__(self, files: Files, path: Path, size: int, smallest: bytes, largest: bytes) -> None:
        self._files, self._path, self._size = files, path, size
        self.range = smallest[:-SUFFIX], largest[:-SUFFIX]
        self._places, self._sizes = array("q"), array("q")  # of the blocks
        file = files(path, size)
        footer = file[max(0, size - FOOTER):size]
        if len(footer) < FOOTER or int.from_bytes(footer[-8:], "little") != MAGIC:
            raise damaged(path, "it does not end as a table does")
        try:
            at = varint(footer, varint(footer, 0)[1])[1]
            index = self._block(*_place_and_size(footer, at))
            for _, start, _ in rows(index, 0, len(index)):
                place, length = _place_and_size(index, start)
                self._places.append(place)
                self._sizes.append(length)
        except (DamagedError, IndexError, OverflowError) as error:
            raise damaged(path, f"its index cannot be read: {error}") from error
        self._checked = bytearray(len(self._places))  # 1 for a block whose checksum was right

    def scan(self, table: int) -> Iterator[tuple[bytes, int, int, int, int, int]]:
        """Yield user key, negative sequence number, kind, `table`, block and place in the block of each record.

        They come in the order of the keys, and those of one key with the newest first.
        """
        for block in range(len(self._places)):
            try:
                for i, (key, _, _) in enumerate(self._rows_of(block)):
                    number = int.from_bytes(key[-SUFFIX:], "little")
                    yield key[:-SUFFIX], -(number >> 8), number & 255, table, block, i
            except (DamagedError, IndexError) as error:
                raise self._damaged_block(block, error) from error

    def block(self, number: int) -> Block:
        """Return a block of records."""
        data = self._numbered(number)
        try:
            return Block(data)
        except (DamagedError, IndexError, OverflowError) as error:  # no block is larger than 4 GiB
            raise self._damaged_block(number, error) from error

    def _rows_of(self, number: int) -> Iterator[Row]:
        """Return the records of a block.

        Where they are long, the keys alone are read, so that opening does not read the whole LevelDB. The checksum of
        such a block is compared later, when its records are read.
        """
        place, size = self._places[number], self._sizes[number]
        if size >= LONG_BLOCK:
            file = self._files(self._path, self._size)
            if file[place + size] == PLAIN:
                found = rows(file, place, place + size)
                first = next(found)
                if first[2] - first[1] >= LONG_VALUE:
                    return chain([first], found)
        data = self._numbered(number)
        return rows(data, 0, len(data))

    def _numbered(self, number: int) -> bytes:
        """Return an unpacked block of records. Its checksum is compared the first time."""
        data = self._block(self._places[number], self._sizes[number], not self._checked[number])
        self._checked[number] = 1
        return data

    def _block(self, place: int, size: int, check: bool = True) -> bytes:
        """Return the unpacked block of `size` bytes that begins at `place`."""
        if place + size + TRAILER > self._size - FOOTER:
            raise damaged(self._path, f"it refers to {size} bytes at byte {place}, and has {self._size}")
        stored = self._files(self._path, self._size).read(place, size + TRAILER)
        if check and masked(crc32c(memoryview(stored)[:size + 1])) != int.from_bytes(stored[-4:], "little"):
            raise damaged(self._path, f"the block at byte {place} has another checksum (CRC-32C)")
        if stored[size] == PLAIN:
            return stored[:size]
        if stored[size] != SNAPPY:
            raise damaged(self._path, f"the block at byte {place} is packed by method {stored[size]}, which is neither "
                                      "none (0) nor Snappy (1)")
        try:
            return unpack(stored[:size])
        except ValueError as error:
            raise damaged(self._path, f"the block at byte {place} cannot be unpacked: {error}") from error

    def _damaged_block(self, number: int, error: Exception) -> Exception:
        return damaged(self._path, f"the block at byte {self._places[number]} cannot be read: {error}")


def rows(data: bytes | FileBytes, begin: int, end: int) -> Iterator[Row]:
    """Yield key, start and end of each record of a block. Raise a DamagedError or IndexError where it is damaged."""
    end -= 4 + 4 * int.from_bytes(data[end - 4:end], "little")
    if end < begin:
        raise DamagedError("it is shorter than its list of whole keys")
    key, at = b"", begin
    while at < end:
        shared, fresh, size = data[at], data[at + 1], data[at + 2]
        if shared | fresh < 128 and (size < 128 or data[at + 3] < 128):  # nearly always
            at += 3
            if size >= 128:
                size += (data[at] << 7) - 128
                at += 1
        else:
            shared, at = varint(data, at)
            fresh, at = varint(data, at)
            size, at = varint(data, at)
        stop = at + fresh + size
        if shared > len(key) or stop > end or shared + fresh < SUFFIX:
            raise DamagedError(f"a record at byte {at - begin} has sizes that cannot be")
        key = key[:shared] + data[at:at + fresh]
        yield key, at + fresh, stop
        at = stop


def _place_and_size(data: Any, at: int) -> tuple[int, int]:
    place, at = varint(data, at)
    size, _ = varint(data, at)
    return place, size
