"""Logarithm of any base."""

import numpy as np

from minicaffe.layer import Elementwise, register
from minicaffe.layers.activation.exp import log_of_base
from minicaffe.log import number
from minicaffe.proto import LogParameter


@register("Log")
class LogLayer(Elementwise):
    """Take the logarithm of a linear function of every number.

    Forward   t = s · x + b,  y = ln t / ln g
    Backward  dx = dy · s / (ln g · t)
    Computed  Elementwise: minicaffe/layer/bases.py

    Bottom    x (any shape)
    Top       y, the shape of x; −∞ where t = 0, not a number where t < 0
    Params    log_param: base=g (-1 means e, -1), scale=s (1), shift=b (0)
    In place  yes: backward needs x, so a copy is kept
    Errors    LayerError when base is neither −1 nor positive and finite, or is 1
    """

    message = "log_param"
    param: LogParameter
    slope_from = "x"

    def setup(self, bottom, top):
        self.ln_g = log_of_base(self)
        self.check(self.ln_g != 0, "base", "must not be 1, to which no logarithm exists")
        self.s, self.b = self.param.scale, self.param.shift

    def value(self, x, y):
        np.multiply(x, self.s, out=y)
        y += self.b
        np.log(y, out=y)
        y *= 1 / self.ln_g

    def slope(self, x):
        return self.s / self.ln_g / (self.s * x + self.b)

    def numbers_for(self, j, bottom, draw):
        return (draw.uniform(0.5, 2, bottom[0].shape) - self.b) / self.s if self.s else None

    def why_not_finite(self, bottom):
        least = float(np.min(bottom[0].data * self.s + self.b))
        return "" if least > 0 else (f"log of {number(least)}: scale · x + shift must stay above 0; set a small "
                                     f"log_param.shift (it is {number(self.b)})")
