"""Power: shift, scale and raise every number to one exponent."""

from my_caffe.layer import Layer


class PowerLayer(Layer):
    """Raise a linear function of every number to a fixed power.

    Forward   t = s · x + b,  y = t^p
    Backward  dx = dy · p · t^(p − 1) · s

    Params    power=p (1.0), scale=s (1.0), shift=b (0.0)
    """

    def setup(self, bottom, top):
        """Keep p, s and b as self.p, self.s and self.b. A parameter that is not in self.param has its default."""
        raise NotImplementedError

    def reshape(self, bottom, top):
        """Give the top the shape of the bottom."""
        raise NotImplementedError

    def forward(self, bottom, top):
        """Write y into the data of the top."""
        raise NotImplementedError

    def backward(self, top, propagate_down, bottom):
        """Write dx into the diff of the bottom, if propagate_down[0] says so."""
        raise NotImplementedError
