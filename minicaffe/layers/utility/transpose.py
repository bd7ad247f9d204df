"""Transpose: put the axes of a blob in another order, all of them named."""

from minicaffe import kernels
from minicaffe.layer import Layer, register
from minicaffe.proto import TransposeParameter


@register("Transpose")
class TransposeLayer(Layer):
    """Put the axes of a blob in another order, as a text recognizer does that makes time steps of an image's columns.

    It is Permute, but every axis must be named.

    Forward   y[i[d[0]], i[d[1]], …] = x[i[0], i[1], …]   with d = `dim`
    Backward  dx[i[0], i[1], …] = dy[i[d[0]], i[d[1]], …]
    Computed  kernels.transpose: minicaffe/kernels/definitions/copying.py

    Bottom    x (any shape)
    Top       y: its axis k has the size of axis d[k] of x
    Params    transpose_param: dim=d (the axis of x that each axis of y is; all axes, each once)
    In place  no: the top has a shape of its own
    Errors    LayerError when dim does not name each axis of x once
    See       the fork of CTPN has it; Permute is the same layer in the forks for SSD
    """

    message = "transpose_param"
    param: TransposeParameter
    backward_reads = ()
    recordable = recordable_backward = True
    can_dry_run = True
    passes_on = True

    def reshape(self, bottom, top):
        x, d = bottom[0], list(self.param.dim)
        self.check(sorted(d) == list(range(x.num_axes)), "dim",
                   f"must name each of the {x.num_axes} axes of bottom[0] {x.shape} once, counted from 0")
        self.order = d
        self.back = [d.index(axis) for axis in range(x.num_axes)]  # the order that undoes it
        top[0].reshape([x.shape[axis] for axis in d])

    def forward(self, bottom, top):
        kernels.transpose(bottom[0].data, self.order, top[0].data)

    def backward(self, top, propagate_down, bottom):
        if propagate_down[0]:
            kernels.transpose(top[0].diff, self.back, bottom[0].diff)
