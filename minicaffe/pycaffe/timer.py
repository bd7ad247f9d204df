"""pycaffe's stopwatch."""

from __future__ import annotations

import time

from minicaffe.log import At, warn
from minicaffe.pycaffe import stderr_log


class Timer:
    """Measure the time from `start` to `stop`. Each start begins a new measurement."""

    def __init__(self) -> None:
        self._started: float | None = None  # None while it is not running
        self._seconds: float | None = None  # None before it has run

    def start(self) -> None:
        """Begin to measure. A timer that is running goes on."""
        if self._started is None:
            self._started = time.perf_counter()

    def stop(self) -> None:
        """End the measurement, where one is running."""
        if self._started is not None:
            self._seconds, self._started = time.perf_counter() - self._started, None

    @property
    def ms(self) -> float:
        """Milliseconds from start to stop. Reading it stops a timer that is running; one that never ran gives 0."""
        self.stop()
        if self._seconds is None:
            stderr_log.begin()
            warn(At.TIMER_UNUSED, "the timer is read before it has run, so it gives 0")
            return 0.0
        return self._seconds * 1000
