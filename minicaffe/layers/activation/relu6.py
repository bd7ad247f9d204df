"""ReLU6: set negative numbers to 0, and numbers above 6 to 6."""

import math

from minicaffe import kernels
from minicaffe.layer import Elementwise, register
from minicaffe.proto import ReLU6Parameter


@register("ReLU6")
class ReLU6Layer(Elementwise):
    """Keep numbers from 0 to 6; the others become the nearer end, or pass by a small slope below 0.

    MobileNets use it, because numbers with a known end are easier to keep in a few bits.

    Forward   y = min(max(x, 0) + α · min(x, 0), 6)
    Backward  dx = dy where 0 < x < 6; dx = α · dy where x ≤ 0 and α · x < 6; else 0
    Computed  kernels.relu: minicaffe/kernels/definitions/elementwise.py;
              kernels.clip: minicaffe/kernels/definitions/maps.py;
              Elementwise: minicaffe/layer/bases.py

    Bottom    x (any shape)
    Top       y, the shape of x
    Params    relu6_param: negative_slope=α (0), engine (accepted, without effect, DEFAULT)
              relu_param: negative_slope (α, where relu6_param is not given, 0), engine (accepted, without effect,
              DEFAULT)
    In place  yes: backward needs x, so a copy is kept
    Errors    LayerError when both messages are given and their slopes differ
    Derived   docs/maths/activation.md#relu
    See       Howard et al., 2017 (MobileNet). eric612's fork reads α; jolibrain's has no field, so α is 0 there. Some
              nets have relu_param in such a layer
    """

    message = "relu6_param"
    also_reads = ("relu_param",)
    param: ReLU6Parameter
    slope_from = "x"
    recordable = True

    def setup(self, bottom, top):
        p, other = self.layer_param, self.layer_param.relu_param.negative_slope
        self.alpha = self.param.negative_slope if p.HasField("relu6_param") else other
        if p.HasField("relu_param"):
            self.check(other == self.alpha, ".relu_param.negative_slope",
                       f"must be that of relu6_param, {self.alpha:g}, or not be given")

    def value(self, x, y):
        if self.alpha:
            kernels.relu(x, self.alpha, None, y)
            kernels.clip(y, -math.inf, 6, y)
        else:
            kernels.clip(x, 0, 6, y)

    def slope(self, x):
        below = x <= 0
        return (~below & (x < 6)) + self.alpha * (below & (self.alpha * x < 6))
