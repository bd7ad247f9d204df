"""Split: one blob for several readers, whose gradients add up."""

from minicaffe import kernels
from minicaffe.layer import Layer, register


@register("Split")
class SplitLayer(Layer):
    """Hand one blob to several layers and sum the gradients that come back.

    The Net puts a Split wherever a blob has more than one reader, so a prototxt rarely names it.

    Forward   y[i] = x   (the same memory, no copy)
    Backward  dx = Σ dy[i]
    Computed  kernels.add_all: minicaffe/kernels/definitions/elementwise.py

    Bottom    x (any shape)
    Top       y[0], y[1], …, each the shape of x
    In place  no: the tops share the memory of x already
    Derived   docs/maths/utility.md#split
    """

    tops = (1, None)
    backward_reads = ()
    shares_data = True
    passes_on = True
    recordable = recordable_backward = True

    def reshape(self, bottom, top):
        for y in top:
            y.reshape_like(bottom[0])
            y.share_data(bottom[0])

    def forward(self, bottom, top):
        """Nothing to do: the tops read the bottom's memory."""

    def backward(self, top, propagate_down, bottom):
        if propagate_down[0]:
            kernels.add_all([y.diff for y in top], bottom[0].diff)
