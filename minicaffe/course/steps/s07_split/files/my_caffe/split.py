"""Split: one blob for several readers, whose gradients add up."""

from my_caffe.layer import Layer


class SplitLayer(Layer):
    """Hand one blob to several layers, and sum the gradients that come back.

    Forward   y[i] = x
    Backward  dx = Σ dy[i]   over all tops

    Bottom    x (any shape)
    Top       y[0], y[1], …, each the shape of x, with an array of its own
    """

    def reshape(self, bottom, top):
        """Give each top the shape of the bottom."""
        raise NotImplementedError

    def forward(self, bottom, top):
        """Write x into the data of each top."""
        raise NotImplementedError

    def backward(self, top, propagate_down, bottom):
        """Write dx into the diff of the bottom, if propagate_down[0] says so."""
        raise NotImplementedError
