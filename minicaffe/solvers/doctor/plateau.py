"""Losses that sit at a number with a meaning: what ln C, 0.6931 and 87.3365 say about a training."""

from __future__ import annotations

import math
from collections import deque
from typing import Any

import numpy as np

from minicaffe.log import number
from minicaffe.net import Net

LONG = 200  # iterations
NEAR = 0.01  # relative
SMALLEST = {  # what a loss clamps a probability of 0 at, as −ln of it
    "SoftmaxWithLoss": (-math.log(float(np.finfo(np.float32).tiny)), "FLT_MIN, the smallest float32"),
    "MultinomialLogisticLoss": (-math.log(1e-20), "1e-20"),
    "InfogainLoss": (-math.log(1e-20), "1e-20"),
}
CLASSIFIERS = tuple(SMALLEST)


class Plateau:
    """Follows one loss layer of a net; `hint` gives, once, the sentence for a loss that stays where it is."""

    def __init__(self, net: Net, index: int) -> None:
        self.layer, self.bottoms, self.top = net.layers[index], net.bottoms[index], net.tops[index][0]
        self._recent: deque[float] = deque(maxlen=LONG)
        self._labels = 0  # classes that the labels speak of: the greatest + 1
        self._told = False

    def hint(self) -> str:
        """Take in the loss of the pass just made; a sentence where it has stayed at a known number for long."""
        if self._told:
            return ""
        self._recent.append(float(self.top.data))
        if self.layer.type in CLASSIFIERS and self.bottoms[1].count:
            greatest = float(self.bottoms[1].data.max())
            self._labels = max(self._labels, int(greatest) + 1 if math.isfinite(greatest) else 0)
        if len(self._recent) < LONG:
            return ""
        values = list(self._recent)
        halves = [sum(half) / len(half) for half in (values[:LONG // 2], values[LONG // 2:])]
        for known, meaning in self._known_numbers():
            if all(abs(mean - known) <= NEAR * known for mean in halves):
                self._told = True
                return f"loss {self.layer.name!r} has stayed at {halves[1]:.4f} for {LONG} iterations: {meaning}"
        return ""

    def _known_numbers(self) -> list[tuple[float, str]]:
        """Numbers that this loss may sit at, each with its meaning and what to look at."""
        found = []
        if self.layer.type in SMALLEST:
            value, least = SMALLEST[self.layer.type]
            found.append((value, f"{number(value)} is −ln of {least}: the net gives the true class the probability "
                                 "0. Its scores have become too large: lower base_lr, scale the inputs, look whether "
                                 "labels and scores belong together"))
        if self.layer.type in CLASSIFIERS:
            found += self._guesses()
        cells = self._sigmoid_cells()
        if cells > 0:
            times = "" if cells == 1 else f"{number(cells)} · "
            found.append((cells * math.log(2), f"{times}ln 2 = {number(cells * math.log(2))} is what a net pays that "
                                               f"answers ½ to everything. {LEARNS_NOTHING}"))
        return found

    def _guesses(self) -> list[tuple[float, str]]:
        scores = getattr(self.layer, "classes", self.bottoms[0].shape[1] if self.bottoms[0].num_axes > 1 else 0)
        found = [(scores, f"ln {scores} = {{}} is what a net pays that finds all its {scores} classes equally likely")]
        if self._labels != scores:
            found.append((self._labels, f"ln {self._labels} = {{}} is what a net pays that finds the {self._labels} "
                                        "classes of the labels equally likely"))
        return [(math.log(n), f"{words.format(number(math.log(n)))}. {LEARNS_NOTHING}")
                for n, words in found if n > 1]

    def _sigmoid_cells(self) -> float:
        """How many answers of ½ the loss adds up, each of them ln 2."""
        if self.layer.type != "SigmoidCrossEntropyLoss":
            return 0
        divisor: Any = getattr(self.layer, "z", 0)
        return self.bottoms[0].count / divisor if divisor else 0


LEARNS_NOTHING = ("It has learned nothing from the inputs yet: look whether they vary and belong to their labels, "
                  "whether units are dead, and try another base_lr")


def of_net(net: Net) -> list[Plateau]:
    """One Plateau for each loss layer that has a number with a meaning."""
    known = (*CLASSIFIERS, "SigmoidCrossEntropyLoss")
    return [Plateau(net, i) for i, layer in enumerate(net.layers) if layer.type in known and any(layer.loss_weights)]
