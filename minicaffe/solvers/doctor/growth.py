"""A loss that grows while it is still finite: so a training that diverges is seen before the first NaN."""

from __future__ import annotations

import math
import statistics
from collections import deque
from itertools import islice

TIMES = 10  # in a training that goes well, no loss grows by this factor
LAST = 10  # so many iterations must all be above the limit, because a few unlucky batches are no growth
SMOOTHED = 21  # the level is the median of so many iterations, because a few lucky batches must not change it
NEAR_ZERO = 0.1  # a lower level counts as this, because ten times a tiny loss is still a small loss


class Growth:
    """Follows the loss of a training, and says once that it has grown. A loss that may be negative is not followed.

    least    the least level so far. A level is the median of the last SMOOTHED losses, or of all while there are fewer
    """

    def __init__(self) -> None:
        self._recent: deque[float] = deque(maxlen=SMOOTHED)
        self._first: float | None = None
        self._whole = self._done = False
        self.least = math.inf

    def grown(self, loss: float) -> bool:
        """Take in the loss of an iteration. Return True once, when the last losses are all far above the least level.

        "Far above" is more than TIMES the least level and also more than the first loss, because a loss that has come
        near 0 may rise a little. A loss that is not finite is not for this class: the doctor finds it by itself.
        """
        if self._done or not 0 <= loss < math.inf:
            self._done = True
            return False
        self._recent.append(loss)
        self._first = loss if self._first is None else self._first
        level = statistics.median(self._recent)
        if len(self._recent) == SMOOTHED and not self._whole:
            self._whole, self.least = True, level  # the medians of fewer losses say too little to be kept
        self.least = min(self.least, level)
        if len(self._recent) >= LAST:
            last = islice(reversed(self._recent), LAST)
            self._done = min(last) > max(TIMES * max(self.least, NEAR_ZERO), self._first)
        return self._done
