"""Absolute value: drop every sign."""

import numpy as np

from minicaffe import kernels
from minicaffe.layer import Elementwise, register


@register("AbsVal")
class AbsValLayer(Elementwise):
    """Take the absolute value of every number.

    Forward   y = |x|
    Backward  dx = dy · sign(x),  0 where x = 0
    Computed  kernels.absolute: minicaffe/kernels/definitions/maps.py;
              Elementwise: minicaffe/layer/bases.py

    Bottom    x (any shape)
    Top       y, the shape of x
    In place  yes: backward needs x, so a copy is kept
    """

    slope_from = "x"
    recordable = True

    def value(self, x, y):
        kernels.absolute(x, y)

    def slope(self, x):
        return np.sign(x)
