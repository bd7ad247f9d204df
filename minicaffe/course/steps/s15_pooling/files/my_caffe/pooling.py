"""Pooling: one number in the place of each window, the largest or the mean."""

import numpy as np

from my_caffe.layer import Layer
from my_caffe.window import pair


def pooled_size(size, kernel, stride, pad):
    """Return how many windows a pooling has along an axis of `size` pixels.

    Other than with a convolution, the last window may reach beyond the padding, so that no pixels are left out at the
    end. But a window that would begin behind the last pixel of the image is left out.
    """
    raise NotImplementedError


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
        raise NotImplementedError

    def reshape(self, bottom, top):
        """Give the top its shape."""
        raise NotImplementedError

    def forward(self, bottom, top):
        """Write y into the data of the top."""
        raise NotImplementedError

    def backward(self, top, propagate_down, bottom):
        """Write dx into the diff of the bottom, if propagate_down[0] says so."""
        raise NotImplementedError
