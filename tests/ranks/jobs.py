"""Starts `minicaffe train`, by mpirun or alone, and knows when all processes of such a job have ended."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from extras import AS_ROOT, mpirun

LIMIT = 60.0  # seconds after which a job counts as hanging, and is killed
ALONE = 0     # as a number of ranks: a process that no mpirun has started


class Job:
    """A training that runs in a folder, and what has become of it.

    status, said    the exit status, and all that its processes have written; known when it has ended
    ended           the time at which its last process ended
    """

    def __init__(self, folder: Path, ranks: int, *flags: str, **environment: str) -> None:
        if not Path("/proc/self/stat").exists():
            pytest.skip("this machine has no /proc, which says whether the processes of a job have ended")
        launcher = [mpirun(), "--oversubscribe", "-n", str(ranks)] if ranks else []
        self.log = folder / f"log{len(list(folder.glob('log*')))}"
        # A session of its own: mpirun gives each rank a process group of its own, but the session stays the same.
        with self.log.open("w") as log:
            self._process = subprocess.Popen(
                [*launcher, sys.executable, "-m", "minicaffe.cli", "train", "--solver=solver.prototxt",
                 "--threads=1", *flags], cwd=folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                start_new_session=True, env={**os.environ, **AS_ROOT, "MINICAFFE_ENGINE": "numpy", **environment})
        self.status: int | None = None
        self.ended = 0.0

    @property
    def said(self) -> str:
        return self.log.read_text(errors="replace")

    @property
    def last(self) -> str:
        """The last lines that it has written, for a test that fails."""
        return "\n".join(self.said.splitlines()[-40:])

    @property
    def errors(self) -> list[str]:
        """The first lines of all error messages. Open MPI may print a zero byte before them."""
        return re.findall(r"^\0?minicaffe[ a-z]*: error: (.*)", self.said, re.MULTILINE)

    def living(self) -> list[int]:
        """The processes of the job that have not ended."""
        return [pid for pid, state, session in _processes() if session == self._process.pid and state != "Z"]

    def wait(self) -> Job:
        """Wait until all processes have ended. A job that hangs is killed, and the test fails."""
        end = time.monotonic() + LIMIT
        while living := self.living():
            if time.monotonic() > end:
                self.kill()
                raise AssertionError(f"the processes {living} have not ended:\n{self.last}")
            self._process.poll()  # so that it is no zombie
            time.sleep(0.02)
        self.ended = time.time()
        self.status = self._process.wait()
        return self

    def kill(self) -> None:
        """End all processes of the job."""
        for pid in self.living():
            os.kill(pid, signal.SIGKILL)
        self._process.wait()


def _processes() -> list[tuple[int, str, int]]:
    """Number, state and session of each process of this machine."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _parent, _group, session = path.read_text().rpartition(")")[2].split()[:4]
        except OSError:  # it has ended in between
            continue
        found.append((int(path.parent.name), state, int(session)))
    return found


def train(folder: Path, ranks: int, *flags: str, **environment: str) -> Job:
    """Run a training that must succeed."""
    job = Job(folder, ranks, *flags, **environment).wait()
    assert 0 == job.status, job.last
    return job
