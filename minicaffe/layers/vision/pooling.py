"""Pooling: shrink images by putting one number in the place of each window."""

import numpy as np

from minicaffe.layer import register
from minicaffe.layers.vision._geometry import pool_pair, pooled_sizes
from minicaffe.layers.vision._pooling import PoolingBase
from minicaffe.proto import PoolingParameter


@register("Pooling")
class PoolingLayer(PoolingBase):
    """Slide a window over every channel and keep one number of it: the largest, the mean, or one drawn at random.

    Window o holds the pixels q of the image with o·s − p ≤ q < o·s − p + k; o and q are pairs of row and column.

    Forward   MAX         y[o] = x[m], m the first of the largest
              AVE         y[o] = Σ x[q] / a, a the number of places of the window, those in the padding too
              STOCHASTIC  with S = Σ x[q],  TRAIN: y[o] = x[m], m drawn with probability x[m] / S
                          TEST: y[o] = Σ x[q]² / S, the mean of such draws, or 0 where S ≤ 0
    Backward  MAX         dx[m] = Σ dy[o]   over the windows o that chose m
              AVE         dx[q] = Σ dy[o] / a   over the windows o with q in them
              STOCHASTIC  TRAIN: as MAX;  TEST: dx[q] = Σ dy[o] · (2 · x[q] − y[o]) / S
                          over the windows o with q in them and S > 0
    Computed  kernels.max_pool, kernels.ave_pool, kernels.stochastic_pool, kernels.expected_pool, kernels.ave_pool_grad,
              kernels.max_pool_grad, kernels.expected_pool_grad: minicaffe/kernels/definitions/pooling.py;
              PoolingBase: minicaffe/layers/vision/_pooling.py

    Bottom    x (N, C, H, W)
    Top       y (N, C, oh, ow), oh = (H + 2p − k) / s rounded by round_mode or ceil_mode, + 1; with padding, a window
              that would begin beyond H + p is left out;  for MAX also m (N, C, oh, ow) as h·W + w, −1 for none
    Params    pooling_param: pool (MAX), kernel_size=k (must be given, unless the window is the image) or kernel_h
              kernel_w, stride=s (1) or stride_h stride_w, pad=p (0) or pad_h (0) pad_w (0), global_pooling (the window
              is the image, false), round_mode (CEIL), ceil_mode (another name of round_mode, in the forks cascade-rcnn
              and soeaver: false is FLOOR, true), engine (accepted, without effect, DEFAULT)
    In place  no: the top has a shape of its own
    Phase     STOCHASTIC draws in TRAIN and averages in TEST; in a training, what it draws follows from the seed, the
              update, the part of the batch and the layer's name
    Errors    LayerError when x has not four axes, when there is no kernel, when kernel or stride is 0, when one of
              the two numbers of kernel, stride or pad is missing, or both ways of giving them are used, when a pad is
              not less than the kernel, when STOCHASTIC is padded, when global_pooling comes with a kernel, pad or
              stride, when round_mode and ceil_mode contradict each other, when the window does not fit or the last
              one would begin beyond the image, when another method than MAX has a second top
    Derived   docs/maths/vision.md#pooling
    See       Zeiler and Fergus, ICLR 2013, on stochastic pooling
    """

    message = "pooling_param"
    param: PoolingParameter
    fork_fields = ("ceil_mode",)
    tops = (1, 2)
    recordable = recordable_backward = True
    can_dry_run = True

    def setup(self, bottom, top):
        p = self.param
        self.kernel = pool_pair(self, "kernel_size", "kernel")
        self.stride, self.pad = pool_pair(self, "stride", "stride"), pool_pair(self, "pad", "pad")
        # a recording holds calls of kernels alone, not the random draws and not the copy of the mask in `forward`
        self.recordable = len(top) == 1 and p.pool != p.STOCHASTIC
        if len(top) > 1:
            self.check(p.pool == p.MAX, "pool", "must be MAX for a second top, the mask")
        self.rounds_up = self._rounds_up()
        if p.global_pooling:
            self.check(self.kernel == (0, 0), "global_pooling",
                       f"cannot be set beside the kernel {self.kernel}, because the window is the whole image")
            self.check((self.stride, self.pad) == ((1, 1), (0, 0)), "global_pooling",
                       f"needs stride 1 and pad 0, not {self.stride} and {self.pad}")
            return
        for field, pair in (("kernel_size", self.kernel), ("stride", self.stride)):
            self.check(min(pair) > 0, field, f"must be positive in height and width, is {pair}")
        if any(self.pad):
            self.check(p.pool != p.STOCHASTIC, "pad", f"must be 0 for STOCHASTIC pooling, is {self.pad}")
            self.check(all(a < k for a, k in zip(self.pad, self.kernel, strict=True)), "pad",
                       f"{self.pad} must be less than the kernel {self.kernel}")

    def reshape(self, bottom, top):
        p, shape = self.param, bottom[0].shape
        if len(shape) != 4:
            self.fail(f"bottom[0] must have the 4 axes (N, C, H, W), got {shape}")
        if p.global_pooling:
            self.kernel = shape[2:]
        sizes = pooled_sizes(self, shape, self.kernel, self.stride, self.pad, ceil=self.rounds_up)
        for y in top:
            y.reshape(*shape[:2], *sizes)
        # backward and the second top need the chosen pixels, and a random draw writes them anyway; without any of
        # these, writing them down would be wasted time
        needs_index = self.runs_backward or len(top) > 1 or p.pool == p.STOCHASTIC
        self.index = self.scratch(top[0].shape, np.int32) if needs_index else None

    def forward(self, bottom, top):
        self.pool(bottom[0].data, self.kernel, self.stride, self.pad, top[0].data, self.index)
        if len(top) > 1:
            top[1].data[...] = self.index

    def backward(self, top, propagate_down, bottom):
        if not propagate_down[0]:
            return
        x, dy, dx = bottom[0].data, top[0].diff, bottom[0].diff
        self.pool_grad(x, dy, self.index, self.kernel, self.stride, self.pad, dx)

    def _rounds_up(self):
        """Return whether the number of windows is rounded up, as round_mode or ceil_mode says."""
        p = self.param
        for field in ("round_mode", "ceil_mode"):
            self.check_effect(not p.global_pooling, field, "global_pooling is true")
        up = p.round_mode == p.CEIL
        if not p.HasField("ceil_mode"):
            return up
        self.check(up == p.ceil_mode or not p.HasField("round_mode"), "ceil_mode",
                   f"contradicts round_mode: {p.RoundMode.Name(p.round_mode)}",
                   hint="they are two names for one choice: remove one of them")
        return p.ceil_mode
