"""Eltwise: add blobs of one shape number by number."""

from my_caffe.layer import Layer


class EltwiseLayer(Layer):
    """Add several blobs, each of them times a number.

    Forward   y = Σ c[i] · x[i]
    Backward  dx[i] = c[i] · dy

    Bottom    x[0], x[1], … of one shape
    Top       y, the same shape
    Params    coeff=c, a list with a number for each bottom (absent: all 1)
    """

    def setup(self, bottom, top):
        """Keep c as self.c, a list."""
        raise NotImplementedError

    def reshape(self, bottom, top):
        """Give the top its shape."""
        raise NotImplementedError

    def forward(self, bottom, top):
        """Write y into the data of the top."""
        raise NotImplementedError

    def backward(self, top, propagate_down, bottom):
        """Write dx[i] into the diff of each bottom i whose propagate_down[i] is True."""
        raise NotImplementedError
