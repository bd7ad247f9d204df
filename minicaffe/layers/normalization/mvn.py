"""Mean-variance normalization: give each image, or each of its channels, mean 0 and variance 1."""

import numpy as np

from minicaffe.layer import Layer, register
from minicaffe.layers.normalization._eps import check_eps, without_spread
from minicaffe.proto import MVNParameter


@register("MVN")
class MVNLayer(Layer):
    """Subtract the mean and divide by the standard deviation, within one image.

    Forward   μ = Σ x / m,  σ = √(Σ (x − μ)² / m),  y = (x − μ) / (σ + ε)
              over the m values of one channel of one image, or of one image with across_channels;
              without normalize_variance: y = x − μ
    Backward  dx = (dy − Σ dy / m − y · Σ (dy·y) / m) / (σ + ε)
              without normalize_variance: dx = dy − Σ dy / m

    Bottom    x (N, C, H, W), or fewer axes, the missing ones counting as 1
    Top       y (N, C, H, W), always four axes; in place, the shape of x
    Params    mvn_param: normalize_variance (true), across_channels (false), eps=ε (1e-9)
    In place  yes: backward reads y alone
    Errors    LayerError when x has more than 4 axes, or eps is negative
    Derived   docs/maths/normalization.md#mvn
    """

    message = "mvn_param"
    param: MVNParameter
    in_place = True
    backward_reads = ("top",)

    def setup(self, bottom, top):
        check_eps(self)
        self.check_effect(self.param.normalize_variance, "eps", "normalize_variance is false")

    def reshape(self, bottom, top):
        x = bottom[0]
        if x.num_axes > 4:
            self.fail(f"bottom[0] must have at most 4 axes (N, C, H, W), got {x.num_axes}: {x.shape}")
        N, C, H, W = (x.legacy_shape(i) for i in range(4))
        # one row for each group of values that has a mean and a deviation of its own
        self.sizes = (N, C * H * W) if self.param.across_channels else (N * C, H * W)
        if top[0] is not x:  # in place, the layer before would find its top in another shape
            top[0].reshape(N, C, H, W)  # Caffe: the top has four axes, whatever the bottom has

    def forward(self, bottom, top):
        x, y = bottom[0].data.reshape(self.sizes), top[0].data.reshape(self.sizes)
        np.subtract(x, x.mean(axis=1, keepdims=True), out=y)
        if self.param.normalize_variance:
            # Caffe: ε is added to the standard deviation, not to the variance as in BatchNorm
            self.std = np.sqrt((y * y).mean(axis=1, keepdims=True)) + self.param.eps
            y /= self.std

    def backward(self, top, propagate_down, bottom):
        if not propagate_down[0]:
            return
        y, dy, dx = (v.reshape(self.sizes) for v in (top[0].data, top[0].diff, bottom[0].diff))
        mean_dy = dy.mean(axis=1, keepdims=True)
        if not self.param.normalize_variance:
            np.subtract(dy, mean_dy, out=dx)
            return
        # Caffe: exact for ε = 0 only; the last term lacks a factor (σ + ε) / σ
        mean_dy_y = (dy * y).mean(axis=1, keepdims=True)
        np.subtract(dy, mean_dy + mean_dy_y * y, out=dx)
        dx /= self.std

    def why_not_finite(self, bottom):
        return without_spread(bottom[0])
