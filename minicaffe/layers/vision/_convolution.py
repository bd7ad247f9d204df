"""The base of Convolution and Deconvolution: their parameters, learned blobs and shapes."""

import math

from minicaffe.layer import Layer
from minicaffe.layers.vision._geometry import conv_window
from minicaffe.proto import ConvolutionParameter


class ConvolutionBase(Layer):
    """A layer with filters w and biases b. The filters slide over every axis after the channels.

    A subclass writes `filter_channels` and `output_sizes`, from which the shapes of w and of the tops follow, and
    `forward` and `backward`.
    """

    message = "convolution_param"
    param: ConvolutionParameter
    bottoms = tops = (1, None)

    def setup(self, bottom, top):
        if len(bottom) != len(top):
            self.fail(f"makes one top of each bottom, got {len(bottom)} bottom and {len(top)} top blobs")
        p, shape = self.param, bottom[0].shape
        self.axis = self.axis_of(bottom[0])
        self.window = conv_window(self, len(shape) - self.axis - 1)
        self.C, self.K = shape[self.axis], p.num_output
        self.check(self.K > 0, "num_output", "must be positive")
        self.group = self.choose_group(shape)
        self.add_blob((*self.filter_channels(self.C, self.K, self.group), *self.window.kernel), p.weight_filler)
        if p.bias_term:
            self.add_blob((self.K,), p.bias_filler)

    def reshape(self, bottom, top):
        shape = bottom[0].shape
        if len(shape) != self.axis + 1 + len(self.window.kernel):
            self.fail(f"bottom[0] {shape} must keep its {self.axis + 1 + len(self.window.kernel)} axes")
        if shape[self.axis] != self.C:
            self.fail(f"bottom[0] {shape} has C={shape[self.axis]} channels at axis {self.axis}, "
                      f"but w {self.blobs[0].shape} was made for {self.C}")
        for i, x in enumerate(bottom):
            if x.shape != shape:
                self.fail(f"all bottoms must have one shape: bottom[0] has {shape}, bottom[{i}] {x.shape}")
        sizes = self.output_sizes(shape)
        for y in top:
            y.reshape(*shape[:self.axis], self.K, *sizes)
        # A window cannot move further than the padded image is long, so a larger stride gives the same numbers.
        # It is cut down here, because the kernels make tables as long as the stride.
        reach = [max(n, m) + 2 * pad for n, m, pad in zip(shape[self.axis + 1:], sizes, self.window.pad, strict=True)]
        # what every call of a kernel takes: stride, pad, dilation, group
        self.geometry = (tuple(map(min, self.window.stride, reach)), self.window.pad, self.window.dilation,
                         self.group)

    def choose_group(self, shape):
        """Return into how many groups the channels of a bottom of this shape are cut, after a check that they can be.
        """
        group = self.param.group
        self.check(group > 0 and self.C % group == 0 and self.K % group == 0, "group",
                   f"must divide the C={self.C} channels of bottom[0] {shape} and num_output K={self.K}")
        return group

    def filter_channels(self, C, K, group):
        """Return the first two sizes of w."""
        raise NotImplementedError

    def output_sizes(self, shape):
        """Return the spatial sizes of the tops for a bottom of this shape."""
        raise NotImplementedError

    def images(self, array):
        """Return an array with all axes before the channels joined to one, the images."""
        return array.reshape(math.prod(array.shape[:self.axis]), *array.shape[self.axis:])

    @property
    def wants_w(self):
        """True if backward must compute dw."""
        return self.param_propagate_down[0]

    @property
    def wants_b(self):
        """True if there is a bias and backward must compute db."""
        return len(self.blobs) > 1 and self.param_propagate_down[1]
