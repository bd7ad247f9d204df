"""Scores of predictions against labels: the confusion matrix and its ratios, average precision, thresholds.

    precision = right / predicted      of the samples that were called k, the share that are k
    recall    = right / support        of the samples that are k, the share that were called k
    F1        = 2 · right / (predicted + support)

A ratio whose divisor is 0 is 0. A class that no sample has and that was never predicted has no ratios: they are NaN,
and the means leave it out. The same holds for a question to which the answer is never yes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


def confusion(labels: np.ndarray, predictions: np.ndarray, classes: int) -> np.ndarray:
    """Return the confusion matrix (K, K): how many samples of the class of the row were called the class of the column.

    Both arguments hold numbers from 0 to K − 1.
    """
    cells = labels.astype(np.int64) * classes + predictions.astype(np.int64)
    return np.bincount(cells, minlength=classes * classes).reshape(classes, classes)


@dataclass(frozen=True)
class ClassScores:
    """The scores of a classifier that names one class for each sample.

    precision, recall, f1, support      (K,), one number for each class; support counts its samples
    accuracy        the share of samples that are right; NaN without samples
    macro           the means of precision, recall and F1 over the classes
    weighted        the same, each class weighted by its support
    """

    precision: np.ndarray
    recall: np.ndarray
    f1: np.ndarray
    support: np.ndarray
    accuracy: float
    macro: tuple[float, float, float]
    weighted: tuple[float, float, float]


def class_scores(matrix: np.ndarray) -> ClassScores:
    """Return the scores that follow from a confusion matrix."""
    right, support, predicted = np.diag(matrix), matrix.sum(axis=1), matrix.sum(axis=0)
    there, precision, recall, f1 = _ratios(right, predicted, support)
    accuracy = float(right.sum() / support.sum()) if support.any() else float("nan")
    return ClassScores(precision, recall, f1, support, accuracy,
                       (_mean(precision[there]), _mean(recall[there]), _mean(f1[there])),
                       (_mean(precision[there], support[there]), _mean(recall[there], support[there]),
                        _mean(f1[there], support[there])))


@dataclass(frozen=True)
class LabelScores:
    """The scores of a net that answers K questions of yes or no for each sample.

    precision, recall, f1       (K,), where an answer is yes from a probability of 0.5 on; NaN for a question to which
                    the answer is never yes, neither of a sample nor of the net
    support         (K,), how many samples have the answer yes
    average_precision       (K,), NaN for a question to which no sample has the answer yes
    threshold, best_f1      (K,), the probability from which on yes gives the largest F1, and that F1
    macro           the means of precision, recall and F1 over the questions that have them
    micro           precision, recall and F1 of all answers together
    mean_average_precision      over the questions that have one
    hamming_loss    the share of answers that are wrong
    """

    precision: np.ndarray
    recall: np.ndarray
    f1: np.ndarray
    support: np.ndarray
    average_precision: np.ndarray
    threshold: np.ndarray
    best_f1: np.ndarray
    macro: tuple[float, float, float]
    micro: tuple[float, float, float]
    mean_average_precision: float
    hamming_loss: float


def label_scores(truth: np.ndarray, p: np.ndarray, counted: np.ndarray | None = None) -> LabelScores:
    """Return the scores of probabilities p (N, K) against the true answers (N, K), which are booleans.

    counted     (N, K), False where an answer is not known and does not count
    """
    known = np.ones(truth.shape, bool) if counted is None else counted
    said = p >= 0.5
    right, support, predicted = ((part & known).sum(axis=0) for part in (truth & said, truth, said))
    there, precision, recall, f1 = _ratios(right, predicted, support)
    average, threshold, best = (np.full(truth.shape[1], np.nan) for _ in range(3))
    for k in range(truth.shape[1]):
        yes, given = truth[known[:, k], k], p[known[:, k], k]
        average[k] = average_precision(yes, given)
        threshold[k], best[k] = best_threshold(yes, given)
    all_right, all_support, all_predicted = right.sum(), support.sum(), predicted.sum()
    micro = [float(_ratio(part, whole)) for part, whole in (
        (all_right, all_predicted), (all_right, all_support), (2 * all_right, all_predicted + all_support))]
    return LabelScores(precision, recall, f1, support, average, threshold, best,
                       (_mean(precision[there]), _mean(recall[there]), _mean(f1[there])),
                       (micro[0], micro[1], micro[2]),
                       _mean(average[~np.isnan(average)]), _mean((truth != said)[known]))


def average_precision(truth: np.ndarray, scores: np.ndarray) -> float:
    """Return Σ (R[n] − R[n−1]) · P[n] over the thresholds n, from the highest score down; NaN where no answer is yes.

    P and R are precision and recall when all scores from the threshold on count as yes. Equal scores share a threshold.
    """
    precision, recall, _, _ = _curve(truth, scores)
    return float(np.sum(np.diff(recall, prepend=0) * precision)) if truth.any() else float("nan")


def best_threshold(truth: np.ndarray, scores: np.ndarray) -> tuple[float, float]:
    """Return the score from which on yes gives the largest F1, and that F1; NaN for both where no answer is yes.

    Of several such thresholds it is the highest.
    """
    if not truth.any():
        return float("nan"), float("nan")
    _, _, f1, thresholds = _curve(truth, scores)
    best = int(f1.argmax())
    return float(thresholds[best]), float(f1[best])


def _curve(truth: np.ndarray, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return precision, recall and F1 at each threshold, and the thresholds, which are the scores from the highest."""
    order = np.argsort(-scores, kind="stable")
    ordered, yes = scores[order], truth[order]
    last = np.flatnonzero(np.append(ordered[1:] != ordered[:-1], True)) if len(ordered) else np.arange(0)
    right, said, support = np.cumsum(yes)[last], last + 1, int(yes.sum())
    return _ratio(right, said), _ratio(right, support), _ratio(2 * right, said + support), ordered[last]


def _ratios(right: np.ndarray, predicted: np.ndarray, support: np.ndarray) -> list[np.ndarray]:
    """Return where there are ratios, and precision, recall and F1 there, NaN elsewhere."""
    there = support + predicted > 0
    pairs = ((right, predicted), (right, support), (2 * right, predicted + support))
    return [there, *(np.where(there, _ratio(part, whole), np.nan) for part, whole in pairs)]


def _ratio(part: np.ndarray, whole: np.ndarray | int) -> np.ndarray:
    """Return part / whole, and 0 where whole is 0."""
    return np.asarray(part, float) / np.maximum(whole, 1)


def _mean(values: np.ndarray, weights: np.ndarray | None = None) -> float:
    """Return the mean, weighted if there are weights; NaN of nothing."""
    parts = np.ones(values.shape) if weights is None else weights
    return float((values * parts).sum() / parts.sum()) if parts.any() else float("nan")
