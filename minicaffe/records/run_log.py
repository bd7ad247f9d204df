"""Reads the curves of a training from the log.jsonl of its run folder, or from any text log of Caffe's.

Where a resumed training repeats a part, the curves show the last repetition.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from minicaffe.errors import DataError
from minicaffe.io.files import read_bytes
from minicaffe.records import caffe_log

FOLDER, RECORD, TEXT = ".run", "log.jsonl", "train.log"  # PREFIX.run/log.jsonl
TOTAL = "total loss"  # the sum of all losses by their weights, which no blob holds

Curve = list[tuple[int, float]]


@dataclass
class Run:
    """The curves of a training, by name, and the failure that ended it, if any.

    The curve TOTAL in `train` is the smoothed loss that `display` shows.
    """

    name: str
    train: dict[str, Curve] = field(default_factory=dict)
    test: dict[str, Curve] = field(default_factory=dict)
    rate: Curve = field(default_factory=list)
    failure: tuple[int, str] | None = None  # at which iteration, and the message

    @property
    def last(self) -> int:
        """The last iteration in any of the curves."""
        return max((curve[-1][0] for curve in (*self.train.values(), *self.test.values(), self.rate) if curve),
                   default=0)

    def take(self, event: dict[str, Any]) -> None:
        """Add the numbers of an event. Raise ValueError, TypeError or LookupError where it is no event."""
        kind, iteration = event["event"], int(event["iteration"])
        if kind == "end":
            broken = event.get("reason") == "error"
            self.failure = (max(iteration, 0), str(event.get("message", ""))) if broken else None
        if kind not in ("train", "test") or not 0 <= iteration < 10 ** 18:
            return
        self.failure = None  # the training was resumed after it
        curves, net = (self.train, 0) if kind == "train" else (self.test, int(event.get("net", 0)))
        if event.get("loss") is not None:
            loss = float(event["loss"])  # first, because an error here must not leave an empty curve
            put(curves.setdefault(_of_net(TOTAL, net), []), iteration, loss)
        if kind == "train" and event.get("rate") is not None:
            put(self.rate, iteration, float(event["rate"]))
        for name, value in (event.get("outputs") or {}).items():
            name = own_name(name)
            values = value if isinstance(value, list) else [value]
            for k, one in enumerate(values):
                label, number = name if len(values) == 1 else f"{name}[{k}]", float(one)
                put(curves.setdefault(_of_net(label, net), []), iteration, number)


def own_name(blob: str) -> str:
    """Return the name of a blob's curve: with a word added where minicaffe itself uses the name for another curve."""
    return f"{blob} (blob)" if blob in (TOTAL, "rate", "epoch") else blob


def _of_net(name: str, net: int) -> str:
    return name if net == 0 else f"{name} (test net {net})"


def put(curve: Curve, iteration: int, value: float) -> None:
    """Add a point, and remove the points from its iteration on, which a resumed training repeats."""
    while curve and curve[-1][0] >= iteration:
        curve.pop()
    curve.append((iteration, value))


def read(given: str | Path) -> Run:
    """Return the curves of a run, given by its folder, its snapshot prefix, its log.jsonl, or a text log.

    Where a log holds several trainings, the last one counts. Raise DataError where there are no curves.
    """
    return read_all(given)[-1]


def read_all(given: str | Path) -> list[Run]:
    """Return the curves of every training in a log that has any."""
    path = find(given)
    lines = list(caffe_log.lines(read_bytes(path)))
    name = (path.parent.name.removesuffix(FOLDER) if path.name in (RECORD, TEXT) else path.name) or str(path)
    runs = [Run(name)]
    is_record = bool(lines) and lines[0].lstrip().startswith("{")
    for event in _record(lines) if is_record else caffe_log.events(iter(lines)):
        if event.get("event") == "start" and (runs[-1].train or runs[-1].test):
            runs.append(Run(name))
        try:
            runs[-1].take(event)
        except (ValueError, TypeError, LookupError, AttributeError, ArithmeticError):
            continue  # a crash has cut this line short
    shown = [run for run in runs if run.train or run.test]
    if not shown:
        raise _no_curves(path, lines, runs[-1])
    for number, run in enumerate(shown, 1):
        run.name = f"{name} (run {number})" if len(shown) > 1 else name
    return shown


def _no_curves(path: Path, lines: list[str], run: Run) -> DataError:
    """Return the error that says what was looked for, and what was found instead."""
    if run.failure:
        return DataError(f"no loss and no test stands in this log: the training failed before the first: "
                         f"{run.failure[1]}", where=str(path))
    if not any(line.strip() for line in lines):
        return DataError("this file is empty: it is no training's log, or the training has not begun", where=str(path))
    return DataError("no loss and no test stands in this file: none of its lines says 'Iteration N, loss = X' or "
                     "'Test net output #0: NAME = X'", where=str(path),
                     hint="give a run's folder (PREFIX.run), its log.jsonl, or what caffe train wrote to stderr; a "
                          "solver without display and test_interval says neither")


def find(given: str | Path) -> Path:
    """Return the log file of a run that a user names by its folder, by its snapshot prefix or by the file itself."""
    for place in (Path(given), Path(f"{given}{FOLDER}")):
        if place.is_dir():
            for name in (RECORD, TEXT):
                if (place / name).is_file():
                    return place / name
    if Path(given).is_dir():
        inside = sorted(str(path) for path in Path(given).glob(f"*{FOLDER}"))
        raise DataError(f"the folder {given} holds no {RECORD}",
                        hint=f"did you mean {' or '.join(inside[:3])}?" if inside else "")
    return Path(given)


def _record(lines: Iterable[str]) -> Iterator[dict[str, Any]]:
    """Yield the events of a log.jsonl, without lines that a crash has cut short."""
    for line in lines:
        try:
            event = json.loads(line)
        except (ValueError, RecursionError):
            continue
        if isinstance(event, dict):
            yield event
