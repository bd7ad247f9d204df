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
        for y in top:
            y.reshape(bottom[0].shape)

    def forward(self, bottom, top):
        for y in top:
            y.data[...] = bottom[0].data

    def backward(self, top, propagate_down, bottom):
        if propagate_down[0]:
            bottom[0].diff[...] = sum(y.diff for y in top)
