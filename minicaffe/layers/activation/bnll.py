"""Binomial normal log likelihood: a rectifier with a smooth corner, better known as softplus."""

import numpy as np

from minicaffe.layer import Elementwise, register

LARGE = 50  # from here on e^x / (e^x + 1) is 1 in double precision too


@register("BNLL")
class BNLLLayer(Elementwise):
    """Rectify every number smoothly: near 0 for very negative ones, near x for large ones.

    Forward   y = ln(1 + e^x)
              computed as max(x, 0) + ln(1 + e^−|x|), which cannot overflow
    Backward  dx = dy · e^x / (e^x + 1)
    Computed  Elementwise: minicaffe/layer/bases.py

    Bottom    x (any shape)
    Top       y, the shape of x
    In place  yes: backward needs x, so a copy is kept
    """

    slope_from = "x"

    def value(self, x, y):
        tail = np.abs(x, out=np.empty_like(x))  # without out, numpy returns no array for a scalar
        np.exp(np.negative(tail, out=tail), out=tail)
        np.log1p(tail, out=tail)
        np.maximum(x, 0, out=y)
        y += tail

    def slope(self, x):
        e = np.exp(np.minimum(x, LARGE))
        return e / (e + 1)
