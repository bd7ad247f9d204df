"""Deconvolution: convolution run backwards, which makes images larger."""

from minicaffe import kernels
from minicaffe.layer import register
from minicaffe.layers.vision._convolution import ConvolutionBase


@register("Deconvolution")
class DeconvolutionLayer(ConvolutionBase):
    """Stamp a filter, scaled by each pixel, onto a larger image: a Convolution with forward and backward swapped.

    With stride s, dilation d and padding p, the channels c being those of k's group:

    Forward   y[n, k, q] = b[k] + Σ w[c, k, i] · x[n, c, o]   over c, i, o with o·s + i·d − p = q
    Backward  dx[n, c, o] = Σ w[c, k, i] · dy[n, k, o·s + i·d − p]   over k and i
              dw[c, k, i] += Σ x[n, c, o] · dy[n, k, o·s + i·d − p]   over n and o
              db[k] += Σ dy[n, k, q]   over n and q

    Bottom    x (N, C, H, W), one or more of one shape; any number of spatial axes, any axes before the channels
    Top       y (N, K, oh, ow), one a bottom; oh = s·(H − 1) + d·(kh − 1) + 1 − 2p
    Params    convolution_param: num_output=K, bias_term, group, axis, weight_filler, bias_filler,
              kernel_size or kernel_h kernel_w, stride or stride_h stride_w, pad or pad_h pad_w, dilation,
              engine force_nd_im2col (accepted, without effect)
    Blobs     w (C, K / group, kh, kw), b (K,) with bias_term
    In place  no: backward reads x
    Errors    LayerError as for Convolution, and when the padding eats the whole top
    See       Long et al., CVPR 2015, §3.3: with the bilinear filler it upsamples linearly
    """

    replays = True

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

    def forward(self, bottom, top):
        w = self.blobs[0].data
        for x, y in zip(bottom, top, strict=True):
            images = self.images(y.data)
            kernels.correlate_data_grad(self.images(x.data), w, *self.geometry, images)
            if len(self.blobs) > 1:
                b = self.blobs[1].data
                kernels.add_bias(images, b, 1, images)

    def backward(self, top, propagate_down, bottom):
        w = self.blobs[0].data
        for y, x, asked in zip(top, bottom, propagate_down, strict=True):
            dy = self.images(y.diff)
            if self.wants_b:
                db = self.blobs[1].diff
                kernels.add_channel_sums(dy, db)
            if self.wants_w:  # x and dy change places: what is y here is the image that a convolution reads
                dw = self.blobs[0].diff
                kernels.correlate_weight_grad(dy, self.images(x.data), *self.geometry, dw)
            if asked:
                kernels.correlate(dy, w, None, *self.geometry, self.images(x.diff))
