"""Convolution as loops: filters slide over images and answer where they see their pattern."""

import numpy as np

from my_caffe.blob import Blob
from my_caffe.layer import Layer
from my_caffe.window import output_size, pair


class ConvolutionLayer(Layer):
    """Slide K filters over every image; each output is a weighted sum of the pixels under a filter.

    o is the place of the filter, i a place in the filter, q a pixel of the image: pairs of row and column. s is the
    stride and p the padding. Beyond the image, x is 0.

    Forward   y[n, k, o] = b[k] + Σ w[k, c, i] · x[n, c, o·s + i − p]   over c and i
    Backward  dx[n, c, q] = Σ w[k, c, i] · dy[n, k, o]   over k, i, o with o·s + i − p = q
              dw[k, c, i] += Σ dy[n, k, o] · x[n, c, o·s + i − p]   over n and o
              db[k] += Σ dy[n, k, o]   over n and o

    Bottom    x (N, C, H, W)
    Top       y (N, K, oh, ow)
    Params    num_output=K, kernel_size or kernel_h and kernel_w, stride (1) or stride_h and stride_w, pad (0) or pad_h
              and pad_w, bias_term (True)
    Blobs     w (K, C, kh, kw), and b (K,) if bias_term is True; zeros at first
    """

    def setup(self, bottom, top):
        """Keep K as self.K, the pairs as self.kernel, self.stride and self.pad; make the blobs."""
        raise NotImplementedError

    def reshape(self, bottom, top):
        """Give the top its shape."""
        raise NotImplementedError

    def forward(self, bottom, top):
        """Write y into the data of the top."""
        raise NotImplementedError

    def backward(self, top, propagate_down, bottom):
        """Add to the diffs of w and b; write dx into the diff of the bottom, if propagate_down[0] says so."""
        raise NotImplementedError
