"""Sigmoid: squash every number into (0, 1)."""

import numpy as np

from my_caffe.layer import Layer


def sigmoid(x):
    u = np.exp(-np.abs(x))
    return np.where(x >= 0, 1, u) / (1 + u)


class SigmoidLayer(Layer):
    """Squash every number into (0, 1), as a log-odds becomes a probability.

    Forward   y = σ(x)
    Backward  dx = dy · y · (1 − y)
    """

    def reshape(self, bottom, top):
        top[0].reshape(bottom[0].shape)

    def forward(self, bottom, top):
        top[0].data[...] = sigmoid(bottom[0].data)

    def backward(self, top, propagate_down, bottom):
        if propagate_down[0]:
            y = top[0].data
            bottom[0].diff[...] = top[0].diff * y * (1 - y)
