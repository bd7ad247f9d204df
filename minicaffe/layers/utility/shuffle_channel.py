"""ShuffleChannel: mix the channels of groups, so that the next grouped convolution sees some of each."""

from minicaffe import kernels
from minicaffe.layer import Layer, register
from minicaffe.proto import ShuffleChannelParameter


@register("ShuffleChannel")
class ShuffleChannelLayer(Layer):
    """Deal the channels out again: first the first channel of every group, then the second of every group, and so on.

    The C channels are G groups of C / G. They are a table with a row for each group, and it is read column by column.

    Forward   y[n, c · G + g] = x[n, g · C / G + c]
    Backward  dx[n, g · C / G + c] = dy[n, c · G + g]
    Computed  kernels.transpose: minicaffe/kernels/definitions/copying.py

    Bottom    x (N, C, …)
    Top       y, the shape of x
    Params    shuffle_channel_param: group=G (1)
    In place  no: a channel would be overwritten before it is read
    Errors    LayerError when x has no axis of channels, when group is 0 or does not divide C
    See       Zhang et al., CVPR 2018 (ShuffleNet); all forks that have it agree
    """

    message = "shuffle_channel_param"
    param: ShuffleChannelParameter
    backward_reads = ()
    recordable = recordable_backward = True
    can_dry_run = True

    def reshape(self, bottom, top):
        shape, G = bottom[0].shape, self.param.group
        if len(shape) < 2:
            self.fail(f"bottom[0] {shape} must have the axes (N, C, …)")
        self.check(G > 0 and shape[1] % G == 0, "group",
                   f"must divide the C={shape[1]} channels of bottom[0] {shape}")
        self.groups = (shape[0], G, shape[1] // G, bottom[0].count_between(2))  # the table of channels, for each image
        self.columns = (shape[0], shape[1] // G, G, self.groups[3])             # the same, read column by column
        top[0].reshape_like(bottom[0])

    def forward(self, bottom, top):
        kernels.transpose(bottom[0].data.reshape(self.groups), (0, 2, 1, 3), top[0].data.reshape(self.columns))

    def backward(self, top, propagate_down, bottom):
        if propagate_down[0]:
            kernels.transpose(top[0].diff.reshape(self.columns), (0, 2, 1, 3), bottom[0].diff.reshape(self.groups))
