"""Local response normalization: a value is damped by the energy of its neighbours."""

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
    Computed  kernels.copy: minicaffe/kernels/definitions/copying.py;
              kernels.lrn, kernels.lrn_grad: minicaffe/kernels/definitions/lrn.py

    Bottom    x (N, C, H, W)
    Top       y (N, C, H, W)
    Params    lrn_param: local_size=n (odd, 5), alpha=α (1), beta=β (0.75), k (1), norm_region (ACROSS_CHANNELS), engine
              (accepted, without effect, DEFAULT)
    In place  yes: a copy of x is kept for backward
    Errors    LayerError when local_size is even, when alpha or k is negative, or x has not 4 axes
    Derived   docs/maths/normalization.md#lrn
    See       Krizhevsky et al., NIPS 2012, §3.3
    """

    message = "lrn_param"
    param: LRNParameter
    in_place = True
    recordable = recordable_backward = True
    can_dry_run = True

    def setup(self, bottom, top):
        p = self.param
        self.check(p.local_size % 2 == 1, "local_size", "must be odd, so that the window has a middle")
        for field in ("alpha", "k"):  # otherwise s could be negative, and s^−β would be no number
            self.check(getattr(p, field) >= 0, field, "must be at least 0")
        self.caution(p.k > 0, "k", "is 0, so 0 is divided by 0 where all neighbours are 0")
        self.n, self.k, self.beta = p.local_size, p.k, p.beta
        self.axes = [1]
        if p.norm_region == p.WITHIN_CHANNEL:
            self.axes, self.k = [2, 3], 1.0  # Caffe: k is not read here
            self.check_effect(p.k == 1, "k", "WITHIN_CHANNEL takes 1")
        self.alpha_over_m = p.alpha / self.n ** len(self.axes)

    def reshape(self, bottom, top):
        x = bottom[0]
        if x.num_axes != 4:
            self.fail(f"bottom[0] must have 4 axes (N, C, H, W), got {x.num_axes}: {x.shape}")
        top[0].reshape_like(x)
        # the window's middle is in the blob, so it reaches no further than this, however large it is
        self.size = min(self.n, max(1, 2 * max(x.shape[axis] for axis in self.axes) - 1))
        self.keeps_x = top[0] is x and self.runs_backward  # backward reads the x that y has replaced
        if self.runs_backward:
            self.s = self.scratch(x.shape)
        if self.keeps_x:
            self.x = self.scratch(x.shape)

    def forward(self, bottom, top):
        x, y = bottom[0].data, top[0].data
        s = self.s if self.runs_backward else None
        if self.keeps_x:
            kernels.copy(x, self.x)
        kernels.lrn(x, self.axes, self.size, self.alpha_over_m, self.k, self.beta, s, y)

    def backward(self, top, propagate_down, bottom):
        if not propagate_down[0]:
            return
        x = self.x if self.keeps_x else bottom[0].data
        dy, dx = top[0].diff, bottom[0].diff
        kernels.lrn_grad(x, self.s, dy, self.axes, self.size, self.alpha_over_m, self.beta, dx)
