"""Residual: a layer with a shortcut around it."""

from my_caffe.blob import Blob
from my_caffe.eltwise import EltwiseLayer
from my_caffe.layer import Layer
from my_caffe.split import SplitLayer


class ResidualLayer(Layer):
    """Add what a layer f computes to what it has read: a Split, the layer f, and an Eltwise.

    Forward   y = x + f(x)
    Backward  dx = dy + what f hands back

    Bottom    x (any shape)
    Top       y, the same shape
    Params    layer=f, a layer with one bottom and one top of the same shape, which is not set up yet
    Blobs     those of f
    """

    def setup(self, bottom, top):
        self.split, self.f, self.add = SplitLayer(), self.param["layer"], EltwiseLayer()
        self.branch, self.shortcut, self.result = Blob(), Blob(), Blob()
        for layer, bottoms, tops in self._rows(bottom, top):
            layer.setup(bottoms, tops)
            layer.reshape(bottoms, tops)
        self.blobs = self.f.blobs

    def reshape(self, bottom, top):
        for layer, bottoms, tops in self._rows(bottom, top):
            layer.reshape(bottoms, tops)

    def forward(self, bottom, top):
        for layer, bottoms, tops in self._rows(bottom, top):
            layer.forward(bottoms, tops)

    def backward(self, top, propagate_down, bottom):
        self.add.backward(top, [True, True], [self.result, self.shortcut])
        self.f.backward([self.result], [True], [self.branch])
        self.split.backward([self.branch, self.shortcut], propagate_down, bottom)

    def _rows(self, bottom, top):
        return [(self.split, bottom, [self.branch, self.shortcut]),
                (self.f, [self.branch], [self.result]),
                (self.add, [self.result, self.shortcut], top)]
