"""Two layers that look at all numbers of a sample."""

import numpy as np

from minicaffe.layer import Layer


class Center(Layer):
    """Take from each number the mean of its sample: y = x − mean(x)."""

    def reshape(self, bottom, top):
        top[0].reshape(bottom[0].shape)

    def forward(self, bottom, top):
        y = bottom[0].data
        y -= y.mean(axis=1, keepdims=True)
        top[0].data[...] = y

    def backward(self, top, propagate_down, bottom):
        if propagate_down[0]:
            dy = top[0].diff
            bottom[0].diff[...] = dy - dy.mean(axis=1, keepdims=True)


class Unit(Layer):
    """Scale each sample to the length 1: y = x / |x|."""

    def reshape(self, bottom, top):
        top[0].reshape(bottom[0].shape)

    def forward(self, bottom, top):
        x = bottom[0].data
        self.length = np.sqrt((x**2).sum(axis=1, keepdims=True) + 1e-8)
        top[0].data[...] = x / self.length

    def backward(self, top, propagate_down, bottom):
        if propagate_down[0]:
            y, dy = top[0].data, top[0].diff
            along = (dy * y).sum(axis=1, keepdims=True)
            bottom[0].diff[...] = (dy - y * along) / self.length
