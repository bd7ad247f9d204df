"""Grades a step: starts a process that runs the checks on the student's files, and believes only what bears its token.

The process has a time limit. A check of which it reports nothing has not passed, whatever the process prints and with
whatever status it ends.
"""

from __future__ import annotations

import contextlib
import inspect
import json
import os
import queue
import secrets
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from minicaffe.course.outcome import Outcome, Result
from minicaffe.course.step import Step, spoken

CHECK_SECONDS, STEP_SECONDS = 10.0, 20.0
START_SECONDS = 60.0  # for Python and numpy to start, on a busy machine with a slow disk
SLACK = 3.0  # seconds after which the process is ended that should have ended by itself
LONGEST_LINE = 1 << 20


def grade(step: Step, folder: Path, *, seed: int = 1, check_seconds: float = CHECK_SECONDS,
          step_seconds: float = STEP_SECONDS) -> Outcome:
    """Run the checks of a step on the files in a student's folder, and return what came of them."""
    folder, began = folder.resolve(), time.monotonic()
    checks = step.checks
    order = {"step": step.number, "folder": str(folder), "seed": seed, "check_seconds": check_seconds,
             "step_seconds": step_seconds, "allow_minicaffe": step.allow_minicaffe}
    reports: dict[str, dict[str, Any]] = {}
    begun, ended = "", ""
    for message in _messages(order, check_seconds + SLACK):
        if message.get("check") in checks:
            reports.setdefault(message["check"], message)
        begun, ended = message.get("begin", begun), message.get("lost", ended)
    if begun not in reports and begun in checks:
        reports[begun] = {"wrong": _lost(begun, ended), "printed": ""}
    results = [_result(name, inspect.getdoc(check) or name, reports.get(name)) for name, check in checks.items()]
    return Outcome(step, str(folder), results, time.monotonic() - began)


def _result(name: str, sentence: str, report: dict[str, Any] | None) -> Result:
    if report is None:
        return Result(name, sentence, "not run")
    return Result(name, sentence, "failed" if report["wrong"] else "passed", report["wrong"], report["printed"])


def _lost(check: str, why: str) -> dict[str, str]:
    """Return what is wrong where the process ended within a check."""
    return {"called": spoken(check), "got": why, "expected": "an answer",
            "name": "ended", "hint": "the code ended the whole program: by os._exit, by a crash in compiled code, or "
            "because it used up the memory"}


def _messages(order: dict[str, Any], seconds: float) -> Iterator[dict[str, Any]]:
    """Yield what the process reports. At last comes {'lost': why}, if it ended early or said nothing for too long."""
    token = secrets.token_hex(16)
    lines: queue.Queue[str] = queue.Queue()
    with _process(lines) as process:
        with contextlib.suppress(BrokenPipeError), process.stdin:
            process.stdin.write(json.dumps({**order, "token": token}) + "\n")
        wait = START_SECONDS
        while True:
            try:
                line = lines.get(timeout=wait)
            except queue.Empty:
                yield {"lost": f"nothing came of it within {wait:.0f} s"}
                return
            if not line:
                yield {"lost": "the process ended"}
                return
            if not line.startswith(f"{token} "):
                continue
            message = json.loads(line.removeprefix(f"{token} "))
            wait = seconds
            yield message
            if "end" in message:
                return


def _read(pipe: Any, lines: queue.Queue[str]) -> None:
    """Put each line of the pipe into the queue, and '' at its end."""
    with contextlib.suppress(ValueError, OSError):  # the pipe is closed here while something else still writes to it
        while line := pipe.readline(LONGEST_LINE):
            lines.put(line)
    lines.put("")


@contextlib.contextmanager
def _process(lines: queue.Queue[str]) -> Iterator[Any]:
    """Start the process, whose lines a thread puts into the queue. It ends, with all it has started, with the block."""
    root = str(Path(__file__).resolve().parents[2])
    path = [root, *(entry for entry in sys.path if entry and Path(entry).resolve() != Path.cwd())]
    code = f"import sys; sys.path[:] = {path!r}; from minicaffe.course.child import main; main()"
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1"}
    # It starts in an empty folder: a file of the student's, such as random.py, is not taken for a module of Python's.
    with tempfile.TemporaryDirectory() as empty:
        process = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                   cwd=empty, env=environment, text=True, encoding="utf-8", errors="replace",
                                   start_new_session=True)
        reader = threading.Thread(target=_read, args=[process.stdout, lines], daemon=True)
        reader.start()
        try:
            yield process
        finally:
            with contextlib.suppress(OSError):
                if hasattr(os, "killpg"):
                    os.killpg(process.pid, signal.SIGKILL)
                process.kill()
            process.wait()
            reader.join(SLACK)
            if process.stdout and not reader.is_alive():  # else a program that has left the group holds the pipe open
                process.stdout.close()
