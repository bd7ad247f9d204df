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
        self.K = self.param["num_output"]
        self.kernel = pair(self.param, "kernel_size")
        self.stride = pair(self.param, "stride", 1)
        self.pad = pair(self.param, "pad", 0)
        self.blobs = [Blob((self.K, bottom[0].shape[1], *self.kernel))]
        if self.param.get("bias_term", True):
            self.blobs.append(Blob((self.K,)))

    def reshape(self, bottom, top):
        N, _, H, W = bottom[0].shape
        oh = output_size(H, self.kernel[0], self.stride[0], self.pad[0])
        ow = output_size(W, self.kernel[1], self.stride[1], self.pad[1])
        top[0].reshape((N, self.K, oh, ow))

    def forward(self, bottom, top):
        x, y, w = self.padded(bottom[0].data), top[0].data, self.blobs[0].data
        for n, k, oy, ox in np.ndindex(y.shape):
            rows, columns = self.window(oy, ox)
            y[n, k, oy, ox] = (w[k] * x[n, :, rows, columns]).sum()
        if len(self.blobs) == 2:
            y += self.blobs[1].data.reshape(-1, 1, 1)

    def backward(self, top, propagate_down, bottom):
        x, dy, w = self.padded(bottom[0].data), top[0].diff, self.blobs[0]
        dx = np.zeros(x.shape)
        for n, k, oy, ox in np.ndindex(dy.shape):
            rows, columns = self.window(oy, ox)
            w.diff[k] += dy[n, k, oy, ox] * x[n, :, rows, columns]
            dx[n, :, rows, columns] += dy[n, k, oy, ox] * w.data[k]
        if len(self.blobs) == 2:
            self.blobs[1].diff += dy.sum(axis=(0, 2, 3))
        if propagate_down[0]:
            (ph, pw), (H, W) = self.pad, bottom[0].shape[2:]
            bottom[0].diff[...] = dx[:, :, ph:ph + H, pw:pw + W]

    def padded(self, x):
        """Return the images with zeros around each."""
        (ph, pw), (N, C, H, W) = self.pad, x.shape
        wide = np.zeros((N, C, H + 2 * ph, W + 2 * pw))
        wide[:, :, ph:ph + H, pw:pw + W] = x
        return wide

    def window(self, oy, ox):
        """Return the rows and columns of the padded image that the filter covers at this place."""
        (sh, sw), (kh, kw) = self.stride, self.kernel
        return slice(oy * sh, oy * sh + kh), slice(ox * sw, ox * sw + kw)
