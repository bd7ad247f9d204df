"""Parametric rectified linear unit: a ReLU that learns the slope of its negative side."""

import numpy as np

from minicaffe import kernels
from minicaffe.layer import Layer, register
from minicaffe.proto import FillerParameter, PReLUParameter


@register("PReLU")
class PReLULayer(Layer):
    """Keep positive numbers; scale the others by a slope learned for each channel, or one for all.

    Forward   y = max(x, 0) + a[c] · min(x, 0)
    Backward  dx = dy where x > 0, else a[c] · dy
              da[c] += Σ dy · min(x, 0)   over all values of channel c, or of all channels with channel_shared
    Computed  kernels.copy: minicaffe/kernels/definitions/copying.py;
              kernels.prelu: minicaffe/kernels/definitions/channels.py

    Bottom    x (N, C, …)
    Top       y, the shape of x
    Params    prelu_param: filler (absent: constant 0.25), channel_shared (one slope for all channels, false)
    Blobs     a (C,), or a scalar with channel_shared
    In place  yes: backward needs x, so a copy is kept
    Errors    LayerError when x has fewer than two axes or another number of channels than a
    See       He et al., ICCV 2015
    """

    message = "prelu_param"
    param: PReLUParameter
    in_place = True
    recordable = True

    def setup(self, bottom, top):
        self._check_axes(bottom[0])
        p = self.param
        filler = p.filler if p.HasField("filler") else FillerParameter(type="constant", value=0.25)
        self.add_blob(() if p.channel_shared else bottom[0].shape[1:2], filler)

    def reshape(self, bottom, top):
        x, a = bottom[0], self.blobs[0]
        self._check_axes(x)
        if not self.param.channel_shared and a.count != x.shape[1]:
            self.fail(f"bottom[0] {x.shape} has {x.shape[1]} channels, but there are {a.count} learned slopes")
        top[0].reshape_like(x)
        self.keeps_x = top[0] is x and self.runs_backward  # backward reads the x that y has replaced
        if self.keeps_x:
            self.x = self.scratch(x.shape)

    def forward(self, bottom, top):
        x, y, a = bottom[0].data, top[0].data, self.blobs[0].data
        if self.keeps_x:
            kernels.copy(x, self.x)
        kernels.prelu(x, a, y)

    def backward(self, top, propagate_down, bottom):
        sizes = bottom[0].shape[0], bottom[0].shape[1], bottom[0].count_between(2)
        x = (self.x if self.keeps_x else bottom[0].data).reshape(sizes)
        dy, dx = top[0].diff.reshape(sizes), bottom[0].diff.reshape(sizes)
        a, da = self.blobs[0].data.reshape(-1, 1), self.blobs[0].diff
        if self.param_propagate_down[0]:
            sums = np.einsum("nci,nci->c", dy, np.minimum(x, 0))
            da += sums.sum() if self.param.channel_shared else sums
        if propagate_down[0]:
            np.multiply(dy, np.where(x > 0, 1, a), out=dx)

    def _check_axes(self, x):
        """Raise a LayerError unless x has a channel axis."""
        if x.num_axes < 2:
            self.fail(f"bottom[0] must have at least 2 axes, (N, C, …), got {x.shape}")
