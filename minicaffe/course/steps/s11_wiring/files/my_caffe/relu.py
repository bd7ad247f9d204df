"""ReLU: keep positive numbers, and set negative ones to 0."""

import numpy as np

from my_caffe.layer import Layer


class ReLULayer(Layer):
    """Cut off what is negative. It may work in place, with one blob for bottom and top.

    Forward   y = max(x, 0)
    Backward  dx = dy · [y > 0]
    """

    def reshape(self, bottom, top):
        """Give the top its shape."""
        raise NotImplementedError

    def forward(self, bottom, top):
        """Write y into the data of the top."""
        raise NotImplementedError

    def backward(self, top, propagate_down, bottom):
        """Write dx into the diff of the bottom, if propagate_down[0] says so."""
        raise NotImplementedError
