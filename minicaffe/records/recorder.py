"""The run folder of a training, PREFIX.run/ beside its snapshots, and the events that are written there.

    log.jsonl   one event a line: start, resume, train (what display shows), test, end
    train.log   the text log in Caffe's format
    run.yaml    solver, net, versions, seed, and checksums of the data (facts.py)

A resumed training adds to the same files. A new training of the same prefix first renames the older folder to
PREFIX.run.1, PREFIX.run.2 and so on. Each line is written at once, so that a crash costs half a line at most.
"""

from __future__ import annotations

import contextlib
import json
import logging
import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, TextIO

from minicaffe import __version__
from minicaffe.errors import DataError, MinicaffeError, out_of_memory
from minicaffe.log import At, warn
from minicaffe.records import facts, glog, run_log
from minicaffe.records.tensorboard import EventFile
from minicaffe.solvers.schedule.report import outputs
from minicaffe.system import sync_folder

Event = dict[str, Any]
Sink = Callable[[Event], None]



@contextmanager
def following(solver: Any, sinks: Sequence[Sink]) -> Iterator[None]:
    """Give the solver's events to every sink while the block runs. The last event says how the block ended."""
    events = _Events(solver, sinks)
    events.send("resume" if solver.iter else "start", max_iter=solver.param.max_iter, minicaffe=__version__)
    solver.on_update.append(events.displayed)
    solver.on_test.append(events.tested)
    how: Event = {"reason": "interrupted"}  # stays where a BaseException such as Ctrl+C ends the block
    try:
        yield
        how = {"reason": "stopped early" if solver.stopped else "done"}
        if not solver.stopped and events.is_displayed(solver.iter):
            # `solve` has displayed the loss of the final weights; no update follows, so the event has no rate
            events.send("train", loss=solver.smoothed_loss, outputs=events.put_out())
    except Exception as error:
        how = {"reason": "error", "message": str(error) or type(error).__name__}
        raise
    finally:
        solver.on_update.remove(events.displayed)
        solver.on_test.remove(events.tested)
        events.send("end", **how)


class _Events:
    """Makes the events of a solver and gives them to the sinks."""

    def __init__(self, solver: Any, sinks: Sequence[Sink]) -> None:
        self.solver, self.sinks, self._began = solver, sinks, time.perf_counter()
        self._epoch = facts.updates_per_epoch(solver)

    def send(self, kind: str, iteration: int | None = None, **values: Any) -> None:
        """Give an event to every sink."""
        at = self.solver.iter if iteration is None else iteration
        event = {"event": kind, "iteration": at, "time": datetime.now(timezone.utc).isoformat(timespec="milliseconds"),
                 "seconds": round(time.perf_counter() - self._began, 3), **values}
        if self._epoch:
            event["epoch"] = round(at / self._epoch, 6)
        for sink in self.sinks:
            sink(event)

    def is_displayed(self, iteration: int) -> bool:
        """Return whether the solver displays the loss of this iteration."""
        return bool(self.solver.param.display) and iteration % self.solver.param.display == 0

    def displayed(self) -> None:
        """After an update: send the numbers that the solver has displayed."""
        iteration = self.solver.iter - 1  # the update has counted on
        if self.is_displayed(iteration):
            self.send("train", iteration, loss=self.solver.smoothed_loss, rate=self.solver.rate, outputs=self.put_out())

    def put_out(self) -> dict[str, Any]:
        """Return the outputs of the train net after its last forward pass."""
        return {name: _plain(blob.data.tolist()) for name, blob, _ in outputs(self.solver.net)}

    def tested(self, net: int, results: Sequence[tuple[str, float]]) -> None:
        """After a test: send the means of the outputs."""
        values: dict[str, list[float]] = {}
        for name, value in results:
            values.setdefault(name, []).append(value)
        self.send("test", net=net, rate=self.solver.rate or None,  # before the first update there is no rate
                  outputs={name: _plain(found) for name, found in values.items()})


