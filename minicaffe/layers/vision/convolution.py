"""Convolution: filters slide over images and answer where they see their pattern."""

from minicaffe import kernels
from minicaffe.layer import register
from minicaffe.layers.vision._convolution import ConvolutionBase
from minicaffe.layers.vision._geometry import conv_sizes


@register("Convolution")
class ConvolutionLayer(ConvolutionBase):
    """Slide K filters over every image; each output is a weighted sum of the pixels under a filter.

    When the filter stands at position o, its place i lies on pixel q = o·s + i·d − p of image n. In images o, i and q
    are pairs of row and column. s is the stride, p the padding, and d the dilation, the step from one place of the
    filter to the next. `group` cuts the channels of x and y into so many equal parts; c runs over the part of k.

    Forward   y[n, k, o] = b[k] + Σ w[k, c, i] · x[n, c, o·s + i·d − p]   over c and i
    Backward  dx[n, c, q] = Σ w[k, c, i] · dy[n, k, o]   over k, i, o with o·s + i·d − p = q
              dw[k, c, i] += Σ dy[n, k, o] · x[n, c, o·s + i·d − p]   over n and o
              db[k] += Σ dy[n, k, o]   over n and o
    dx is overwritten; dw and db are added to, for an update may be made from several passes. The filter is not turned
    around first, so the kernels say correlation, as mathematicians do.
    Computed  kernels.correlate, kernels.add_channel_sums, kernels.correlate_weight_grad, kernels.correlate_data_grad:
              minicaffe/kernels/definitions/convolution.py

    Bottom    x (N, C, H, W), one or more of one shape; any number of spatial axes, any axes before the channels
    Top       y (N, K, oh, ow), one a bottom; oh = (H + 2p − d·(kh − 1) − 1) / s rounded towards zero, + 1
    Params    convolution_param: num_output=K (must be given), bias_term (true), group (1), axis (of the channels, 1),
              weight_filler (absent: all 0), bias_filler (absent: all 0), kernel_size (once, or once for each axis; must
              be given) or kernel_h kernel_w, stride=s (absent: 1) or stride_h stride_w, pad=p (absent: 0) or pad_h (0)
              pad_w (0), dilation=d (absent: 1), engine (accepted, without effect, DEFAULT), force_nd_im2col (accepted,
              without effect, false)
    Blobs     w (K, C / group, kh, kw), b (K,) with bias_term
    In place  no: backward reads x
    Errors    LayerError when num_output is 0, when group does not divide C and K, when kernel_size, stride, pad or
              dilation is given a wrong number of times, or in both ways, when one of them other than pad is 0, when
              axis is out of range, when there are more or fewer tops than bottoms, when bottoms differ in shape, when
              C is not that of w, and when the window does not fit
    Derived   docs/maths/vision.md#convolution-and-deconvolution
    """

    recordable = recordable_backward = True
    can_dry_run = True

    # `setup` and `reshape` are those of ConvolutionBase, which Deconvolution has too

    def forward(self, bottom, top):
        w = self.blobs[0].data
        b = self.blobs[1].data if len(self.blobs) > 1 else None
        for x, y in zip(bottom, top, strict=True):
            kernels.correlate(self.images(x.data), w, b, *self.geometry, self.images(y.data))

    def backward(self, top, propagate_down, bottom):
        w = self.blobs[0].data
        for y, x, asked in zip(top, bottom, propagate_down, strict=True):
            dy = self.images(y.diff)
            if self.wants_b:
                db = self.blobs[1].diff
                kernels.add_channel_sums(dy, db)
            if self.wants_w:
                dw = self.blobs[0].diff
                kernels.correlate_weight_grad(self.images(x.data), dy, *self.geometry, dw)
            if asked:
                kernels.correlate_data_grad(dy, w, *self.geometry, self.images(x.diff))

    def filter_channels(self, C, K, group):  # a filter makes one channel of y from all channels of its group of x
        return K, C // group

    def output_sizes(self, shape):
        return conv_sizes(self, shape, self.window)

    def multiply_adds(self, bottom, top):
        return sum(y.count for y in top) * self.blobs[0].count_between(1)  # each output is a sum over one filter, w[k]
