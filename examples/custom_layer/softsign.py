"""A layer of your own: softsign, a function similar to tanh."""

import numpy as np

from minicaffe import register
from minicaffe.layer import Elementwise


@register("Softsign")  # needed for `type: "Softsign"` only: `type: "Python"` names the module and the class
class SoftsignLayer(Elementwise):
    """Squash every number into (−1, 1). Large numbers come close to ±1 more slowly than with TanH.

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
