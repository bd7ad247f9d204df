"""Read the pages of an LMDB for LmdbSource, without LMDB's own library, and check every number in them.

The library maps the file into memory and follows each page number that it finds. In a damaged copy one wrong number
makes it read outside the file, which kills the process. Here the file is not mapped, and every number is compared with
the file's size before it is followed.

Another program may add records while the file is read. It writes them into pages that the last transaction does not
use, and then writes the meta page of its own transaction. So as long as both meta pages stay as they were, all that
was read belongs to one transaction.

The format, little-endian, in pages of one size:

    pages 0, 1   meta: the root of the tree, its depth, the number of records, the last page; the newer one counts
    branch       nodes (page number, key), the children in the order of their keys
    leaf         nodes (key, value), or (key, number of the first page that holds the value)
    overflow     one or more pages with one long value
"""

from __future__ import annotations

import struct
from array import array
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from minicaffe.errors import DataError
from minicaffe.io.file_bytes import FileBytes

MAGIC, VERSION = 0xBEEFC0DE, 1
_HEAD = struct.Struct("<QHHHH")  # page number, -, flags, end of the node table, start of the nodes
_META = struct.Struct("<IIQQ I44x IHH24xQQ QQ")  # see _Meta; 44 and 24 bytes of other counts
# low and high half of the value's size or of the page number, flags or the rest of the page number, size of the key
_NODE = struct.Struct("<HHHH")
_BRANCH, _LEAF, _OVERFLOW = 1, 2, 4
_LONG_VALUE = 1
_SORTED_VALUES = 4  # a database flag: keys with several values
_EMPTY = 2**64 - 1  # the root of a tree without records
DEEPEST = 32  # levels, as in the library
BLOCK = 1 << 18  # bytes that are read at once; a multiple of every page size
MOST_BLOCKS = 128  # in memory: 32 MB, for leaves that do not lie in the order of their keys


class _Meta(NamedTuple):
    magic: int
    version: int
    address: int
    map_size: int
    page_size: int
    pad: int
    flags: int
    depth: int
    entries: int
    root: int
    last_page: int
    transaction: int


