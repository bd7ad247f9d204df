"""Points in the plane, in two clouds; the coordinates of a point are large numbers, and far apart in size."""

import numpy as np

from minicaffe.layer import Layer
from minicaffe.proto import TRAIN


class Clouds(Layer):
    """Put out points (N, 2) and the numbers of their clouds (N). In TEST all points are of the first cloud."""

    bottoms, tops = 0, 2

    def setup(self, bottom, top):
        self.draw = np.random.default_rng(2)

    def reshape(self, bottom, top):
        batch = 8 if self.phase == TRAIN else 4
        top[0].reshape(batch, 2)
        top[1].reshape(batch)

    def forward(self, bottom, top):
        count = len(top[1].data)
        label = self.draw.integers(2, size=count) if self.phase == TRAIN else np.zeros(count, int)
        offset = np.where(label, 1, -1)[:, np.newaxis]
        top[0].data[...] = [200, 5] + offset * [60, 2] + self.draw.normal(size=(count, 2)) * [20, 1]
        top[1].data[...] = label

    def backward(self, top, propagate_down, bottom):
        pass
