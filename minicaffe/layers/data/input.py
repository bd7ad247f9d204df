"""Input: blobs that the caller fills by hand."""

from minicaffe.layer import Layer, register
from minicaffe.proto import InputParameter


@register("Input")
class InputLayer(Layer):
    """Give the net places to put data: `net.blobs["data"].data[...] = images`.

    Forward   nothing: each y holds what the caller wrote into it

    Top       y[0], y[1], …, each of its `shape`; a later `reshape` of the blob stays
    Params    input_param: shape (one for all tops, or one for each top; absent: reshape the blobs yourself)
    Errors    LayerError when the number of shapes is not 0, 1 or the number of tops, or a size is negative
    """

    message = "input_param"
    param: InputParameter
    bottoms = 0
    tops = (1, None)
    backward_reads = ()
    is_input = True
    recordable = recordable_backward = True

    def setup(self, bottom, top):
        shapes = self.param.shape
        self.check(len(shapes) in (0, 1, len(top)), "shape",
                   f"must be given once, once for each of the {len(top)} tops, or not at all")
        for i in range(len(top) if shapes else 0):
            sizes = list(shapes[0 if len(shapes) == 1 else i].dim)
            if min(sizes, default=0) < 0:
                self.fail(f"input_param.shape.dim has a negative size for top[{i}], got {sizes}")
            top[i].reshape(sizes)

    def reshape(self, bottom, top):
        """Nothing to do: the caller may have reshaped the tops since `setup`."""

    def forward(self, bottom, top):
        """Nothing to do: the caller has filled the tops."""

    def backward(self, top, propagate_down, bottom):
        """Nothing to do: there is no bottom."""
