"""Batch normalization, for blobs (N, C)."""

import numpy as np

from minicaffe.layer import Layer

EPS = 1e-5
KEPT = 0.9  # of the running mean and variance in each pass


class Norm(Layer):
    """y = (x − mean) / √(var + eps), for each channel.

    In TRAIN, mean and var are those of the batch, and the running ones in blobs[0] and blobs[1] are moved towards them.
    In TEST, they are the running ones, so that the y of a sample does not depend on the other samples.
    """

    def setup(self, bottom, top):
        channels = bottom[0].shape[1]
        mean, var = self.add_blob((channels,)), self.add_blob((channels,))
        mean.data[...] = 0
        var.data[...] = 1

    def reshape(self, bottom, top):
        top[0].reshape(bottom[0].shape)

    def forward(self, bottom, top):
        x = bottom[0].data
        if len(x) > 1:
            mean, var = x.mean(axis=0), x.var(axis=0)
            for running, new in zip(self.blobs, (mean, var), strict=True):
                running.data[...] = KEPT * running.data + (1 - KEPT) * new
        else:
            mean, var = self.blobs[0].data, self.blobs[1].data
        self.scale = 1 / np.sqrt(var + EPS)
        top[0].data[...] = (x - mean) * self.scale

    def backward(self, top, propagate_down, bottom):
        if propagate_down[0]:
            y, dy = top[0].data, top[0].diff
            dx = dy - dy.mean(axis=0) - y * (dy * y).mean(axis=0)
            bottom[0].diff[...] = dx * self.scale
