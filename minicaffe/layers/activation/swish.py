"""Swish: multiply every number by its own sigmoid."""

import numpy as np

from minicaffe import kernels
from minicaffe.layer import Elementwise, register
from minicaffe.proto import SwishParameter


@register("Swish")
class SwishLayer(Elementwise):
    """Gate every number with its own sigmoid: near 0 for very negative ones, near x for large ones.

    Forward   s = 1 / (1 + e^−βx),  y = x · s
    Backward  dx = dy · s · (1 + βx · (1 − s))
    Computed  kernels.sigmoid: minicaffe/kernels/definitions/maps.py;
              Elementwise: minicaffe/layer/bases.py

    Bottom    x (any shape)
    Top       y, the shape of x
    Params    swish_param: beta=β (1)
    In place  yes: backward needs x, so a copy is kept
    See       Ramachandran et al., arXiv 1710.05941, 2017
    """

    message = "swish_param"
    param: SwishParameter
    slope_from = "x"

    def setup(self, bottom, top):
        self.beta = self.param.beta

    def value(self, x, y):
        np.multiply(x, self._gate(x), out=y)

    def slope(self, x):
        s = self._gate(x)
        return s * (1 + self.beta * x * (1 - s))

    def _gate(self, x):
        """Return s = 1 / (1 + e^−βx)."""
        s = np.multiply(x, self.beta, out=np.empty_like(x))  # without out, numpy returns no array for a scalar
        kernels.sigmoid(s, s)
        return s
