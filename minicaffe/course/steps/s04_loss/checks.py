"""The checks of step 4: σ, the five versions where they are right and where they fail, and the loss layer."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from minicaffe import layers
from minicaffe.blob import Blob
from minicaffe.course import layer_checks
from minicaffe.course.checking import Draw, Mistake, Wrong, compare, expect, slopes
from minicaffe.course.layer_checks import Run
from minicaffe.course.student import Student

SIGMA = np.vectorize(lambda x: 1 / (1 + math.exp(-x)), otypes=[np.float64])  # of moderate numbers
L = np.vectorize(lambda x, t: -t * math.log(1 / (1 + math.exp(-x))) - (1 - t) * math.log(1 - 1 / (1 + math.exp(-x))),
                 otypes=[np.float64])


def check_sigmoid(my: Student, draw: Draw) -> None:
    """The function sigmoid computes 1 / (1 + e^−x)."""
    x = draw.numbers(*draw.sizes(2), largest=6)
    compare("sigmoid(x)", my.sigmoid.sigmoid(x), SIGMA(x), [
        Mistake("mirrored", SIGMA(-x), "that is σ(−x): in 1 / (1 + e^−x) the exponent has a minus"),
        Mistake("mirrored_for_negative", SIGMA(np.abs(x)), "for negative x you have σ(|x|), and not u / (1 + u)"),
        Mistake("halves_swapped", np.where(x >= 0, SIGMA(-np.abs(x)), SIGMA(np.abs(x))), "the two halves are swapped: "
                "for x ≥ 0 it is 1 / (1 + u), at least one half"),
        Mistake("tanh", np.tanh(x), "that is tanh, which goes from −1 to 1")])


def check_sigmoid_of_large_numbers(my: Student, draw: Draw) -> None:
    """For large x of either sign nothing overflows, and small values keep their digits."""
    x = np.array([-1000.0, -800.0, -40.0, 40.0, 800.0, 1000.0])
    right = np.array([0.0, 0.0, math.exp(-40), 1.0, 1.0, 1.0])
    with np.errstate(over="raise", divide="raise", invalid="raise"):
        try:
            got = my.sigmoid.sigmoid(x)
        except FloatingPointError as error:
            raise Wrong("sigmoid([−1000, −800, −40, 40, 800, 1000])", error, "no overflow", "overflow", "e to the "
                        "power 800 is too large for a float64. Let no exponent be above 0: u = e^−|x|. np.where "
                        "computes both halves for all numbers, so both must be safe.") from None
    compare("sigmoid([−1000, −800, −40, 40, 800, 1000])", got, right)
    ratio = float(np.asarray(got)[2] / right[2])
    expect(abs(ratio - 1) < 1e-9, "sigmoid(−40)", f"{float(np.asarray(got)[2]):.6g}", f"{right[2]:.6g}", "digits_lost",
           "1 − σ(−x) is 0 where σ(−x) rounds to 1. For x < 0 compute the small number itself, u / (1 + u).")


def check_sigmoid_layer(my: Student, draw: Draw) -> None:
    """The layer Sigmoid writes y = σ(x), and backward dx = dy · y · (1 − y)."""
    x = draw.numbers(*draw.sizes(3), largest=3)
    dy = draw.numbers(*x.shape)
    run = Run(my, my.sigmoid.SigmoidLayer(), [x])
    layer_checks.shapes_the_top(run, x.shape)
    y = SIGMA(x)
    compare("SigmoidLayer: layer.forward(bottom, top) → top[0].data", run.forward(), y, [
        Mistake("nothing_written", np.zeros_like(x), "the top still holds zeros: write into top[0].data[...]")])
    layer_checks.forward_writes_the_top_alone(run)
    dx = slopes(lambda at: float((dy * SIGMA(at)).sum()), x)
    compare("SigmoidLayer: layer.backward(top, [True], bottom) → bottom[0].diff", run.backward(dy), dx, [
        Mistake("slope_at_x", dy * x * (1 - x), "the slope is y · (1 − y), with y from the data of the top, not x"),
        Mistake("sigmoid_twice", dy * SIGMA(y) * (1 - SIGMA(y)), "y is σ(x) already: you have taken σ of it once more"),
        Mistake("no_dy", y * (1 - y), "that is the slope of σ. Multiply it by dy, the diff of the top."),
        Mistake("half_a_slope", dy * y, "the slope is y · (1 − y): a factor is missing"),
        Mistake("half_a_slope", dy * (1 - y), "the slope is y · (1 − y): a factor is missing"),
        Mistake("forward_again", y, "that is y. Multiply dy by the slope of σ."),
        *layer_checks.known_of_dx(dx)], tolerance=1e-6)
    layer_checks.backward_writes_dx_alone(run, dy)
    layer_checks.obeys_propagate_down(run, dy)


# --- the five versions --------------------------------------------------------------------------------------------


def check_naive(my: Student, draw: Draw) -> None:
    """Version 1 is −t · log p − (1 − t) · log(1 − p); at x = 40 it fails, as the formula does."""
    _of_moderate_scores(my, draw, "naive")
    got = _call(my, "naive", [40.0, 40.0], [0.0, 1.0])
    expect(got[0] == math.inf and math.isnan(got[1]), "naive([40, 40], [0, 1])", got, "[inf nan]", "not_naive",
           "p rounds to 1 there, and log(1 − p) is −∞; times 0 that is NaN. Write version 1 as it stands: it is there "
           "to show how it fails.")


def check_clipped(my: Student, draw: Draw) -> None:
    """Version 2 holds p between 1e-7 and 1 − 1e-7, so it is flat where the mistake is greatest."""
    _of_moderate_scores(my, draw, "clipped")
    compare("clipped([40, −40], [0, 1])", _call(my, "clipped", [40.0, -40.0], [0.0, 1.0]), [-math.log(1e-7)] * 2, [
        Mistake("not_clipped", [math.inf, 40.0], "p is not held: np.clip(p, 1e-7, 1 − 1e-7) returns a new array"),
        Mistake("one_side_clipped", [math.inf, -math.log(1e-7)], "p is held at 1e-7 only: log(1 − p) needs the other "
                "bound"),
        Mistake("one_side_clipped", [-math.log(1e-7), 40.0], "p is held at 1 − 1e-7 only: log p needs the other "
                "bound")],
        tolerance=1e-6)


def check_one_sided(my: Student, draw: Draw) -> None:
    """Version 3 is (1 − t) · x + log(1 + e^−x); at x = −800 it overflows."""
    _of_moderate_scores(my, draw, "one_sided", lambda x, t: [
        Mistake("mirrored_exponent", (1 - t) * x + np.log(1 + np.exp(x)), "in the logarithm stands e^−x, not e^x"),
        Mistake("wrong_factor", t * x + np.log(1 + np.exp(-x)), "the factor of x is 1 − t, not t"),
        Mistake("wrong_factor", -t * x + np.log(1 + np.exp(-x)), "the factor of x is 1 − t. −t belongs to log(1 + "
                "e^x)."),
        Mistake("minus_log", (1 - t) * x - np.log(1 + np.exp(-x)), "the logarithm is added: −log p = + log(1 + e^−x)")])
    got = _call(my, "one_sided", [-800.0, 40.0], [1.0, 1.0])
    expect(got[0] == math.inf, "one_sided([−800], [1])", got[0], "inf", "not_one_sided", "e^800 overflows in this "
           "version. Write it as it stands, with e^−x for every x: the cure is version 4.")


def check_caffe(my: Student, draw: Draw) -> None:
    """Version 4 is d · x + log(1 + u), right for large scores of both signs."""
    _of_moderate_scores(my, draw, "caffe", _mistakes_of_d)
    _of_large_scores(my, "caffe")


def check_stable(my: Student, draw: Draw) -> None:
    """Version 5 keeps the digits of a small cost, and an infinite score with the right answer costs 0."""
    _of_moderate_scores(my, draw, "stable", _mistakes_of_d)
    _of_large_scores(my, "stable")
    got, right = _call(my, "stable", [40.0, -40.0], [1.0, 0.0]), math.exp(-40)
    expect(bool(np.allclose(got / right, 1)), "stable([40, −40], [1, 0])", got, f"[{right:.6g} "
           f"{right:.6g}]", "digits_lost",
           "1 + u rounds to 1 where u is small, and its logarithm is 0. np.log1p(u) never adds the 1.")
    got = _call(my, "stable", [np.inf, -np.inf, np.inf, -np.inf], [1.0, 0.0, 0.0, 1.0])
    compare("stable([∞, −∞, ∞, −∞], [1, 0, 0, 1])", got, [0.0, 0.0, np.inf, np.inf], [
        Mistake("nan_of_zero_times_infinity", [np.nan, np.nan, np.inf, np.inf], "0 · ∞ is NaN: look for the cells in "
                "which d is 0 before you multiply"),
        Mistake("infinite_scores_cost_nothing", [0.0, 0.0, 0.0, 0.0], "the last two answers are wrong with certainty, "
                "and cost ∞: only where d is 0 the product is 0")])


def _call(my: Student, version: str, x: Any, t: Any) -> np.ndarray:
    """Return what a version of the student's gives; its warnings of overflows are expected."""
    with np.errstate(all="ignore"):
        return np.asarray(getattr(my.loss_versions, version)(np.array(x), np.array(t)))


