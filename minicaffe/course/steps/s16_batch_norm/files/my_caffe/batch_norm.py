"""Batch normalization: give every channel mean 0 and variance 1, measured on the batch or remembered."""

import numpy as np

from my_caffe.blob import Blob
from my_caffe.layer import Layer


class BatchNormLayer(Layer):
    """Normalize each channel by its mean and variance.

    Forward   μ[c] = Σ x / m,  v[c] = Σ (x − μ)² / m    over the m values of channel c in the batch
              x̂ = (x − μ) / √(v + ε),  y = x̂
              mean ← λ·mean + μ,  variance ← λ·variance + v·m/(m − 1),  factor ← λ·factor + 1
    Backward  dx = (dy − Σ dy / m − x̂ · Σ (dy·x̂) / m) / √(v + ε)

    If use_global_stats is True, μ = mean / factor and v = variance / factor, or both are 0 where factor is 0. Then no
    blob changes, and dx = dy / √(v + ε). For m = 1 the variance that is remembered is v.

    Bottom    x (N, C, …)
    Top       y, the shape of x
    Params    use_global_stats (False), moving_average_fraction=λ (0.999), eps=ε (1e-5)
    Blobs     mean (C,), variance (C,), factor (1,), zeros at first: statistics, whose diffs nobody writes
    In place  yes: backward reads neither x nor y, which may be overwritten by then
    """

    def setup(self, bottom, top):
        """Read the parameters; make the three blobs."""
        raise NotImplementedError

    def reshape(self, bottom, top):
        """Give the top the shape of the bottom."""
        raise NotImplementedError

    def forward(self, bottom, top):
        """Write y into the data of the top; without use_global_stats, update the data of the blobs."""
        raise NotImplementedError

    def backward(self, top, propagate_down, bottom):
        """Write dx into the diff of the bottom, if propagate_down[0] says so."""
        raise NotImplementedError
