"""The numbers that a solver reports while it runs: smoothed losses, speeds, and outputs with their loss weights."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from minicaffe import kernels
from minicaffe.blob import Blob
from minicaffe.errors import NetError
from minicaffe.log import number
from minicaffe.net import Net


class SmoothedLoss:
    """The mean of the last `window` losses, updated with each new loss as Caffe does."""

    def __init__(self, window: int) -> None:
        self.window, self.losses, self.count, self.mean = window, [0.0] * window, 0, 0.0

    def state(self) -> dict[str, Any]:
        """Return the values that a resume file keeps, for `restore`."""
        return {"window": self.window, "losses": self.losses[:self.count], "count": self.count, "mean": self.mean}

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from a `state`. Change nothing where the state has another window: its losses do not fit."""
        if state["window"] == self.window:
            self.count, self.mean = state["count"], state["mean"]
            self.losses[:len(state["losses"])] = state["losses"]

    def add(self, loss: float) -> float:
        """Take in a loss. Return the mean, this loss included."""
        at, self.count = self.count % self.window, self.count + 1
        # Caffe: the mean is updated; computed anew from the losses it would be rounded differently
        if self.count <= self.window:
            self.mean = (self.mean * (self.count - 1) + loss) / self.count
        else:
            self.mean += (loss - self.losses[at]) / self.window
        self.losses[at] = loss
        return self.mean


class Curve:
    """A number that changes in a training, such as its loss, as at most `most` points (iteration, number).

    A point is the mean of `stride` numbers in a row, and has the iteration of the first of them. When there are `most`
    points, each two neighbours become one.
    """

    def __init__(self, most: int = 400) -> None:
        self.most, self.stride = most, 1
        self._whole: list[tuple[int, float]] = []
        self._begun: list[float] = []  # the numbers of the point that is not whole yet, which begins at `_start`
        self._start = self._last = -1

    @property
    def points(self) -> list[tuple[int, float]]:
        """The points in their order. The last one may be the mean of fewer numbers."""
        return [*self._whole, (self._start, _mean(self._begun))] if self._begun else list(self._whole)

    def add(self, iteration: int, value: float) -> None:
        """Take in the number of an iteration. Points of this iteration or later ones, from before a resume, go."""
        if iteration <= self._last:
            self._whole, self._begun = [point for point in self._whole if point[0] < iteration], []
        self._start, self._last = self._start if self._begun else iteration, iteration
        self._begun.append(value)
        if len(self._begun) == self.stride:
            self._whole.append((self._start, _mean(self._begun)))
            self._begun = []
        if len(self._whole) == self.most:
            pairs = zip(self._whole[::2], self._whole[1::2], strict=True)
            self._whole = [(a[0], _mean([a[1], b[1]])) for a, b in pairs]
            self.stride *= 2


def _mean(numbers: list[float]) -> float:
    return sum(numbers) / len(numbers)


class Stopwatch:
    """Measures the time since the last display, without the time in which kernels were compiled."""

    def __init__(self) -> None:
        self.iter, self.time = 0, kernels.clock()

    def start(self, iteration: int) -> None:
        """Begin to measure at this iteration."""
        self.iter, self.time = iteration, kernels.clock()

    def lap(self, iteration: int, display: int) -> str:
        """Return the speed since the last lap in Caffe's words: '47.9386 iter/s, 1.043s/50 iters'."""
        seconds, iterations = kernels.clock() - self.time, iteration - self.iter
        self.start(iteration)
        return f"{number(iterations / seconds if seconds else 0)} iter/s, {number(round(seconds, 3))}s/{display} iters"


class BatchOutputs(NamedTuple):
    """What a net has put out for a batch: the loss, how much the batch counts, and the values of each output."""

    loss: float
    share: float
    values: list[np.ndarray]


