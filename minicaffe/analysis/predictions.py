"""What a net predicts for each sample of its data, collected batch by batch, and its worst mistakes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from minicaffe.analysis.answers import YES_OR_NO, Answers
from minicaffe.errors import NetError
from minicaffe.layer import DataSource, source_of
from minicaffe.net import Net


@dataclass
class Mistake:
    """A wrong answer.

    confidence      the probability that the net gave to it: of the wrong class, or of the wrong yes or no
    question        for yes or no, which of the questions was asked; label and predicted are 1 or 0 then
    image           what the net saw, the sample's part (C, H, W) of the first data blob; None where that is no image
    """

    key: str
    label: int
    predicted: int
    confidence: float
    question: int | None = None
    image: np.ndarray | None = None


@dataclass
class Predicted:
    """What a net predicted for N cells, in the order of the samples; see Answers.probabilities for what a cell is.

    keys        of the samples; several cells of one sample have the same
    labels      (N,) classes, or (N, K) answers: 1, 0 or what the target is. Empty where the net has no labels
    counted     of the shape of `labels`, False where the label is one to ignore
    top, p      for one class (N, T): the T most probable classes, the best first, and their probabilities. For yes or
                no `p` is (N, K), and `top` is empty
    """

    keys: list[str]
    labels: np.ndarray
    counted: np.ndarray
    top: np.ndarray
    p: np.ndarray


class Predictions:
    """Collects the predictions of a net.

    answers     where they are
    top         how many classes to keep for each cell
    worst       how many mistakes to keep, those with the highest confidence

    `samples` counts the samples that came, and `without_answer` those of them with a NaN among their answers.
    """

    def __init__(self, net: Net, answers: Answers, top: int = 5, worst: int = 0) -> None:
        self.net, self.answers, self.worst = net, answers, worst
        self.samples = self.without_answer = 0
        self.mistakes: list[Mistake] = []
        self.outputs = self._count_outputs()
        self.top = min(top, self.outputs)
        self._parts: list[Predicted] = []
        self._sources = [(source, tops) for layer, tops in zip(net.layers, net.tops, strict=True)
                         if (source := source_of(layer))]

    def _count_outputs(self) -> int:
        """Return K: the number of classes, or of questions. Raise NetError where scores and labels do not fit."""
        shape = self.net.blobs[self.answers.scores].shape
        if len(shape) < 2:
            raise NetError(f"the blob {self.answers.scores!r} has the shape {shape}: for each sample it must have a "
                           "score of each class", hint="--output BLOB names another blob")
        p = self.answers.probabilities(np.zeros(shape, np.float32))
        if self.answers.label:
            labels = self.net.blobs[self.answers.label]
            want = p.size if self.answers.decides == YES_OR_NO else len(p)
            if labels.count != want:
                raise NetError(f"the blob {self.answers.scores!r} of shape {shape} needs {want} labels, but "
                               f"{self.answers.label!r} has the shape {labels.shape}",
                               hint="--label BLOB names another")
        return p.shape[1]

    @property
    def cells_per_sample(self) -> int:
        """The number of cells of a sample: 1, or more if the net predicts a class for each place, such as a pixel."""
        shape = self.net.blobs[self.answers.scores].shape
        return len(self.answers.probabilities(np.zeros(shape, np.float32))) // shape[0]

    def add(self, at_most: int | None = None) -> int:
        """Take in the batch that the net has just run forward, or its first `at_most` samples. Return how many."""
        scores = self.net.blobs[self.answers.scores].data
        N = len(scores) if at_most is None else min(len(scores), at_most)
        if N < 1:
            return 0
        p = self.answers.probabilities(scores)
        cells = len(p) // len(scores)
        p = p[:N * cells]
        keys = [key for key in self._keys(len(scores))[:N] for _ in range(cells)]
        labels = self._labels(p)
        part = _yes_or_no(keys, labels, p, self.answers) if self.answers.decides == YES_OR_NO \
            else _one_class(keys, labels, p, self.answers, self.top)
        if self.worst and labels.size:
            self._keep_mistakes(part, cells)
        self._parts.append(part)
        self.samples += N
        self.without_answer += int(np.isnan(p).reshape(N, -1).any(axis=1).sum())
        return N

    def all(self) -> Predicted:
        """Return all that was taken in."""
        joined = [np.concatenate([getattr(part, name) for part in self._parts]) for name in
                  ("labels", "counted", "top", "p")]
        return Predicted([key for part in self._parts for key in part.keys], *joined)

    def _labels(self, p: np.ndarray) -> np.ndarray:
        """Return the labels of the cells in p; for yes or no of the shape of p. Raise NetError for a wrong one."""
        if not self.answers.label:
            return np.empty(0)
        labels = self.net.blobs[self.answers.label].data.reshape(-1)
        if self.answers.decides == YES_OR_NO:
            return labels[:p.size].reshape(p.shape).copy()
        labels = np.trunc(labels[:len(p)])  # Caffe: the losses cut a label to a whole number
        bad = ~((labels >= 0) & (labels < p.shape[1])) & (labels != self.answers.ignore_label)
        if bad.any():
            raise NetError(f"the label {labels[bad][0]:g} in the blob {self.answers.label!r} is none of the "
                           f"{p.shape[1]} classes 0 to {p.shape[1] - 1}")
        return labels.astype(np.int64)

    def _keys(self, count: int) -> list[str]:
        """Return the names of the samples in the batch: a data layer's keys, or else their numbers."""
        for source, _ in self._sources:
            if len(source.keys) == count:
                return [str(key) for key in source.keys]
        return [str(self.samples + i) for i in range(count)]

    def _keep_mistakes(self, part: Predicted, cells: int) -> None:
        """Add the worst mistakes of a batch to the list, which keeps the worst of all."""
        if self.answers.decides == YES_OR_NO:
            wrong = ((part.labels >= 0.5) != (part.p >= 0.5)) & part.counted
            confidence = np.where(wrong, np.maximum(part.p, 1 - part.p), -1)
        else:
            wrong = (part.top[:, 0] != part.labels) & part.counted
            confidence = np.where(wrong, part.p[:, 0], -1)
        flat = np.nan_to_num(confidence.reshape(-1), nan=0)  # a NaN is wrong too, and none is certain of it
        for at in np.argsort(-flat, kind="stable")[:min(self.worst, np.count_nonzero(wrong))].tolist():
            self.mistakes.append(self._mistake(part, at, float(flat[at]), cells))
        self.mistakes = sorted(self.mistakes, key=lambda one: -one.confidence)[:self.worst]

    def _mistake(self, part: Predicted, at: int, confidence: float, cells: int) -> Mistake:
        """Return the mistake at a place of the batch."""
        cell, question = divmod(at, part.p.shape[1]) if part.labels.ndim == 2 else (at, None)
        image = self._image(cell // cells)
        if question is None:
            return Mistake(part.keys[cell], int(part.labels[cell]), int(part.top[cell, 0]), confidence, None, image)
        return Mistake(part.keys[cell], int(part.labels[cell, question] >= 0.5), int(part.p[cell, question] >= 0.5),
                       confidence, question, image)

    def _image(self, sample: int) -> np.ndarray | None:
        """Return what the net saw of a sample, where it is an image."""
        blobs = [tops[0] for _, tops in self._sources if tops and tops[0].num_axes == 4]
        return blobs[0].data[sample].copy() if blobs and sample < len(blobs[0].data) else None

    def source(self) -> DataSource | None:
        """Return the net's first data layer; None where it has none."""
        return self._sources[0][0] if self._sources else None


def _one_class(keys: list[str], labels: np.ndarray, p: np.ndarray, answers: Answers, top: int) -> Predicted:
    """Return what was predicted for a batch, where the net names one class: the `top` most probable ones."""
    best = np.argsort(-p, axis=1, kind="stable")[:, :top]
    return Predicted(keys, labels, labels != answers.ignore_label, best, np.take_along_axis(p, best, 1))


def _yes_or_no(keys: list[str], labels: np.ndarray, p: np.ndarray, answers: Answers) -> Predicted:
    """Return what was predicted for a batch, where the net answers questions with yes or no."""
    known = labels != answers.ignore_label if answers.ignore_label is not None else np.ones(labels.shape, bool)
    return Predicted(keys, labels, known, np.empty((len(p), 0), np.int64), p)
