"""Inner product: every output is a weighted sum of all inputs (a fully connected layer)."""

import math

from my_caffe.blob import Blob
from my_caffe.layer import Layer


class InnerProductLayer(Layer):
    """Multiply the features of each sample by a matrix and add a bias.

    Forward   y = x · wᵀ + b
    Backward  dx = dy · w
              dw += dyᵀ · x
              db += Σ dy[n]   over n

    Bottom    x (N, …), seen as (N, D): D is the product of the sizes after the first
    Top       y (N, K)
    Params    num_output=K, bias_term (True)
    Blobs     w (K, D), and b (K,) if bias_term is True; zeros at first
    """

    def setup(self, bottom, top):
        self.K = self.param["num_output"]
        self.D = math.prod(bottom[0].shape[1:])
        self.blobs = [Blob((self.K, self.D))]
        if self.param.get("bias_term", True):
            self.blobs.append(Blob((self.K,)))

    def reshape(self, bottom, top):
        top[0].reshape((bottom[0].shape[0], self.K))

    def forward(self, bottom, top):
        x = bottom[0].data.reshape(-1, self.D)
        y = x @ self.blobs[0].data.T
        if len(self.blobs) == 2:
            y += self.blobs[1].data
        top[0].data[...] = y

    def backward(self, top, propagate_down, bottom):
        x, dy = bottom[0].data.reshape(-1, self.D), top[0].diff
        self.blobs[0].diff += dy.T @ x
        if len(self.blobs) == 2:
            self.blobs[1].diff += dy.sum(axis=0)
        if propagate_down[0]:
            dx = dy @ self.blobs[0].data
            bottom[0].diff[...] = dx.reshape(bottom[0].shape)
