"""Layers for nets that branch and join."""

from minicaffe.layer import Layer


class Fork(Layer):
    """Hand one blob to several branches: y₁ = y₂ = … = x."""

    tops = (1, None)

    def reshape(self, bottom, top):
        for blob in top:
            blob.reshape(bottom[0].shape)

    def forward(self, bottom, top):
        for blob in top:
            blob.data[...] = bottom[0].data

    def backward(self, top, propagate_down, bottom):
        if propagate_down[0]:
            for blob in top:
                bottom[0].diff[...] = blob.diff


class Join(Layer):
    """Multiply two branches, number by number: y = a · b."""

    bottoms = 2

    def reshape(self, bottom, top):
        top[0].reshape(bottom[0].shape)

    def forward(self, bottom, top):
        top[0].data[...] = bottom[0].data * bottom[1].data

    def backward(self, top, propagate_down, bottom):
        if propagate_down[0]:
            bottom[0].diff[...] = top[0].diff * bottom[1].data
        if propagate_down[1]:
            bottom[1].diff[...] = top[0].diff * bottom[0].data
