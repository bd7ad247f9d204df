"""The figures of a run as JSON, and what has become slower since an earlier run.

A figure is a list of measurements, one for each round. It has become worse when the quartiles of both runs do not
overlap, and the medians differ by more than MOST. The quartiles are the noise within a run. MOST is the noise from run
to run, since a process may find its memory in better or worse places.
"""

from __future__ import annotations

import json
import math
import statistics
from pathlib import Path

MOST = 0.03


class Report:
    """All figures of a run, by their table and row."""

    def __init__(self, machine):
        self.machine, self.rows = machine, []

    def add(self, table, row, ours, unit="s", **more):
        """Keep the measurements of one row; with the unit "1/s" more is better, with every other less."""
        self.rows.append({"table": table, "row": row, "unit": unit, "minicaffe": list(ours), **more})

    def write(self, path):
        """Write all of it as JSON."""
        text = json.dumps({"machine": self.machine, "rows": self.rows}, indent=1, ensure_ascii=False)
        Path(path).write_text(text + "\n", encoding="utf-8")

    def compare(self, path):
        """Print what has become worse or better since the run in this file; whether anything has become worse."""
        before = json.loads(Path(path).read_text(encoding="utf-8"))
        for key, value in self.machine.items():
            if value != before["machine"].get(key):
                print(f"not the same machine: {key} was {before['machine'].get(key)}, is {value}")
        known = {(row["table"], row["row"]): row for row in before["rows"]}
        changes = [(row, change(known[at]["minicaffe"], row["minicaffe"], row["unit"]))
                   for row in self.rows if (at := (row["table"], row["row"])) in known]
        for row, factor in changes:
            if factor:
                verdict = "worse" if factor > 1 else "better"
                print(f"{verdict}: {row['table']}, {row['row']}: {factor:.2f} times the {_measure(row['unit'])}")
        print(f"{len(changes)} rows compared: {sum(factor > 1 for _, factor in changes)} worse, "
              f"{sum(0 < factor < 1 for _, factor in changes)} better")
        return any(factor > 1 for _, factor in changes)


def change(before, now, unit="s"):
    """By which factor a figure has become worse (above 1) or better (below 1); 0 where it is within the noise."""
    if unit == "1/s":
        before, now = ([1 / value for value in side] for side in (before, now))
    factor = statistics.median(now) / statistics.median(before)
    (low, high), (first, last) = _quartiles(before), _quartiles(now)
    return factor if (first > high or last < low) and abs(math.log(factor)) > math.log1p(MOST) else 0.0


def _quartiles(values):
    if len(values) < 2:
        return values[0], values[0]
    low, _, high = statistics.quantiles(values, n=4, method="inclusive")
    return low, high


def _measure(unit):
    return "memory" if unit == "bytes" else "time"
