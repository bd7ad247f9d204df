"""A loss for regression that far outliers do not pull as hard as the squared distance does."""

import numpy as np

from minicaffe.layer import Layer


class LogCosh(Layer):
    """The mean over N samples of the sum of log cosh(d), where d = prediction − target.

    log cosh(d) is close to d² / 2 for a small d, and to |d| − log 2 for a large one. Its slope is tanh(d).
    """

    bottoms = 2

    def reshape(self, bottom, top):
        top[0].reshape(())

    def forward(self, bottom, top):
        prediction, target = bottom[0].data, bottom[1].data
        self.d = prediction - target
        size = np.abs(self.d)
        cells = size + np.log1p(np.exp(-2 * size)) - np.log(2)  # so that no large number overflows
        top[0].data[...] = cells.sum() / len(prediction)

    def backward(self, top, propagate_down, bottom):
        loss_weight = top[0].diff
        slope = loss_weight * np.tanh(self.d)
        if propagate_down[0]:
            bottom[0].diff[...] = slope
        if propagate_down[1]:
            bottom[1].diff[...] = -slope
