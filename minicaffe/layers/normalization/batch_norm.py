"""Batch normalization: give every channel mean 0 and variance 1, measured on the batch or remembered."""

import numpy as np

from minicaffe import kernels
from minicaffe.layer import Layer, register
from minicaffe.layers.normalization._eps import check_eps, without_spread
from minicaffe.proto import TEST, BatchNormParameter


@register("BatchNorm")
class BatchNormLayer(Layer):
    """Normalize each channel by its mean and variance. A Scale layer with bias_term usually follows.

    Forward   μ[c] = Σ x / m,  v[c] = Σ (x − μ)² / m    (over the m values of channel c in the batch)
              y = (x − μ) / √(v + ε)
              blobs: mean ← λ·mean + μ,  variance ← λ·variance + v·m/(m − 1),  factor ← λ·factor + 1
    Backward  dx = (dy − Σ dy / m − y · Σ (dy·y) / m) / √(v + ε)
    With global statistics μ = mean / factor and v = variance / factor, or both 0 where factor is 0; no blob changes,
    and dx = dy / √(v + ε). For m = 1 the variance that is remembered is v. The kernels below are those for global
    statistics; with those of the batch, all formulas are in this file.
    Computed  kernels.global_stats, kernels.normalize_channels, kernels.scale_channels:
              minicaffe/kernels/definitions/channels.py

    Bottom    x (N, C, …) or (N,), which counts as one channel
    Top       y, the shape of x
    Params    batch_norm_param: use_global_stats (absent: true in TEST, false in TRAIN), moving_average_fraction=λ
              (0.999), eps=ε (1e-5)
    Blobs     mean (C,), variance (C,), factor (1,): statistics, never touched by the solver
    In place  yes: a copy of y is kept for backward
    Phase     TRAIN measures the batch, TEST takes the blobs, unless use_global_stats says otherwise
    Errors    LayerError when C changes, when x has no axis, when a lr_mult other than 0 is given, when
              moving_average_fraction is not in [0, 1] or eps is negative
    Derived   docs/maths/normalization.md#batchnorm
    See       Ioffe and Szegedy, ICML 2015
    """

    message = "batch_norm_param"
    param: BatchNormParameter
    in_place = True
    backward_reads = ()
    recordable = True
    side_effects = True

    def setup(self, bottom, top):
        p, x = self.param, bottom[0]
        if x.num_axes == 0:
            self.fail("bottom[0] must have at least one axis, got a scalar")
        self.check(0 <= p.moving_average_fraction <= 1, "moving_average_fraction", "must lie in [0, 1]")
        check_eps(self)
        self.fraction, self.eps = p.moving_average_fraction, p.eps
        self.use_global_stats = p.use_global_stats if p.HasField("use_global_stats") else self.phase == TEST
        # measuring the batch is done by numpy and changes the blobs; a recording holds calls of kernels alone
        self.recordable = self.use_global_stats
        self.check_effect(self.phase == TEST or not p.use_global_stats, "moving_average_fraction",
                          "use_global_stats is true")
        self.C = x.shape[1] if x.num_axes > 1 else 1
        for shape in ((self.C,), (self.C,), (1,)):
            self.add_blob(shape)
        self.param_propagate_down = [False] * 3
        self._freeze_statistics()

    def reshape(self, bottom, top):
        x = bottom[0]
        channels = x.shape[1] if x.num_axes > 1 else 1
        if channels != self.C:
            self.fail(f"bottom[0] {x.shape} has {channels} channels, but the statistics are of {self.C}")
        top[0].reshape_like(x)
        if self.use_global_stats:
            self.mu, self.inverse_std = self.scratch((self.C,)), self.scratch((self.C,))
        else:
            self.y = self.scratch(x.shape)  # a second y: a layer after this one may overwrite the top in place
        self.m = x.count // self.C
        # x as (N, C, values of a channel); max, because an empty batch would divide by 0
        self.sizes = x.shape[0], self.C, x.count // max(1, x.shape[0] * self.C)

    def forward(self, bottom, top):
        x, y = bottom[0].data.reshape(self.sizes), top[0].data.reshape(self.sizes)
        if self.use_global_stats:
            # Caffe: with factor = 0, as at the start, μ = v = 0
            mean, variance, factor = (b.data for b in self.blobs)
            kernels.global_stats(mean, variance, factor, self.eps, self.mu, self.inverse_std)
            kernels.normalize_channels(x, self.mu, self.inverse_std, y)
            return
        kept, mu = self.y.reshape(self.sizes), self._mean(x)  # kept is x − μ first, and y in the end
        np.subtract(x, mu[:, np.newaxis], out=kept)
        v = self._mean(kept * kept)
        self._remember(mu, v)
        self.std = np.sqrt(v + self.eps)[:, np.newaxis]
        kept /= self.std
        y[...] = kept

    def backward(self, top, propagate_down, bottom):
        if not propagate_down[0]:
            return
        dy, dx = top[0].diff.reshape(self.sizes), bottom[0].diff.reshape(self.sizes)
        if self.use_global_stats:
            kernels.scale_channels(dy, self.inverse_std, None, 1, dx)
            return
        y = self.y.reshape(self.sizes)
        # both means before dx is written: in place, dx is the memory of dy
        mean_dy, mean_dy_y = self._mean(dy)[:, np.newaxis], self._mean(dy * y)[:, np.newaxis]
        np.subtract(dy, mean_dy + mean_dy_y * y, out=dx)
        dx /= self.std

    def why_not_finite(self, bottom):
        return without_spread(bottom[0])

    def missing_statistics(self):
        if not self.use_global_stats or self.blobs[2].data.any():
            return ""
        return ("has use_global_stats, but no statistics, so it divides by the root of its eps: begin with --weights, "
                "or leave use_global_stats out")

    def _remember(self, mu, v):
        """Add the batch's statistics to the blobs; those of earlier batches count λ times what they did."""
        mean, variance, factor = (b.data for b in self.blobs)
        unbiased = self.m / (self.m - 1) if self.m > 1 else 1.0
        for kept, new in ((mean, mu), (variance, v * unbiased), (factor, 1.0)):
            kept *= self.fraction
            kept += new

    def _freeze_statistics(self):
        """Give the three blobs lr_mult 0, so that no solver changes them; LayerError where the definition gives one."""
        specs = self.layer_param.param  # Caffe: the layer completes its own definition, and saves it so
        for i in range(3):
            if i == len(specs):
                specs.add(lr_mult=0.0)
            elif specs[i].lr_mult != 0:
                self.fail(f"param {i} has lr_mult {specs[i].lr_mult:g}, but its blobs are statistics, not weights",
                          hint="remove it or set lr_mult: 0; learnable scales and shifts belong in a Scale layer")

    def _mean(self, values):
        """Return the mean of each channel, (C,), of an array (N, C, values)."""
        # numpy adds along the last axis pairwise, which loses few digits, so that axis is summed first
        return values.sum(axis=2).sum(axis=0) / self.m
