"""Softmax: scores become probabilities that add up to one."""

from minicaffe import kernels
from minicaffe.layer import Layer, register
from minicaffe.proto import SoftmaxParameter


@register("Softmax")
class SoftmaxLayer(Layer):
    """Turn the scores along one axis into probabilities: positive, and one in sum.

    Forward   y[c] = exp(x[c]) / Σ exp(x[j])   (computed from x − max x, so nothing overflows)
    Backward  dx[c] = y[c] · (dy[c] − Σ dy[j] · y[j])
    where c and j run over the places along `axis`
    Computed  kernels.softmax, kernels.softmax_grad: minicaffe/kernels/definitions/softmax.py

    Bottom    x (any shape)
    Top       y, the shape of x
    Params    softmax_param: axis (1), engine (accepted, without effect, DEFAULT)
    In place  yes: backward reads y alone
    Errors    LayerError when x has no such axis
    Derived   docs/maths/loss.md#softmax
    """

    message = "softmax_param"
    param: SoftmaxParameter
    ignores = ("loss_param",)  # stays behind where a deploy net was made from a training net's SoftmaxWithLoss
    in_place = True
    backward_reads = ("top",)
    recordable = True
    decides = "one class"

    def reshape(self, bottom, top):
        x = bottom[0]
        self.axis = self.axis_of(x)
        top[0].reshape_like(x)

    def forward(self, bottom, top):
        kernels.softmax(bottom[0].data, self.axis, out=top[0].data)

    def backward(self, top, propagate_down, bottom):
        if not propagate_down[0]:
            return
        kernels.softmax_grad(top[0].data, top[0].diff, self.axis, out=bottom[0].diff)
