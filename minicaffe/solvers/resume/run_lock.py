"""The lock on a run: only one process at a time writes the files of a snapshot_prefix.

It is the file .PREFIX.lock beside the snapshots, locked by the operating system, which takes the lock back when the
process dies, however it dies. In the file stands who has it, as JSON: host, pid, started.

The lock is held during a call of `solve`, `step` or `snapshot`, not for as long as there is a solver: a notebook may
keep old solvers for days. At the end of the call the file is removed. A killed process leaves it behind, unlocked; the
next run of the prefix takes it over, and removes it in the end.
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

AT = At.RESUMING
LOOK_AGAIN = 0.2  # seconds between two looks at a lock that another holds
# with these no snapshot can be written either, and where one is wanted, that has its own error
NOT_WRITABLE = (errno.ENOENT, errno.ENOTDIR, errno.EACCES, errno.EPERM, errno.EROFS, errno.ENAMETOOLONG)

_held: dict[tuple[int, int], _Lock] = {}  # what this process holds, by the device and the number of the file
_lockless: set[str] = set()  # the files that could not be locked, and were warned of
_changing = threading.Lock()  # held while a lock is taken or given back


class _Lock:
    """A lock that this process holds; `users` are the blocks that rely on it."""

    def __init__(self, descriptor: int, path: str) -> None:
        self.descriptor, self.path, self.users = descriptor, path, 0


@contextmanager
def held(prefix: str, *, wait: float = 0.0, where: str = "") -> Iterator[bool]:
    """Hold the lock of a prefix while the block runs; whether it was taken only now.

    SolverError where another process still has it after `wait` seconds. False where this process has it already:
    its solvers share the lock. They belong to one program, which as a rule runs one after the other, and a solver must
    be able to call `snapshot` while it solves. False, too, where nothing can be locked; if the file system has no
    locks, that is warned of once.
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
                    _give_back(lock)


def path_of(prefix: str) -> str:
    """The name of the file that is locked; absolute, for the program may change its folder before it is removed."""
    folder, name = os.path.split(prefix)
    return os.path.join(os.path.abspath(folder), f".{name}.lock")


def _taken(path: str, prefix: str, wait: float, where: str) -> _Lock | None:
    """The lock, this process's already or taken now; None where there can be none."""
    if (lock := _held.get(_number(path))) is not None:
        return lock
    if path in _lockless:
        return None
    try:
        descriptor = _take(path, prefix, wait, where)
    except OSError as error:
        if out_of_memory(error):
            raise
        if error.errno not in NOT_WRITABLE or os.path.lexists(path):  # the second: another user's, say
            _lockless.add(path)
            warn(AT, f"{path} cannot be locked ({error.strerror or error}), so nothing keeps a second training from "
                     f"writing over the snapshots of this one, {prefix}_iter_*; the training goes on")
        return None
    lock = _held[_number(path)] = _Lock(descriptor, path)
    return lock


def _number(path: str) -> tuple[int, int]:
    """What the system knows a file by: one file may be reached by two paths. (0, 0) where there is none."""
    try:
        found = os.stat(path)
    except OSError:
        return 0, 0
    return found.st_dev, found.st_ino


def _take(path: str, prefix: str, wait: float, where: str) -> int:
    """The open and locked file, with this process's name in it."""
    end, told = time.monotonic() + wait, ""
    while True:
        descriptor = _open(path)
        try:
            locked = system.try_lock(descriptor)
        except OSError as error:
            os.close(descriptor)
            if error.errno in system.NO_LOCKS:  # so nobody has it locked
                with contextlib.suppress(OSError):
                    os.unlink(path)
            raise
        if locked and system.is_file_at(descriptor, path):
            _sign(descriptor)
            return descriptor
        who = "" if locked else _holder(descriptor)
        os.close(descriptor)
        if locked:  # who had it has removed the file between our opening and our locking
            continue
        left = end - time.monotonic()
        if left <= 0:
            raise SolverError(f"another training writes the snapshots of {prefix}: {who}"
                              + (f"; it has not ended in {wait:g} seconds" if wait else ""), where=where,
                              hint="wait until it has ended, stop it, or choose another snapshot_prefix; "
                                   "minicaffe train --wait SECONDS waits")
        if who != told:
            log(AT, f"Waiting up to {left:.3g} seconds for another training that writes the snapshots of {prefix}: "
                    f"{who}")
            told = who
        time.sleep(min(LOOK_AGAIN, left))


def _open(path: str) -> int:
    no_link = getattr(os, "O_NOFOLLOW", 0)  # in a folder that all may write to, a link could lead to any file
    try:
        return os.open(path, os.O_RDWR | os.O_CREAT | no_link, 0o666)
    except PermissionError:  # it may be another user's: to see whether it is locked needs no more than reading
        return os.open(path, os.O_RDONLY | no_link)


def _sign(descriptor: int) -> None:
    """Write who we are, for others to read; a full disk keeps nobody from locking."""
    now = datetime.now().astimezone().isoformat(timespec="seconds")
    content = json.dumps({"host": socket.gethostname(), "pid": os.getpid(), "started": now})
    with contextlib.suppress(OSError):
        if os.fstat(descriptor).st_size:  # a killed run's; cutting a file makes some systems write it to the disk
            os.ftruncate(descriptor, 0)
        os.lseek(descriptor, 0, os.SEEK_SET)
        os.write(descriptor, content.encode() + b"\n")


def _holder(descriptor: int) -> str:
    """Who has signed the file, in words; who has just locked it is given a moment to do so."""
    for _ in range(10):
        try:
            os.lseek(descriptor, 0, os.SEEK_SET)
            found = json.loads(os.read(descriptor, 1 << 12))
            return f"process {found['pid']} on {found['host']}, since {found['started']}"
        except (OSError, ValueError, LookupError, TypeError):
            time.sleep(0.02)
    return "a process that has not said who it is"


def _give_back(lock: _Lock) -> None:
    for key, mine in list(_held.items()):
        if mine is lock:  # not so in the child of a fork, which forgot it
            del _held[key]
            system.remove_locked(lock.descriptor, lock.path)


def _forget() -> None:
    """A forked child shares its parent's open files, and would keep the lock alive after the parent's death."""
    global _changing
    _changing = threading.Lock()
    for lock in _held.values():
        os.close(lock.descriptor)
    _held.clear()


system.after_fork(_forget)
