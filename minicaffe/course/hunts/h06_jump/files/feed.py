"""Points in the plane, on two rings: of radius 1, and of radius 2. The label is the ring: 0 or 1."""

import numpy as np

from minicaffe.layer import Layer

BATCH = 16


class Rings(Layer):
    """Put out points (N, 2) and labels (N)."""

    bottoms, tops = 0, 2

    def setup(self, bottom, top):
        self.draw = np.random.default_rng(4)

    def reshape(self, bottom, top):
        top[0].reshape(BATCH, 2)
        top[1].reshape(BATCH)

    def forward(self, bottom, top):
        label = self.draw.integers(2, size=BATCH)
        angle = self.draw.uniform(0, 2 * np.pi, BATCH)
        radius = 1 + label + self.draw.normal(0, 0.1, BATCH)
        top[0].data[:, 0] = radius * np.cos(angle)
        top[0].data[:, 1] = radius * np.sin(angle)
        top[1].data[...] = label

    def backward(self, top, propagate_down, bottom):
        pass
