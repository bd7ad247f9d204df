"""Bias: add a learned or a given blob, repeated along the axes it lacks.

The functions that fit such a blob onto the axes of x serve Scale too.
"""

from minicaffe import kernels
from minicaffe.layer import Layer, register
from minicaffe.proto import BiasParameter


def covered_shape(layer, x, num_axes):
    """Return the shape of the learned blob: the sizes of `num_axes` axes of blob x, from the layer's `axis` on."""
    layer.check(num_axes >= -1, "num_axes", "must be at least 0, or -1 for all axes from axis on")
    if num_axes == 0:
        return ()
    axis = layer.axis_of(x)
    stop = x.num_axes if num_axes == -1 else axis + num_axes
    layer.check(stop <= x.num_axes, "num_axes",
                f"must be at most {x.num_axes - axis} for bottom[0] {x.shape} from axis {axis} on")
    return x.shape[axis:stop]


def covered_axis(layer, x, b, name):
    """Return the first axis of blob x that blob b covers: the layer's `axis`, or 0 where b is a scalar.

    Raise a LayerError where the sizes of x from there on are not those of b. `name` is what the message calls b.
    """
    axis = layer.axis_of(x) if b.num_axes else 0
    if x.shape[axis:axis + b.num_axes] != b.shape:
        layer.fail(f"{name} {b.shape} must have the shape of bottom[0] {x.shape} from axis {axis} on, "
                   f"which begins {x.shape[axis:axis + b.num_axes]}",
                   hint=f"set {layer.message}.axis to the axis of bottom[0] that {name} belongs to")
    return axis


def sizes_around(x, b, axis):
    """Return (outer, middle, inner): how many numbers x has before, under and after the axes that blob b covers."""
    return x.count_between(0, axis), b.count, x.count_between(axis + b.num_axes)


@register("Bias")
class BiasLayer(Layer):
    """Add one number a channel (or any blob that fits onto some axes of x) to all values of that channel.

    x is seen as (o, m, i): the axes before those of b, the axes of b, and the axes after them.

    Forward   y[o,m,i] = x[o,m,i] + b[m]
    Backward  dx = dy
              db[m] += Σ dy[o,m,i]   over o and i;   = where b is bottom[1]
    Computed  kernels.add_bias: minicaffe/kernels/definitions/channels.py

    Bottom    x (any shape), and b where it is not learned: the sizes of x from `axis` on, or a scalar
    Top       y, the shape of x
    Params    bias_param: axis (1), num_axes (-1: all from `axis` on; 0: a scalar, 1), filler (absent: all 0)
              num_axes and filler have a meaning only where b is learned, with one bottom
    Blobs     b, the sizes of num_axes axes of x from `axis` on   with one bottom
    In place  yes, on x: backward reads no data
    Errors    LayerError when axis or num_axes does not fit x, when b does not fit x, when y would overwrite b
    """

    message = "bias_param"
    param: BiasParameter
    bottoms = (1, 2)
    in_place = True
    backward_reads = ()
    recordable = True

    def setup(self, bottom, top):
        for field in ("filler", "num_axes"):
            self.check_effect(len(bottom) == 1, field, "the bias is bottom[1]")
        self.check_effect(len(bottom) == 2 or self.param.num_axes != 0, "axis", "num_axes is 0")
        if len(bottom) == 1:
            self.add_blob(covered_shape(self, bottom[0], self.param.num_axes), self.param.filler)
        elif top[0] is bottom[1]:
            self.fail("cannot write its top over bottom[1], the bias", hint="give the top a name of its own")

    def reshape(self, bottom, top):
        x, b = bottom[0], self._b(bottom)
        self.axis = covered_axis(self, x, b, "the bias")
        self.sizes = sizes_around(x, b, self.axis)
        top[0].reshape_like(bottom[0])

    def forward(self, bottom, top):
        x, b, y = bottom[0].data, self._b(bottom).data, top[0].data
        kernels.add_bias(x, b, self.axis, y)

    def backward(self, top, propagate_down, bottom):
        dy, dx = top[0].diff, bottom[0].diff
        if len(bottom) == 1 and self.param_propagate_down[0]:
            db = self.blobs[0].diff
            db += self._sum(dy).reshape(db.shape)
        elif len(bottom) == 2 and propagate_down[1]:
            db = bottom[1].diff
            db[...] = self._sum(dy).reshape(db.shape)
        if propagate_down[0] and dx is not dy:  # in place, dx is dy already
            dx[...] = dy

    def _b(self, bottom):
        """Return the blob b: the second bottom where there is one, else the learned blob."""
        return bottom[1] if len(bottom) == 2 else self.blobs[0]

    def _sum(self, dy):
        """Return Σ dy[o, m, i] over o and i."""
        return dy.reshape(self.sizes).sum(axis=(0, 2))
