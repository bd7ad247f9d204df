"""The loss of a classifier. Many nets use this file, and it is right."""

import numpy as np

from minicaffe.layer import Layer


class CrossEntropy(Layer):
    """The mean of −log p[n, label[n]] over N samples."""

    bottoms = 2

    def reshape(self, bottom, top):
        top[0].reshape(())

    def forward(self, bottom, top):
        x, label = bottom[0].data, bottom[1].data.astype(int)
        e = np.exp(x - x.max(axis=1, keepdims=True))
        p = e / e.sum(axis=1, keepdims=True)
        self.p, self.label = p, label
        top[0].data[...] = -np.log(p[np.arange(len(p)), label]).mean()

    def backward(self, top, propagate_down, bottom):
        if propagate_down[0]:
            dx = self.p.copy()
            dx[np.arange(len(dx)), self.label] -= 1
            bottom[0].diff[...] = top[0].diff * dx / len(dx)
