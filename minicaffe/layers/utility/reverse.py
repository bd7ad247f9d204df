"""Reverse: turn an axis around."""

import numpy as np

from minicaffe.layer import Layer, register
from minicaffe.proto import ReverseParameter


@register("Reverse")
class ReverseLayer(Layer):
    """Put the numbers along one axis in the opposite order, so that a recurrent layer reads a sequence from its end.

    Forward   y[i] = x[L − 1 − i]   with i along `axis`, which has the size L
    Backward  dx[i] = dy[L − 1 − i]

    Bottom    x (at least one axis)
    Top       y, the shape of x
    Params    reverse_param: axis (0)
    In place  no: a number would be overwritten before it is read
    Errors    LayerError when axis is out of range
    See       CTPN's and jolibrain's forks, which agree
    """

    message = "reverse_param"
    param: ReverseParameter
    backward_reads = ()

    def reshape(self, bottom, top):
        self.axis = self.axis_of(bottom[0])
        top[0].reshape_like(bottom[0])

    def forward(self, bottom, top):
        top[0].data[...] = np.flip(bottom[0].data, self.axis)

    def backward(self, top, propagate_down, bottom):
        if propagate_down[0]:
            bottom[0].diff[...] = np.flip(top[0].diff, self.axis)
