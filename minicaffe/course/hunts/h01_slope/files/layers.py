"""Three layers that map each number by itself: y = f(x), dx = dy · f'(x)."""

import numpy as np

from minicaffe.layer import Layer


class Swish(Layer):
    """y = x · σ(x)"""

    def reshape(self, bottom, top):
        top[0].reshape(bottom[0].shape)

    def forward(self, bottom, top):
        x = bottom[0].data
        sigma = 1 / (1 + np.exp(-x))
        top[0].data[...] = x * sigma

    def backward(self, top, propagate_down, bottom):
        if propagate_down[0]:
            x, dy = bottom[0].data, top[0].diff
            sigma = 1 / (1 + np.exp(-x))
            slope = sigma - x * sigma * (1 - sigma)
            bottom[0].diff[...] = dy * slope


class Softsign(Layer):
    """y = x / (1 + |x|)"""

    def reshape(self, bottom, top):
        top[0].reshape(bottom[0].shape)

    def forward(self, bottom, top):
        x = bottom[0].data
        top[0].data[...] = x / (1 + np.abs(x))

    def backward(self, top, propagate_down, bottom):
        if propagate_down[0]:
            y, dy = top[0].data, top[0].diff
            slope = (1 - np.abs(y)) ** 2
            bottom[0].diff[...] = dy * slope


class Bell(Layer):
    """y = exp(−x² / 2)"""

    def reshape(self, bottom, top):
        top[0].reshape(bottom[0].shape)

    def forward(self, bottom, top):
        x = bottom[0].data
        top[0].data[...] = np.exp(-(x**2) / 2)

    def backward(self, top, propagate_down, bottom):
        if propagate_down[0]:
            x, y, dy = bottom[0].data, top[0].data, top[0].diff
            slope = -x * y
            bottom[0].diff[...] = dy * slope