class Tree:
    """The records of an LMDB's file. Raise a DataError when it is missing, empty, cut short, damaged, or no LMDB."""

    def __init__(self, file: Path) -> None:
        self.file = file
        try:
            self._data = FileBytes(file, BLOCK, MOST_BLOCKS)
        except (OSError, ValueError) as error:
            raise DataError(f"cannot read {file}: {getattr(error, 'strerror', None) or error}") from error
        size = len(self._data)
        first = self._read_meta(0, size)
        self._page_size = first.page_size
        if not (512 <= self._page_size <= 65536 and self._page_size & (self._page_size - 1) == 0):
            raise self._damaged(f"its pages have {self._page_size} bytes")
        self._data.watch(min(size, 2 * self._page_size))
        meta = max(first, self._read_meta(self._page_size, size), key=lambda meta: meta.transaction)
        if meta.flags & _SORTED_VALUES:
            raise DataError(f"{file} holds several values a key, which Caffe's tools never write")
        self.entries = meta.entries if meta.root != _EMPTY else 0
        if self.entries * _NODE.size > size or (self.entries and not 0 < meta.depth <= DEEPEST):
            raise self._damaged(f"it claims {meta.entries} records in {meta.depth} levels")
        self._root, self._depth = meta.root, meta.depth
        self._last = min(meta.last_page, size // self._page_size - 1)
        self._index: tuple[array[int], array[int]] = array("q"), array("q")  # the leaves: first record, page
        needed = (meta.last_page + 1) * self._page_size
        if size < needed and not self._is_whole():
            raise DataError(f"{file} is truncated: it has {size} bytes, but its records fill {needed}",
                            hint="copy the LMDB again, or run the tool that writes it")

    def records(self, start: int = 0) -> Iterator[tuple[bytes, bytes]]:
        """Yield (key, value) from record number `start` on, in the order of the keys."""
        self._data.check()
        pages, seen = self._leaves(), 0
        if start:
            leaf = self._leaf_of(start)
            pages, seen = iter(self._index[1][leaf:]), self._index[0][leaf]
        for page in pages:
            data, begin = self._block(page)
            nodes = self._nodes(data, begin, page, _LEAF)
            seen += len(nodes)
            if seen > self.entries:
                raise self._damaged(f"it holds more than the {self.entries} records that it claims")
            for node in nodes[max(0, start - seen + len(nodes)):]:
                yield self._record(data, begin, page, node)
        if seen != self.entries:
            raise self._damaged(f"it holds {seen} records and claims {self.entries}")

    def pick(self, numbers: Sequence[int]) -> list[tuple[bytes, bytes]]:
        """Return the records with these numbers, in any order, as (key, value)."""
        try:
            found = [self._pick(number) for number in numbers]
        finally:
            self._data.check()  # of the pages together, because it takes longer than to read one
        return found

    def _pick(self, number: int) -> tuple[bytes, bytes]:
        leaf = self._leaf_of(number)
        first, page = self._index[0][leaf], self._index[1][leaf]
        data = self._data.piece(self._check_page(page), self._page_size)
        return self._record(data, 0, page, self._nodes(data, 0, page, _LEAF)[number - first], self._data.piece)

    def _leaf_of(self, number: int) -> int:
        """Return which leaf holds a record; the index of the leaves is made when it is first needed."""
        if not self._index[0]:
            pages, firsts, seen = array("q"), array("q"), 0
            for page in self._leaves():  # of each leaf its page alone is read: values may lie between the leaves
                pages.append(page)
                firsts.append(seen)
                data = self._data.piece(self._check_page(page), self._page_size)
                seen += len(self._nodes(data, 0, page, _LEAF))
                if seen > self.entries:  # at once, because branches that share their children may have any number
                    break
            self._data.check()
            if seen != self.entries:
                raise self._damaged(f"it holds {seen} records and claims {self.entries}")
            self._index = firsts, pages
        return bisect_right(self._index[0], number) - 1

    def _is_whole(self) -> bool:
        """Return whether every record is there.

        A file that is too short may still hold them all: the pages that are missing may have been freed before they
        were ever written.
        """
        try:
            return all(True for _ in self.records())
        except DataError:
            return False

    def _leaves(self) -> Iterator[int]:
        """Yield the numbers of the leaf pages in the order of their keys."""
        waiting = [(self._root, 1)] if self.entries else []
        while waiting:  # a stack, from which the leftmost page comes first; so children are pushed in reverse
            page, level = waiting.pop()
            if level == self._depth:
                yield page
                continue
            data, begin = self._block(page)
            for node in reversed(self._nodes(data, begin, page, _BRANCH)):
                low, high, top, _ = self._node(data, begin, page, node)
                waiting.append((low | high << 16 | top << 32, level + 1))

    def _block(self, page: int) -> tuple[bytes, int]:
        """Return the block that holds a page, and where the page begins in it."""
        return self._data.block(self._check_page(page))

    def _nodes(self, data: bytes, at: int, page: int, kind: int) -> tuple[int, ...]:
        """Return the offsets of a page's nodes within it; the page begins at `at` in `data`."""
        number, _, flags, end, _ = _HEAD.unpack_from(data, at)
        if number != page or flags & (_BRANCH | _LEAF | _OVERFLOW) != kind:
            raise self._damaged(f"page {page} is not what the tree needs there")
        count = (end - _HEAD.size) // 2
        if count < 1 or end > self._page_size:
            raise self._damaged(f"page {page} claims {count} nodes")
        return struct.unpack_from(f"<{count}H", data, at + _HEAD.size)

    def _node(self, data: bytes, begin: int, page: int, node: int) -> tuple[int, int, int, int]:
        """Return the four numbers at the head of a node; its key is then known to lie within the page."""
        if not _HEAD.size <= node <= self._page_size - _NODE.size:
            raise self._damaged(f"page {page} has a node at byte {node}")
        numbers: tuple[int, int, int, int] = _NODE.unpack_from(data, begin + node)
        if node + _NODE.size + numbers[3] > self._page_size:
            raise self._damaged(f"page {page} has a key of {numbers[3]} bytes at byte {node}")
        return numbers

    def _record(self, data: bytes, begin: int, page: int, node: int,
                read: Callable[[int, int], bytes] | None = None) -> tuple[bytes, bytes]:
        """Return key and value of a node of the page that begins at `begin` in `data`. `read` gets long values."""
        low, high, flags, key_size = self._node(data, begin, page, node)
        size, at, end = low | high << 16, begin + node + _NODE.size + key_size, begin + self._page_size
        key = data[at - key_size : at]
        if flags & ~_LONG_VALUE:
            raise DataError(f"{self.file} holds a database within the database at the key {key!r}")
        if not flags & _LONG_VALUE:
            if at + size > end:
                raise self._damaged(f"the value of the key {key!r} runs over its page")
            return key, data[at : at + size]
        if at + 8 > end:
            raise self._damaged(f"page {page} is cut short")
        return key, self._long_value(struct.unpack_from("<Q", data, at)[0], size, key, read or self._data.read)

    def _long_value(self, first: int, size: int, key: bytes, read: Callable[[int, int], bytes]) -> bytes:
        """Return a value that fills pages of its own, from page `first` on."""
        place = self._check_page(first)
        number, _, kind, low, high = _HEAD.unpack(read(place, _HEAD.size))
        pages = -(-(_HEAD.size + size) // self._page_size)
        if number != first or kind & _OVERFLOW == 0 or pages > low | high << 16 or first + pages - 1 > self._last:
            raise self._damaged(f"page {first} does not begin the {size} bytes of the key {key!r}")
        return read(place + _HEAD.size, size)

    def _check_page(self, page: int) -> int:
        """Return the offset of a page. Raise a DataError for a page that is not in the file, or that is a meta page."""
        if not 2 <= page <= self._last:
            raise self._damaged(f"it refers to page {page}, and the last is {self._last}")
        return page * self._page_size

    def _read_meta(self, offset: int, size: int) -> _Meta:
        """Return what the meta page at `offset` says, in a file of `size` bytes."""
        packed = self._data[offset + _HEAD.size : offset + _HEAD.size + _META.size]
        if len(packed) >= 8:
            magic, version = struct.unpack_from("<II", packed)
            if magic != MAGIC:
                raise DataError(f"{self.file} is not an LMDB file, or one of a machine with another byte order")
            if version != VERSION:
                raise DataError(f"{self.file} is an LMDB of format {version}, but only format {VERSION} can be read")
        if len(packed) < _META.size:
            raise DataError(f"{self.file} is empty" if not size else
                            f"{self.file} is truncated: it has only {size} bytes",
                            hint="copy the LMDB again, or run the tool that writes it")
        return _Meta(*_META.unpack(packed))

    def _damaged(self, what: str) -> DataError:
        """Return the error for a number that cannot be right."""
        return DataError(f"{self.file} is damaged: {what}",
                         hint="copy the LMDB again, or run the tool that writes it")
