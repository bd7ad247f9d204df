"""Exponential function of any base; Log takes its base from here, too."""

import math

import numpy as np

from minicaffe import kernels
from minicaffe.layer import Elementwise, register
from minicaffe.log import number
from minicaffe.proto import ExpParameter


def log_of_base(layer):
    """Return ln of the layer's `base`: exactly 1 for −1, which means e. Raise LayerError if it has no logarithm."""
    base = layer.param.base
    layer.check(base == -1 or 0 < base < math.inf, "base", "must be above 0 and finite, or -1 for e")
    return 1.0 if base == -1 else math.log(base)


@register("Exp")
class ExpLayer(Elementwise):
    """Raise a base to a linear function of every number.

    Forward   y = g^(s · x + b) = e^(ln g · (s · x + b))
    Backward  dx = dy · y · s · ln g
    Computed  kernels.exponential: minicaffe/kernels/definitions/maps.py;
              Elementwise: minicaffe/layer/bases.py

    Bottom    x (any shape)
    Top       y, the shape of x
    Params    exp_param: base=g (-1 means e, -1), scale=s (1), shift=b (0)
    In place  yes: backward reads y alone
    Errors    LayerError when base is neither −1 nor positive and finite
    """

    message = "exp_param"
    param: ExpParameter
    slope_from = "y"
    recordable = True

    def setup(self, bottom, top):
        self.ln_g = log_of_base(self)
        self.s, self.b = self.param.scale, self.param.shift

    def value(self, x, y):
        kernels.exponential(x, self.ln_g * self.s, self.ln_g * self.b, y)

    def slope(self, y):
        return y * (self.ln_g * self.s)

    def why_not_finite(self, bottom):
        return (f"the exponential is too large for the number type: x gets up to "
                f"{number(float(np.max(bottom[0].data)))}; set exp_param.scale and shift, or bound what comes before")
