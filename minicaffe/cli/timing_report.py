"""The reports of `minicaffe time`: a table, JSON, and a Chrome trace."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from minicaffe import kernels, layout
from minicaffe.analysis import work as net_work
from minicaffe.analysis.work import Work
from minicaffe.layout import terminal_width, wrap
from minicaffe.net import Net
from minicaffe.proto import TEST

SIDE = 1024             # rows and columns of the matrices whose product shows the limit of arithmetic
PRODUCTS = 12
COPIED = 1 << 24        # numbers that are copied to show the limit of memory: more than the caches hold
COPIES = 8
RECORDED = 2            # forward passes before the net replays one: a plain pass, and one that is recorded
DIRECTIONS = ("forward", "backward")


@dataclass
class Recorder:
    """Every single time that was taken: (layer, direction, seconds since the start, seconds), pass after pass."""

    start: float = field(default_factory=kernels.clock)
    events: list[tuple[int, str, float, float]] = field(default_factory=list)

    def time(self, layer: int, direction: str, work: Callable[..., object]) -> float:
        """Run a layer's part of a pass, and return its seconds."""
        begin = kernels.clock()
        work(layer, layer)
        seconds = kernels.clock() - begin
        self.events.append((layer, direction, begin - self.start, seconds))
        return seconds


@dataclass
class Row:
    """A layer, or all of them, in one direction: mean milliseconds a pass, and what the pass does."""

    name: str
    type: str
    direction: str
    ms: float
    work: Work
    share: float

    @property
    def gflops(self) -> float:
        """10⁹ floating-point operations a second."""
        return self.work.flops / self.ms / 1e6 if self.ms else 0.0

    @property
    def gbs(self) -> float:
        """10⁹ bytes a second."""
        return self.work.bytes / self.ms / 1e6 if self.ms else 0.0


@dataclass
class Report:
    """A row for each layer in the order of the net, forward before backward, the totals, and the machine's limits.

    played   milliseconds of a forward pass that replays a recording, without the Python of its layers; None in TRAIN
    """

    rows: list[Row]
    totals: list[Row]
    sgemm: float
    copy: float
    played: float | None


def report(net: Net, recorder: Recorder, iterations: int) -> Report:
    """Sum up the times, and measure the limits of this machine."""
    work: dict[str, list[Any]] = {"forward": net_work.forward(net), "backward": net_work.backward(net)}
    seconds = {direction: [0.0] * len(net.layers) for direction in DIRECTIONS}
    for layer, direction, _, taken in recorder.events:
        seconds[direction][layer] += taken
    whole = sum(map(sum, seconds.values())) or 1.0
    rows = [Row(layer.name, layer.type, direction, 1000 * seconds[direction][i] / iterations, work[direction][i],
                seconds[direction][i] / whole)
            for i, layer in enumerate(net.layers) for direction in DIRECTIONS if work[direction][i]]
    totals = [_total(direction, [row for row in rows if row.direction == direction]) for direction in DIRECTIONS]
    return Report(rows, [*totals, _total("both", rows)], sgemm_limit(), copy_limit(), _played(net, iterations))


def _played(net: Net, iterations: int) -> float | None:
    """Return the mean milliseconds of a forward pass that replays a recording; None where the net makes none."""
    if net.phase != TEST:
        return None
    for _ in range(RECORDED):
        net.forward()
    start = kernels.clock()
    for _ in range(iterations):
        net.forward()
    return 1000 * (kernels.clock() - start) / iterations


def _total(direction: str, rows: list[Row]) -> Row:
    return Row("total", "", direction, sum(row.ms for row in rows),
               Work(sum(row.work.flops for row in rows), sum(row.work.bytes for row in rows)),
               sum(row.share for row in rows))


def sgemm_limit() -> float:
    """Return the GFLOP/s of a product of two float32 matrices on all threads, the best of several tries."""
    a, b, product = (np.full((SIDE, SIDE), 0.5, np.float32) for _ in range(3))
    return 2 * SIDE ** 3 / _best(PRODUCTS, lambda: kernels.matmul(a, b, product)) / 1e9


