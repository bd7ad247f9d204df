"""Im2col: what a convolution's window sees, as columns."""

import math

from minicaffe import kernels
from minicaffe.layer import Layer, register
from minicaffe.layers.vision._geometry import conv_sizes, conv_window
from minicaffe.proto import ConvolutionParameter


@register("Im2col")
class Im2colLayer(Layer):
    """Copy the pixels under a sliding window into channels, one for each channel and place in the window.

    With stride s, dilation d and padding p; pixels in the padding are 0:

    Forward   y[n, (c, i), o] = x[n, c, o·s + i·d − p]
    Backward  dx[n, c, q] = Σ dy[n, (c, i), o]   over i and o with o·s + i·d − p = q
    Computed  kernels.im2col, kernels.col2im: minicaffe/kernels/definitions/im2col.py

    Bottom    x (N, C, H, W); any number of spatial axes, any axes before the channels
    Top       y (N, C · kh · kw, oh, ow), oh and ow as for Convolution
    Params    convolution_param: axis (of the channels, 1), kernel_size (once, or once for each axis; must be given) or
              kernel_h kernel_w, stride=s (absent: 1) or stride_h stride_w, pad=p (absent: 0) or pad_h (0) pad_w (0),
              dilation=d (absent: 1), engine (accepted, without effect, DEFAULT), force_nd_im2col (accepted, without
              effect, false)
    In place  no: the top has a shape of its own
    Errors    LayerError when there is no spatial axis after `axis`, and for axis and the window as Convolution has them
    Derived   docs/maths/vision.md#convolution-and-deconvolution
    """

    message = "convolution_param"
    param: ConvolutionParameter
    unread = ("num_output", "bias_term", "group", "weight_filler", "bias_filler")
    backward_reads = ()

    def setup(self, bottom, top):
        shape = bottom[0].shape
        self.axis = self.axis_of(bottom[0])
        self.check(self.axis < len(shape) - 1, "axis", f"must leave a spatial axis of bottom[0] {shape} after it")
        self.window = conv_window(self, len(shape) - self.axis - 1)

    def reshape(self, bottom, top):
        shape = bottom[0].shape
        if len(shape) != self.axis + 1 + len(self.window.kernel):
            self.fail(f"bottom[0] {shape} must keep its {self.axis + 1 + len(self.window.kernel)} axes")
        self.sizes = conv_sizes(self, shape, self.window)
        top[0].reshape(*shape[:self.axis], shape[self.axis] * math.prod(self.window.kernel), *self.sizes)

    def forward(self, bottom, top):
        for x, columns in self._images(bottom[0].data, top[0].data):
            kernels.im2col(x, self.window.stride, self.window.pad, self.window.dilation, columns)

    def backward(self, top, propagate_down, bottom):
        if not propagate_down[0]:
            return
        bottom[0].diff.fill(0)
        for dx, columns in self._images(bottom[0].diff, top[0].diff):
            kernels.col2im(columns, self.window.stride, self.window.pad, self.window.dilation, dx)

    def _images(self, x, y):
        """Return each image (1, C, H, W) together with its columns (C, kh, kw, 1, oh, ow)."""
        images, C = math.prod(x.shape[:self.axis]), x.shape[self.axis]
        return zip(x.reshape(images, 1, *x.shape[self.axis:]),
                   y.reshape(images, C, *self.window.kernel, 1, *self.sizes), strict=True)