class Record:
    """Writes the files of a run folder. Lines that are logged before `open` are kept until then."""

    def __init__(self) -> None:
        self.handler = _Lines(self._log_line)
        self.folder = Path()
        self._waiting: list[str] = []
        self._files: dict[str, TextIO] = {}
        self._state = "waiting"

    def open(self, solver: Any) -> None:
        """Begin to write; in a resumed training, behind what the files hold. Raise DataError where that fails."""
        self.folder = folder_of(solver.param.snapshot_prefix)
        try:
            if not solver.iter and (self.folder / run_log.RECORD).exists():
                _set_aside(self.folder)
            self.folder.mkdir(exist_ok=True)
            for name in (run_log.RECORD, run_log.TEXT):
                self._files[name] = _append(self.folder / name)
            facts.write(self.folder / "run.yaml", solver)
            for line in self._waiting:
                self._write(run_log.TEXT, line)
            sync_folder(self.folder)
            sync_folder(self.folder.parent)
        except OSError as error:
            if out_of_memory(error):
                raise
            raise DataError(f"cannot write the run folder of this training, {self.folder}: {error.strerror or error}",
                            hint="choose another snapshot_prefix, or pass --no-record") from error
        self._waiting, self._state = [], "open"

    def event(self, event: Event) -> None:
        """Write one event into log.jsonl. This method is a Sink."""
        self._put(run_log.RECORD, json.dumps({key: _plain(value) for key, value in event.items()}, allow_nan=False))

    def close(self) -> None:
        """Stop writing."""
        self._state = "closed"
        for file in self._files.values():
            with contextlib.suppress(OSError):  # closing writes what a full disk has not taken before
                file.close()

    def _log_line(self, line: str) -> None:
        if self._state == "waiting":
            self._waiting.append(line)
        else:
            self._put(run_log.TEXT, line)

    def _put(self, name: str, line: str) -> None:
        """Write a line. Where the disk is full, warn and write no more lines; the training goes on."""
        if self._state != "open":
            return
        try:
            self._write(name, line)
        except OSError as error:
            self._state = "broken"
            warn(At.RUN_FOLDER, f"cannot write {self.folder / name}: {error.strerror or error}; the training goes on, "
                                "but nothing more is written into its run folder")

    def _write(self, name: str, line: str) -> None:
        self._files[name].write(line + "\n")
        self._files[name].flush()


class Recorder:
    """The value of a `recording` block. Its method `following` surrounds the part that trains."""

    def __init__(self, record: Record | None, tensorboard: str) -> None:
        self.record, self.tensorboard = record, tensorboard

    def failed(self, message: str) -> None:
        """Write the error that ends the training, as the last line of train.log."""
        if self.record:
            said = {"levelno": logging.ERROR, "msg": message, "at": At.RUN_FOLDER}
            self.record.handler.emit(logging.makeLogRecord(said))

    @contextmanager
    def following(self, solver: Any) -> Iterator[None]:
        """Write the solver's events while the block runs. Raise DataError before it runs where that is not possible."""
        sinks: list[Sink] = []
        if self.record:
            self.record.open(solver)
            sinks.append(self.record.event)
        events = EventFile(self.tensorboard) if self.tensorboard else None
        if events:
            sinks.append(events.event)
        try:
            with following(solver, sinks):
                yield
        finally:
            if events:
                events.close()


@contextmanager
def recording(wanted: bool = True, tensorboard: str = "") -> Iterator[Recorder]:
    """Write all that is logged while the block runs to train.log. An error that ends the block is the last line.

    `wanted` is False where no run folder is to be written. `tensorboard` names a folder for event files, "" for none.
    """
    if not wanted:
        yield Recorder(None, tensorboard)
        return
    record = Record()
    recorder = Recorder(record, tensorboard)
    try:
        with glog.listening(record.handler):
            try:
                yield recorder
            except MinicaffeError as error:
                recorder.failed(str(error))
                raise
    finally:
        record.close()


def folder_of(prefix: str) -> Path:
    """Return the run folder of a snapshot_prefix."""
    return Path(f"{prefix}{run_log.FOLDER}")


class _Lines(logging.Handler):
    """Gives each log record to a function, as a line in Caffe's format."""

    def __init__(self, take: Callable[[str], None]) -> None:
        super().__init__()
        self.setFormatter(glog.GlogFormatter())
        self._take = take

    def emit(self, record: logging.LogRecord) -> None:
        self._take(self.format(record))


def _append(path: Path) -> TextIO:
    """Open a file to add lines. Where a crash has left half a line, end that line first."""
    with open(path, "ab+") as file:
        if file.tell():
            file.seek(-1, 2)
            if file.read(1) != b"\n":
                file.write(b"\n")
    return open(path, "a", encoding="utf-8", errors="backslashreplace")  # a path need not be UTF-8


def _set_aside(folder: Path) -> None:
    """Rename the run folder of an older training: it gets the next free number at its end."""
    number = 1
    while (aside := folder.with_name(f"{folder.name}.{number}")).exists():
        number += 1
    folder.rename(aside)


def _plain(value: Any) -> Any:
    """A value as JSON can hold it: a list of one number becomes that number, and NaN and infinity become words."""
    if isinstance(value, list):
        return _plain(value[0]) if len(value) == 1 else [_plain(item) for item in value]
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value
