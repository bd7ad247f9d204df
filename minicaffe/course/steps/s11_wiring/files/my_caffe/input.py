"""Input: blobs that the caller of the net fills. This file is complete; read it, and leave it as it is."""

from my_caffe.layer import Layer


class InputLayer(Layer):
    """Give the net blobs for its data.

    Top       one or more, which the caller fills: net.blobs["data"].data[...] = images
    Params    shape={"dim": [2, 3]}, or a list of such dicts, one for each top; a single one holds for all
    """

    def setup(self, bottom, top):
        """Give the tops their shapes, once. The caller may reshape them later, for another batch."""
        shapes = self.param["shape"]
        if not isinstance(shapes, list):
            shapes = [shapes] * len(top)
        for blob, shape in zip(top, shapes, strict=True):
            blob.reshape(shape.get("dim", []))

    def reshape(self, bottom, top):
        """Leave the shapes as they are."""

    def forward(self, bottom, top):
        """Leave the data as they are."""

    def backward(self, top, propagate_down, bottom):
        """There is no bottom."""
