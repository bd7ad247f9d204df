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
        self.c = self.param.get("coeff", [1.0] * len(bottom))

    def reshape(self, bottom, top):
        top[0].reshape(bottom[0].shape)

    def forward(self, bottom, top):
        top[0].data[...] = sum(c * x.data for c, x in zip(self.c, bottom, strict=True))

    def backward(self, top, propagate_down, bottom):
        for c, x, asked in zip(self.c, bottom, propagate_down, strict=True):
            if asked:
                x.diff[...] = c * top[0].diff
