"""Sigmoid: squash every number into (0, 1)."""

import numpy as np

from my_caffe.layer import Layer


def sigmoid(x):
    """Return σ(x) = 1 / (1 + e^−x) for each number of an array, without an overflow for any x."""
    raise NotImplementedError


class SigmoidLayer(Layer):
    """Squash every number into (0, 1), as a log-odds becomes a probability.

    Forward   y = σ(x)
    Backward  dx = dy · y · (1 − y)
    """

    def reshape(self, bottom, top):
        """Give the top the shape of the bottom."""
        raise NotImplementedError

    def forward(self, bottom, top):
        """Write y into the data of the top."""
        raise NotImplementedError

    def backward(self, top, propagate_down, bottom):
        """Write dx into the diff of the bottom, if propagate_down[0] says so. Read y, which is there already."""
        raise NotImplementedError
