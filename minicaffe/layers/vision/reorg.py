"""Reorg: move pixels to channels in darknet's order, for YOLO."""

from minicaffe import kernels
from minicaffe.layer import Layer, register
from minicaffe.proto import ReorgParameter


@register("Reorg")
class ReorgLayer(Layer):
    """Make an image smaller by s in both directions without losing a number, by giving it s² times as many channels.

    The order of the numbers is darknet's, and weights were trained with it. One expects a block of s × s pixels to
    become the channels of one pixel. Instead, the numbers of an image are first read as t = C / s² channels of
    s times the height and width, whatever they were, and the blocks are taken from these.

    Forward   y[n, o · t + c, i, j] = x[n, c, i · s + o_i, j · s + o_j]   with o = o_i · s + o_j below s², and c below t
              Here x is read as (N, t, H · s, W · s) and y as (N, C, H, W), their numbers in the order of their memory.
              With reverse, x stands in the place of y in this equation, and y in the place of x.
    Backward  the same places: each number of dx is one of dy
    Computed  kernels.transpose: minicaffe/kernels/definitions/copying.py

    Bottom    x (N, C, H, W)
    Top       y (N, C · s², H / s, W / s); with reverse (N, C / s², H · s, W · s)
    Params    reorg_param: stride=s (must be given), reverse (false)
    In place  no: the top has a shape of its own
    Errors    LayerError when x has not four axes, when stride is missing, when s² does not divide C, when s does not
              divide H and W and reverse is not set
    See       Redmon and Farhadi, CVPR 2017 (YOLO v2); Intel's and eric612's forks agree
    """

    message = "reorg_param"
    param: ReorgParameter
    backward_reads = ()
    recordable = recordable_backward = True
    can_dry_run = True

    def setup(self, bottom, top):
        self.check(self.param.stride > 0, "stride", "must be set to a positive number")

    def reshape(self, bottom, top):
        s, shape = self.param.stride, bottom[0].shape
        if len(shape) != 4:
            self.fail(f"bottom[0] must have the 4 axes (N, C, H, W), got {shape}")
        N, C, H, W = shape
        # Caffe: also without `reverse`, where nothing but darknet's order needs it
        self.check(C % (s * s) == 0, "stride", f"squared must divide the C={C} channels of bottom[0] {shape}")
        if self.param.reverse:
            top[0].reshape(N, C // (s * s), H * s, W * s)
        else:
            self.check(H % s == 0 and W % s == 0, "stride",
                       f"must divide the height and the width of bottom[0] {shape}")
            top[0].reshape(N, C * s * s, H // s, W // s)
        self.wide = (N, C // (s * s), H, s, W, s)  # each row and column as (block, place in the block)
        self.deep = (N, s, s, C // (s * s), H, W)

    def forward(self, bottom, top):
        self._move(bottom[0].data, top[0].data, spread=self.param.reverse)

    def backward(self, top, propagate_down, bottom):
        if propagate_down[0]:
            self._move(top[0].diff, bottom[0].diff, spread=not self.param.reverse)

    def _move(self, source, target, spread):
        """Move all numbers: from pixels to channels, or, to `spread` them, from channels to pixels."""
        if spread:
            kernels.transpose(source.reshape(self.deep), (0, 3, 4, 1, 5, 2), target.reshape(self.wide))
        else:
            kernels.transpose(source.reshape(self.wide), (0, 3, 5, 1, 2, 4), target.reshape(self.deep))
