"""Spatial pyramid pooling: images of any size become rows of equally many numbers."""

from typing import NamedTuple

import numpy as np

from minicaffe.layer import register
from minicaffe.layers.vision._geometry import pooled_sizes
from minicaffe.layers.vision._pooling import PoolingBase
from minicaffe.proto import SPPParameter


class Level(NamedTuple):
    """The pooling of one level of the pyramid.

    kernel, pad    pairs (height, width); the stride is the kernel
    y              what the level pools
    chosen         which pixels it chose, as PoolingBase.pool writes them
    """

    kernel: tuple
    pad: tuple
    y: np.ndarray
    chosen: np.ndarray


@register("SPP")
class SPPLayer(PoolingBase):
    """Pool every channel over 1, 2 × 2, 4 × 4, … bins and lay the results side by side.

    Level l has 2^l bins a side: a Pooling with kernel and stride k = ⌈H / 2^l⌉ and pad p = ⌈(k · 2^l − H) / 2⌉.

    Forward   y = what the levels pool, each flattened to (N, C · 4^l), one beside the other
    Backward  dx = Σ dx of each level's pooling   over the levels
    Computed  kernels.max_pool, kernels.ave_pool, kernels.stochastic_pool, kernels.expected_pool, kernels.ave_pool_grad,
              kernels.max_pool_grad, kernels.expected_pool_grad: minicaffe/kernels/definitions/pooling.py;
              PoolingBase: minicaffe/layers/vision/_pooling.py

    Bottom    x (N, C, H, W)
    Top       y (N, C · Σ 4^l); with one level (N, C, 1, 1)
    Params    spp_param: pyramid_height (the number of levels, must be given), pool (MAX), engine (accepted, without
              effect, DEFAULT)
    In place  no: the top has a shape of its own
    Phase     STOCHASTIC draws in TRAIN and averages in TEST, as in Pooling
    Errors    LayerError when pyramid_height is 0, when x has not four axes, when an image is too small for a level's
              bins, and for STOCHASTIC where a level needs padding
    See       He et al., ECCV 2014
    """

    message = "spp_param"
    param: SPPParameter

    def setup(self, bottom, top):
        self.check(self.param.pyramid_height > 0, "pyramid_height", "must be positive")

    def reshape(self, bottom, top):
        shape = bottom[0].shape
        if len(shape) != 4:
            self.fail(f"bottom[0] must have the 4 axes (N, C, H, W), got {shape}")
        self.levels = [self._level(shape, 2**i) for i in range(self.param.pyramid_height)]
        if len(self.levels) == 1:
            top[0].reshape(self.levels[0].y.shape)  # Caffe: a single level is not flattened
        else:
            top[0].reshape(shape[0], sum(level.y[0].size for level in self.levels))
        self.level_dx = self.scratch(shape)

    def forward(self, bottom, top):
        x, end = bottom[0].data, 0
        flat = top[0].data.reshape(len(x), -1)
        for kernel, pad, y, chosen in self.levels:
            self.pool(x, kernel, kernel, pad, y, chosen)
            start, end = end, end + y[0].size
            flat[:, start:end] = y.reshape(len(x), -1)

    def backward(self, top, propagate_down, bottom):
        if not propagate_down[0]:
            return
        x, dx, end = bottom[0].data, bottom[0].diff, 0
        flat = top[0].diff.reshape(len(x), -1)
        for kernel, pad, y, chosen in self.levels:
            start, end = end, end + y[0].size
            dy = np.ascontiguousarray(flat[:, start:end]).reshape(y.shape)
            # the first level overwrites dx, the others are added to it
            self.pool_grad(x, dy, chosen, kernel, kernel, pad, dx if start == 0 else self.level_dx)
            if start > 0:
                dx += self.level_dx

    def _level(self, shape, bins):
        """Return the Level with this number of bins along each side, for bottoms of this shape."""
        kernel = tuple(-(-n // bins) for n in shape[2:])  # n / bins, rounded up
        # the windows together may be longer than the image: half of what they are too long is padding, rounded up
        pad = tuple((k * bins - n + 1) // 2 for k, n in zip(kernel, shape[2:], strict=True))
        if any(p >= k for p, k in zip(pad, kernel, strict=True)):
            self.check(False, "pyramid_height", f"asks for {bins} x {bins} bins, too many for bottom[0] {shape}: "
                                                f"windows of {kernel} would need a padding of {pad}")
        if any(pad):
            self.check(self.param.pool != self.param.STOCHASTIC, "pool", f"cannot be STOCHASTIC where a level needs "
                       f"padding, as {bins} x {bins} bins do for bottom[0] {shape}")
        sizes = pooled_sizes(self, shape, kernel, kernel, pad, ceil=True)
        return Level(kernel, pad, self.scratch((*shape[:2], *sizes)), self.scratch((*shape[:2], *sizes), np.int32))
