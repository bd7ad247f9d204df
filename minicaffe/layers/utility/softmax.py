"""Softmax: scores become probabilities that add up to one."""

from minicaffe import kernels
from minicaffe.layer import Layer, register
from minicaffe.proto import SoftmaxParameter


@register("Softmax")
class SoftmaxLayer(Layer):
    """Turn the scores along one axis into probabilities: positive, and one in sum.

    Forward   y[c] = exp(x[c] / t) / Σ exp(x[j] / t)   (computed from x − max x, so nothing overflows)
    Backward  dx[c] = y[c] · (dy[c] − Σ dy[j] · y[j]) / t
    where c and j run over the places along `axis`
    Computed  kernels.linear: minicaffe/kernels/definitions/maps.py;
              kernels.softmax, kernels.softmax_grad: minicaffe/kernels/definitions/softmax.py

    Bottom    x (any shape)
    Top       y, the shape of x
    Params    softmax_param: axis (1), engine (accepted, without effect, DEFAULT), scaling_temperature=t
              (jolibrain's fork, 1)
    In place  yes: backward reads y alone
    Errors    LayerError when x has no such axis or t is not positive
    Derived   docs/maths/loss.md#softmax
    See       jolibrain's fork leaves the division by t out of dx
    """

    message = "softmax_param"
    param: SoftmaxParameter
    ignores = ("loss_param",)  # stays behind where a deploy net was made from a training net's SoftmaxWithLoss
    fork_fields = ("scaling_temperature",)
    in_place = True
    backward_reads = ("top",)
    recordable = recordable_backward = True
    decides = "one class"

    def setup(self, bottom, top):
        self.t = self.param.scaling_temperature
        self.check(self.t > 0, "scaling_temperature", "must be positive")

    def reshape(self, bottom, top):
        x = bottom[0]
        self.axis = self.axis_of(x)
        top[0].reshape_like(x)

    def forward(self, bottom, top):
        x, y = bottom[0].data, top[0].data
        if self.t != 1:
            kernels.linear(x, 1 / self.t, 0.0, y)
            x = y
        kernels.softmax(x, self.axis, out=y)

    def backward(self, top, propagate_down, bottom):
        if not propagate_down[0]:
            return
        dx = bottom[0].diff
        kernels.softmax_grad(top[0].data, top[0].diff, self.axis, out=dx)
        if self.t != 1:
            kernels.linear(dx, 1 / self.t, 0.0, dx)
