"""Rectified linear unit: set negative numbers to 0."""

from minicaffe import kernels
from minicaffe.layer import Layer, register
from minicaffe.proto import ReLUParameter


@register("ReLU")
class ReLULayer(Layer):
    """Keep positive numbers; set the others to 0, or scale them by a small slope.

    Forward   y = max(x, 0) + α · min(x, 0)
    Backward  dx = dy where x > 0, else α · dy
    Computed  kernels.relu, kernels.relu_grad: minicaffe/kernels/definitions/elementwise.py

    Bottom    x (any shape)
    Top       y, the shape of x
    Params    relu_param: negative_slope=α (0), engine (accepted, without effect, DEFAULT)
    In place  yes: forward remembers where x > 0, and backward reads nothing else
    Derived   docs/maths/activation.md#relu
    See       Nair and Hinton, ICML 2010; Maas et al., ICML 2013, for α ≠ 0
    """

    message = "relu_param"
    param: ReLUParameter
    in_place = True
    backward_reads = ()
    recordable = recordable_backward = True

    def setup(self, bottom, top):
        self.alpha = self.param.negative_slope

    def reshape(self, bottom, top):
        top[0].reshape_like(bottom[0])
        if self.runs_backward:
            self.positive = self.scratch(bottom[0].shape, bool)

    def forward(self, bottom, top):
        x, y = bottom[0].data, top[0].data
        # backward cannot look at x itself, which is overwritten where this layer or a later one runs in place
        positive = self.positive if self.runs_backward else None
        kernels.relu(x, self.alpha, positive, y)

    def backward(self, top, propagate_down, bottom):
        if propagate_down[0]:
            dy, dx = top[0].diff, bottom[0].diff
            kernels.relu_grad(dy, self.alpha, self.positive, dx)
