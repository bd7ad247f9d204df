"""Power: shift, scale and raise every number to one exponent."""

import numpy as np

from minicaffe import kernels
from minicaffe.layer import Elementwise, register


@register("Power")
class PowerLayer(Elementwise):
    """Raise a linear function of every number to a fixed power.

    Forward   t = s · x + b,  y = t^p
    Backward  dx = dy · p · s · y / t
              dx = dy · s where p = 1;  dy · 2 · s · t where p = 2;  0 where p · s = 0

    Bottom    x (any shape)
    Top       y, the shape of x; not a number where t < 0 and p is no whole number
    Params    power_param: power=p, scale=s, shift=b
    In place  yes: backward needs x, so a copy is kept
    """

    message = "power_param"
    slope_from = "x"

    def setup(self, bottom, top):
        self.p, self.s, self.b = self.param.power, self.param.scale, self.param.shift

    def reshape(self, bottom, top):
        # a linear function is one kernel, so it can be recorded; another power is computed here
        super().reshape(bottom, top)
        self.replays = self.p == 1 and self.s != 0 and not self._keeps_x

    def value(self, x, y):
        if self.p * self.s == 0:
            y.fill(self.b)  # whatever x is, infinite included
        else:
            kernels.linear(x, self.s, self.b, y)
        if self.p != 1:
            y **= self.p

    def slope(self, x):
        if self.p * self.s == 0 or self.p == 1:
            return self.p * self.s
        t = np.empty_like(x)
        kernels.linear(x, self.s, self.b, t)
        if self.p == 2:
            t *= 2 * self.s
            return t
        # Caffe: y / t, not t^(p − 1), so the gradient at t = 0 is not a number, even for p = 3
        slope = t ** self.p
        slope /= t
        slope *= self.p * self.s
        return slope