def _of_moderate_scores(my: Student, draw: Draw, version: str,
                        more: Callable[[np.ndarray, np.ndarray], list[Mistake]] = lambda x, t: []) -> None:
    """Fail where a version is not the cross entropy of scores that are not large."""
    x = draw.numbers(*draw.sizes(2), largest=6)
    x.flat[:4] = [2.5, -2.5, 1.25, -1.25]
    t = draw.rng.integers(0, 5, x.shape) / 4
    t.flat[:4] = [0, 0, 1, 1]
    p = SIGMA(x)
    compare(f"{version}(x, t)", _call(my, version, x, t), L(x, t), [
        Mistake("targets_swapped", L(x, 1 - t), "t and 1 − t are swapped: t belongs to log p, where the answer is yes"),
        Mistake("minus", -L(x, t), "the cost is positive: both logarithms have a minus"),
        Mistake("one_minus_is_missing", -t * np.log(p) + (1 - t) * np.log(1 - p), "both logarithms have a minus"),
        Mistake("yes_only", -t * np.log(p), "the cells with the answer no cost something, too: (1 − t) · log(1 − p)"),
        Mistake("sigmoid_twice", L(p, t), "x is a score, and you have taken σ twice"),
        Mistake("already_a_mean", L(x, t).mean(), "return the cost of each cell, an array. The layer adds them up."),
        Mistake("already_a_sum", L(x, t).sum(), "return the cost of each cell, an array. The layer adds them up."),
        *more(x, t)])


