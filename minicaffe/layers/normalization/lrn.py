"""Local response normalization: a value is damped by the energy of its neighbours."""

import numpy as np

from minicaffe import kernels
from minicaffe.layer import Layer, register
from minicaffe.proto import LRNParameter


@register("LRN")
class LRNLayer(Layer):
    """Scale each value down where the values around it are strong.

    Forward   s[i] = k + α/m · Σ x[j]²,  y[i] = x[i] · s[i]^−β
    Backward  t[i] = Σ dy[j] · y[j] / s[j],  dx[i] = dy[i] · s[i]^−β − 2αβ/m · x[i] · t[i]
    where both Σ run over the window around i, in which values beyond the border count as 0:
        ACROSS_CHANNELS    n channels at the same place, m = n
        WITHIN_CHANNEL     n × n places of the same channel, m = n², and k = 1 whatever is given

    Bottom    x (N, C, H, W)
    Top       y (N, C, H, W)
    Params    lrn_param: local_size=n (odd), alpha=α, beta=β, k, norm_region, engine (accepted, without effect)
    In place  yes: a copy of x is kept for backward
    Errors    LayerError when local_size is even, or x has not 4 axes
    Derived   docs/maths/normalization.md#lrn
    See       Krizhevsky et al., NIPS 2012, §3.3
    """

    message = "lrn_param"
    in_place = True

    def setup(self, bottom, top):
        p = self.param
        self.check(p.local_size % 2 == 1, "local_size", "must be odd, so that the window has a middle")
        self.n, self.k, self.beta = p.local_size, p.k, p.beta
        self.axes = [1]
        if p.norm_region == LRNParameter.WITHIN_CHANNEL:
            self.axes, self.k = [2, 3], 1.0  # Caffe: k is not read here
            self.check_effect(p.k == 1, "k", "WITHIN_CHANNEL takes 1")
        self.alpha = p.alpha / self.n ** len(self.axes)

    def reshape(self, bottom, top):
        x = bottom[0]
        if x.num_axes != 4:
            self.fail(f"bottom[0] must have 4 axes (N, C, H, W), got {x.num_axes}: {x.shape}")
        top[0].reshape_like(x)
        self._kept_x = None
        if self.runs_backward:
            self.s, self.damping = self.scratch(x.shape), self.scratch(x.shape)
            self._kept_x = self.scratch(x.shape) if top[0] is x else None

    def forward(self, bottom, top):
        x, y = bottom[0].data, top[0].data
        if self._kept_x is not None:
            self._kept_x[...] = x
        if self.runs_backward:
            kernels.for_images(self._damp, x, self.s, self.damping, y)
        else:
            kernels.for_images(self._damp_alone, x, y)

    def backward(self, top, propagate_down, bottom):
        if not propagate_down[0]:
            return
        x = bottom[0].data if self._kept_x is None else self._kept_x
        kernels.for_images(self._damp_grad, x, self.s, self.damping, top[0].diff, bottom[0].diff)

    def _damp(self, x, s, damping, y):
        np.multiply(x, x, out=damping)
        self._window_sum(damping, out=s)
        s *= self.alpha
        s += self.k
        kernels.negative_power(s, self.beta, damping)
        np.multiply(x, damping, out=y)

    def _damp_alone(self, x, y):
        """As `_damp`, with s in y's place where y is not x's own."""
        self._damp(x, np.empty_like(x) if np.may_share_memory(x, y) else y, np.empty_like(x), y)

    def _damp_grad(self, x, s, damping, dy, dx):
        damped = dy * damping
        t = damped * x
        t /= s
        t = self._window_sum(t, out=np.empty_like(x))
        t *= x
        t *= 2 * self.alpha * self.beta
        np.subtract(damped, t, out=dx)

    def _window_sum(self, values, out):
        for axis in self.axes[:-1]:
            values = kernels.window_sum(values, self.n, axis, out=np.empty_like(values))
        return kernels.window_sum(values, self.n, self.axes[-1], out=out)
