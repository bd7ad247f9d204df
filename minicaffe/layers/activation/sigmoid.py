"""Sigmoid: squash every number into (0, 1)."""

from minicaffe import kernels
from minicaffe.layer import Elementwise, register
from minicaffe.proto import SigmoidParameter


@register("Sigmoid")
class SigmoidLayer(Elementwise):
    """Squash every number into (0, 1), as a log-odds becomes a probability.

    Forward   y = 1 / (1 + e^−x)
    Backward  dx = dy · y · (1 − y)
    Computed  kernels.sigmoid: minicaffe/kernels/definitions/maps.py;
              Elementwise: minicaffe/layer/bases.py

    Bottom    x (any shape)
    Top       y, the shape of x
    Params    sigmoid_param: engine (accepted, without effect, DEFAULT)
    In place  yes: backward reads y alone
    Derived   docs/maths/activation.md#sigmoid
    """

    message = "sigmoid_param"
    param: SigmoidParameter
    slope_from = "y"
    recordable = True
    decides = "yes or no"

    def value(self, x, y):
        kernels.sigmoid(x, y)

    def slope(self, y):
        return y * (1 - y)