class MeanOutputs:
    """The mean over several batches of each number in the outputs of a net.

    An output with a row for each sample has fewer rows in a smaller batch. The others then keep their means.
    """

    def __init__(self, net: Net) -> None:
        self.net, self.batches, self._loss = net, 0.0, 0.0
        self._sums: list[np.ndarray] = []
        self._counts: list[np.ndarray] = []  # for each number of the sums, how many batches it comes from

    def add(self, loss: float, share: float = 1.0) -> None:
        """Take in the net's outputs and the loss of the last forward pass, as `of_batch` and `add_batch` say."""
        self.add_batch(self.of_batch(loss, share))

    def of_batch(self, loss: float, share: float = 1.0) -> BatchOutputs:
        """Return the net's outputs and the loss of the last forward pass.

        `share` is below 1 for a smaller batch, and 0 for a batch that does not count.
        """
        return BatchOutputs(loss, share, [blob.data.astype(np.float64) for _, blob, _ in outputs(self.net)])

    def add_batch(self, batch: BatchOutputs) -> None:
        """Take in what a net has put out. Raise NetError where an output has changed its shape otherwise than in N."""
        share = batch.share
        if not share:
            return
        for i, ((name, _, _), values) in enumerate(zip(outputs(self.net), batch.values, strict=True)):
            if i == len(self._sums):  # the first batch
                self._sums.append(np.zeros(values.shape))
                self._counts.append(np.zeros(values.shape))
            rows: Any = ...  # all of them
            weight = share
            if values.shape != (shape := self._sums[i].shape):
                if values.shape[1:] != shape[1:] or values.ndim != len(shape):
                    raise NetError(f"no mean of the output {name!r} can be taken: its shape was {shape} and is now "
                                   f"{values.shape}")
                more = [(0, max(0, len(values) - len(self._sums[i]))), *[(0, 0)] * (values.ndim - 1)]
                self._sums[i], self._counts[i] = np.pad(self._sums[i], more), np.pad(self._counts[i], more)
                rows, weight = slice(len(values)), 1.0  # a row is one sample, however many others there are
            self._sums[i][rows] += weight * values
            self._counts[i][rows] += weight
        self._loss += share * batch.loss
        self.batches += share

    @property
    def loss(self) -> float:
        """The mean loss; NaN where there was no batch."""
        return self._loss / self.batches if self.batches else math.nan

    def results(self) -> list[tuple[str, float]]:
        """Return for each number the name of its blob and its mean."""
        return [(name, value) for name, value, _ in self._means()]

    def lines(self) -> Iterator[str]:
        """Yield a line for each number, as Caffe writes it: 'loss = 0.66 (* 1 = 0.66 loss)'."""
        for name, value, weight in self._means():
            yield output_line(name, value, weight)

    def _means(self) -> Iterator[tuple[str, float, float]]:
        if self.batches:
            for (name, _, weight), total, counts in zip(outputs(self.net), self._sums, self._counts, strict=True):
                for value in np.ravel(total / counts):
                    yield name, float(value), weight


def outputs(net: Net) -> list[tuple[str, Blob, float]]:
    """Return the name, the blob and the loss weight of each output of a net."""
    weights = {id(blob): weight for layer, tops in zip(net.layers, net.tops, strict=True)
               for blob, weight in zip(tops, layer.loss_weights, strict=True)}
    return [(name, net.blobs[name], weights.get(id(net.blobs[name]), 0.0)) for name in net.outputs]


def output_lines(net: Net) -> Iterator[str]:
    """Yield a line for each number in the outputs of a net, as Caffe writes it."""
    for name, blob, weight in outputs(net):
        for value in np.ravel(blob.data):
            yield output_line(name, float(value), weight)


def output_line(name: str, value: float, loss_weight: float) -> str:
    """'accuracy = 0.8' or, where the blob is a loss, 'loss = 0.66 (* 1 = 0.66 loss)'."""
    line = f"{name} = {number(value)}"
    return f"{line} (* {number(loss_weight)} = {number(loss_weight * value)} loss)" if loss_weight else line
