"""Concat: lay blobs side by side along one axis."""

import warnings

from minicaffe import kernels
from minicaffe.layer import Layer, register
from minicaffe.proto import ConcatParameter


@register("Concat")
class ConcatLayer(Layer):
    """Join blobs along one axis, such as the channels that parallel branches made of one image.

    Forward   y = x[0], x[1], … one after the other along `axis`
    Backward  dx[i] = the part of dy that x[i] became
    Computed  kernels.put_slice, kernels.take_slice: minicaffe/kernels/definitions/copying.py

    Bottom    x[0], x[1], … (equal shapes but for the size of `axis`)
    Top       y, that shape with the sum of those sizes
    Params    concat_param: axis (1), concat_dim (deprecated, an axis counted from the front, 1)
    In place  no: the top has a shape of its own
    Errors    LayerError when axis and concat_dim are both set, when the axis is out of range, when the other
              axes differ
    Derived   docs/maths/utility.md#concat
    """

    message = "concat_param"
    param: ConcatParameter
    bottoms = (1, None)
    backward_reads = ()
    recordable = recordable_backward = True

    def setup(self, bottom, top):
        old = self.param.HasField("concat_dim")
        self.check(not (old and self.param.HasField("axis")), "concat_dim", "cannot be set beside axis",
                   hint="remove concat_dim")
        self.field = "concat_dim" if old else "axis"
        if old:
            warnings.warn(f"layer {self.name!r} (Concat): concat_param.concat_dim is deprecated; write "
                          f"axis: {self.param.concat_dim} instead", stacklevel=2)

    def reshape(self, bottom, top):
        first = bottom[0]
        self.axis = self.axis_of(first, self.field)
        others = self._others(first)
        for i, x in enumerate(bottom):
            if self._others(x) != others:
                self.fail(f"all bottoms must agree but for axis {self.axis}: bottom[0] is {first.shape}, "
                          f"bottom[{i}] {x.shape}")
        sizes = [x.shape[self.axis] for x in bottom]
        top[0].reshape((*others[0], sum(sizes), *others[1]))

    def forward(self, bottom, top):
        y, start = top[0].data, 0
        for x in bottom:
            kernels.put_slice(x.data, self.axis, start, y)
            start += x.shape[self.axis]

    def backward(self, top, propagate_down, bottom):
        dy, start = top[0].diff, 0
        for x, wanted in zip(bottom, propagate_down, strict=True):
            if wanted:
                kernels.take_slice(dy, self.axis, start, x.diff)
            start += x.shape[self.axis]

    def _others(self, x):
        """Return the sizes of x before and after the joined axis."""
        return x.shape[:self.axis], x.shape[self.axis + 1:]
