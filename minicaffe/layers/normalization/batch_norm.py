"""Batch normalization: give every channel mean 0 and variance 1, measured on the batch or remembered."""

import numpy as np

from minicaffe import kernels
from minicaffe.layer import Layer, register
from minicaffe.layers.normalization._eps import check_eps, without_spread
from minicaffe.layers.normalization._statistics import channel_sums, freeze, normalize, normalize_grad
from minicaffe.proto import TEST, BatchNormParameter, FillerParameter

ONE = FillerParameter(type="constant", value=1)


@register("BatchNorm")
class BatchNormLayer(Layer):
    """Normalize each channel by its mean and variance. A Scale layer with bias_term usually follows.

    Forward   μ[c] = Σ x / m,  v[c] = Σ (x − μ)² / m    (over the m values of channel c in the batch)
              x̂ = (x − μ) / √(v + ε),  y = x̂
              blobs: mean ← λ·mean + μ,  variance ← λ·variance + v·m/(m − 1),  factor ← λ·factor + 1
    Backward  dx = (dy − Σ dy / m − x̂ · Σ (dy·x̂) / m) / √(v + ε)
    With global statistics μ = mean / factor and v = variance / factor, or both 0 where factor is 0; no blob changes,
    and dx = dy / √(v + ε). For m = 1 the variance that is remembered is v. The kernels below are those for global
    statistics; with those of the batch, the formulas are in _statistics.py.
    The forks of NVIDIA and Intel scale and shift in this layer, too: y = w[c] · x̂ + b[c], dw[c] += Σ dy · x̂,
    db[c] += Σ dy, and w · dy takes the place of dy in dx.
    NVIDIA's is meant where scale_bias, scale_filler or (without a field of Intel's) bias_filler is set. It takes the
    blobs mean and variance as they are; factor is 1 and never divides. It remembers means,
    mean ← λ·mean + (1 − λ)·μ and variance ← λ·variance + (1 − λ)·v, but copies μ and v of the first batch. ε is at
    least 1e-5, and the phase alone says which statistics count.
    Intel's is meant where the weights have 4 or 5 blobs, or use_weight_bias is set to true. It divides by factor, as
    BVLC's does; so a file of NVIDIA's, where factor is 1, gives the same numbers here.
    Computed  kernels.normalize_channels, kernels.scale_around, kernels.scale_channels, kernels.divide_by_std,
              kernels.global_stats: minicaffe/kernels/definitions/channels.py;
              kernels.multiply: minicaffe/kernels/definitions/elementwise.py;
              kernels.copy: minicaffe/kernels/definitions/copying.py

    Bottom    x (N, C, …) or (N,), which counts as one channel
    Top       y, the shape of x
    Params    batch_norm_param: use_global_stats (absent: true in TEST, false in TRAIN), moving_average_fraction=λ
              (0.999), eps=ε (1e-5), scale_bias (NVIDIA, false), scale_filler (NVIDIA, absent: constant 1), bias_filler
              (NVIDIA and Intel, absent: all 0), use_weight_bias (Intel, with the next four; unset: as the weights have
              it, true), bias_term (true), filler (absent: constant 1), stats_batch_size (refused
              in TRAIN, 0), update_global_stats (PSPNet, refused in TRAIN, false)
    Blobs     mean (C,), variance (C,), factor (1,): statistics, never touched by the solver
              w (C,), b (C,) for NVIDIA's and Intel's; no b where Intel's bias_term is false
    In place  yes: a copy of x̂ is kept for backward
    Phase     TRAIN measures the batch, TEST takes the blobs, unless use_global_stats says otherwise
    Errors    LayerError when C changes, when x has no axis, when a lr_mult other than 0 is given, when
              moving_average_fraction is not in [0, 1] or eps is negative, when stats_batch_size or
              update_global_stats is set in TRAIN
    Derived   docs/maths/normalization.md#batchnorm
    See       Ioffe and Szegedy, ICML 2015. The CUDA version of NVIDIA's layer remembers v·m/(m − 1), and its version
              for CPUs copies the second batch, too. A file of NVIDIA's older versions, with w, b, mean and variance in
              this order, is put into the order above when it is read
    """

    message = "batch_norm_param"
    fork_fields = ("scale_bias", "scale_filler", "bias_filler", "use_weight_bias", "bias_term", "filler",
                   "stats_batch_size", "update_global_stats")
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
        self._read_fields_of_forks()
        self.fraction, self.eps = p.moving_average_fraction, max(p.eps, 1e-5) if self.of_nvidia else p.eps
        self.use_global_stats = self.phase == TEST
        if self.of_nvidia:
            self.check_effect(p.use_global_stats == self.use_global_stats, "use_global_stats",
                              "with NVIDIA's scale_bias the phase decides")
        elif p.HasField("use_global_stats"):
            self.use_global_stats = p.use_global_stats
        for field in ("stats_batch_size", "update_global_stats"):
            self.check(self.phase == TEST or not getattr(p, field), field, "works in TEST alone, without effect")
        # measuring the batch is done by numpy and changes the blobs; a recording holds calls of kernels alone
        self.recordable = self.use_global_stats
        self.check_effect(self.phase == TEST or not p.use_global_stats, "moving_average_fraction",
                          "use_global_stats is true")
        self.C = x.shape[1] if x.num_axes > 1 else 1
        for shape in ((self.C,), (self.C,)):
            self.add_blob(shape)
        self.add_blob((1,), ONE if self.of_nvidia else None)
        for filler in self.fillers:
            self.add_blob((self.C,), filler)
        self.param_propagate_down = [False] * 3 + [True] * len(self.fillers)
        freeze(self, 0, 3, refuse=not self.of_nvidia)

    def reshape(self, bottom, top):
        x = bottom[0]
        channels = x.shape[1] if x.num_axes > 1 else 1
        if channels != self.C:
            self.fail(f"bottom[0] {x.shape} has {channels} channels, but the statistics are of {self.C}")
        top[0].reshape_like(x)
        # x̂ again, for backward: the top may be overwritten, or is scaled
        self.keeps = not self.use_global_stats or bool(self.fillers and self.runs_backward)
        if self.keeps:
            self.kept = self.scratch(x.shape)
        if self.use_global_stats:
            self.mu, self.inverse_std, self.w_over_std = (self.scratch((self.C,)) for _ in range(3))
        self.m = x.count // self.C
        # x as (N, C, values of a channel); max, because an empty batch would divide by 0
        self.sizes = x.shape[0], self.C, x.count // max(1, x.shape[0] * self.C)

    def forward(self, bottom, top):
        x, y = bottom[0].data.reshape(self.sizes), top[0].data.reshape(self.sizes)
        w, b = self._learned()
        if self.use_global_stats:
            self._take_global_stats()
            if self.keeps:
                kernels.normalize_channels(x, self.mu, self.inverse_std, self._kept())
            if w is None:
                kernels.normalize_channels(x, self.mu, self.inverse_std, y)
            else:
                kernels.multiply(w, self.inverse_std, self.w_over_std)
                kernels.scale_around(x, self.mu, self.w_over_std, b, y)
        else:
            kept = self._kept()
            mu, v, self.std = normalize(x, self.eps, kept)
            self.measured = mu, v, self.m
            if not self.remembers_later:
                self.remember(self.measured)
            if w is None:
                kernels.copy(kept, y)
            else:
                kernels.scale_channels(kept, w, b, 1, y)

    def backward(self, top, propagate_down, bottom):
        dy, dx = top[0].diff.reshape(self.sizes), bottom[0].diff.reshape(self.sizes)
        w, b = self._learned()
        if w is not None and self.param_propagate_down[3]:
            dw = self.blobs[3].diff
            dw += channel_sums(dy * self._kept())
        if b is not None and self.param_propagate_down[4]:
            db = self.blobs[4].diff
            db += channel_sums(dy)
        if not propagate_down[0]:
            return
        if self.use_global_stats:
            kernels.scale_channels(dy, self.inverse_std if w is None else self.w_over_std, None, 1, dx)
            return
        if w is not None:
            kernels.scale_channels(dy, w, None, 1, dx)
            dy = dx
        normalize_grad(dy, self._kept(), self.std, dx)  # dx = (dy − Σ dy / m − x̂ · Σ (dy·x̂) / m) / √(v + ε)

    def remember(self, measured):
        # those of earlier batches count λ times what they did
        mu, v, m = measured
        mean, variance, factor = (blob.data for blob in self.blobs[:3])
        if self.of_nvidia:
            fraction = self.fraction if variance.any() else 0.0
            for kept, new in ((mean, mu), (variance, v)):
                kept *= fraction
                kept += (1 - fraction) * new
            return
        unbiased = m / (m - 1) if m > 1 else 1.0
        for kept, new in ((mean, mu), (variance, v * unbiased), (factor, 1.0)):
            kept *= self.fraction
            kept += new  # mean ← λ·mean + μ, and the other two alike

    def in_todays_order(self, blobs):
        # NVIDIA, before its version 0.17: w, b, mean, variance, and one number
        if len(blobs) == 5 and blobs[4].size == 1 != blobs[0].size:
            w, b, mean, variance, _ = blobs
            return [mean, variance, np.ones(1, mean.dtype), w, b]
        return blobs

    def why_not_finite(self, bottom):
        return without_spread(bottom[0])

    def missing_statistics(self):
        if not self.use_global_stats or self.blobs[1 if self.of_nvidia else 2].data.any():
            return ""
        return ("has use_global_stats, but no statistics, so it divides by the root of its eps: begin with --weights, "
                "or leave use_global_stats out")

    def _read_fields_of_forks(self):
        """Find out whose layer this is, and with which fillers it learns a scale and a shift.

        of_nvidia   NVIDIA's, which does not divide by the blob factor
        """
        p, number = self.param, self.stored_blobs
        of_intel = any(map(p.HasField, ("use_weight_bias", "bias_term", "filler", "stats_batch_size")))
        self.of_nvidia = p.scale_bias or p.HasField("scale_filler") or (p.HasField("bias_filler") and not of_intel)
        if self.of_nvidia:
            self.fillers = [p.scale_filler if p.HasField("scale_filler") else ONE, p.bias_filler]
            return
        if not 3 <= number <= 5:
            number = (5 if p.bias_term else 4) if p.HasField("use_weight_bias") and p.use_weight_bias else 3
        self.fillers = [p.filler if p.HasField("filler") else ONE, p.bias_filler][:number - 3]

    def _learned(self):
        """Return the scale and the shift, each (C,), or None where the layer has none."""
        learned = [blob.data for blob in self.blobs[3:]]
        return (*learned, None, None)[:2]

    def _take_global_stats(self):
        """Write μ and 1 / √(v + ε), of the stored statistics."""
        mean, variance, factor = (blob.data for blob in self.blobs[:3])
        if self.of_nvidia:
            kernels.copy(mean, self.mu)
            kernels.divide_by_std(None, variance, self.eps, self.inverse_std)
        else:
            # Caffe: with factor = 0, as at the start, μ = v = 0
            kernels.global_stats(mean, variance, factor, self.eps, self.mu, self.inverse_std)

    def _kept(self):
        """Return the memory of x̂ as (images, C, values of a channel)."""
        return self.kept.reshape(self.sizes)
