"""Tile: repeat a blob along one axis."""

from minicaffe import kernels
from minicaffe.layer import Layer, register
from minicaffe.proto import TileParameter


@register("Tile")
class TileLayer(Layer):
    """Lay copies of a blob side by side along one axis.

    Forward   y = x, x, … (k times) one after the other along `axis`
    Backward  dx = Σ of the k parts of dy
    Computed  kernels.put_slice: minicaffe/kernels/definitions/copying.py

    Bottom    x (at least one axis)
    Top       y, the shape of x with k times the size of `axis`
    Params    tile_param: axis (1), tiles=k (must be given)
    In place  no: the top has a shape of its own
    Errors    LayerError when axis is out of range, or tiles is missing or less than 1
    """

    message = "tile_param"
    param: TileParameter
    backward_reads = ()
    recordable = True

    def setup(self, bottom, top):
        self.k = self.param.tiles
        self.check(self.k >= 1, "tiles", "must be set to the number of copies, at least 1")

    def reshape(self, bottom, top):
        x = bottom[0]
        self.axis = axis = self.axis_of(x)
        top[0].reshape((*x.shape[:axis], self.k * x.shape[axis], *x.shape[axis + 1:]))

    def forward(self, bottom, top):
        x, y = bottom[0].data, top[0].data
        for i in range(self.k):
            kernels.put_slice(x, self.axis, i * x.shape[self.axis], y)

    def backward(self, top, propagate_down, bottom):
        if propagate_down[0]:
            x = bottom[0]
            # `axis` and the axes after it are one block of x; in y, k such blocks follow each other
            outer, inner = x.count_between(0, self.axis), x.count_between(self.axis)
            dy, dx = top[0].diff.reshape(outer, self.k, inner), x.diff.reshape(outer, inner)
            dy.sum(axis=1, out=dx)
