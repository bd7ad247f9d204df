"""Exponential linear unit: a rectifier whose negative side bends towards a floor."""

import numpy as np

from minicaffe import kernels
from minicaffe.layer import Elementwise, register
from minicaffe.proto import ELUParameter


@register("ELU")
class ELULayer(Elementwise):
    """Keep positive numbers; bend negative ones towards −α, so that the mean stays near 0.

    Forward   y = x where x > 0, else α · (e^x − 1)
    Backward  dx = dy where x > 0, else dy · α · e^x
    Computed  kernels.elu: minicaffe/kernels/definitions/maps.py;
              Elementwise: minicaffe/layer/bases.py

    Bottom    x (any shape)
    Top       y, the shape of x
    Params    elu_param: alpha=α (1)
    In place  yes: backward needs x, so a copy is kept
    See       Clevert et al., ICLR 2016
    """

    message = "elu_param"
    param: ELUParameter
    slope_from = "x"
    recordable = True

    def setup(self, bottom, top):
        self.alpha = self.param.alpha

    def value(self, x, y):
        kernels.elu(x, self.alpha, y)

    def slope(self, x):
        # np.where computes both sides everywhere; e^x of a large x would overflow
        return np.where(x > 0, 1, self.alpha * np.exp(np.minimum(x, 0)))