def _of_large_scores(my: Student, version: str) -> None:
    """Fail where a version is not right for scores of 800."""
    got = _call(my, version, [800.0, -800.0, 800.0, -800.0], [0.0, 1.0, 1.0, 0.0])
    compare(f"{version}([800, −800, 800, −800], [0, 1, 1, 0])", got, [800.0, 800.0, 0.0, 0.0], [
        Mistake("positive_exponent", [np.inf, 800.0, np.inf, 0.0], "e^800 overflows: the exponent is −|x|"),
        Mistake("positive_exponent", [800.0, np.inf, 0.0, np.inf], "e^800 overflows: the exponent is −|x|"),
        Mistake("positive_exponent", [np.inf] * 4, "e^800 overflows: the exponent is −|x|")])


def _mistakes_of_d(x: np.ndarray, t: np.ndarray) -> list[Mistake]:
    yes, log = x >= 0, np.log1p(np.exp(-np.abs(x)))
    return [Mistake("d_for_positive_x_alone", (1 - t) * x + log, "for x < 0 the factor of x is 0 − t: d is [x ≥ 0] − "
                    "t"),
            Mistake("d_has_wrong_sign", (t - yes) * x + log, "d is [x ≥ 0] − t, and not t − [x ≥ 0]"),
            Mistake("comparison_last", (x >= -t) * x + log, "in Python x >= 0 - t compares x with −t: write (x >= 0) - "
                    "t"),
            Mistake("size_of_x", (yes - t) * np.abs(x) + log, "d is multiplied by x itself. Only the exponent has "
                    "|x|."),
            Mistake("positive_exponent", (yes - t) * x + np.log(1 + np.exp(np.abs(x))), "the exponent of u is −|x|"),
            Mistake("exponent_without_size", (yes - t) * x + np.log(1 + np.exp(-x)), "u is e^−|x|, not e^−x"),
            Mistake("minus_log", (yes - t) * x - log, "the logarithm is added")]


# --- the layer ----------------------------------------------------------------------------------------------------


def _loss_run(my: Student, draw: Draw) -> tuple[Run, np.ndarray, np.ndarray]:
    x = draw.numbers(*draw.sizes(2, low=3), largest=4)
    t = draw.rng.integers(0, 5, x.shape) / 4
    return Run(my, my.sigmoid_cross_entropy_loss.SigmoidCrossEntropyLossLayer(), [x, t]), x, t


def _minicaffe(x: np.ndarray, t: np.ndarray, weight: float) -> tuple[float, np.ndarray]:
    """Return L and dx as minicaffe's own layer computes them."""
    layer = layers.SigmoidCrossEntropyLossLayer(dtype=np.float64)
    bottom, top = [Blob(x.shape, np.float64), Blob(x.shape, np.float64)], [Blob((), np.float64)]
    bottom[0].data[...], bottom[1].data[...] = x, t
    layer.SetUp(bottom, top)
    layer.Forward(bottom, top)
    top[0].diff[...] = weight
    layer.Backward(top, [True, False], bottom)
    return float(top[0].data), np.array(bottom[0].diff)


