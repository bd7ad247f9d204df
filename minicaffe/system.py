"""Functions that differ between operating systems: reads at an offset, file locks, folder syncs, forks.

Only this module uses what POSIX systems alone have. For each such call it has another way, for other systems.
"""

from __future__ import annotations

import contextlib
import errno
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

fcntl: Any
msvcrt: Any
try:
    import fcntl
except ImportError:  # Windows
    fcntl = None
try:
    import msvcrt
except ImportError:  # all others
    msvcrt = None

NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP)  # what a file system without locks answers
LOCKED_BYTE = 1 << 30  # on Windows no other process can read a locked byte, so it is one far behind the content
PathLike = str | os.PathLike[str]
HANGUP = getattr(signal, "SIGHUP", None)  # the signal of a closed terminal; Windows has none
USER = getattr(signal, "SIGUSR1", None)  # a signal without a meaning of its own; Windows has none


def read_at(file: BinaryIO, offset: int, size: int) -> bytes:
    """Up to `size` bytes of an open file from byte `offset` on; fewer where the file ends before.

    A read notices without harm that a file has become shorter, as a memory map would not. Several threads may call this
    at once where the system has `pread`; elsewhere the file's position is moved.
    """
    parts = []
    while size > 0:
        part = _read_once(file, offset, size)
        if not part:
            break
        parts.append(part)
        offset, size = offset + len(part), size - len(part)
    return parts[0] if len(parts) == 1 else b"".join(parts)


def read_into(file: BinaryIO, offset: int, target: memoryview) -> int:
    """Read as `read_at` does, into memory that is given. Return the number of bytes read."""
    done = 0
    while done < len(target):
        if hasattr(os, "preadv"):
            count = os.preadv(file.fileno(), [target[done:]], offset + done)
        else:
            part = _read_once(file, offset + done, min(len(target) - done, 1 << 20))
            count = len(part)
            target[done:done + count] = part
        if not count:
            break
        done += count
    return done


def _read_once(file: BinaryIO, offset: int, size: int) -> bytes:
    if hasattr(os, "pread"):
        return os.pread(file.fileno(), size, offset)
    file.seek(offset)
    return file.read(size)


def sync_folder(path: PathLike) -> None:
    """Put a folder's entries on the disk, so that a rename in it outlasts a loss of power.

    Systems that cannot open a folder (Windows) keep their own journal of names: there nothing is done.
    """
    with contextlib.suppress(OSError):
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_DIRECTORY", 0))
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def try_lock(descriptor: int) -> bool:
    """Take the lock of an open file. Return False where another process has it.

    The lock lasts until the file is closed. The system closes the files of a dead process, so no lock outlives its
    process. Raise OSError where the file system has no
    locks (NO_LOCKS).
    """
    if fcntl is not None:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except (BlockingIOError, PermissionError):  # the second comes from some network file systems
            return False
        return True
    if msvcrt is None:
        raise OSError(errno.ENOSYS, "this system has no file locks")
    os.lseek(descriptor, LOCKED_BYTE, os.SEEK_SET)
    try:
        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
    except PermissionError:
        return False
    return True


def is_file_at(descriptor: int, path: str) -> bool:
    """Return whether an open file still has the name `path`; it may have been removed, and another made since.

    Where there is no flock (Windows) an open file can't be removed, so it is still there.
    """
    try:
        return fcntl is None or os.path.samestat(os.fstat(descriptor), os.stat(path))
    except FileNotFoundError:
        return False


def remove_locked(descriptor: int, path: str) -> None:
    """Remove a file that this process has locked, and give the lock back.

    It is removed while it is locked. If it were unlocked first, another process could lock it in between, and would
    then hold a lock on a removed file. Where an open file can't be removed (Windows), it is closed first, and stays if
    another process has opened it meanwhile.
    """
    if fcntl is None:
        os.close(descriptor)
        descriptor = -1
    with contextlib.suppress(OSError):
        os.unlink(path)
    if descriptor >= 0:
        os.close(descriptor)


def after_fork(function: Callable[[], object]) -> None:
    """Call a function in each child process that is forked from this one. Where nothing can fork, nothing is done."""
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=function)


def cores() -> int:
    """Return how many processors this process may use."""
    return len(core_numbers())


def processor_time(process: int) -> float | None:
    """Return the seconds that a process of this host has computed, all its threads together; None if not known."""
    try:
        with open(f"/proc/{process}/stat", "rb") as file:
            fields = file.read().rpartition(b")")[2].split()  # what stands in parentheses is its name
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    except (OSError, LookupError, ValueError):  # no Linux, or the process has ended
        return None


def stopped_beside() -> list[int]:
    """Return the processes that this one's parent has started, too, and that are stopped, as SIGSTOP does it.

    Where the system does not tell, there are none.
    """
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):  # it has ended in between
            state, parent = path.read_text(errors="replace").rpartition(")")[2].split()[:2]
            if state == "T" and int(parent) == os.getppid():
                found.append(int(path.parent.name))
    return found


def environment(process: int) -> dict[str, str]:
    """Return the variables with which a process of this host was started; none if they are not known."""
    try:
        content = Path(f"/proc/{process}/environ").read_text(errors="replace")
    except OSError:  # no Linux, or the process has ended
        return {}
    return {name: value for name, _, value in (entry.partition("=") for entry in content.split("\0"))}


def core_numbers(process: int = 0) -> frozenset[int]:
    """Return the numbers of the processors that a process may use; 0 is this one."""
    if hasattr(os, "sched_getaffinity"):  # a process may be held to fewer processors than there are
        return frozenset(os.sched_getaffinity(process))
    return frozenset(range(os.cpu_count() or 1))
