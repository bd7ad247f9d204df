"""Silence: read blobs that no other layer reads, so that the log does not list them as outputs."""

from minicaffe.layer import Layer, register


@register("Silence")
class SilenceLayer(Layer):
    """Take blobs in and do nothing with them.

    Forward   nothing
    Backward  dx[i] = 0

    Bottom    x[0], x[1], … (any shapes)
    """

    bottoms = (1, None)
    tops = 0
    backward_reads = ()
    recordable = True

    def reshape(self, bottom, top):
        """There is no top to shape."""

    def forward(self, bottom, top):
        """There is no top to write."""

    def backward(self, top, propagate_down, bottom):
        for x, wanted in zip(bottom, propagate_down, strict=True):
            if wanted:
                x.diff.fill(0)
