"""DepthwiseConv: one more name of DepthwiseConvolution."""

from minicaffe.layer import register
from minicaffe.layers.vision.depthwise_convolution import DepthwiseConvolutionLayer


@register("DepthwiseConv")
class DepthwiseConvLayer(DepthwiseConvolutionLayer):
    """Convolve each group of channels by itself: the same layer as DepthwiseConvolution, under another name.

    Forward   y[n, k, o] = b[k] + Σ w[k, c, i] · x[n, c, o·s + i·d − p]   over i and the c of k's group
    Backward  dx[n, c, q] = Σ w[k, c, i] · dy[n, k, o]   over i, o with o·s + i·d − p = q, and the k of c's group
              dw[k, c, i] += Σ dy[n, k, o] · x[n, c, o·s + i·d − p]   over n and o
              db[k] += Σ dy[n, k, o]   over n and o
    Computed  kernels.correlate, kernels.add_channel_sums, kernels.correlate_weight_grad, kernels.correlate_data_grad:
              minicaffe/kernels/definitions/convolution.py

    Bottom    x (N, C, H, W), one or more of one shape; any number of spatial axes, any axes before the channels
    Top       y (N, K, oh, ow), one a bottom; oh and ow as for Convolution
    Params    convolution_param: num_output=K (must be given), bias_term (true), group (1), axis (of the
              channels, 1), weight_filler (absent: all 0), bias_filler (absent: all 0), kernel_size (once, or once for
              each axis; must be given) or kernel_h kernel_w, stride=s (absent: 1) or stride_h stride_w, pad=p (absent:
              0) or pad_h (0) pad_w (0), dilation=d (absent: 1), engine (accepted, without effect, DEFAULT),
              force_nd_im2col (accepted, without effect, false)
    Blobs     w (K, C / group, kh, kw), b (K,) with bias_term
    In place  no: backward reads x
    Errors    LayerError for everything that is one for Convolution
    Derived   docs/maths/vision.md#convolution-and-deconvolution
    See       DepthwiseConvolution
    """

    recordable = True
    can_dry_run = True
