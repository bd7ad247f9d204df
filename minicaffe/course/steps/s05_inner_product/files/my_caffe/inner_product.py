"""Inner product: every output is a weighted sum of all inputs (a fully connected layer)."""

import math

import numpy as np

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
        """Make the blobs, and keep them in the list self.blobs, w before b."""
        raise NotImplementedError

    def reshape(self, bottom, top):
        """Give the top its shape."""
        raise NotImplementedError

    def forward(self, bottom, top):
        """Write y into the data of the top."""
        raise NotImplementedError

    def backward(self, top, propagate_down, bottom):
        """Add to the diffs of w and b; write dx into the diff of the bottom, if propagate_down[0] says so."""
        raise NotImplementedError
