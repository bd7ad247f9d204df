"""Threshold: say of every number whether it is large."""

import numpy as np

from minicaffe.layer import Layer, register
from minicaffe.proto import ThresholdParameter


@register("Threshold")
class ThresholdLayer(Layer):
    """Turn every number into 1 or 0, by whether it is above a threshold.

    Forward   y = 1 where x > t, else 0
    Backward  none: the derivative is 0 wherever there is one

    Bottom    x (any shape)
    Top       y, the shape of x
    Params    threshold_param: threshold=t (0)
    In place  yes: there is no backward
    Errors    LayerError when a gradient is asked for
    """

    message = "threshold_param"
    param: ThresholdParameter
    in_place = True
    backward_reads = ()

    def setup(self, bottom, top):
        self.t = self.param.threshold

    def reshape(self, bottom, top):
        top[0].reshape_like(bottom[0])

    def forward(self, bottom, top):
        np.greater(bottom[0].data, self.t, out=top[0].data)

    def backward(self, top, propagate_down, bottom):
        if propagate_down[0]:
            self.fail("has no gradient for bottom[0]", hint="set propagate_down: false for it")

    def gradient_to(self, j):
        return False

    def gradient_from(self, t):
        return False
