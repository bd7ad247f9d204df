"""A layer of one's own: softsign, a gentler tanh."""

import numpy as np

from minicaffe import register
from minicaffe.layer import Elementwise


@register("Softsign")  # only for `type: "Softsign"`: `type: "Python"` finds the class by its name
class SoftsignLayer(Elementwise):
    """Squash every number into (−1, 1), slowly.

    Forward   y = x / (1 + |x|)
    Backward  dx = dy · (1 − |y|)²

    Bottom    x (any shape)
    Top       y, the shape of x
    In place  yes: backward reads y alone
    """

    slope_from = "y"

    def value(self, x, y):
        np.divide(x, 1 + np.abs(x), out=y)

    def slope(self, y):
        return (1 - np.abs(y)) ** 2
