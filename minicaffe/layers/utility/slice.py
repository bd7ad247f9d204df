"""Slice: cut a blob into parts along one axis."""

import itertools
import warnings

from minicaffe import kernels
from minicaffe.layer import Layer, register
from minicaffe.proto import SliceParameter


@register("Slice")
class SliceLayer(Layer):
    """Cut a blob along one axis: into equal parts, or at given places. The opposite of Concat.

    Forward   y[i] = the part of x between cut i and cut i + 1 along `axis`; the first cut is at 0, the last at its end
    Backward  dx = dy[0], dy[1], … one after the other along `axis`
    Computed  kernels.take_slice, kernels.put_slice: minicaffe/kernels/definitions/copying.py

    Bottom    x (at least one axis)
    Top       y[0], y[1], …: the shape of x but for the size of `axis`
    Params    slice_param: axis (1), slice_point (where each top but the first begins; absent: equal parts), slice_dim
              (deprecated, an axis counted from the front, 1)
    In place  no: the tops have shapes of their own
    Errors    LayerError when axis and slice_dim are both set, when the axis is out of range, when slice_point
              is not one fewer than the tops, does not increase, or leaves the axis, when parts cannot be equal
    """

    message = "slice_param"
    param: SliceParameter
    tops = (1, None)
    backward_reads = ()
    recordable = recordable_backward = True

    def setup(self, bottom, top):
        old = self.param.HasField("slice_dim")
        self.check(not (old and self.param.HasField("axis")), "slice_dim", "cannot be set beside axis",
                   hint="remove slice_dim")
        self.field = "slice_dim" if old else "axis"
        if old:
            warnings.warn(f"layer {self.name!r} (Slice): slice_param.slice_dim is deprecated; write "
                          f"axis: {self.param.slice_dim} instead", stacklevel=2)

    def reshape(self, bottom, top):
        x = bottom[0]
        self.axis = self.axis_of(x, self.field)
        self.starts = [0, *self._cuts(x, len(top))]
        stops = [*self.starts[1:], x.shape[self.axis]]
        for y, start, stop in zip(top, self.starts, stops, strict=True):
            y.reshape((*x.shape[:self.axis], stop - start, *x.shape[self.axis + 1:]))

    def forward(self, bottom, top):
        x = bottom[0].data
        for y, start in zip(top, self.starts, strict=True):
            kernels.take_slice(x, self.axis, start, y.data)

    def backward(self, top, propagate_down, bottom):
        if propagate_down[0]:
            dx = bottom[0].diff
            for y, start in zip(top, self.starts, strict=True):
                kernels.put_slice(y.diff, self.axis, start, dx)

    def _cuts(self, x, tops):
        """Return the place along `axis` at which each top but the first begins."""
        points, size = list(self.param.slice_point), x.shape[self.axis]
        if not points:
            if size % tops:
                self.fail(f"axis {self.axis} of bottom[0] {x.shape} cannot be cut into {tops} equal parts of {size}",
                          hint="give slice_param.slice_point")
            return [i * (size // tops) for i in range(1, tops)]
        self.check(len(points) == tops - 1, "slice_point", f"must be given once less than the {tops} tops")
        ends = [0, *points, size]
        self.check(all(a < b for a, b in itertools.pairwise(ends)), "slice_point",
                   f"must increase and stay between 0 and {size}, the size of axis {self.axis} of x {x.shape}")
        return points
