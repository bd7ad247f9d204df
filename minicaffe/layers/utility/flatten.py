"""Flatten: join neighbouring axes into one."""

from minicaffe.layer import Layer, register
from minicaffe.proto import FlattenParameter


@register("Flatten")
class FlattenLayer(Layer):
    """Join the axes from one to another into one axis: (N, C, H, W) becomes (N, C · H · W).

    Forward   y = x   (the same memory, seen in another shape)
    Backward  dx = dy   (the same memory)

    Bottom    x (at least one axis)
    Top       y, the shape of x with axes `axis` to `end_axis` replaced by one of their product
    Params    flatten_param: axis (1), end_axis (-1); both are included, and negative ones count from the end
    In place  no: the top has a shape of its own
    Errors    LayerError when axis or end_axis is out of range, or axis is more than 1 above end_axis
    """

    message = "flatten_param"
    param: FlattenParameter
    backward_reads = ()
    shares_data = True
    passes_on = True
    recordable = recordable_backward = True

    def reshape(self, bottom, top):
        x, y = bottom[0], top[0]
        axis, end = self.axis_of(x), self.axis_of(x, "end_axis") + 1
        # Caffe: end_axis may be axis − 1; then a new axis of size 1 is put in before `axis`
        self.check(axis <= end, "axis", f"must not be above end_axis + 1 = {end} of x {x.shape}")
        y.reshape((*x.shape[:axis], x.count_between(axis, end), *x.shape[end:]))
        y.share_data(x)
        y.share_diff(x)

    def forward(self, bottom, top):
        """Nothing to do: the top reads the bottom's memory."""

    def backward(self, top, propagate_down, bottom):
        """Nothing to do: the bottom's diff is the top's."""
