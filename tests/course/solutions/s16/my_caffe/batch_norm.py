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
        C = bottom[0].shape[1]
        self.global_stats = self.param.get("use_global_stats", False)
        self.fraction = self.param.get("moving_average_fraction", 0.999)
        self.eps = self.param.get("eps", 1e-5)
        self.blobs = [Blob((C,)), Blob((C,)), Blob((1,))]

    def reshape(self, bottom, top):
        """Give the top the shape of the bottom."""
        top[0].reshape(bottom[0].shape)

    def forward(self, bottom, top):
        """Write y into the data of the top; without use_global_stats, update the data of the blobs."""
        x = bottom[0].data
        mean, variance, factor = (blob.data for blob in self.blobs)
        if self.global_stats:
            scale = 1 / factor[0] if factor[0] else 0
            mu, v = self.for_x(mean * scale, x), self.for_x(variance * scale, x)
        else:
            axes, m = self.axes(x), x.size // x.shape[1]
            mu = x.mean(axis=axes, keepdims=True)
            v = ((x - mu) ** 2).mean(axis=axes, keepdims=True)
            mean[...] = self.fraction * mean + mu.ravel()
            variance[...] = self.fraction * variance + v.ravel() * m / max(m - 1, 1)
            factor[...] = self.fraction * factor + 1
        self.std = np.sqrt(v + self.eps)
        self.normalized = (x - mu) / self.std
        top[0].data[...] = self.normalized

    def backward(self, top, propagate_down, bottom):
        """Write dx into the diff of the bottom, if propagate_down[0] says so."""
        if not propagate_down[0]:
            return
        dy = top[0].diff
        if not self.global_stats:
            axes, hat = self.axes(dy), self.normalized
            along = hat * (dy * hat).mean(axis=axes, keepdims=True)
            dy = dy - dy.mean(axis=axes, keepdims=True) - along
        bottom[0].diff[...] = dy / self.std

    def axes(self, x):
        """Return all axes but that of the channels."""
        return tuple(axis for axis in range(x.ndim) if axis != 1)

    def for_x(self, values, x):
        """Return values (C,) with as many axes as x, so that they meet its channels."""
        return values.reshape(-1, *[1] * (x.ndim - 2))
