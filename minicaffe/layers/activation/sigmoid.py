"""Sigmoid: squash every number into (0, 1)."""

import numpy as np

from minicaffe.layer import Elementwise, register


def sigmoid(x, out):
    """out = 1 / (1 + e^−x), written so that no x overflows; out may be x."""
    # tanh saturates at ±1 where e^−x would overflow:  σ(x) = tanh(x / 2) / 2 + 1 / 2
    np.multiply(x, 0.5, out=out)
    np.tanh(out, out=out)
    out *= 0.5
    out += 0.5
    return out


@register("Sigmoid")
class SigmoidLayer(Elementwise):
    """Squash every number into (0, 1), as a log-odds becomes a probability.

    Forward   y = 1 / (1 + e^−x)
    Backward  dx = dy · y · (1 − y)

    Bottom    x (any shape)
    Top       y, the shape of x
    Params    sigmoid_param: engine (accepted, without effect)
    In place  yes: backward reads y alone
    """

    message = "sigmoid_param"
    slope_from = "y"

    def value(self, x, y):
        sigmoid(x, out=y)

    def slope(self, y):
        return y * (1 - y)
