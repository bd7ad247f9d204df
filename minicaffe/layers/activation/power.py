"""Power: shift, scale and raise every number to one exponent."""

import numpy as np

from minicaffe import kernels
from minicaffe.layer import Elementwise, register
from minicaffe.log import number
from minicaffe.proto import PowerParameter


@register("Power")
class PowerLayer(Elementwise):
    """Raise a linear function of every number to a fixed power.

    Forward   t = s · x + b,  y = t^p
              y = b^p where p · s = 0, whatever x is
    Backward  dx = dy · p · s · y / t
              dx = dy · s where p = 1;  dx = dy · 2 · s · t where p = 2;  dx = 0 where p · s = 0
    Computed  kernels.linear: minicaffe/kernels/definitions/maps.py;
              Elementwise: minicaffe/layer/bases.py

    Bottom    x (any shape)
    Top       y, the shape of x; not a number where t < 0 and p is no whole number
    Params    power_param: power=p (1), scale=s (1), shift=b (0)
    In place  yes: backward needs x, so a copy is kept
    """

    message = "power_param"
    param: PowerParameter
    slope_from = "x"

    def setup(self, bottom, top):
        self.p, self.s, self.b = self.param.power, self.param.scale, self.param.shift

    def reshape(self, bottom, top):
        # a linear function is one call of a kernel, which can be recorded; other powers are computed by numpy
        super().reshape(bottom, top)
        self.recordable = self.p == 1 and self.s != 0 and not self._keeps_x

    def value(self, x, y):
        if self.p * self.s == 0:
            y.fill(self.b)  # not 0 · x + b, which is no number where x is infinite
        else:
            kernels.linear(x, self.s, self.b, y)  # t = s · x + b, in the memory of y
        if self.p != 1:
            _raise(y, self.p)

    def slope(self, x):
        if self.p * self.s == 0 or self.p == 1:
            return self.p * self.s  # dx = dy · s where p = 1, or 0
        t = np.empty_like(x)
        kernels.linear(x, self.s, self.b, t)
        if self.p == 2:
            t *= 2 * self.s  # dx = dy · 2 · s · t
            return t
        # Caffe: y / t, not t^(p − 1), so the gradient at t = 0 is not a number, even for p = 3
        slope = t.copy()
        _raise(slope, self.p)
        slope /= t
        slope *= self.p * self.s
        return slope

    def numbers_for(self, j, bottom, draw):
        if not self.s or self.p in (1, 2):
            return None
        return (draw.uniform(0.5, 2, bottom[0].shape) - self.b) / self.s

    def why_not_finite(self, bottom):
        p, t = self.p, bottom[0].data * self.s + self.b
        if p < 0 and np.any(t == 0):
            return (f"division by 0: power_param.power is {number(p)} and scale · x + shift is 0 somewhere; set a "
                    "small shift")
        if not p.is_integer() and np.any(t < 0):
            return (f"a negative number to the power {number(p)}: scale · x + shift gets down to "
                    f"{number(float(np.min(t)))}")
        if 0 < p < 1 and np.any(t == 0):
            return (f"the slope of x to the power {number(p)} is infinite at 0, where scale · x + shift is; set a "
                    "small shift")
        return ""


def _raise(t, p):
    """Raise numbers to a power, in place."""
    lowest = np.isneginf(t) if p == 0.5 else None
    t **= p
    if lowest is not None:
        t[lowest] = np.inf  # Caffe: pow gives +∞ for −∞, and numpy's root gives NaN
