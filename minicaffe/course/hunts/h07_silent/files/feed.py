"""Points of a curve: x is a number from −1 to 1, t = |x|."""

import numpy as np

from minicaffe.layer import Layer

BATCH = 12


class Curve(Layer):
    """Put out points x (N, 1) and targets t (N, 1)."""

    bottoms, tops = 0, 2

    def setup(self, bottom, top):
        self.draw = np.random.default_rng(6)

    def reshape(self, bottom, top):
        top[0].reshape(BATCH, 1)
        top[1].reshape(BATCH, 1)

    def forward(self, bottom, top):
        x = self.draw.uniform(-1, 1, (BATCH, 1))
        top[0].data[...] = x
        top[1].data[...] = np.abs(x)

    def backward(self, top, propagate_down, bottom):
        pass
