"""Run a layer forward again and again, each time from the same state."""

from __future__ import annotations

import copy
import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np

from minicaffe.blob import Blob
from minicaffe.net import Net
from minicaffe.testing.twin import statistics_of


class Repeated:
    """Layer i of a float64 net. Each run draws the same random numbers and begins with the same statistics.

    A layer without tops, which may write a file, does not run: no loss depends on it. The tops of a layer that shares
    data get memory of their own, so that each of them can be changed alone.
    """

    def __init__(self, net: Net, i: int, draws: Sequence[int]) -> None:
        self.layer, self.bottom, self.top = net.layers[i], net.bottoms[i], net.tops[i]
        self._draws, self._place = net.draws, tuple(draws)
        self._statistics = statistics_of(self.layer)
        self._carried = copy.deepcopy(self.layer.resume_state()) if self.bottom else {}
        self._own = [Blob((), np.float64) for _ in self.top] if self.layer.shares_data else []

    def run(self) -> None:
        """Run the layer forward."""
        if not self.top:
            return
        if self._carried:
            self.layer.resume_from(copy.deepcopy(self._carried))
        with self._draws.during(*self._place), _users_draws(self.layer.users_code):
            if self._own:
                self._copy()
            else:
                self.layer.Forward(self.bottom, self.top)
        for k, values in self._statistics.items():
            self.layer.blobs[k].data[...] = values

    def _copy(self) -> None:
        """Do what a layer that shares data does, into other memory."""
        self.layer.Reshape(self.bottom, self.top)
        for top, own in zip(self.top, self._own, strict=True):
            own.reshape(top.shape)
            top.share_data(own)
            top.data[...] = self.bottom[0].data.reshape(top.shape)


@contextmanager
def _users_draws(users: bool) -> Iterator[None]:
    """Let users' code draw the same numbers from numpy's and Python's own generators in each run."""
    if not users:
        yield
        return
    numpys, pythons = np.random.get_state(), random.getstate()
    np.random.seed(1701)
    random.seed(1701)
    try:
        yield
    finally:
        np.random.set_state(numpys)
        random.setstate(pythons)
