"""Points in the plane, in three clouds that lie far apart."""

import numpy as np

from minicaffe.layer import Layer

BATCH = 10
CENTERS = np.array([[0.0, 2.0], [-2.0, -1.0], [2.0, -1.0]])


class Clouds(Layer):
    """Put out points (N, 2) and the numbers of their clouds (N), which are the labels."""

    bottoms, tops = 0, 2

    def setup(self, bottom, top):
        self.draw = np.random.default_rng(8)

    def reshape(self, bottom, top):
        top[0].reshape(BATCH, 2)
        top[1].reshape(BATCH)

    def forward(self, bottom, top):
        label = self.draw.integers(3, size=BATCH)
        top[0].data[...] = CENTERS[label] + self.draw.normal(0, 0.3, (BATCH, 2))
        top[1].data[...] = label

    def backward(self, top, propagate_down, bottom):
        pass
