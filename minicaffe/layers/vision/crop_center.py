"""CropCenter: cut the same number of pixels off both ends of each axis."""

from minicaffe import kernels
from minicaffe.layer import Layer, register
from minicaffe.proto import CropCenterParameter


@register("CropCenter")
class CropCenterLayer(Layer):
    """Keep the middle of a blob: c numbers are cut off at the beginning and at the end of each axis.

    waifu2x cuts a shortcut with it to the size that convolutions without padding have left.

    Forward   y[n, c, i, j] = x[n, c, i + c_H, j + c_W]   with 0 0 c_H c_W; other axes alike
    Backward  dx = dy in the middle, 0 around it
    Computed  kernels.crop: minicaffe/kernels/definitions/copying.py

    Bottom    x (any shape of at least one axis)
    Top       y, with 2 · c fewer numbers along each axis
    Params    crop_center_param: crop_size=c (one number for each axis of x; must be given)
    In place  no: the top has a shape of its own
    Errors    LayerError when crop_size is not given once for each axis, when nothing is left of an axis
    See       the fork of waifu2x-caffe alone has it
    """

    message = "crop_center_param"
    param: CropCenterParameter
    backward_reads = ()
    recordable = True

    def reshape(self, bottom, top):
        shape, cut = bottom[0].shape, list(self.param.crop_size)
        self.check(len(cut) == len(shape) > 0, "crop_size",
                   f"must be given once for each of the {len(shape)} axes of bottom[0] {shape}")
        self.check(all(n > 2 * c for n, c in zip(shape, cut, strict=True)), "crop_size",
                   f"must leave something of each axis of bottom[0] {shape}")
        self.start = cut
        top[0].reshape([n - 2 * c for n, c in zip(shape, cut, strict=True)])

    def forward(self, bottom, top):
        kernels.crop(bottom[0].data, self.start, top[0].data)

    def backward(self, top, propagate_down, bottom):
        if propagate_down[0]:
            dy, dx = top[0].diff, bottom[0].diff
            kept = tuple(slice(c, c + size) for c, size in zip(self.start, dy.shape, strict=True))
            dx.fill(0)
            dx[kept] = dy
