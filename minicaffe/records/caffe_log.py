"""Reads text logs of all versions of Caffe as the events that log.jsonl holds.

    BVLC's of all years     I1128 11:26:34.448113 30268 solver.cpp:239] Iteration 50 (9 iter/s, 5s/50 iters), loss = 0.8
                            I1203 solver.cpp:111] Test score #0: 0.9785
    NVIDIA's                Iteration 50 (592.5 iter/s, 0.17s/100 iter), 0.2/10ep, loss = 0.8
                            Iteration 50, lr = 0.01, m = 0.9, wd = 0.0005, gs = 1
    around these            the names and times that docker, kubectl and journald put before each line, their JSON,
                            colours, the line ends of all systems, UTF-16 of PowerShell

Anything in a line before Caffe's own text is skipped. So are the lines of other programs.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from typing import Any

Event = dict[str, Any]

LONGEST = 2000  # so many characters of a line are read: real lines are shorter, and a hostile one costs little time

_END = re.compile(rb"\x00?[\r\n][\x00\r\n]*|\x00{3,}")  # a loss of power may leave a run of zero bytes
_COLOUR = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)?")
_NUMBER = r"([-+]?(?:\d|\.\d|nan|NaN|NAN|inf|Inf|INF)[^\s,;)]*)"
_HEAD = re.compile(r"\b([IWEF])\d{4}(?:\d{4})? (?:\d\d:\d\d:\d\d\S* +\d+ +)?\S+:\d+ ?\]")
_ITERATION = r"\bIteration (\d{1,18})\b"
_LOSS = re.compile(rf"{_ITERATION}(?!.*\b[Tt]est).*?\b(?:smoothed_)?loss ?[=:] ?{_NUMBER}")
_RATE = re.compile(rf"{_ITERATION}.*?\blr ?= ?{_NUMBER}")
_TESTING = re.compile(rf"(?:{_ITERATION}.*?)?\bTesting net\b(?: \(#(\d{{1,9}})\))?")
_OUTPUT = re.compile(rf"\b(Train|Test) net output #(\d{{1,9}}): (.+?) = {_NUMBER}(?:[\s,;)(].*)?$")
_SCORE = re.compile(rf"\b[Tt]est score #(\d{{1,9}}): {_NUMBER}")
_TEST_LOSS = re.compile(rf"\bTest loss: {_NUMBER}")
_BEGINS = re.compile(r"\bInitializing solver from parameters|\bStarting Optimization")
_RESUMES = re.compile(r"\bResuming from |\bRestoring previous solver status|\brestoring history")
_BREAKS_OFF = re.compile(r"\bminicaffe: error: (.*)|\*\*\* (SIG[A-Z]+\b.*)")


def lines(data: bytes) -> Iterator[str]:
    """Yield the lines of a log as text, in whatever encoding they are."""
    if data[:2] == b"\xfe\xff" or (data[:1] == b"\0" and data[1:2] > b"\0"):  # UTF-16, the high byte first
        data = data.decode("utf-16-be", "replace").encode("utf-16-le", "surrogatepass")
    for line in _END.split(data):
        text = _COLOUR.sub("", _decoded(line)) if line else ""
        if text:
            yield _unwrapped(text)


def _decoded(line: bytes) -> str:
    """Decode a line of UTF-8, or of UTF-16 with the low byte first. The encoding may change within a file."""
    line = line.removeprefix(b"\xff\xfe")
    if b"\0" not in line:
        return line.decode("utf-8", "replace").lstrip("\ufeff")
    return (line + b"\0" * (len(line) % 2)).decode("utf-16-le", "replace").lstrip("\ufeff")


def _unwrapped(line: str) -> str:
    """Return the message in a line that docker or journald wrote as a JSON object; any other line as it is."""
    if line.startswith("{"):
        try:
            found = json.loads(line)
        except (ValueError, RecursionError):
            return line
        for key in ("log", "message", "MESSAGE"):
            if isinstance(found.get(key), str) and "event" not in found:
                return str(found[key])
    return line


def events(text: Iterator[str]) -> Iterator[Event]:
    """Yield the events in a text log, with the keys of log.jsonl; a learning rate is an event of its own.

    A new training begins where a line says so. In a log that has only iterations, it begins where they go back to 0.
    """
    log = _Log()
    for line in text:
        line = line[:LONGEST]
        head = _HEAD.search(line)
        yield from log.take(line[head.end():] if head else line, head[1] if head else "")
    yield from log.outputs()


class _Log:
    """The facts from the lines read so far that are needed to understand the lines after them."""

    def __init__(self) -> None:
        self.iteration = -1
        self.begins = self.resumes = self.has_beginnings = False
        self.of: Event = {}  # the event to which the next outputs belong
        self._outputs: dict[int, tuple[str, float]] = {}

    def take(self, said: str, level: str) -> Iterator[Event]:
        """Yield the events that a line completes. Outputs are kept until another line shows that there are no more."""
        yield from self._numbers(said)
        if rate := _RATE.search(said):
            yield from self._reach(int(rate[1]))
            yield {"event": "train", "iteration": self.iteration, "rate": _float(rate[2])}
        yield from self._failure(said, level)
        if _BEGINS.search(said):
            self.begins = self.has_beginnings = True
        self.resumes = self.resumes or bool(_RESUMES.search(said))

    def _numbers(self, said: str) -> Iterator[Event]:
        """Yield the events of a line with a loss or a test result. The first pattern that fits counts."""
        if output := _OUTPUT.search(said):
            # "Train net output" lines count only behind a loss, "Test net output" lines only within a test
            if output[1] == self.of.get("event", "").capitalize():
                self._outputs[int(output[2])] = output[3], _float(output[4])
        elif score := _SCORE.search(said):
            if self.of.get("event") != "test":  # old versions do not always say that a test begins
                yield from self.outputs()
                self.of = {"event": "test", "iteration": max(self.iteration, 0), "net": 0}
            self._outputs[int(score[1])] = f"score #{score[1]}", _float(score[2])
        elif test_loss := _TEST_LOSS.search(said):
            if self.of.get("event") == "test":
                yield {**self.of, "loss": _float(test_loss[1])}
        elif testing := _TESTING.search(said):
            yield from self.outputs()
            yield from self._reach(int(testing[1] or max(self.iteration, 0)))
            self.of = {"event": "test", "iteration": self.iteration, "net": int(testing[2] or 0)}
        elif loss := _LOSS.search(said):
            yield from self.outputs()
            yield from self._reach(int(loss[1]))
            self.of = {"event": "train", "iteration": self.iteration}
            yield {**self.of, "loss": _float(loss[2])}

    def _failure(self, said: str, level: str) -> Iterator[Event]:
        """Yield an end event where a line is an error or a fatal signal."""
        broken = _BREAKS_OFF.search(said)
        if broken or level in ("E", "F"):
            yield from self.outputs()
            words = broken[1] or broken[2] if broken else said.strip()
            yield {"event": "end", "iteration": self.iteration, "reason": "error", "message": words}

    def outputs(self) -> Iterator[Event]:
        """Yield the outputs that were read since the last call, as one event."""
        if self._outputs:
            named: dict[str, list[float]] = {}
            for _, (name, value) in sorted(self._outputs.items()):
                named.setdefault(name, []).append(value)
            yield {**self.of, "outputs": named}
        self._outputs = {}

    def _reach(self, iteration: int) -> Iterator[Event]:
        """Note the iteration of a line. Where it belongs to another training, give a start event first."""
        another = self.begins and not self.resumes
        if not self.has_beginnings:
            another = iteration == 0 < self.iteration
        if another and self.iteration >= 0:
            yield from self.outputs()
            yield {"event": "start", "iteration": iteration}
        self.iteration, self.begins, self.resumes = iteration, False, False


def _float(text: str) -> float:
    """Return the number in a text; also infinity and NaN as Windows writes them, such as 1.#INF."""
    try:
        return float(text)
    except ValueError:
        return math.copysign(math.inf, -1 if text[0] == "-" else 1) if "#INF" in text else math.nan
