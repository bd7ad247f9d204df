"""What a training's log tells as curves: read from a run record (log.jsonl) or from any text log of Caffe's.

A part that a resumed training repeats counts as it went the last time.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from minicaffe.errors import DataError
from minicaffe.proto.files import read_bytes

FOLDER, RECORD, TEXT = ".run", "log.jsonl", "train.log"  # PREFIX.run/log.jsonl

Curve = list[tuple[int, float]]

LINE = re.compile(r"^[IWEF]\d{4,8} .*?\] (.*)$")
LOSS = re.compile(r"Iteration (\d{1,18})(?: \(.*\))?, loss = (\S+)")
RATE = re.compile(r"Iteration (\d{1,18}), lr = (\S+)")
TESTING = re.compile(r"Iteration (\d{1,18}), Testing net \(#(\d{1,18})\)")
OUTPUT = re.compile(r" +(Train|Test) net output #\d+: (\S+) = (\S+)")


@dataclass
class Run:
    """Curves by name: the train net's (its smoothed loss is `loss`), the test nets', and the learning rate."""

    name: str
    train: dict[str, Curve] = field(default_factory=dict)
    test: dict[str, Curve] = field(default_factory=dict)
    rate: Curve = field(default_factory=list)

    def add(self, curves: dict[str, Curve], outputs: dict[str, list[float]], iteration: int) -> None:
        """Add what a net put out at an iteration; a blob of several numbers makes several curves."""
        for name, values in outputs.items():
            for k, value in enumerate(values):
                put(curves.setdefault(name if len(values) == 1 else f"{name}[{k}]", []), iteration, value)


def put(curve: Curve, iteration: int, value: float) -> None:
    """Add a point in place of all from its iteration on."""
    while curve and curve[-1][0] >= iteration:
        curve.pop()
    curve.append((iteration, value))


def read(given: str | Path) -> Run:
    """The curves of a run: its folder, its snapshot prefix, its log.jsonl, or a text log. DataError if it has none."""
    path = find(given)
    text = read_bytes(path).decode("utf-8", "replace")
    name = path.parent.name.removesuffix(FOLDER) if path.name in (RECORD, TEXT) else path.name
    run = Run(name or str(path))
    if text.lstrip().startswith("{"):
        _read_record(text, run)
    else:
        _read_text(text, run)
    if not (run.train or run.test):
        raise DataError("no loss and no test stands in this file: it is no training's log", where=str(path),
                        hint="give a run's folder (PREFIX.run), its log.jsonl, or what caffe train wrote to stderr")
    return run


def find(given: str | Path) -> Path:
    """The log's file of what a user calls a run."""
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


def _read_record(text: str, run: Run) -> None:
    for line in text.splitlines():
        try:
            event = json.loads(line)
            kind, iteration = event["event"], int(event["iteration"])
            if not 0 <= iteration < 10 ** 18:
                continue
            if kind == "train":
                put(run.train.setdefault("loss", []), iteration, float(event["loss"]))
                if event.get("rate") is not None:
                    put(run.rate, iteration, float(event["rate"]))
                outputs = {name: _list(value) for name, value in event.get("outputs", {}).items() if name != "loss"}
                run.add(run.train, outputs, iteration)
            elif kind == "test":
                run.add(run.test, {_test_name(name, int(event["net"])): _list(value)
                                   for name, value in event["outputs"].items()}, iteration)
        except (ValueError, TypeError, LookupError, AttributeError, ArithmeticError, RecursionError):
            continue  # a line that a crash cut short


def _list(value: Any) -> list[float]:
    return [float(v) for v in value] if isinstance(value, list) else [float(value)]


def _read_text(text: str, run: Run) -> None:
    outputs: dict[str, list[float]] = {}
    curves, iteration, net = run.train, 0, 0

    for line in text.splitlines():
        found = LINE.match(line)
        said = found[1] if found else line
        if output := OUTPUT.match(said):
            value = _float(output[3])
            if output[1] == "Test":
                outputs.setdefault(_test_name(output[2], net), []).append(value)
            elif output[2] != "loss":
                outputs.setdefault(output[2], []).append(value)
            continue
        if outputs:
            run.add(curves, outputs, iteration)
            outputs = {}
        if testing := TESTING.match(said):
            iteration, net, curves = int(testing[1]), int(testing[2]), run.test
        elif loss := LOSS.match(said):
            iteration, curves = int(loss[1]), run.train
            put(run.train.setdefault("loss", []), iteration, _float(loss[2]))
        elif rate := RATE.match(said):
            put(run.rate, int(rate[1]), _float(rate[2]))
    run.add(curves, outputs, iteration)


def _test_name(name: str, net: int) -> str:
    return name if net == 0 else f"{name} (test net {net})"


def _float(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return float("nan")  # a line cut short, or -nan(ind) of Windows
