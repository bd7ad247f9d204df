"""Reshape: see the same numbers in another shape."""

import math

from minicaffe.layer import Layer, register
from minicaffe.proto import ReshapeParameter


@register("Reshape")
class ReshapeLayer(Layer):
    """Give a blob, or some of its axes, another shape; the numbers and their order stay.

    In `shape`, 0 keeps the size that x has at that place, and one −1 takes whatever size is left.

    Forward   y = x   (the same memory, seen in another shape)
    Backward  dx = dy   (the same memory)

    Bottom    x (any shape)
    Top       y, the shape of x with `num_axes` axes from `axis` on replaced by `shape`
    Params    reshape_param: shape (absent: no axes, as for a scalar), axis (0), num_axes (-1: all from `axis` on; 0:
              put new axes in before `axis`, -1)
              A negative axis counts from the end: -1 is the place after the last axis, so it appends
    In place  no: the top has a shape of its own
    Errors    LayerError when shape has more than one −1 or a smaller number, a 0 where x has no axis, or
              another count than x; when axis or num_axes is out of range
    """

    message = "reshape_param"
    param: ReshapeParameter
    backward_reads = ()
    shares_data = True
    passes_on = True
    recordable = recordable_backward = True

    def setup(self, bottom, top):
        self.dims = list(self.param.shape.dim)
        self.check(self.dims.count(-1) <= 1, "shape.dim", "may hold one -1, the size to infer")
        self.check(min(self.dims, default=0) >= -1, "shape.dim", "may hold sizes, 0 and one -1")

    def reshape(self, bottom, top):
        x, y = bottom[0], top[0]
        start, stop = self._replaced(x)
        new = [*x.shape[:start], *self.dims, *x.shape[stop:]]
        for i in range(start, start + len(self.dims)):  # a 0 takes the size that x has at that place
            if new[i] == 0:
                self.check(i < x.num_axes, "shape.dim", f"has a 0 for axis {i}, which x {x.shape} lacks")
                new[i] = x.shape[i]
        if -1 in self.dims:
            place = start + self.dims.index(-1)  # the -1 takes what the other sizes leave
            known = math.prod(new[:place] + new[place + 1:])
            self.check(known > 0 and x.count % known == 0, "shape.dim",
                       f"cannot divide the {x.count} numbers of x {x.shape} into parts of {known}")
            new[place] = x.count // known
        self.check(math.prod(new) == x.count, "shape.dim", f"must keep the {x.count} numbers of x {x.shape}, but "
                   f"{tuple(new)} has {math.prod(new)}")
        y.reshape(new)
        y.share_data(x)
        y.share_diff(x)

    def forward(self, bottom, top):
        """Nothing to do: the top reads the bottom's memory."""

    def backward(self, top, propagate_down, bottom):
        """Nothing to do: the bottom's diff is the top's."""

    def _replaced(self, x):
        """Return the first axis of x that `shape` replaces, and the first axis after those."""
        p, n = self.param, x.num_axes
        self.check(-n - 1 <= p.axis <= n, "axis", f"must lie between {-n - 1} and {n} for x {x.shape}")
        start = p.axis if p.axis >= 0 else n + 1 + p.axis  # Caffe: −1 is the place after the last axis
        self.check(-1 <= p.num_axes <= n - start, "num_axes",
                   f"must lie between 0 and {n - start}, or be -1 for all, for x {x.shape} from axis {start} on")
        return start, (n if p.num_axes == -1 else start + p.num_axes)
