"""A loss that grows while it is still finite: a training that diverges, seen before the first NaN."""

from __future__ import annotations

import statistics
from collections import deque

TIMES = 10  # what a loss does not grow by in a training that goes well
LAST = 10  # iterations that must all be above it, so that a few unlucky batches are not taken for growth
SMOOTHED = 5  # iterations whose median is the level to compare with, so that a single lucky batch is none
NEAR_ZERO = 0.1  # below this a level counts as this: ten times almost nothing is almost nothing


class Growth:
    """Follows the loss of a training; says once that it has grown, and never of a loss that may be negative."""

    def __init__(self) -> None:
        self._last: deque[float] = deque(maxlen=LAST)
        self.first: float | None = None
        self.least = 0.0
        self._done = False

    def grown(self, loss: float) -> bool:
        """Take in the loss of an iteration; True once, when the last ones all are far above where it has been.

        That is more than TIMES its least smoothed level, and more than what it began with: a loss that has been near
        0 may rise a little. What is not finite the doctor finds by itself.
        """
        self._last.append(loss)
        if self._done or loss < 0 or not loss < float("inf"):
            self._done = True
            return False
        level = statistics.median(list(self._last)[-SMOOTHED:])
        if self.first is None:
            self.first = self.least = loss
        self.least = min(self.least, level)
        self._done = (len(self._last) == LAST
                      and min(self._last) > max(TIMES * max(self.least, NEAR_ZERO), self.first))
        return self._done
