"""Parameter: a learned blob that other layers can take as a bottom."""

from minicaffe.layer import Layer, register
from minicaffe.proto import ParameterParameter


@register("Parameter")
class ParameterLayer(Layer):
    """Offer a learned blob as a top, so that any layer can compute with it.

    Forward   y = w   (the same memory)
    Backward  dw = dy   (the same memory: of several passes by hand without an update between, the last one counts)

    Top       y, the shape of w
    Params    parameter_param: shape (absent: a scalar)
    Blobs     w (shape), 0 until loaded or set
    Errors    LayerError when shape holds a negative size
    """

    message = "parameter_param"
    param: ParameterParameter
    bottoms = 0
    backward_reads = ("top",)  # y is w itself, so no layer may overwrite it in place
    recordable = recordable_backward = True

    def setup(self, bottom, top):
        shape = list(self.param.shape.dim)
        self.check(min(shape, default=0) >= 0, "shape.dim", "must not hold negative sizes")
        self.add_blob(shape)

    def reshape(self, bottom, top):
        y, w = top[0], self.blobs[0]
        y.reshape_like(w)
        y.share_data(w)
        # Caffe: y's reader overwrites dw through dy, so passes by hand do not add their gradients up here
        y.share_diff(w)

    def forward(self, bottom, top):
        """Nothing to do: the top reads the blob's memory."""

    def backward(self, top, propagate_down, bottom):
        """Nothing to do: the blob's diff is the top's."""
