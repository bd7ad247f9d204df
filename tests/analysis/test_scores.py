"""Scores of predictions, against values computed by hand from their definitions."""

import numpy as np
import pytest

from minicaffe.analysis.scores import average_precision, best_threshold, class_scores, confusion, label_scores


def test_confusion_has_a_row_for_each_true_class():
    """The row is the label and the column the prediction; a class without samples has a row of zeros."""
    made = confusion(np.array([0, 0, 1, 2, 2, 2]), np.array([0, 1, 1, 2, 0, 2]), 4)

    assert [[1, 1, 0, 0], [0, 1, 0, 0], [1, 0, 2, 0], [0, 0, 0, 0]] == made.tolist()


def test_class_scores_by_hand():
    """Of the six samples above four are right; class 3 has neither samples nor predictions and no ratios."""
    made = class_scores(confusion(np.array([0, 0, 1, 2, 2, 2]), np.array([0, 1, 1, 2, 0, 2]), 4))

    np.testing.assert_allclose(made.precision, [1 / 2, 1 / 2, 1, np.nan])
    np.testing.assert_allclose(made.recall, [1 / 2, 1, 2 / 3, np.nan])
    np.testing.assert_allclose(made.f1, [1 / 2, 2 / 3, 4 / 5, np.nan])
    assert [2, 1, 3, 0] == made.support.tolist()
    assert pytest.approx(4 / 6) == made.accuracy
    assert pytest.approx([2 / 3, 13 / 18, 59 / 90]) == list(made.macro)
    assert pytest.approx([4.5 / 6, 4 / 6, (1 + 2 / 3 + 2.4) / 6]) == list(made.weighted)


def test_a_class_that_is_never_predicted_counts_as_0():
    """It has samples, so precision and F1 are 0 and not left out."""
    made = class_scores(np.array([[3, 0], [2, 0]]))

    assert [0.6, 0.0] == made.precision.tolist()
    assert pytest.approx((0.75 + 0) / 2) == made.macro[2]


def test_scores_of_nothing():
    """Without a sample there is no accuracy and no mean."""
    made = class_scores(np.zeros((2, 2), int))

    assert np.isnan([made.accuracy, *made.macro, *made.weighted, *made.f1]).all()


def test_average_precision_by_hand():
    """The true ones stand at places 1, 3 and 4 of five: 1/3 · (1 + 2/3 + 3/4)."""
    truth, p = np.array([True, False, True, True, False]), np.array([0.9, 0.8, 0.7, 0.4, 0.1])

    assert pytest.approx((1 + 2 / 3 + 3 / 4) / 3) == average_precision(truth, p)
    assert pytest.approx((1 + 2 / 3 + 3 / 4) / 3) == average_precision(truth[::-1], p[::-1])


def test_equal_scores_share_a_threshold():
    """Where all scores are equal, the average precision is the share of true ones, whatever their order."""
    assert 0.25 == average_precision(np.array([True, False, False, False]), np.full(4, 0.3))
    assert np.isnan(average_precision(np.zeros(3, bool), np.arange(3.0)))


def test_best_threshold_by_hand():
    """From 0.4 on the F1 is 2 · 3 / (4 + 3), larger than at each other score."""
    truth, p = np.array([True, False, True, True, False]), np.array([0.9, 0.8, 0.7, 0.4, 0.1])

    assert (0.4, pytest.approx(6 / 7)) == best_threshold(truth, p)


def test_label_scores_by_hand():
    """Three samples of two questions: the answers are wrong for one of six."""
    truth = np.array([[True, False], [False, False], [True, True]])
    p = np.array([[0.9, 0.2], [0.6, 0.1], [0.5, 0.8]])

    made = label_scores(truth, p)

    assert pytest.approx(1 / 6) == made.hamming_loss
    np.testing.assert_allclose(made.precision, [2 / 3, 1])
    np.testing.assert_allclose(made.recall, [1, 1])
    assert pytest.approx([3 / 4, 1, 6 / 7]) == list(made.micro)
    assert pytest.approx(((1 + 2 / 3) / 2 + 1) / 2) == made.mean_average_precision
    np.testing.assert_allclose(made.threshold, [0.5, 0.8])


def test_answers_that_are_not_known_do_not_count():
    """An ignored answer changes nothing, whatever is predicted."""
    truth, known = np.array([[True], [False], [False]]), np.array([[True], [True], [False]])

    made = [label_scores(truth, np.array([[0.9], [0.2], [p]]), known) for p in (0.0, 1.0)]

    assert [0.0, 0.0] == [one.hamming_loss for one in made]
    assert [1.0, 1.0] == [one.mean_average_precision for one in made]


def test_a_question_whose_answer_is_never_yes_has_no_scores():
    """The means leave it out, as those over classes do."""
    truth = np.array([[True, False], [False, False], [True, False]])

    made = label_scores(truth, np.array([[0.9, 0.1], [0.6, 0.2], [0.7, 0.3]]))

    np.testing.assert_array_equal(made.precision, [2 / 3, np.nan])
    np.testing.assert_array_equal(made.recall, [1, np.nan])
    assert (2 / 3, 1, 4 / 5) == made.macro
    assert pytest.approx((2 / 3, 1, 4 / 5)) == made.micro
