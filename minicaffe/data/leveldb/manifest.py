"""A LevelDB's manifest: which tables and which logs make up the LevelDB now.

It has the form of a log. An entry is a change: fields, each of which begins with its number as a varint.
"""

from __future__ import annotations

import re
from pathlib import Path

from minicaffe.data.leveldb.files import COPY_AGAIN, damaged, open_file, varint
from minicaffe.data.leveldb.log import entries
from minicaffe.errors import DataError
from minicaffe.io.wire import DamagedError

ORDER = b"leveldb.BytewiseComparator"
COMPARATOR, LOG_NUMBER, NEXT_FILE, LAST_SEQUENCE, COMPACTED, DELETED_FILE, NEW_FILE, LAST_LOG = 1, 2, 3, 4, 5, 6, 7, 9


class Manifest:
    """The manifest that the file CURRENT of a folder names. Raise a DataError where it is missing or damaged.

    tables      by number: size in bytes, first key, last key
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.tables: dict[int, tuple[int, bytes, bytes]] = {}
        self._log = self._log_before = 0
        self._seen: set[int] = set()
        current = open_file(folder / "CURRENT")
        name = current.read(0, len(current)).decode(errors="replace").strip()
        if not re.fullmatch(r"MANIFEST-\d{1,20}", name, re.ASCII):
            raise damaged(folder / "CURRENT", f"it names the manifest {name[:80]!r}")
        path = folder / name
        try:
            for entry in entries(open_file(path)):
                self._apply(entry.data)
        except (DamagedError, IndexError) as error:
            raise damaged(path, f"an entry cannot be read: {error}") from error
        if not self._seen >= {LOG_NUMBER, NEXT_FILE, LAST_SEQUENCE}:  # each manifest that LevelDB has finished has them
            raise damaged(path, "it does not say which log and which file come next")

    def logs(self) -> list[Path]:
        """Return the logs whose records are in no table, in the order of their numbers."""
        found = {int(path.stem): path for path in self.folder.glob("*.log") if path.stem.isdecimal()}
        if self._log and self._log not in found:
            raise DataError(f"the LevelDB {self.folder} lacks its file {self._log:06d}.log",
                            hint=f"{COPY_AGAIN}; or does another program write it at this moment?")
        return [found[number] for number in sorted(found) if number >= self._log or number == self._log_before]

    def _apply(self, data: bytes) -> None:
        """Apply the changes that an entry holds."""
        at = 0
        while at < len(data):
            field, at = varint(data, at)
            self._seen.add(field)
            if field == COMPARATOR:
                order, at = _bytes(data, at)
                if order != ORDER:
                    raise DataError(f"the keys of the LevelDB {self.folder} are in the order "
                                    f"{order.decode('latin-1')!r}, but only {ORDER.decode()!r} can be read")
            elif field in (LOG_NUMBER, LAST_LOG, NEXT_FILE, LAST_SEQUENCE):
                number, at = varint(data, at)
                if field == LOG_NUMBER:
                    self._log = number
                elif field == LAST_LOG:
                    self._log_before = number
            elif field in (DELETED_FILE, NEW_FILE, COMPACTED):
                _, at = varint(data, at)  # the level, which is not needed: sequence numbers say which record is newer
                at = self._apply_to_level(field, data, at)
            else:
                raise DamagedError(f"the field {field} is unknown")

    def _apply_to_level(self, field: int, data: bytes, at: int) -> int:
        """Apply a field about a level of tables. Return the offset after it."""
        if field == COMPACTED:
            return _bytes(data, at)[1]
        number, at = varint(data, at)
        if field == DELETED_FILE:
            self.tables.pop(number, None)
            return at
        size, at = varint(data, at)
        smallest, at = _bytes(data, at)
        largest, at = _bytes(data, at)
        self.tables[number] = size, smallest, largest
        return at


def _bytes(data: bytes, at: int) -> tuple[bytes, int]:
    """Return the bytes at `at`, which begin with their size, and the offset after them."""
    size, at = varint(data, at)
    if at + size > len(data):
        raise DamagedError("it is cut short")
    return data[at:at + size], at + size
