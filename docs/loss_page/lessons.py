"""The numbers of the two lower parts of docs/loss.html: the four divisors, and the three slips of the seed.

The seed is the text that minicaffe began from. The layer computes all numbers.
"""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np

from loss_page.grid import numbers
from loss_page.versions import Layer, loss_3
from minicaffe import TRAIN, Net
from minicaffe.proto import NetParameter
from minicaffe.proto.text import parse

MODES = ("FULL", "VALID", "BATCH_SIZE", "NONE")
X = ((0, 2, -1), (1, 0, -2))  # two samples of three questions each: the example of docs/maths/loss.md
UNKNOWN = 1, 1  # the cell whose target is −1 where it is ignored, and 1 where it is known


def divisors() -> dict[str, Any]:
    """Return the example of the four divisors: {x, cases: {"ignored,weighted": {t, w, costs, modes: {mode: ...}}}}."""
    cases = {}
    for ignored, weighted in itertools.product((0, 1), repeat=2):
        t = np.array([[1, 1, 0], [0, -1 if ignored else 1, 1]], np.float32)
        w = np.array([[1], [3]], np.float32) if weighted else None
        ran = {mode: Layer(X, t, w, normalization=mode, ignore_label=-1) for mode in MODES}
        cases[f"{ignored},{weighted}"] = {
            "t": t.astype(int).tolist(), "w": [1, 3] if weighted else [1, 1],
            "costs": rows(ran["NONE"].costs), "sum": numbers([ran["NONE"].loss])[0],
            "modes": {mode: {"Z": int(layer.Z), "L": numbers([layer.loss])[0], "dx": rows(layer.dx)}
                      for mode, layer in ran.items()}}
    return {"x": X, "unknown": UNKNOWN, "cases": cases}


def rows(values: np.ndarray) -> list[list]:
    return [numbers(row, 4) for row in values]


# --- the three slips --------------------------------------------------------------------------------------------------

NET = """
layer { name: "in" type: "Input" top: "x" top: "y" input_param { shape { dim: 1 dim: 2 } shape { dim: 1 dim: 1 } } }
layer { name: "theta" type: "InnerProduct" bottom: "x" top: "s" inner_product_param { num_output: 1 bias_term: false } }
layer { name: "loss" type: "SigmoidCrossEntropyLoss" bottom: "s" bottom: "y" top: "J" }
"""
STEP = 0.01  # to each side, for difference quotients
SMALL_STEP = 0.001  # in float64


def slips() -> dict[str, str]:
    """Return the numbers that prove the slips, by the names that words.yaml uses."""
    return {name: number if isinstance(number, str) else f"{number:.4f}".replace("-", "−")
            for part in (sign(), factor(), letter()) for name, number in part.items()}


def sign() -> dict[str, Any]:
    """The gradient of one cell, x = 2 and y = 1, and what descent makes of it and of its negative."""
    low, high, (cost, dx) = (cell(x, 1) for x in (2 - STEP, 2 + STEP, 2))
    return {"low": low[0], "high": high[0], "quotient": (high[0] - low[0]) / (2 * STEP), "dx": dx, "minus_dx": -dx,
            "cost": cost, "down": descent(1), "up": descent(-1)}


def cell(x: float, y: float) -> tuple[float, float]:
    """Return the loss and the gradient of one cell."""
    layer = Layer([[x]], [[y]])
    return layer.loss, float(layer.dx[0, 0])


def descent(sign: int) -> str:
    """Return the losses of five steps of gradient descent from the score −1, with this sign of the gradient."""
    x, costs = -1.0, []
    for _ in range(5):
        cost, dx = cell(x, 1)
        costs.append(f"{cost:.3f}")
        x -= sign * dx
    return " → ".join(costs)


def factor() -> dict[str, Any]:
    """The gradient with respect to θ at θ = (0.5, −1), for the features (3, 2)."""
    theta = np.array([0.5, -1])
    _, d_score, d_theta = logistic(theta, (3, 2), 1)
    losses = [logistic(theta + np.array([change, 0]), (3, 2), 1)[0] for change in (SMALL_STEP, -SMALL_STEP)]
    return {"d_score": d_score, "d_theta_0": d_theta[0], "d_theta_1": d_theta[1],
            "theta_quotient": (losses[0] - losses[1]) / (2 * SMALL_STEP)}


def letter() -> dict[str, Any]:
    """A score of −100 although both features are above 0."""
    score = np.float32([-100])
    with np.errstate(over="ignore"):
        wrong = float(loss_3(score, np.float32([1]))[0])
    right, _, _ = logistic(np.array([-60, -20]), (1, 2), 1)
    return {"far_loss": f"{right:.4g}", "far_wrong": str(wrong).replace("inf", "∞")}


def logistic(theta: np.ndarray, features: tuple[float, float], y: float) -> tuple[float, float, np.ndarray]:
    """Return J of logistic regression on one sample, and its gradients with respect to the score and to θ.

    A net computes them in float64: in float32 the last digit of a difference quotient would depend on the machine.
    """
    net = Net(parse(NET, NetParameter()), TRAIN, dtype=np.float64)
    net.params["theta"][0].data[...] = theta
    net.blobs["x"].data[...], net.blobs["y"].data[...] = features, y
    net.forward()
    net.backward()
    return float(net.blobs["J"].data), float(net.blobs["s"].diff[0, 0]), net.params["theta"][0].diff.reshape(-1)
