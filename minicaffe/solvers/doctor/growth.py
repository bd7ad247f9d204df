"""A loss that grows while it is still finite: a training that diverges, seen before the first NaN."""

from __future__ import annotations

import math
import statistics
from collections import deque
from itertools import islice

TIMES = 10  # in a training that goes well, no loss grows by this factor
LAST = 10  # iterations that must all be above it: a few unlucky batches are no growth
SMOOTHED = 21  # iterations whose median is the level to compare with: a few lucky batches do not change it
NEAR_ZERO = 0.1  # a lower level counts as this: ten times almost nothing is still almost nothing


class Growth:
    """Follows the loss of a training; says once that it has grown, and never of a loss that may be negative.

    least    the least level so far; until SMOOTHED losses are there, the least median of those that are
    """

    def __init__(self) -> None:
        self._recent: deque[float] = deque(maxlen=SMOOTHED)
        self._first: float | None = None
        self._whole = self._done = False
        self.least = math.inf

    def grown(self, loss: float) -> bool:
        """Take in the loss of an iteration; True once, when the last ones all are far above where it has been.

        That is more than TIMES its least level, and more than what it began with: a loss that has come near 0 may
        rise a little. What is not finite the doctor finds by itself.
        """
        if self._done or not 0 <= loss < math.inf:
            self._done = True
            return False
        self._recent.append(loss)
        self._first = loss if self._first is None else self._first
        level = statistics.median(self._recent)
        if len(self._recent) == SMOOTHED and not self._whole:
            self._whole, self.least = True, level
        self.least = min(self.least, level)
        if len(self._recent) >= LAST:
            last = islice(reversed(self._recent), LAST)
            self._done = min(last) > max(TIMES * max(self.least, NEAR_ZERO), self._first)
        return self._done
