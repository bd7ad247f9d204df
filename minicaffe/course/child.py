"""What runs in the process of its own: imports the student's files, runs the checks, and reports through a pipe.

The student's code shares this process, so it can end it, hang in it, print, and replace functions. Each of these gives
one clear message. What counts is written to a pipe, each line with a token that the student's code is not given. This
keeps out mistakes and simple tricks. Code that searches the interpreter's memory for the token is not kept out.
"""

from __future__ import annotations

import builtins
import io
import json
import linecache
import os
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

import numpy as np

from minicaffe.course.checking import Draw, Wrong
from minicaffe.course.step import PACKAGE, Check, spoken, step
from minicaffe.course.student import Student
from minicaffe.course.student_errors import shown, told

KEPT = 2000  # characters of what a check prints
Send = Callable[[dict[str, Any]], None]


def main() -> None:
    """Read from stdin what to grade, and grade it."""
    run(json.loads(sys.stdin.readline()))


def run(order: dict[str, Any]) -> NoReturn:
    """Grade, and end the process. What is stdout now becomes the pipe, and the student's code gets no standard file."""
    pipe = os.fdopen(os.dup(1), "w", encoding="utf-8")
    nothing = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(nothing, descriptor)
    os.chdir(order["folder"])
    grade(order, _sender(pipe, order.pop("token")))
    os._exit(0)  # at once: threads and functions for the end that the student's code has left would hold it up


def _sender(pipe: Any, token: str) -> Send:
    lock, write, dumps = threading.Lock(), pipe.write, json.dumps

    def send(message: dict[str, Any]) -> None:
        with lock:
            write(f"{token} {dumps(message)}\n")
            pipe.flush()

    return send


def grade(order: dict[str, Any], send: Send) -> None:
    """Run the checks of a step one after the other, and send what came of each."""
    folder, checks = Path(order["folder"]), step(order["step"]).checks
    my, guard = Student(folder, order["allow_minicaffe"]), Guard([*checks.values()])
    end = time.monotonic() + order["step_seconds"]
    send({"ready": True})
    for name, check in checks.items():
        send({"begin": name})
        seconds = max(0.1, min(order["check_seconds"], end - time.monotonic()))
        printed = _Printed()
        report = {"check": name, "printed": printed}
        clock = threading.Timer(seconds, _too_long, [folder, threading.get_ident(), seconds, report, send])
        clock.daemon = True
        clock.start()
        wrong = _run(check, my, Draw(order["seed"], name), folder, printed)
        clock.cancel()
        wrong = guard.wrong() or wrong
        send(_message(report, wrong))
    send({"end": True})


def _run(check: Check, my: Student, draw: Draw, folder: Path, printed: _Printed) -> Wrong | None:
    """Run one check, and return what is wrong. What the student's code prints is kept; errors are told as mistakes."""
    before = sys.stdout, sys.stderr, sys.stdin
    sys.stdout = sys.stderr = printed
    sys.stdin = io.StringIO()
    try:
        check(my, draw)
    except Wrong as wrong:
        return wrong
    except BaseException as error:  # SystemExit, and KeyboardInterrupt too: the student's code may raise anything
        return told(error, folder)
    finally:
        sys.stdout, sys.stderr, sys.stdin = before
    if _working_folder() != folder:
        os.chdir(folder)
        return Wrong(spoken(check.__name__), "the code changed the working folder", "no os.chdir", "working_folder",
                     "code that changes the working folder breaks every relative path of the program around it")
    return None


def _working_folder() -> Path | None:
    try:
        return Path.cwd()
    except OSError:  # it has been removed
        return None


def _message(report: dict[str, Any], wrong: Wrong | None) -> dict[str, Any]:
    told = None if wrong is None else {"called": wrong.called, "got": wrong.got, "expected": wrong.expected,
                                       "name": wrong.name, "hint": wrong.hint}
    return {**report, "printed": report["printed"].text, "wrong": told}


class _Printed(io.TextIOBase):
    """Takes what is printed, and keeps the beginning."""

    def __init__(self) -> None:
        super().__init__()
        self.text = ""

    def writable(self) -> bool:
        """Yes."""
        return True

    def write(self, text: str) -> int:
        """Keep what there is room for."""
        self.text += text[:KEPT - len(self.text)]
        return len(text)


class Guard:
    """Finds out whether the student's code has replaced functions that it shares with the checks."""

    def __init__(self, checks: list[Check]) -> None:
        ours = [module for name, module in sys.modules.items() if name.startswith("minicaffe.course")]
        shared = [np, np.linalg, np.random, builtins, *ours, Draw, Wrong]
        self.before = [(thing, dict(vars(thing))) for thing in shared]
        self.codes = [(check, check.__code__) for check in checks]

    def wrong(self) -> Wrong | None:
        """Return what is wrong where a name means something else than before; the old meaning is put back."""
        for thing, names in self.before:
            for name, value in names.items():
                if vars(thing).get(name) is not value and name != "_":
                    setattr(thing, name, value)
                    place = f"{getattr(thing, '__name__', thing)}.{name}"
                    return Wrong(f"import {PACKAGE}", f"the code replaced {place}", f"{place} as it was", "replaced",
                                 "give your function a name of its own, and leave those of other modules alone")
        if any(check.__code__ is not code for check, code in self.codes):
            return Wrong(f"import {PACKAGE}", "the code replaced a check", "the check as it was", "replaced",
                         "leave the checks alone")
        return None


def _too_long(folder: Path, thread: int, seconds: float, report: dict[str, Any], send: Send) -> None:
    """Report that a check runs too long, with the line that the student's code is in, and end the process."""
    frame: FrameType | None = sys._current_frames().get(thread)
    place = ""
    while frame is not None and not place:
        place = shown(frame.f_code.co_filename, frame.f_lineno, folder)
        line = linecache.getline(frame.f_code.co_filename, frame.f_lineno).strip()
        frame = frame.f_back
    words = f"it ran longer than {seconds:.0f} s" + (f", and was in {place}: {line}" if place else "")
    send(_message(report, Wrong(
        spoken(report["check"]), words, "an answer within that time", "too_long",
        "is there a loop whose condition never becomes false, or one that should be an operation on whole arrays?")))
    os._exit(1)
