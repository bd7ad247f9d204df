"""BN: batch normalization with a scale and a shift in one layer. The forks have three layers of this name."""

from minicaffe import kernels
from minicaffe.layer import Layer, register
from minicaffe.layers.normalization._eps import check_eps, without_spread
from minicaffe.layers.normalization._statistics import channel_sums, freeze, normalize, normalize_grad
from minicaffe.proto import TEST, TRAIN, BNParameter, FillerParameter

SEGNET, PSPNET, CTPN = "SegNet's BN", "the BN of PSPNet and TSN", "CTPN's BN"
# the fields that one of them alone has; scale_filler and shift_filler are SegNet's and CTPN's
FIELDS = {
    SEGNET: ("bn_mode",),
    PSPNET: ("slope_filler", "bias_filler", "momentum", "eps", "frozen", "engine"),
    CTPN: ("var_eps", "moving_average", "decay", "axis"),
}


@register("BN")
class BNLayer(Layer):
    """Normalize each channel by its mean and variance, then scale and shift it: BatchNorm and Scale in one layer.

    BVLC's Caffe does not have it. Three layers of this name are in the forks: that of SegNet, that of PSPNet and TSN,
    and that of CTPN. The fields tell which one is meant: bn_mode is SegNet's; slope_filler, bias_filler, momentum, eps,
    frozen and engine are PSPNet's; var_eps, moving_average, decay and axis are CTPN's. Otherwise the number of blobs in
    the weights tells: two are SegNet's. Four are CTPN's where scale_filler or shift_filler is set, else PSPNet's. Where
    no weights are given, scale_filler or shift_filler or more than one top mean SegNet's, and nothing means PSPNet's.

    Forward   x̂ = (x − μ) / √(v + ε),  y = w[c] · x̂ + b[c]
              with the statistics of the batch, over the m values of a channel: μ[c] = Σ x / m,  v[c] = Σ (x − μ)² / m
              else μ and v are the blobs mean and variance; with bn_mode INFERENCE x̂ = x
              in TRAIN: mean ← λ·mean + (1 − λ)·μ,  variance ← λ·variance + (1 − λ)·v
    Backward  dw[c] += Σ dy · x̂,  db[c] += Σ dy,  h = w[c] · dy
              dx = (h − Σ h / m − x̂ · Σ (h·x̂) / m) / √(v + ε)   with the statistics of the batch
              dx = h / √(v + ε)   with those of the blobs;   dx = h   with bn_mode INFERENCE
    SegNet's takes the statistics of the batch in TRAIN and in TEST, unless bn_mode is INFERENCE; ε is 1e-9. PSPNet's
    takes them in TRAIN, CTPN's also in TEST without moving_average.
    The kernels below are for stored statistics; with those of the batch, the formulas are in _statistics.py.
    Computed  kernels.divide_by_std, kernels.normalize_channels, kernels.scale_around, kernels.scale_channels:
              minicaffe/kernels/definitions/channels.py;
              kernels.copy: minicaffe/kernels/definitions/copying.py

    Bottom    x (N, C, …), or for axis 2 (N, D, C, …)
    Top       y, the shape of x
              μ and v (1, C, 1, 1), for SegNet's only, where a second and a third top are asked for
    Params    bn_param: scale_filler (SegNet and CTPN, absent: all 0), shift_filler (SegNet and CTPN, absent: all 0),
              bn_mode (SegNet, LEARN), slope_filler (PSPNet, with the next five, absent: all 0), bias_filler (absent:
              all 0), momentum=λ (0.9), eps=ε (1e-5), frozen (the stored statistics in TRAIN, too, and nothing is
              learned, false), engine (accepted, without effect, DEFAULT), var_eps=ε (CTPN, with all below, 1e-10),
              moving_average (the stored statistics in TEST, false), decay (which is 1 − λ, 0.05), axis (of the
              channels, 1 or 2, 1)
    Blobs     w (1, C, 1, 1), b (1, C, 1, 1); with axis 2 (1, 1, C, 1)
              mean, variance, of the same shape, but not for SegNet's: statistics, never touched by the solver
    In place  yes: what backward reads is kept
    Errors    LayerError when x has fewer than two axes or C changes, when fields of two of the layers are set, when a
              lr_mult other than 0 is given for mean or variance, when momentum or decay is not in [0, 1], when eps or
              var_eps is negative, when axis is not 1 or 2, when a second top is asked for with bn_mode INFERENCE or
              from another layer than SegNet's
    Derived   docs/maths/normalization.md#batchnorm
    See       Badrinarayanan et al., SegNet, 2015; Zhao et al., PSPNet, 2017; Wang et al., TSN, 2016. The CUDA versions
              of PSPNet's and TSN's layer remember v·m/(m − 1). In TRAIN the diffs of μ and v are not read
    """

    message = "bn_param"
    param: BNParameter
    tops = (1, 3)
    in_place = True
    backward_reads = ()
    recordable = True
    side_effects = True

    def setup(self, bottom, top):
        x = bottom[0]
        self.kind = self._which(len(top))
        self.axis = self._read_fields()
        if x.num_axes <= self.axis:
            self.fail(f"bottom[0] must have at least {self.axis + 1} axes, got {x.shape}")
        if len(top) > 1 and not self.uses_batch:
            self.fail("has no mean and no variance to put out, because bn_mode is INFERENCE", hint="remove the tops")
        self.C = x.shape[self.axis]
        # a recording holds calls of kernels alone, and the statistics of a batch are computed by numpy
        self.recordable = not self.uses_batch
        shape = (1, self.C, 1, 1) if self.axis == 1 else (1, 1, self.C, 1)
        for filler in self.fillers:
            self.add_blob(shape, filler)
        if self.kind != SEGNET:
            self.add_blob(shape)
            # the forks: a frozen layer starts with variances of 1
            self.add_blob(shape, FillerParameter(value=1) if self.frozen else None)
            freeze(self, 2, 4, refuse=False)
            if self.frozen:
                for spec in self.layer_param.param[:2]:  # the fork's, too: frozen wins over the lr_mult of w and b
                    spec.lr_mult = spec.decay_mult = 0
            self.param_propagate_down = [not self.frozen] * 2 + [False] * 2

    def reshape(self, bottom, top):
        x = bottom[0]
        if x.num_axes <= self.axis or x.shape[self.axis] != self.C:
            self.fail(f"bottom[0] {x.shape} must have {self.C} channels at axis {self.axis}, as at the set-up")
        top[0].reshape_like(x)
        for blob in top[1:]:
            blob.reshape(1, self.C, 1, 1)
        # x as (images, C, values of a channel)
        self.sizes = x.count_between(0, self.axis), self.C, x.count_between(self.axis + 1)
        self.keeps = self.uses_batch or self.runs_backward
        if self.keeps:
            self.kept = self.scratch(x.shape)  # x̂: y may be overwritten, by this layer in place and by a later one
        if self.stored:
            self.w_over_std = self.scratch((self.C,))
            if self.keeps:
                self.inverse_std = self.scratch((self.C,))

    def forward(self, bottom, top):
        x, y = bottom[0].data.reshape(self.sizes), top[0].data.reshape(self.sizes)
        w, b = self._numbers(0), self._numbers(1)
        if self.stored:
            mean, variance = self._numbers(2), self._numbers(3)
            if self.keeps:
                kernels.divide_by_std(None, variance, self.eps, self.inverse_std)
                kernels.normalize_channels(x, mean, self.inverse_std, self._kept())
            kernels.divide_by_std(w, variance, self.eps, self.w_over_std)
            kernels.scale_around(x, mean, self.w_over_std, b, y)
            return
        if self.uses_batch:
            x = self._measure(x, top)
        elif self.keeps:
            kernels.copy(x, self._kept())
        kernels.scale_channels(x, w, b, 1, y)

    def backward(self, top, propagate_down, bottom):
        dy, kept = top[0].diff.reshape(self.sizes), self._kept()
        if self.param_propagate_down[0]:
            dw = self.blobs[0].diff.reshape(-1)
            dw += channel_sums(dy * kept)
        if self.param_propagate_down[1]:
            db = self.blobs[1].diff.reshape(-1)
            db += channel_sums(dy)
        if not propagate_down[0]:
            return
        dx = bottom[0].diff.reshape(self.sizes)
        if self.stored:
            kernels.scale_channels(dy, self.w_over_std, None, 1, dx)  # dx = h / √(v + ε)
            return
        kernels.scale_channels(dy, self._numbers(0), None, 1, dx)  # h = w[c] · dy
        if self.uses_batch:
            normalize_grad(dx, kept, self.std, dx)  # dx = (h − Σ h / m − x̂ · Σ (h·x̂) / m) / √(v + ε)

    def remember(self, measured):
        mu, v = measured
        mean, variance = self._numbers(2), self._numbers(3)
        mean[...] = self.fraction * mean + (1 - self.fraction) * mu
        variance[...] = self.fraction * variance + (1 - self.fraction) * v

    def gradient_from(self, t):
        return t == 0

    def why_not_finite(self, bottom):
        return without_spread(bottom[0])

    def missing_statistics(self):
        if not self.stored or self.blobs[3].data.any():
            return ""
        return "takes stored statistics, but has none, so it divides by the root of its eps: begin with --weights"

    def _which(self, tops):
        """Return which of the forks' layers the definition means."""
        p, number = self.param, self.stored_blobs
        given = {kind: [name for name in names if p.HasField(name)] for kind, names in FIELDS.items()}
        learned = [name for name in ("scale_filler", "shift_filler") if p.HasField(name)]
        if given[PSPNET] and learned:
            given[SEGNET] += learned
        found = [kind for kind, names in given.items() if names]
        if len(found) > 1:
            self.fail("has fields of more than one fork's BN: " + "; ".join(
                f"{kind} has {', '.join(given[kind])}" for kind in found), hint="keep the fields of one of them")
        if not found and number in (2, 4):
            found = [SEGNET if number == 2 else CTPN if learned else PSPNET]
        kind = found[0] if found else SEGNET if learned or tops > 1 else PSPNET
        if tops > 1 and kind != SEGNET:
            self.fail(f"has {tops} tops, but {kind} has one", hint="SegNet's BN, which says bn_mode, puts out its mean "
                      "and its variance")
        return kind

    def _read_fields(self):
        """Read what the fields of this layer say, and return the axis of the channels.

        uses_batch   normalize by the statistics of the batch
        stored       normalize by those in the blobs; where neither holds, x is scaled as it is
        remembers    the batch's statistics go into those that are stored
        """
        p, training = self.param, self.phase == TRAIN
        self.fraction, self.frozen, axis = 0.0, False, 1
        self.fillers = (p.slope_filler, p.bias_filler) if self.kind == PSPNET else (p.scale_filler, p.shift_filler)
        if self.kind == SEGNET:
            self.eps, self.uses_batch, self.stored = 1e-9, p.bn_mode == BNParameter.LEARN, False
        elif self.kind == PSPNET:
            check_eps(self)
            self.check(0 <= p.momentum <= 1, "momentum", "must lie in [0, 1]")
            self.eps, self.fraction, self.frozen = p.eps, p.momentum, p.frozen
            self.uses_batch = training and not p.frozen
            self.check_effect(not p.frozen, "momentum", "frozen is true")
            self.stored = not self.uses_batch
        else:
            check_eps(self, "var_eps")
            self.check(0 <= p.decay <= 1, "decay", "must lie in [0, 1]")
            self.check(p.axis in (1, 2), "axis", "must be 1 or 2")
            self.eps, self.fraction, axis = p.var_eps, 1 - p.decay, int(p.axis)
            self.stored = self.phase == TEST and p.moving_average
            self.uses_batch = not self.stored
        self.remembers = training and self.uses_batch and self.kind != SEGNET
        return axis

    def _measure(self, x, top):
        """Return x̂, put out the statistics of the batch, and remember them."""
        kept = self._kept()
        mu, v, self.std = normalize(x, self.eps, kept)
        for blob, values in zip(top[1:], (mu, v), strict=False):
            blob.data[...] = values.reshape(blob.shape)
        if self.remembers:
            self.measured = mu, v
            if not self.remembers_later:
                self.remember(self.measured)
        return kept

    def _numbers(self, k):
        """Return blob k as (C,)."""
        return self.blobs[k].data.reshape(-1)

    def _kept(self):
        """Return the memory of x̂ as (images, C, values of a channel)."""
        return self.kept.reshape(self.sizes)
