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
        """Make the layers and the blobs between them; set up the layers; let self.blobs be the blobs of f."""
        raise NotImplementedError

    def reshape(self, bottom, top):
        """Reshape the three layers, and so the top."""
        raise NotImplementedError

    def forward(self, bottom, top):
        """Run the three layers."""
        raise NotImplementedError

    def backward(self, top, propagate_down, bottom):
        """Run the three layers backward. Write dx only if propagate_down[0] says so."""
        raise NotImplementedError
