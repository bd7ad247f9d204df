"""Drawings of losses: the curve of the loss and of its gradient, or bars of probabilities and the label."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from gallery.canvas import Box, Canvas, Point, number
from gallery.plot import Axes, bars, pieces
from gallery.registry import drawing, run

KINDS = ("", " other", " third")


def loss_curves(canvas: Canvas, names: tuple[str, str, str], x: Point, y: Point, slope: Point,
                variants: Sequence[Callable[[float], tuple[float, float]]], breaks: Sequence[float],
                ticks: tuple[Sequence[float], Sequence[float], Sequence[float]]) -> tuple[Axes, Axes]:
    """Draw the loss l of one cell on the left, and on the right the gradient that backward writes.

    names       the title on the left, the one on the right, and the name of the horizontal axis
    variants    for each curve a function that runs the layer at one place, and returns (loss, gradient)
    """
    left = Axes(canvas, Box(40, 26, 310, 186), x, y, names[0], names[2], ticks[0], ticks[1])
    right = Axes(canvas, Box(390, 26, 660, 186), x, slope, names[1], names[2], ticks[0], ticks[2])
    for at, kind in zip(variants, KINDS, strict=False):
        for xs in pieces([x[0], *breaks, x[1]]):
            got = np.array([at(float(value)) for value in xs])
            left.curve(xs, got[:, 0], f"curve{kind}")
            right.curve(xs, got[:, 1], f"curve slope{kind}")
    return left, right


def one(layer: str, bottoms: Sequence[str], gradient: str, param: str = "", **values: Any) -> tuple[float, float]:
    """Run a loss on a batch of one sample; return the loss, and the first number of a gradient."""
    named = " ".join(f'bottom: "{name}"' for name in bottoms)
    ran = run(f'layer {{ type: "{layer}" {named} top: "L" {param} }}', **values)
    return float(ran["L"]), float(ran[gradient].ravel()[0])


def notes(axes: Axes, *places: tuple[float, float, str]) -> None:
    """Write names at the curves."""
    for x, y, name in places:
        axes.note(x, y, name)


@drawing("EuclideanLoss")
def euclidean(canvas: Canvas) -> None:
    """The loss of one cell over the difference a − b. It grows with the square; the gradient is the difference itself,
    so a far number is pulled hard.
    """
    loss_curves(canvas, ("l", "da = a − b", "a − b"), (-3, 3), (0, 4.5), (-3, 3),
                [lambda v: one("EuclideanLoss", "ab", "da", a=[[v]], b=[[0]])], [],
                ([-2, -1, 0, 1, 2], [0, 0.5, 2, 4], [-2, -1, 0, 1, 2]))


@drawing("SmoothL1Loss")
def smooth_l1(canvas: Canvas) -> None:
    """The loss of one number over its difference d from the target, x − t. Near 0 it is a square, as in EuclideanLoss.
    Beyond 1 / σ² it is a straight line: the pull on a far number is 1, however far it is.
    """
    def with_sigma(sigma: float) -> Callable[[float], tuple[float, float]]:
        return lambda d: one("SmoothL1Loss", "xt", "dx", f"smooth_l1_loss_param {{ sigma: {sigma} }}", x=[[d]], t=[[0]])
    left, right = loss_curves(canvas, ("l", "l′", "d"), (-3, 3), (0, 3), (-1.2, 1.2),
                              [with_sigma(1), with_sigma(2)], [-1, -0.25, 0.25, 1],
                              ([-2, -1, 0, 1, 2], [0, 0.5, 1, 2], [-1, 0, 1]))
    notes(left, (1.75, 1.0, "σ = 1"), (0.7, 2.1, "σ = 2"))
    notes(right, (0.75, 0.35, "σ = 1"), (-1.5, 0.6, "σ = 2"))


@drawing("SigmoidCrossEntropyLoss")
def sigmoid_cross_entropy(canvas: Canvas) -> None:
    """The loss of one cell over its score x. With the target t = 1 a negative score is costly, with t = 0 a positive
    one. The gradient p − t stays between −1 and 1, however wrong the score is.
    """
    def with_target(t: float) -> Callable[[float], tuple[float, float]]:
        return lambda x: one("SigmoidCrossEntropyLoss", "xt", "dx", x=[[x]], t=[[t]])
    left, right = loss_curves(canvas, ("l", "∂l/∂x = p − t", "x"), (-5, 5), (0, 5), (-1.1, 1.1),
                              [with_target(1), with_target(0), with_target(0.5)], [],
                              ([-4, -2, 0, 2, 4], [0, 1, 2, 4], [-1, -0.5, 0, 0.5, 1]))
    notes(left, (-3.6, 4.4, "t = 1"), (2.2, 4.4, "t = 0"), (2.7, 0.9, "t = 0.5"))
    notes(right, (1.2, -0.42, "t = 1"), (-2.6, 0.42, "t = 0"), (1.9, 0.25, "t = 0.5"))


@drawing("HingeLoss")
def hinge(canvas: Canvas) -> None:
    """The part of the label's class in the loss, over its score: it costs nothing from the margin 1 on. For the other
    classes the curve is mirrored. L1 (solid) pulls with the same force everywhere, L2 (dashed) with a growing one.
    """
    def with_norm(norm: str) -> Callable[[float], tuple[float, float]]:
        return lambda x: one("HingeLoss", ["x", "label"], "dx", f"hinge_loss_param {{ norm: {norm} }}", x=[[x]],
                             label=[0])
    left, right = loss_curves(canvas, ("l, of class k alone", "dx[k]", "x[k]"), (-2, 3), (-0.3, 5), (-5, 1),
                              [with_norm("L1"), with_norm("L2")], [1],
                              ([-1, 0, 1, 2], [0, 1, 2, 4], [-4, -2, -1, 0]))
    notes(left, (-1.9, 2.3, "L1"), (-0.75, 4.2, "L2"), (1.1, 0.5, "margin"))
    notes(right, (-1.9, -0.5, "L1"), (-0.6, -3.9, "L2"))


@drawing("ContrastiveLoss")
def contrastive(canvas: Canvas) -> None:
    """The loss of one pair over the distance d of its features. A similar pair is pulled together. Others are pushed
    apart until they are as far as the margin m, here 2; legacy_version does it by the squared distance.
    """
    def pair(s: int, legacy: str = "") -> Callable[[float], tuple[float, float]]:
        param = f"contrastive_loss_param {{ margin: 2 {legacy} }}"
        return lambda d: one("ContrastiveLoss", "abs", "da", param, a=[[d]], b=[[0]], s=[s])
    left, right = loss_curves(canvas, ("l", "the gradient along d", "d"), (0, 3), (0, 3), (-2.2, 3),
                              [pair(1), pair(0), pair(0, "legacy_version: true")], [float(np.sqrt(2)), 2],
                              ([0, 1, 2], [0, 1, 2], [-2, -1, 0, 1, 2]))
    notes(left, (2.3, 1.9, "similar"), (0.25, 2.35, "not similar"), (0.1, 0.45, "legacy"), (2.05, 0.25, "m = 2"))
    notes(right, (1.0, 2.1, "similar"), (0.75, -1.8, "not similar"), (1.5, -1.25, "legacy"))


@drawing("MultinomialLogisticLoss")
def multinomial_logistic(canvas: Canvas) -> None:
    """The loss of one sample over the probability of its true class. Near 0 both the loss and the gradient grow without
    end, which is why SoftmaxWithLoss is the better one for scores.
    """
    loss_curves(canvas, ("l = −log p[k]", "dp[k] = −1 / p[k]", "p[k]"), (0.02, 1), (0, 4), (-20, 1),
                [lambda p: one("MultinomialLogisticLoss", ["p", "label"], "dp", p=[[p, 1 - p]], label=[0])], [0.2],
                ([0.1, 0.5, 1], [0, 0.69, 2.3], [-20, -10, -2, 0]))


@drawing("SoftmaxWithLoss")
def softmax_with_loss(canvas: Canvas) -> None:
    """Three scores become probabilities p; the lit class is the label k. The loss is −log of its probability. The
    gradient is p, less 1 at the label: it lifts the score of the label and lowers the others, and its sum is 0.
    """
    x, k = [0.0, 1.0, 2.0], 1
    ran = run('layer { type: "SoftmaxWithLoss" bottom: "x" bottom: "label" top: "L" }', x=[x], label=[k])
    p = run('layer { type: "Softmax" bottom: "x" top: "p" }', x=[x])["p"][0]
    places = ["c = 0", "c = 1", "c = 2"]
    kinds = _label_lit(k)
    canvas.text(6, 16, "x, scores", "mono strong")
    bars(canvas, 6, 120, x, places, wide=52, kinds=kinds, high=70)
    canvas.arrow((172, 80), (206, 80))
    canvas.text(224, 16, "p = softmax(x)", "mono strong")
    bars(canvas, 224, 120, p, places, wide=52, kinds=kinds, high=70)
    canvas.text(224, 162, f"l = −log p[{k}] = {number(float(ran['L']))}", "mono")
    canvas.text(450, 16, f"dx[c] = p[c] − [c = {k}]", "mono strong")
    bars(canvas, 450, 90, ran["dx"][0], places, wide=52, kinds=lambda i: "bar lit" if i == k else "bar diff", high=56)
    canvas.text(6, 162, f"label k = {k}", "mono")


@drawing("InfogainLoss")
def infogain(canvas: Canvas) -> None:
    """The label picks a row of H (lit). Its numbers weight −log p of every class; the loss is their sum. Here class 2
    also counts half where class 1 is the label, so a guess of 2 is punished less.
    """
    x, k = [0.0, 1.0, 2.0], 1
    h = np.array([[1, 0, 0], [0, 1, 0.5], [0, 0.5, 1]])
    ran = run('layer { type: "InfogainLoss" bottom: "x" bottom: "label" bottom: "H" top: "L" }', x=[x], label=[k], H=h)
    p = run('layer { type: "Softmax" bottom: "x" top: "p" }', x=[x])["p"][0]
    places, kinds = ["c = 0", "c = 1", "c = 2"], _label_lit(k)
    label = canvas.grid(6, 59, [k], "label", lit=[(0, 0)])
    grid = canvas.grid(78, 33, h, "H", lit=[(k, c) for c in range(3)], width=36)
    canvas.arrow((label.box.right + 4, label.box.y), (grid.box.left - 6, label.box.y))
    canvas.sign(grid.box.right + 22, grid.box.y, "·")
    canvas.text(232, 16, "−log p[c]", "mono strong")
    bars(canvas, 232, 120, -np.log(p), places, wide=52, kinds=kinds, high=70)
    terms = " + ".join(f"{number(a)}·{number(-np.log(b))}" for a, b in zip(h[k], p, strict=True) if a)
    canvas.text(78, 180, f"l = Σ H[{k}, c] · (−log p[c]) = {terms} = {number(float(ran['L']))}", "mono")
    canvas.text(450, 16, "dx[c] = p[c] · Σ H[k, j] − H[k, c]", "mono strong")
    bars(canvas, 450, 84, ran["dx"][0], places, wide=52, kinds=lambda i: "bar lit" if i == k else "bar diff", high=46)


def _label_lit(k: int) -> Callable[[int], str]:
    return lambda i: "bar lit" if i == k else "bar faint"


@drawing("Accuracy")
def accuracy(canvas: Canvas) -> None:
    """Four samples with three scores each; the lit bar is the true class. A sample is right where fewer than top_k
    other classes have a score as large as its own. A tie counts against it, as in the last sample.
    """
    x = np.array([[1, 7, 3], [6, 4, 5], [2, 1, 6], [5, 5, 1]])
    labels = [1, 2, 2, 0]
    layer = 'layer { type: "Accuracy" bottom: "x" bottom: "label" top: "A" accuracy_param { top_k: %d } }'
    right = {}
    for n, (scores, k) in enumerate(zip(x, labels, strict=True)):
        left = 6 + 172 * n
        canvas.text(left, 16, f"x[{n}], label {k}", "mono strong")
        bars(canvas, left, 116, scores, ["0", "1", "2"], wide=46, kinds=_label_lit(k), high=70, limit=7)
        for row, top_k in enumerate((1, 2)):
            right[n, top_k] = bool(run(layer % top_k, x=scores[None], label=[k])["A"])
            canvas.text(left, 158 + 20 * row, f"top_k {top_k}: {'✓ right' if right[n, top_k] else '✗ wrong'}",
                        "mono right" if right[n, top_k] else "mono wrong")
    for row, top_k in enumerate((1, 2)):
        got = float(run(layer % top_k, x=x, label=labels)["A"])
        canvas.text(6 + 340 * row, 212, f"top_k {top_k}: A = {sum(right[n, top_k] for n in range(4))}/4 = "
                    f"{number(got)}", "mono strong")
