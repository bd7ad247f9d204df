"""Deconvolution: convolution run backwards, which makes images larger."""

from minicaffe import kernels
from minicaffe.layer import register
from minicaffe.layers.vision._convolution import ConvolutionBase


@register("Deconvolution")
class DeconvolutionLayer(ConvolutionBase):
    """Stamp a filter, scaled by each pixel, onto a larger image: a Convolution with forward and backward swapped.

    The letters are those of Convolution; q is a pixel of y, and o one of x. c runs over the channels of k's group.

    Forward   y[n, k, q] = b[k] + Σ w[c, k, i] · x[n, c, o]   over c, i, o with o·s + i·d − p = q
    Backward  dx[n, c, o] = Σ w[c, k, i] · dy[n, k, o·s + i·d − p]   over k and i
              dw[c, k, i] += Σ x[n, c, o] · dy[n, k, o·s + i·d − p]   over n and o
              db[k] += Σ dy[n, k, q]   over n and q
    Computed  kernels.correlate_data_grad, kernels.add_channel_sums, kernels.correlate_weight_grad, kernels.correlate:
              minicaffe/kernels/definitions/convolution.py;
              kernels.add_bias: minicaffe/kernels/definitions/channels.py

    Bottom    x (N, C, H, W), one or more of one shape; any number of spatial axes, any axes before the channels
    Top       y (N, K, oh, ow), one a bottom; oh = s·(H − 1) + d·(kh − 1) + 1 − 2p
    Params    convolution_param: num_output=K (must be given), bias_term (true), group (1), axis (of the channels, 1),
              weight_filler (absent: all 0), bias_filler (absent: all 0), kernel_size (once, or once for each axis; must
              be given) or kernel_h kernel_w, stride=s (absent: 1) or stride_h stride_w, pad=p (absent: 0) or pad_h (0)
              pad_w (0), dilation=d (absent: 1), engine (accepted, without effect, DEFAULT), force_nd_im2col (accepted,
              without effect, false)
    Blobs     w (C, K / group, kh, kw), b (K,) with bias_term
    In place  no: backward reads x
    Errors    LayerError as for Convolution, and when the padding leaves nothing of the top
    Derived   docs/maths/vision.md#deconvolution
    See       Long et al., CVPR 2015, §3.3: with the bilinear filler it upsamples linearly
    """

    recordable = recordable_backward = True
    can_dry_run = True

    # `setup` and `reshape` are those of ConvolutionBase, which Convolution has too

    def forward(self, bottom, top):
        w = self.blobs[0].data
        for x, y in zip(bottom, top, strict=True):
            images = self.images(y.data)
            kernels.correlate_data_grad(self.images(x.data), w, *self.geometry, images)
            if len(self.blobs) > 1:  # the gradient of a convolution has no bias, so b is added afterwards
                b = self.blobs[1].data
                kernels.add_bias(images, b, 1, images)

    def backward(self, top, propagate_down, bottom):
        w = self.blobs[0].data
        for y, x, asked in zip(top, bottom, propagate_down, strict=True):
            dy = self.images(y.diff)
            if self.wants_b:
                db = self.blobs[1].diff
                kernels.add_channel_sums(dy, db)
            if self.wants_w:  # x and dy change places, because y here is the image that a convolution reads
                dw = self.blobs[0].diff
                kernels.correlate_weight_grad(dy, self.images(x.data), *self.geometry, dw)
            if asked:
                kernels.correlate(dy, w, None, *self.geometry, self.images(x.diff))

    def filter_channels(self, C, K, group):  # a filter stamps one channel of x onto all channels of its group of y
        return C, K // group

    def output_sizes(self, shape):
        kernel, stride, pad, _ = self.window
        sizes = tuple(s * (n - 1) + extent - 2 * p for n, s, extent, p in zip(
            shape[self.axis + 1:], stride, self.window.extents, pad, strict=True))
        if min(sizes, default=1) < 1:
            self.fail(f"padding of {pad} leaves nothing of the top: bottom[0] {shape} with kernel {kernel} "
                      f"and stride {stride} makes sizes of {sizes}")
        return sizes

    def multiply_adds(self, bottom, top):
        return sum(x.count for x in bottom) * self.blobs[0].count_between(1)  # each input is spread by w[c]
