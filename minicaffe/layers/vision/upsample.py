"""Upsample: make images larger, with each number at the place that a pooling took it from, or with pixels repeated."""

import numpy as np

from minicaffe import kernels
from minicaffe.layer import Layer, register
from minicaffe.proto import UpsampleParameter


@register("Upsample")
class UpsampleLayer(Layer):
    """Undo a pooling: put each number where its window had found its largest pixel, and 0 everywhere else.

    With a single bottom, it is another layer of the same name: every pixel becomes a block of equal pixels.

    Forward   two bottoms  y[n, c, m[n, c, o]] = x[n, c, o];  of several o with one m, the last counts;  other y = 0
              one bottom   y[n, c, i, j] = x[n, c, i // s_h, j // s_w]
    Backward  two bottoms  dx[n, c, o] = dy[n, c, m[n, c, o]]
              one bottom   dx[n, c, h, w] = Σ dy[n, c, i, j]   over the block of the pixel
    Computed  kernels.repeat_pixels: minicaffe/kernels/definitions/resizing.py

    Bottom    x (N, C, H, W)
              m, the shape of x: places h · ow + w in y, as the second top of a MAX Pooling has them; or none. No
              gradient goes to it
    Top       y (N, C, oh, ow); two bottoms: oh is upsample_h, else H · s_h, 1 less with pad_out_h; ow alike
              one bottom: oh = H · s_h, ow = W · s_w
    Params    upsample_param: scale=s (absent: 2 with m, else 1) or scale_h scale_w, upsample_h upsample_w (instead of
              scale, with m), pad_out_h (with m, false), pad_out_w (with m, false)
    In place  no: the top has a shape of its own
    Errors    LayerError when x has not four axes or m not its shape, when one of scale_h and scale_w or of upsample_h
              and upsample_w is missing, when a scale is 0, when upsample_h, upsample_w, pad_out_h or pad_out_w is given
              without m, when pad_out_h or pad_out_w is set and the scale is not 2, when a place in m is not in y
    See       SegNet's and jolibrain's forks have two bottoms, eric612's one
    """

    message = "upsample_param"
    param: UpsampleParameter
    bottoms = (1, 2)

    def setup(self, bottom, top):
        p = self.param
        with_mask = len(bottom) == 2
        self.recordable = not with_mask
        self.size = self._pair("upsample_h", "upsample_w")
        if self.size and with_mask:
            for field in ("scale", "scale_h", "scale_w", "pad_out_h", "pad_out_w"):
                self.check_effect(False, field, "upsample_h and upsample_w are given")
            return
        self.scale = self._pair("scale_h", "scale_w")
        if self.scale:
            self.check_effect(False, "scale", "scale_h and scale_w are given")
        else:
            self.check(p.scale > 0 or not p.HasField("scale"), "scale", "must be positive")
            self.scale = (p.scale or (2 if with_mask else 1),) * 2
        for i, field in enumerate(("pad_out_h", "pad_out_w")):
            self.check(not getattr(p, field) or self.scale[i] == 2, field,
                       f"can be set for a scale of 2 alone, which is {self.scale[i]} here")
        if not with_mask:
            for field in ("upsample_h", "upsample_w", "pad_out_h", "pad_out_w"):
                self.check(not getattr(p, field), field, "is read with a second bottom alone, the mask")

    def reshape(self, bottom, top):
        p, shape = self.param, bottom[0].shape
        if len(shape) != 4:
            self.fail(f"bottom[0] must have the 4 axes (N, C, H, W), got {shape}")
        if len(bottom) == 2 and bottom[1].shape != shape:
            self.fail(f"bottom[1] {bottom[1].shape}, the mask, must have the shape of bottom[0] {shape}")
        sizes = self.size or (shape[2] * self.scale[0] - p.pad_out_h, shape[3] * self.scale[1] - p.pad_out_w)
        self.places = sizes[0] * sizes[1]  # in a plane of y
        top[0].reshape(*shape[:2], *sizes)

    def forward(self, bottom, top):
        if len(bottom) == 1:
            kernels.repeat_pixels(bottom[0].data, self.scale, top[0].data)
            return
        x, y = bottom[0].data, top[0].data
        y.fill(0)
        _planes(y)[self._places(bottom[1].data, y)] = _planes(x)

    def backward(self, top, propagate_down, bottom):
        dy = top[0].diff
        if len(bottom) == 2 and propagate_down[1]:
            bottom[1].diff.fill(0)
        if not propagate_down[0]:
            return
        dx = bottom[0].diff
        if len(bottom) == 2:
            m = self._places(bottom[1].data, dy)
            _planes(dx)[...] = _planes(dy)[m]
        else:
            N, C, H, W = dx.shape
            dy.reshape(N, C, H, self.scale[0], W, self.scale[1]).sum(  # dx[n, c, h, w] = Σ dy[n, c, i, j]
                axis=(3, 5), out=dx)

    def gradient_to(self, j):
        return j == 0

    def numbers_for(self, j, bottom, draw):
        if j != 1:
            return None
        # each place at most once, as Pooling has them where its windows do not overlap
        N, C, H, W = bottom[1].shape
        every = np.arange(max(self.places, H * W)) % max(self.places, 1)
        return draw.permuted(np.tile(every, (N * C, 1)), axis=1)[:, :H * W].reshape(N, C, H, W)

    def _pair(self, high, wide):
        """Return the values of two fields, or () where neither is given."""
        p = self.param
        for given, missing in ((high, wide), (wide, high)):
            self.check(not p.HasField(given) or p.HasField(missing), given, f"needs {missing} beside it")
            self.check(not p.HasField(given) or getattr(p, given) > 0, given, "must be positive")
        return (getattr(p, high), getattr(p, wide)) if p.HasField(high) else ()

    def _places(self, m, y):
        """Return the index that has, for each number of m, its plane and its place in the planes of y."""
        m, places = _planes(m), y.shape[2] * y.shape[3]
        bad = ~((m >= 0) & (m < places))
        if bad.any():
            self.fail(f"bottom[1], the mask, must hold places from 0 to {places - 1} in the planes of the top "
                      f"{y.shape}, got {m[bad][0]:g}", hint="the top must be as large as the bottom of the Pooling "
                      "whose mask it is: set upsample_h and upsample_w to that size")
        return np.arange(len(m))[:, None], m.astype(np.intp)


def _planes(array):
    """Return (N, C, H, W) seen as (N · C, H · W)."""
    return array.reshape(array.shape[0] * array.shape[1], array.shape[2] * array.shape[3])
