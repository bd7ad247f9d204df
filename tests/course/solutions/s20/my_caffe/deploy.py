"""Layers of trained nets that no step has built, forward alone. This file is complete; read it, and leave it."""

import numpy as np

from my_caffe.blob import Blob
from my_caffe.layer import Layer
from my_caffe.pooling import PoolingLayer


class ConcatLayer(Layer):
    """Put the channels of all bottoms behind each other.

    Bottom    x_1 (N, C_1, …), x_2 (N, C_2, …) and so on
    Top       y (N, C_1 + C_2 + …, …)
    """

    def reshape(self, bottom, top):
        N, _, *size = bottom[0].shape
        top[0].reshape((N, sum(x.shape[1] for x in bottom), *size))

    def forward(self, bottom, top):
        top[0].data[...] = np.concatenate([x.data for x in bottom], axis=1)


class ScaleLayer(Layer):
    """Multiply each channel by a number of its own: y = a[c] · x. The blob is a (C,)."""

    def setup(self, bottom, top):
        self.blobs = [Blob((bottom[0].shape[1],))]

    def reshape(self, bottom, top):
        x, y = bottom[0], top[0]
        y.reshape(x.shape)

    def forward(self, bottom, top):
        x = bottom[0].data
        top[0].data[...] = self.blobs[0].data.reshape(-1, *[1] * (x.ndim - 2)) * x


class SoftmaxLayer(Layer):
    """Make probabilities of the scores of the channels: y[c] = exp(x[c]) / Σ exp(x[k]) over k."""

    def reshape(self, bottom, top):
        x, y = bottom[0], top[0]
        y.reshape(x.shape)

    def forward(self, bottom, top):
        x = bottom[0].data
        e = np.exp(x - x.max(axis=1, keepdims=True))
        top[0].data[...] = e / e.sum(axis=1, keepdims=True)


class AnyPoolingLayer(PoolingLayer):
    """A PoolingLayer that knows global_pooling=True too: one window, as large as the image that it was set up with."""

    def setup(self, bottom, top):
        if self.param.get("global_pooling", False):
            height, width = bottom[0].shape[2:]
            self.param = {**self.param, "kernel_h": height, "kernel_w": width}
        super().setup(bottom, top)
