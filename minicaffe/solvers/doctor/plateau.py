"""Losses that stay at a number with a known meaning, such as ln C, 0.6931 or 87.3365."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence

import numpy as np

from minicaffe.blob import Blob
from minicaffe.layer import LossLayer
from minicaffe.log import number
from minicaffe.net import Net

LONG = 200  # iterations that a loss must stay where it is
NEAR = 0.01  # the relative distance from a known number within which a loss counts as that number
FLT_MIN = float(np.finfo(np.float32).tiny)


class Plateau:
    """Follows one loss layer of a net. `hint` returns a sentence once, when its loss stays at a known number."""

    def __init__(self, layer: LossLayer, bottoms: Sequence[Blob], top: Blob) -> None:
        self.layer, self.bottoms, self.top = layer, bottoms, top
        self._recent: deque[float] = deque(maxlen=LONG)
        self._labels = 0  # the number of classes as the labels seen so far suggest: the greatest label + 1
        self._told = False

    def hint(self) -> str:
        """Take in the loss of the last pass. Return a sentence where it has long stayed at a known number, else ""."""
        if self._told:
            return ""
        self._recent.append(float(self.top.data))
        if self.layer.least_probability is not None and self.bottoms[1].count:
            greatest = float(self.bottoms[1].data.max())
            self._labels = max(self._labels, int(greatest) + 1 if math.isfinite(greatest) else 0)
        if len(self._recent) < LONG:
            return ""
        values = list(self._recent)
        # the mean of each half must be near: a loss that only falls past the number has not stopped there
        halves = [sum(half) / len(half) for half in (values[:LONG // 2], values[LONG // 2:])]
        for known, meaning in self._known_numbers():
            if all(abs(mean - known) <= NEAR * known for mean in halves):
                self._told = True
                return f"loss {self.layer.name!r} has stayed at {halves[1]:.4f} for {LONG} iterations: {meaning}"
        return ""

    def _known_numbers(self) -> list[tuple[float, str]]:
        """Return the numbers that this loss may stay at, each with its meaning and what to look at."""
        found = []
        p = self.layer.least_probability
        if p is not None:
            least, value = "FLT_MIN, the smallest float32" if p == FLT_MIN else number(p), -math.log(p)
            found.append((value, f"{number(value)} is −ln of {least}: the net gives the true class the probability "
                                 "0. Its scores have become too large: lower base_lr, scale the inputs, look whether "
                                 "labels and scores belong together"))
            found += self._guesses()
        cells = self.layer.yes_no_answers(self.bottoms)
        if cells > 0:
            times = "" if cells == 1 else f"{number(cells)} · "
            found.append((cells * math.log(2), f"{times}ln 2 = {number(cells * math.log(2))} is the loss of a net that "
                                               f"answers ½ to everything. {LEARNS_NOTHING}"))
        return found

    def _guesses(self) -> list[tuple[float, str]]:
        """ln C, the loss of a net that finds all of C classes equally likely, for both numbers of classes."""
        scores = self.layer.classes
        found = [(scores, f"ln {scores} = {{}} is the loss of a net that finds its {scores} classes equally likely")]
        if self._labels != scores:
            found.append((self._labels, f"ln {self._labels} = {{}} is the loss of a net that finds the {self._labels} "
                                        "classes of the labels equally likely"))
        return [(math.log(n), f"{words.format(number(math.log(n)))}. {LEARNS_NOTHING}")
                for n, words in found if n > 1]


LEARNS_NOTHING = ("It has learned nothing from the inputs yet: look whether they vary and belong to their labels, "
                  "whether units are dead, and try another base_lr")


def of_net(net: Net) -> list[Plateau]:
    """One Plateau for each loss layer that has a number with a meaning."""
    return [Plateau(layer, bottoms, tops[0])
            for layer, bottoms, tops in zip(net.layers, net.bottoms, net.tops, strict=True)
            if isinstance(layer, LossLayer) and any(layer.loss_weights) and _has_known_numbers(layer)]


def _has_known_numbers(layer: LossLayer) -> bool:
    # the number of answers is known only after a pass, but a loss that never has any does not override the method
    return layer.least_probability is not None or type(layer).yes_no_answers is not LossLayer.yes_no_answers
