"""ConvolutionDepthwise: a convolution in which each channel has filters of its own."""

from minicaffe.layer import register
from minicaffe.layers.vision.convolution import ConvolutionLayer


@register("ConvolutionDepthwise")
class ConvolutionDepthwiseLayer(ConvolutionLayer):
    """Slide filters over each channel by itself: m = K / C filters for each of the C channels, usually one.

    It is Convolution with group C, whatever `group` says.

    Forward   y[n, k, o] = b[k] + Σ w[k, 0, i] · x[n, k // m, o·s + i·d − p]   over i, with m = K / C
    Backward  dx[n, c, q] = Σ w[k, 0, i] · dy[n, k, o]   over i, o with o·s + i·d − p = q, and the m filters k of c
              dw[k, 0, i] += Σ dy[n, k, o] · x[n, k // m, o·s + i·d − p]   over n and o
              db[k] += Σ dy[n, k, o]   over n and o
    Computed  kernels.correlate, kernels.add_channel_sums, kernels.correlate_weight_grad, kernels.correlate_data_grad:
              minicaffe/kernels/definitions/convolution.py

    Bottom    x (N, C, H, W), one or more of one shape; any number of spatial axes, any axes before the channels
    Top       y (N, K, oh, ow), one a bottom; oh and ow as for Convolution
    Params    convolution_param: num_output=K (must be given), bias_term (true), group (without effect: it is always C,
              1), axis (of the channels, 1), weight_filler (absent: all 0), bias_filler (absent: all 0), kernel_size
              (once, or once for each axis; must be given) or kernel_h kernel_w, stride=s (absent: 1) or stride_h
              stride_w, pad=p (absent: 0) or pad_h (0) pad_w (0), dilation=d (absent: 1), engine (accepted, without
              effect, DEFAULT), force_nd_im2col (accepted, without effect, false)
    Blobs     w (K, 1, kh, kw), b (K,) with bias_term
    In place  no: backward reads x
    Errors    LayerError when C does not divide num_output, and for everything else that is one for Convolution
    Derived   docs/maths/vision.md#convolution-and-deconvolution
    See       Howard et al., 2017 (MobileNet); soeaver's fork, whose nets of this type leave group out
    """

    recordable = True
    can_dry_run = True

    def choose_group(self, shape):
        self.check_effect(self.param.group == self.C, "group", f"it is always the number of channels, {self.C}")
        self.check(self.K % self.C == 0, "num_output",
                   f"must be a multiple of the C={self.C} channels of bottom[0] {shape}")
        return self.C
