"""ArgMax: the places of the largest values."""

import numpy as np

from minicaffe.layer import Layer, register
from minicaffe.proto import ArgMaxParameter


@register("ArgMax")
class ArgMaxLayer(Layer):
    """Find the k largest values of each sample, or along one axis: a classifier's best guesses.

    Of equal values the last one comes first.

    Forward   i[1] … i[k] = the places of the k largest values, largest first
              v[j] = x[i[j]]
    Backward  none: the derivative of a place is 0 wherever there is one

    Bottom    x (N, …); without `axis`, all values of a sample count as one row
    Top       with axis: the shape of x with k for the size of that axis; i, or v with out_max_val
              without: (N, 1, k) holding i, or with out_max_val (N, 2, k) holding i and v; as many further
              axes of size 1 as x has more than three
    Params    argmax_param: out_max_val (false), top_k=k (1), axis (absent: all axes but the first; negative ones count
              from the end)
    In place  no: the top has a shape of its own
    Errors    LayerError when axis is out of range or x has no axis, when top_k is 0 or more than there are values,
              when a gradient is asked for
    """

    message = "argmax_param"
    param: ArgMaxParameter
    backward_reads = ()

    def reshape(self, bottom, top):
        x, p = bottom[0], self.param
        if p.HasField("axis"):
            axis = self.axis_of(x)
            # x as (axes before, the axis, axes after)
            self.sizes = x.count_between(0, axis), x.shape[axis], x.count_between(axis + 1)
            shape = (*x.shape[:axis], p.top_k, *x.shape[axis + 1:])
        else:
            if x.num_axes == 0:
                self.fail("bottom[0] must have at least one axis, the samples, got a scalar")
            self.sizes = x.shape[0], x.count_between(1), 1
            shape = (x.shape[0], 2 if p.out_max_val else 1, p.top_k, *[1] * (x.num_axes - 3))
        self.check(1 <= p.top_k <= self.sizes[1], "top_k",
                   f"must lie between 1 and {self.sizes[1]}, the values to choose from in bottom[0] {x.shape}")
        top[0].reshape(shape)

    def forward(self, bottom, top):
        x, y, k = bottom[0].data.reshape(self.sizes), top[0].data, self.param.top_k
        i = _last_largest(x, k)
        if not self.param.out_max_val:
            y[...] = i.reshape(y.shape)
            return
        v = np.take_along_axis(x, i, axis=1)
        if self.param.HasField("axis"):
            y[...] = v.reshape(y.shape)
        else:  # Caffe: without axis, the places are written into channel 0 and the values into channel 1
            y[:, 0], y[:, 1] = i.reshape(y[:, 0].shape), v.reshape(y[:, 1].shape)

    def backward(self, top, propagate_down, bottom):
        if propagate_down[0]:
            self.fail("has no gradient for bottom[0]", hint="set propagate_down: false for it")

    def gradient_to(self, j):
        return False

    def gradient_from(self, t):
        return False


def _last_largest(x, k):
    """Return the places of the k largest values along axis 1, largest first."""
    # Caffe: pairs (value, place) are sorted downwards, so the later of two equal values comes first
    if k == 1:  # the usual case, for which nothing needs to be sorted
        return x.shape[1] - 1 - np.argmax(x[:, ::-1], axis=1)[:, None]
    return np.argsort(x, axis=1, kind="stable")[:, ::-1][:, :k]
