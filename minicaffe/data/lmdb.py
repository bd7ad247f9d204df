"""LMDB, the database that Caffe's tools write: checked before it is opened, written as a whole or not at all."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import struct
import weakref
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from minicaffe.data import looked_in
from minicaffe.errors import DataError, missing_extra

try:
    import lmdb
except ImportError:
    lmdb = None  # type: ignore[assignment]

MAGIC, VERSION = 0xBEEFC0DE, 1
PAGE_HEADER = 16  # bytes before the meta data on a page
META = struct.Struct("=IIQQ I44x 48x QQ")  # magic, version, address, map size, page size, last page, transaction
WRITES_PER_TRANSACTION = 1000

_open: weakref.WeakValueDictionary[tuple[int, int], _Environment] = weakref.WeakValueDictionary()


class LmdbSource:
    """The records of an LMDB, given by its folder or by the path of its data.mdb.

    DataError, before anything is mapped into memory, when it is missing, empty, truncated or no LMDB.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        if lmdb is None:
            raise missing_extra("lmdb", "data", "reading an LMDB")
        self.path = str(path)
        self._environment = _environment(_data_file(self.path))
        with _plain_errors(self.path):
            self._count = int(self._environment.env.stat()["entries"])
        if not self._count:
            raise DataError(f"the LMDB {self.path} holds no record", hint="run the tool that writes it again")

    def __len__(self) -> int:
        return self._count

    def records(self, start: int = 0) -> Iterator[tuple[bytes, bytes]]:
        """The records from number `start` on, as (key, value) in the order of the keys."""
        with _plain_errors(self.path), self._environment.env.begin() as transaction:
            yield from islice(transaction.cursor(), start, None)


def write_lmdb(path: str | os.PathLike[str], records: Iterable[tuple[str | bytes, Any]], *,
               replace: bool = False) -> int:
    """Make an LMDB of (key, value) pairs, a value being bytes or a Datum; return how many there were.

    It is built in a folder beside `path` that takes its name when all is on the disk. DataError when `path`
    exists (unless `replace` is set), when a key comes twice, or when the disk is full.
    """
    if lmdb is None:
        raise missing_extra("lmdb", "data", "writing an LMDB")
    target = Path(os.path.realpath(path))
    if not replace and target.exists() and not (target.is_dir() and not any(target.iterdir())):
        raise DataError(f"{path} exists already", hint="delete it, or choose another name")
    beside = target.with_name(f".{target.name}.{secrets.token_hex(4)}.tmp")
    try:
        with _plain_errors(str(path), "write"):
            beside.mkdir(parents=True)
            count = _fill(beside, records, str(path))
            _put_in_place(beside, target)
    finally:
        shutil.rmtree(beside, ignore_errors=True)
    return count


def _fill(folder: Path, records: Iterable[tuple[str | bytes, Any]], name: str) -> int:
    """Write all records into a new LMDB in `folder`, sync it, and return their number."""
    env = lmdb.open(str(folder), map_size=1 << 24, sync=False, lock=False)
    try:
        pairs, count = iter(records), 0
        while part := [_as_bytes(*pair) for pair in islice(pairs, WRITES_PER_TRANSACTION)]:
            while not _put(env, part, name):
                env.set_mapsize(2 * env.info()["map_size"])
            count += len(part)
        env.sync(True)
        return count
    finally:
        env.close()


def _as_bytes(key: str | bytes, value: Any) -> tuple[bytes, bytes]:
    return (key.encode() if isinstance(key, str) else key,
            value if isinstance(value, bytes) else value.SerializeToString())


def _put(env: Any, part: list[tuple[bytes, bytes]], name: str) -> bool:
    """Write some records in one transaction; False, and nothing written, where the map is too small."""
    try:
        with env.begin(write=True) as transaction:
            for key, value in part:
                if not transaction.put(key, value, overwrite=False):
                    raise DataError(f"the key {_printable(key)} comes twice in the records for {name}")
    except lmdb.MapFullError:
        return False
    return True


def _put_in_place(made: Path, target: Path) -> None:
    """Give the folder `made` the name `target`; what stood there goes once the new one is in place."""
    (made / "lock.mdb").unlink(missing_ok=True)
    if not target.exists():
        made.rename(target)
        return
    old = made.with_name(made.name + ".old")
    target.rename(old)
    made.rename(target)
    if old.is_dir():
        shutil.rmtree(old)
    else:
        old.unlink()


class _Environment:
    """An open LMDB. One process opens a file once, so sources of the same file share it."""

    def __init__(self, file: Path) -> None:
        self.env = lmdb.open(str(file), subdir=False, readonly=True, lock=False)


def _environment(file: Path) -> _Environment:
    _check_whole(file)
    status = file.stat()
    key = (status.st_dev, status.st_ino)
    environment = _open.get(key)
    if environment is None:
        with _plain_errors(str(file)):
            environment = _open[key] = _Environment(file)
    return environment


def _data_file(path: str) -> Path:
    """The file inside an LMDB folder, or the path itself where it is a file."""
    given = Path(path)
    if given.is_file():
        return given
    if not given.exists():
        raise DataError(f"there is no LMDB {path}", hint=looked_in(path))
    if (given / "data.mdb").is_file():
        return given / "data.mdb"
    if (given / "CURRENT").is_file():
        raise DataError(f"{path} is a LevelDB, not an LMDB", hint="set backend: LEVELDB")
    raise DataError(f"{path} is no LMDB: the folder holds no data.mdb")


def _check_whole(file: Path) -> None:
    """DataError unless the file is as long as its own meta pages say.

    LMDB maps the file into memory: reading a page that a broken copy lacks kills the process (SIGBUS).
    """
    try:
        size = file.stat().st_size
        with open(file, "rb") as stream:
            metas = [_read_meta(stream, 0, file, size)]
            page_size = metas[0][4]
            metas.append(_read_meta(stream, page_size, file, size))
    except OSError as error:
        raise DataError(f"cannot read {file}: {error.strerror or error}") from error
    *_, last_page, _ = max(metas, key=lambda meta: meta[-1])
    needed = (last_page + 1) * page_size
    if size < needed:
        raise DataError(f"{file} is truncated: it has {size} bytes, but its records fill {needed}",
                        hint="copy the LMDB again, or run the tool that writes it")


def _read_meta(stream: Any, offset: int, file: Path, size: int) -> tuple[int, ...]:
    stream.seek(offset + PAGE_HEADER)
    packed = stream.read(META.size)
    if len(packed) >= 8:
        magic, version = struct.unpack_from("=II", packed)
        if magic != MAGIC:
            raise DataError(f"{file} is not an LMDB file, or one of a machine with another byte order")
        if version != VERSION:
            raise DataError(f"{file} is an LMDB of format {version}, but only format {VERSION} can be read")
    if len(packed) < META.size:
        raise DataError(f"{file} is empty" if not size else f"{file} is truncated: it has only {size} bytes",
                        hint="copy the LMDB again, or run the tool that writes it")
    return META.unpack(packed)


@contextlib.contextmanager
def _plain_errors(path: str, verb: str = "read") -> Iterator[None]:
    """Turn what the lmdb package and the system raise into a DataError that names the path."""
    try:
        yield
    except OSError as error:
        raise DataError(f"cannot {verb} {path}: {error.strerror or error}") from error
    except lmdb.Error as error:
        hint = "close the other lmdb environment first" if "already open" in str(error) else ""
        raise DataError(f"cannot {verb} the LMDB {path}: {error}", hint=hint) from error


def _printable(key: bytes) -> str:
    return repr(key.decode(errors="replace"))
