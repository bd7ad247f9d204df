"""ReLU: keep positive numbers, and set negative ones to 0."""

import numpy as np

from my_caffe.layer import Layer


class ReLULayer(Layer):
    """Cut off what is negative. It may work in place, with one blob for bottom and top.

    Forward   y = max(x, 0)
    Backward  dx = dy · [y > 0]
    """

    def reshape(self, bottom, top):
        top[0].reshape(bottom[0].shape)

    def forward(self, bottom, top):
        top[0].data[...] = np.maximum(bottom[0].data, 0)

    def backward(self, top, propagate_down, bottom):
        if propagate_down[0]:
            bottom[0].diff[...] = top[0].diff * (top[0].data > 0)