def copy_limit() -> float:
    """Return the GB/s, read and written together, of a copy on all threads, the best of several tries."""
    source, target = np.ones(COPIED, np.float32), np.zeros(COPIED, np.float32)
    seconds = _best(COPIES, lambda: kernels.for_blocks([source, target], lambda x, y: np.copyto(y, x)))
    return 2 * source.nbytes / seconds / 1e9


def _best(times: int, work: Callable[[], object]) -> float:
    """Return the seconds of the fastest of `times` + 1 runs."""
    def once() -> float:
        start = kernels.clock()
        work()
        return kernels.clock() - start

    return min(once() for _ in range(times + 1))


def table(made: Report) -> str:
    """Return the limits, a line for each layer and direction, and the totals."""
    head = f"limits of this machine  sgemm {made.sgemm:.0f} GFLOP/s, copy {made.copy:.1f} GB/s " \
           f"(engine {kernels.engine()}, threads {kernels.threads()})"
    lines = [("layer", "type", "direction", "ms", "GFLOP/s", "GB/s", "share"), *map(_words, made.rows)]
    ends = [_words(row) for row in made.totals]
    played = [] if made.played is None else ["", f"a whole forward pass, replayed from a recording: "
                                                 f"{made.played:.3f} ms"]
    rows = layout.table([*lines, *ends], right=range(3, 7), lead=3)
    return "\n".join(["", *wrap(head, terminal_width()), "", *rows, *played])


def _words(row: Row) -> tuple[str, ...]:
    gflops = f"{row.gflops:.1f}" if row.work.flops else "–"
    gbs = f"{row.gbs:.1f}" if row.work.bytes else "–"
    return row.name, row.type, row.direction, f"{row.ms:.3f}", gflops, gbs, f"{100 * row.share:.1f} %"


def facts(made: Report, **more: Any) -> dict[str, Any]:
    """Return what --json writes: the numbers of the table, and with which engine, threads and versions they were taken.
    """
    from minicaffe.records.facts import versions

    layers: list[dict[str, Any]] = []
    for row in made.rows:
        if row.direction == "forward":
            layers.append({"name": row.name, "type": row.type, "forward": _numbers(row), "backward": None})
        else:
            layers[-1]["backward"] = _numbers(row)
    return {**more, "engine": kernels.engine(), "threads": kernels.threads(), "versions": versions(),
             "limits": {"sgemm_gflops": made.sgemm, "copy_gbs": made.copy}, "layers": layers,
             "totals": {row.direction: _numbers(row) for row in made.totals}, "played_ms": made.played}


def _numbers(row: Row) -> dict[str, float]:
    return {"ms": row.ms, "flops": row.work.flops, "bytes": row.work.bytes, "gflops": row.gflops, "gbs": row.gbs,
            "share": row.share}


def as_trace(net: Net, recorder: Recorder) -> bytes:
    """Return all passes as a Chrome trace, with forward and backward as two tracks of one process."""
    return json.dumps({"traceEvents": list(_trace_events(net, recorder)), "displayTimeUnit": "ms"}).encode()


def _trace_events(net: Net, recorder: Recorder) -> Iterator[dict[str, Any]]:
    yield {"ph": "M", "name": "process_name", "pid": 1, "tid": 0, "args": {"name": f"minicaffe {net.name}".strip()}}
    for track, direction in enumerate(DIRECTIONS, 1):
        yield {"ph": "M", "name": "thread_name", "pid": 1, "tid": track, "args": {"name": direction}}
    for layer, direction, start, seconds in recorder.events:
        yield {"ph": "X", "name": net.layer_names[layer], "cat": direction, "pid": 1,
               "tid": 1 + DIRECTIONS.index(direction), "ts": 1e6 * start, "dur": 1e6 * seconds,
               "args": {"type": net.layers[layer].type}}
