"""Sigmoid cross entropy of one cell: four versions in float32 that fail somewhere, and the truth in float64.

x is the score, t the target, l the loss, and `slope` is ∂l/∂x. The page shows the code of the versions from here.
The fifth version is the layer itself (`layer_values`).
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from minicaffe import Blob
from minicaffe.layer import layer_class

Formula = Callable[[np.ndarray, np.ndarray], np.ndarray]
TYPE = "SigmoidCrossEntropyLoss"


def exp(a: np.ndarray) -> np.ndarray:
    """Return exp(a) in float32, rounded from float64: the last digit is the same on every machine."""
    return np.exp(np.asarray(a, np.float64)).astype(np.float32)


def log(a: np.ndarray) -> np.ndarray:
    """Return log(a) in float32, rounded from float64."""
    return np.log(np.asarray(a, np.float64)).astype(np.float32)


def tanh(a: np.ndarray) -> np.ndarray:
    """Return tanh(a) in float32, rounded from float64."""
    return np.tanh(np.asarray(a, np.float64)).astype(np.float32)


# --- the versions that fail -------------------------------------------------------------------------------------------

def loss_1(x, t):
    p = 1 / (1 + exp(-x))
    yes = -t * log(p)
    no = -(1 - t) * log(1 - p)
    return yes + no


def slope_1(x, t):
    p = 1 / (1 + exp(-x))
    dp = (1 - t) / (1 - p) - t / p
    return dp * p * (1 - p)


LOW, HIGH = np.float32(1e-7), np.float32(1 - 1e-7)


def loss_2(x, t):
    p = 1 / (1 + exp(-x))
    p = np.clip(p, LOW, HIGH)
    yes = -t * log(p)
    no = -(1 - t) * log(1 - p)
    return yes + no


def slope_2(x, t):
    p = 1 / (1 + exp(-x))
    kept = p == np.clip(p, LOW, HIGH)
    return (p - t) * kept


def loss_3(x, t):
    u = exp(-x)
    d = 1 - t
    return d * x + log(1 + u)


def slope_3(x, t):
    u = exp(-x)
    return (1 - t) - u / (1 + u)


def loss_4(x, t):
    yes = x >= 0
    u = exp(x - 2 * x * yes)
    return -(x * (t - yes)
             - log(1 + u))


def slope_4(x, t):
    p = tanh(x / 2) / 2 + 0.5
    return p - t


VERSIONS: list[tuple[Formula, Formula]] = [(loss_1, slope_1), (loss_2, slope_2), (loss_3, slope_3), (loss_4, slope_4)]


# --- the truth --------------------------------------------------------------------------------------------------------

def true_loss(x: np.ndarray, t: np.ndarray) -> np.ndarray:
    """Return l of finite float64 scores.

    Both terms are at least 0 for 0 ≤ t ≤ 1, so nothing cancels, and every step is exact to a last digit of float64.
    """
    return ((x >= 0) - t) * x + np.log1p(np.exp(-np.abs(x)))


def true_slope(x: np.ndarray, t: np.ndarray) -> np.ndarray:
    """Return ∂l/∂x of finite float64 scores. Digits cancel only where the slope passes through 0."""
    u = np.exp(-np.abs(x))
    return ((x >= 0) - t) - np.where(x >= 0, 1, -1) * u / (1 + u)


def true_values(x: np.ndarray, t: np.ndarray, w: np.ndarray, gamma: float) -> tuple[np.ndarray, np.ndarray]:
    """Return w · l and its slope in float64; at x = ±∞ their limits."""
    x, t, w = (np.asarray(a, np.float64) for a in (x, t, w))
    finite = np.isfinite(x)
    loss, slope = with_gamma(true_loss, true_slope, np.where(finite, x, 0), t, gamma)
    wrong_side = np.where(x > 0, 1 - t, t)  # how far the answer "surely yes" or "surely no" is from the target
    loss = np.where(finite, loss, np.where(wrong_side > 0, math.inf, 0))
    slope = np.where(finite, slope, np.sign(x) * wrong_side)
    return np.multiply(w, loss, where=w > 0, out=np.zeros_like(loss)), w * slope


# --- focal exponent, weight, and the layer ----------------------------------------------------------------------------

def with_gamma(loss: Formula, slope: Formula, x: np.ndarray, t: np.ndarray,
               gamma: float) -> tuple[np.ndarray, np.ndarray]:
    """Return l and its slope with the focal exponent γ, from a version's own numbers.

    −log p is the version's loss l1 for t = 1, and −log(1 − p) its loss l0 for t = 0. So the focal loss
    −t · (1 − p)^γ · log p − (1 − t) · p^γ · log(1 − p) is t · exp(−γ · l0) · l1 + (1 − t) · exp(−γ · l1) · l0.
    """
    if gamma == 0:
        return loss(x, t), slope(x, t)
    yes, no, of = np.ones_like(x), np.zeros_like(x), exp if x.dtype == np.float32 else np.exp
    g = x.dtype.type(gamma)
    l1, l0, s1, s0 = loss(x, yes), loss(x, no), slope(x, yes), slope(x, no)
    on_yes, on_no = of(-g * l0), of(-g * l1)
    return (t * on_yes * l1 + (1 - t) * on_no * l0,
            t * on_yes * (s1 - g * s0 * l1) + (1 - t) * on_no * (s0 - g * s1 * l0))


def version_values(number: int, x: np.ndarray, t: np.ndarray, w: np.ndarray,
                   gamma: float) -> tuple[np.ndarray, np.ndarray]:
    """Return w · l and its slope by one of the versions 1 to 5, in float32; the arrays are flat, and of one size."""
    if number == 5:
        return layer_values(x, t, w, gamma)
    with np.errstate(all="ignore"):  # what goes wrong is what the page shows
        loss, slope = with_gamma(*VERSIONS[number - 1], x, t, gamma)
        return w * loss, w * slope


def layer_values(x: np.ndarray, t: np.ndarray, w: np.ndarray, gamma: float) -> tuple[np.ndarray, np.ndarray]:
    """Return w · l and its slope as the layer computes them."""
    run = Layer(x[:, None], t[:, None], w[:, None], normalization="NONE", focal_gamma=gamma)
    return run.costs.reshape(-1), run.dx.reshape(-1)


class Layer:
    """What the layer SigmoidCrossEntropyLoss says of a batch, in float32.

    loss    L, one number
    costs   w · l of each cell
    dx      the gradient of L
    Z       what the sum of the costs is divided by
    """

    def __init__(self, x, t, w=None, **loss_param):
        bottoms = [Blob(np.shape(a)) for a in (x, t, w) if a is not None]
        for blob, values in zip(bottoms, (x, t, w), strict=False):
            blob.data[...] = values
        tops = [Blob(()), Blob(np.shape(x))]
        layer = layer_class(TYPE)(loss_param=loss_param)
        layer.SetUp(bottoms, tops)
        with np.errstate(all="ignore"):  # infinite scores
            self.loss = float(layer.Forward(bottoms, tops))
            layer.Backward(tops, [True] + [False] * (len(bottoms) - 1), bottoms)
        self.costs, self.dx, self.Z = tops[1].data.copy(), bottoms[0].diff.copy(), float(layer.z)
