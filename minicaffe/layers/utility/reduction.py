"""Reduction: sum up the last axes, to make a loss or a statistic of any blob."""

import numpy as np

from minicaffe import kernels
from minicaffe.layer import Layer, register
from minicaffe.proto import ReductionParameter


@register("Reduction")
class ReductionLayer(Layer):
    """Reduce all axes from one on to a single number.

    Forward   SUM    y = c · Σ x
              ASUM   y = c · Σ |x|
              SUMSQ  y = c · Σ x²
              MEAN   y = c / D · Σ x   for D numbers x
    Backward  SUM    dx = c · dy
              ASUM   dx = c · dy · sign(x)
              SUMSQ  dx = c · dy · 2x
              MEAN   dx = c / D · dy
    Computed  kernels.row_sum: minicaffe/kernels/definitions/reduce.py

    Bottom    x (at least one axis)
    Top       y, the shape of x up to `axis`: a scalar for axis 0
    Params    reduction_param: operation (SUM), axis (negative ones count from the end, 0), coeff=c (1)
    In place  no: the top has a shape of its own
    Errors    LayerError when axis is out of range
    """

    message = "reduction_param"
    param: ReductionParameter

    def reshape(self, bottom, top):
        x, p = bottom[0], self.param
        axis = self.axis_of(x)
        self.sizes = x.count_between(0, axis), x.count_between(axis)
        # max: of no numbers at all the mean is 0, not 0 / 0
        self.c = p.coeff / max(self.sizes[1], 1) if p.operation == p.MEAN else p.coeff
        top[0].reshape(x.shape[:axis])

    def forward(self, bottom, top):
        x, y, p = bottom[0].data.reshape(self.sizes), top[0].data.reshape(-1), self.param
        if p.operation == p.ASUM:
            x = np.abs(x)
        elif p.operation == p.SUMSQ:
            x = np.square(x)
        kernels.row_sum(x, out=y)
        y *= self.c

    def backward(self, top, propagate_down, bottom):
        if not propagate_down[0]:
            return
        p, x, dx = self.param, bottom[0].data.reshape(self.sizes), bottom[0].diff.reshape(self.sizes)
        dy = top[0].diff.reshape(-1, 1)
        t = self.c * dy
        if p.operation == p.ASUM:
            np.multiply(np.sign(x), t, out=dx)
        elif p.operation == p.SUMSQ:
            np.multiply(x, 2 * t, out=dx)
        else:
            dx[...] = t
