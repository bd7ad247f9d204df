"""Pooling: one number in the place of each window, the largest or the mean."""

import numpy as np

from my_caffe.layer import Layer
from my_caffe.window import pair


def pooled_size(size, kernel, stride, pad):
    """Return how many windows a pooling has along an axis of `size` pixels.

    Other than with a convolution, the last window may reach beyond the padding, so that no pixels are left out at the
    end. But a window that would begin behind the last pixel of the image is left out.
    """
    windows = -(-(size + 2 * pad - kernel) // stride) + 1
    if (windows - 1) * stride - pad >= size:
        windows -= 1
    return windows


class PoolingLayer(Layer):
    """Slide a window over every channel, and keep one number of it.

    The window at o has the places q with o·s − p ≤ q < o·s − p + k; o and q are pairs of row and column. x has no
    pixels in the padding.

    Forward   MAX   y[o] = x[m], m the first of the largest pixels of the window, row by row
              AVE   y[o] = Σ x[q] / a, a the number of places q < H + p of the window, those in the padding too
    Backward  MAX   dx[m] = Σ dy[o]      over the windows o that chose m
              AVE   dx[q] = Σ dy[o] / a  over the windows o with q in them

    Bottom    x (N, C, H, W)
    Top       y (N, C, oh, ow)
    Params    pool, "MAX" or "AVE" ("MAX"), kernel_size or kernel_h and kernel_w, stride (1) or stride_h and stride_w,
              pad (0) or pad_h and pad_w, less than the kernel
    """

    def setup(self, bottom, top):
        """Read the parameters."""
        self.pool = self.param.get("pool", "MAX")
        self.kernel = pair(self.param, "kernel_size")
        self.stride = pair(self.param, "stride", 1)
        self.pad = pair(self.param, "pad", 0)

    def reshape(self, bottom, top):
        """Give the top its shape."""
        N, C, H, W = bottom[0].shape
        oh = pooled_size(H, self.kernel[0], self.stride[0], self.pad[0])
        ow = pooled_size(W, self.kernel[1], self.stride[1], self.pad[1])
        top[0].reshape((N, C, oh, ow))

    def forward(self, bottom, top):
        """Write y into the data of the top."""
        x, y = bottom[0].data, top[0].data
        for oy, ox in np.ndindex(y.shape[2:]):
            rows, columns, area = self.window(oy, ox, x.shape[2:])
            seen = x[:, :, rows, columns]
            if self.pool == "MAX":
                y[:, :, oy, ox] = seen.max(axis=(2, 3))
            else:
                y[:, :, oy, ox] = seen.sum(axis=(2, 3)) / area

    def backward(self, top, propagate_down, bottom):
        """Write dx into the diff of the bottom, if propagate_down[0] says so."""
        if not propagate_down[0]:
            return
        x, dy, dx = bottom[0].data, top[0].diff, bottom[0].diff
        dx[...] = 0
        for oy, ox in np.ndindex(dy.shape[2:]):
            rows, columns, area = self.window(oy, ox, x.shape[2:])
            seen, share = x[:, :, rows, columns], dx[:, :, rows, columns]
            if self.pool == "AVE":
                share += dy[:, :, oy, ox, None, None] / area
                continue
            for n, c in np.ndindex(dy.shape[:2]):
                m = np.unravel_index(seen[n, c].argmax(), seen.shape[2:])
                share[n, c][m] += dy[n, c, oy, ox]

    def window(self, oy, ox, size):
        """Return the rows and columns of the image in this window, and the number of its places."""
        parts, area = [], 1
        for o, n, k, s, p in zip((oy, ox), size, self.kernel, self.stride, self.pad, strict=True):
            begin = o * s - p
            end = min(begin + k, n + p)
            parts.append(slice(max(begin, 0), min(end, n)))
            area *= end - begin
        return *parts, area
