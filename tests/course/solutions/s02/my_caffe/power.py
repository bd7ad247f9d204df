"""Power: shift, scale and raise every number to one exponent."""

from my_caffe.layer import Layer


class PowerLayer(Layer):
    """Raise a linear function of every number to a fixed power.

    Forward   t = s · x + b,  y = t^p
    Backward  dx = dy · p · t^(p − 1) · s

    Params    power=p (1.0), scale=s (1.0), shift=b (0.0)
    """

    def setup(self, bottom, top):
        self.p = self.param.get("power", 1.0)
        self.s = self.param.get("scale", 1.0)
        self.b = self.param.get("shift", 0.0)

    def reshape(self, bottom, top):
        top[0].reshape(bottom[0].shape)

    def forward(self, bottom, top):
        t = self.s * bottom[0].data + self.b
        top[0].data[...] = t ** self.p

    def backward(self, top, propagate_down, bottom):
        if propagate_down[0]:
            t = self.s * bottom[0].data + self.b
            bottom[0].diff[...] = top[0].diff * self.p * t ** (self.p - 1) * self.s