def check_loss(my: Student, draw: Draw) -> None:
    """The layer's L is Σ l / N, a single number, as minicaffe's own layer computes it."""
    run, x, t = _loss_run(my, draw)
    layer_checks.shapes_the_top(run, ())
    total, N = L(x, t).sum(), x.shape[0]
    called = "SigmoidCrossEntropyLossLayer: layer.forward(bottom, top) → top[0].data"
    compare(called, run.forward(), _minicaffe(x, t, 1)[0], [
        Mistake("not_normalised", total, "that is Σ l. Divide it by N, the size of the batch."),
        Mistake("mean_over_cells", total / x.size, "that is the mean over all cells. N is the number of samples, "
                "x.shape[0]."),
        Mistake("divided_by_features", total / x.shape[1], "you have divided by the cells of a sample, not by the "
                "samples"),
        Mistake("bottoms_swapped", L(t, x).sum() / N, "bottom[0] holds the scores, bottom[1] the targets"),
        Mistake("nothing_written", 0.0, "the top still holds 0: write into top[0].data[...]")])
    layer_checks.forward_writes_the_top_alone(run)
    run = Run(my, run.layer, [[[1000.0, -1000.0]], [[0.0, 0.0]]])
    compare("layer.forward(bottom, top) with x = [[1000, −1000]], t = [[0, 0]] → top[0].data", run.forward(), 1000.0, [
        Mistake("naive_in_the_layer", np.inf, "the layer takes the stable version"),
        Mistake("naive_in_the_layer", np.nan, "the layer takes the stable version"),
        Mistake("naive_in_the_layer", -np.log(1e-7), "the layer takes the stable version, not the clipped one")],
        tolerance=1e-6)


def check_loss_gradient(my: Student, draw: Draw) -> None:
    """The layer's backward is dx = λ · (p − t) / N, as minicaffe's own layer computes it."""
    run, x, t = _loss_run(my, draw)
    run.forward()
    weight, N, p = 2.5, x.shape[0], SIGMA(x)
    dx = _minicaffe(x, t, weight)[1]
    called = f"layer.backward(top, [True, False], bottom) with top[0].diff = {weight} → bottom[0].diff"
    compare(called, run.backward(weight, [True, False]), dx, [
        Mistake("seed_slip", -dx, "the sign: at t = 1 the score must rise, so dx must be negative. J is a negative "
                "logarithm, and its slope is p − t."),
        Mistake("no_loss_weight", (p - t) / N, "multiply by λ, which stands in the diff of the top"),
        Mistake("gradient_not_normalised", weight * (p - t), "forward divides by N, so backward does too"),
        Mistake("gradient_mean_over_cells", weight * (p - t) / x.size, "N is the number of samples, x.shape[0], not "
                "of cells"),
        Mistake("targets_divided_alone", p - t / N, "in Python p - t / N divides t alone: write the parentheses"),
        Mistake("targets_divided_alone", weight * (p - t / N), "in Python p - t / N divides t alone: write the "
                "parentheses"),
        Mistake("neither_weight_nor_n", p - t, "that is the slope of l. λ and 1 / N are missing."),
        Mistake("slope_of_sigmoid_left", weight * (p - t) * p * (1 - p) / N, "the slope p · (1 − p) of σ cancels in "
                "the cross entropy. With it this is the gradient of the squared error."),
        Mistake("score_for_probability", weight * (x - t) / N, "p is σ(x), and you have taken x itself"),
        Mistake("loss_for_weight", float(run.top[0].data) * (p - t) / N, "λ is in the diff of the top; you have taken "
                "its data, which is L"),
        *layer_checks.known_of_dx(dx)])
    expect(bool(np.all(run.bottom[1].diff == layer_checks.GARBAGE)), "layer.backward(top, [True, False], bottom)",
           "bottom[1].diff has changed", "bottom[1].diff as it was", "targets_got_a_gradient",
           "the targets are given: nothing can change them, so they have no gradient")
    layer_checks.obeys_propagate_down(run, weight)


def check_by_your_own_difference_quotient(my: Student, draw: Draw) -> None:
    """Your own check_gradient finds the loss layer right."""
    run, _, _ = _loss_run(my, draw)
    error = float(my.gradient.check_gradient(run.layer, run.bottom, run.top, [True, False]))
    expect(error < 1e-6, "check_gradient(loss layer, bottom, top, [True, False])", f"{error:.3g}", "less than 1e-06",
           "own_check_fails", "the numbers above are right, so look at check_gradient: is step 3 passed?")
