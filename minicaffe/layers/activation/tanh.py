"""Hyperbolic tangent: squash every number into (−1, 1)."""

from minicaffe import kernels
from minicaffe.layer import Elementwise, register
from minicaffe.proto import TanHParameter


@register("TanH")
class TanHLayer(Elementwise):
    """Squash every number into (−1, 1), keeping its sign.

    Forward   y = tanh(x)
    Backward  dx = dy · (1 − y²)
    Computed  kernels.tanh: minicaffe/kernels/definitions/maps.py;
              Elementwise: minicaffe/layer/bases.py

    Bottom    x (any shape)
    Top       y, the shape of x
    Params    tanh_param: engine (accepted, without effect, DEFAULT)
    In place  yes: backward reads y alone
    Derived   docs/maths/activation.md#tanh
    """

    message = "tanh_param"
    param: TanHParameter
    slope_from = "y"
    recordable = True

    def value(self, x, y):
        kernels.tanh(x, y)

    def slope(self, y):
        return 1 - y * y
