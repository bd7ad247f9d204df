"""Permute: put the axes of a blob in another order."""

from minicaffe import kernels
from minicaffe.layer import Layer, register
from minicaffe.proto import PermuteParameter


@register("Permute")
class PermuteLayer(Layer):
    """Put the axes of a blob in another order: the channels behind the pixels, as SSD needs it for its boxes.

    BVLC's Caffe does not have it. The forks for SSD, and all those made from them, have it, and they agree.

    Forward   y[i[o[0]], i[o[1]], …] = x[i[0], i[1], …]   with o = `order`
    Backward  dx[i[0], i[1], …] = dy[i[o[0]], i[o[1]], …]
    Computed  kernels.transpose: minicaffe/kernels/definitions/copying.py

    Bottom    x (any shape)
    Top       y: its axis k has the size of axis o[k] of x
    Params    permute_param: order=o (the axis of x that each axis of y is; absent axes follow in their own order)
    In place  no: the top has a shape of its own
    Errors    LayerError when order names an axis twice, or one that x does not have
    See       Liu et al., SSD, ECCV 2016
    """

    message = "permute_param"
    param: PermuteParameter
    backward_reads = ()
    recordable = recordable_backward = True
    can_dry_run = True

    def setup(self, bottom, top):
        order = list(self.param.order)
        self.check(len(set(order)) == len(order), "order", "may name each axis once")

    def reshape(self, bottom, top):
        x, order = bottom[0], list(self.param.order)
        self.check(max(order, default=-1) < x.num_axes, "order",
                   f"must name axes of bottom[0] {x.shape}, which has {x.num_axes}: they count from 0")
        self.order = order + [axis for axis in range(x.num_axes) if axis not in order]
        self.back = [self.order.index(axis) for axis in range(x.num_axes)]  # the order that undoes it
        top[0].reshape([x.shape[axis] for axis in self.order])

    def forward(self, bottom, top):
        kernels.transpose(bottom[0].data, self.order, top[0].data)

    def backward(self, top, propagate_down, bottom):
        if propagate_down[0]:
            kernels.transpose(top[0].diff, self.back, bottom[0].diff)
