"""The lock on a run: only one process at a time writes the files of a snapshot_prefix.

The file .PREFIX.lock beside the snapshots is locked by the operating system, which ends the lock when the process
ends, in whatever way. The file says who holds the lock, as JSON: host, pid, started.

The lock is held during a call of `solve`, `step` or `snapshot`, not as long as the solver exists, because a notebook
may keep old solvers for days. At the end of the call the file is removed. A killed process leaves the file behind
without a lock; then the next run of the prefix locks it and removes it in the end.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime

from minicaffe import system
from minicaffe.errors import SolverError, out_of_memory
from minicaffe.log import At, log, warn

LOOK_AGAIN = 0.2  # seconds between two attempts to take a lock that another process holds
# With these errors no snapshot can be written either. If one is wanted, writing it raises an error of its own.
NOT_WRITABLE = (errno.ENOENT, errno.ENOTDIR, errno.EACCES, errno.EPERM, errno.EROFS, errno.ENAMETOOLONG)

_held: dict[tuple[int, int], _Lock] = {}  # the locks that this process holds, by the device and the number of the file
_lockless: set[str] = set()  # the files that could not be locked, for each of which there was a warning
_changing = threading.Lock()  # held while a lock is taken or released


class _Lock:
    """A lock that this process holds; `users` is the number of blocks that rely on it."""

    def __init__(self, descriptor: int, path: str) -> None:
        self.descriptor, self.path, self.users = descriptor, path, 0


@contextmanager
def held(prefix: str, *, wait: float = 0.0, where: str = "") -> Iterator[bool]:
    """Hold the lock of a prefix while the block runs. Yield whether it was taken only now.

    All solvers of a process share the lock, so that a solver can call `snapshot` while it solves; where the process
    holds the lock already, this yields False. It does so, too, where nothing can be locked; if the file system has no
    locks, a warning says so once. Raise SolverError where another process still holds the lock after `wait` seconds.
    """
    with _changing:
        lock = _taken(path_of(prefix), prefix, wait, where)
        if lock is not None:
            lock.users += 1
    try:
        yield lock is not None and lock.users == 1
    finally:
        if lock is not None:
            with _changing:
                lock.users -= 1
                if not lock.users:
                    _release(lock)


def path_of(prefix: str) -> str:
    """The name of the file that is locked; absolute, because the program may change its folder before it is removed."""
    folder, name = os.path.split(prefix)
    return os.path.join(os.path.abspath(folder), f".{name}.lock")


def _taken(path: str, prefix: str, wait: float, where: str) -> _Lock | None:
    """Return the lock, which this process held already or has taken now; None where nothing can be locked."""
    if (lock := _held.get(_number(path))) is not None:
        return lock
    if path in _lockless:
        return None
    try:
        descriptor = _take(path, prefix, wait, where)
    except OSError as error:
        if out_of_memory(error):
            raise
        # a file that exists and may not be opened is perhaps another user's: then snapshots could be written over
        if error.errno not in NOT_WRITABLE or os.path.lexists(path):
            _lockless.add(path)
            warn(At.RUN_LOCK, f"{path} cannot be locked ({error.strerror or error}), so nothing keeps a second "
                              f"training from writing over the snapshots of this one, {prefix}_iter_*; "
                              "the training goes on")
        return None
    lock = _held[_number(path)] = _Lock(descriptor, path)
    return lock


def _number(path: str) -> tuple[int, int]:
    """The device and the number of a file, which are the same for two paths to one file. (0, 0) where there is none."""
    try:
        found = os.stat(path)
    except OSError:
        return 0, 0
    return found.st_dev, found.st_ino


def _take(path: str, prefix: str, wait: float, where: str) -> int:
    """Open the file, lock it, and write into it who holds it. Return the descriptor."""
    end, told = time.monotonic() + wait, ""
    while True:
        descriptor, locked = _try(path)
        if locked and system.is_file_at(descriptor, path):
            _sign(descriptor)
            return descriptor
        who = "" if locked else _holder(descriptor)
        os.close(descriptor)
        if locked:  # the holder before has removed the file after we opened it, so our lock is on no file: try again
            continue
        left = end - time.monotonic()
        if left <= 0:
            raise SolverError(f"another training writes the snapshots of {prefix}: {who}"
                              + (f"; it has not ended in {wait:g} seconds" if wait else ""), where=where,
                              hint="wait until it has ended, stop it, or choose another snapshot_prefix; "
                                   "minicaffe train --wait SECONDS waits")
        if who != told:
            log(At.RUN_LOCK, f"Waiting up to {left:.3g} seconds for another training that writes the snapshots of "
                             f"{prefix}: {who}")
            told = who
        time.sleep(min(LOOK_AGAIN, left))


def _try(path: str) -> tuple[int, bool]:
    """Open the file and try to lock it. Return the descriptor, and whether the file is now locked."""
    descriptor = _open(path)
    try:
        return descriptor, system.try_lock(descriptor)
    except OSError as error:
        os.close(descriptor)
        if error.errno in system.NO_LOCKS:  # so no other process can have locked it, and it may be removed
            with contextlib.suppress(OSError):
                os.unlink(path)
        raise


def _open(path: str) -> int:
    # in a folder that every user may write to, another user could put a link there that leads to any file of ours
    no_link = getattr(os, "O_NOFOLLOW", 0)
    try:
        return os.open(path, os.O_RDWR | os.O_CREAT | no_link, 0o666)
    except PermissionError:  # perhaps another user's: to read it is enough to see whether it is locked
        return os.open(path, os.O_RDONLY | no_link)


def _sign(descriptor: int) -> None:
    """Write who holds the lock, for others to read. The lock also holds where a full disk does not take the words."""
    now = datetime.now().astimezone().isoformat(timespec="seconds")
    content = json.dumps({"host": socket.gethostname(), "pid": os.getpid(), "started": now})
    with contextlib.suppress(OSError):
        # a killed run has left its words; only then, because some systems write a file to the disk when it is cut
        if os.fstat(descriptor).st_size:
            os.ftruncate(descriptor, 0)
        os.lseek(descriptor, 0, os.SEEK_SET)
        os.write(descriptor, content.encode() + b"\n")


def _holder(descriptor: int) -> str:
    """In words: who holds the lock. A process that has just locked the file gets a moment to write so."""
    for _ in range(10):
        try:
            os.lseek(descriptor, 0, os.SEEK_SET)
            found = json.loads(os.read(descriptor, 1 << 12))
            return f"process {found['pid']} on {found['host']}, since {found['started']}"
        except (OSError, ValueError, LookupError, TypeError):
            time.sleep(0.02)
    return "a process that has not said who it is"


def _release(lock: _Lock) -> None:
    for key, mine in list(_held.items()):
        if mine is lock:  # in the child of a fork it is not there: the parent holds the lock
            del _held[key]
            system.remove_locked(lock.descriptor, lock.path)


def _forget() -> None:
    """Close the parent's files in a forked child, which would otherwise hold the lock after the parent has ended."""
    global _changing
    _changing = threading.Lock()
    for lock in _held.values():
        os.close(lock.descriptor)
    _held.clear()


system.after_fork(_forget)
