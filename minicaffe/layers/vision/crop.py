"""Crop: cut a blob to the size of another."""

from minicaffe import kernels
from minicaffe.layer import Layer, register
from minicaffe.proto import CropParameter


@register("Crop")
class CropLayer(Layer):
    """Keep the part of x, from axis on, that has the sizes of a reference blob and begins at an offset.

    Forward   y[n, c, h, w] = x[n, c, h + o_h, w + o_w]   with axis 2; other axes alike
    Backward  dx = dy in the part that was kept, 0 around it; the diff of the reference is 0
    Computed  kernels.crop: minicaffe/kernels/definitions/copying.py

    Bottom    x (N, C, H, W), and a reference (·, ·, h, w) of which only the shape is read
    Top       y (N, C, h, w)
    Params    crop_param: axis (the first that is cropped, 2), offset=o (one for all axes, or one an axis; absent: 0)
    In place  no: the top has a shape of its own
    Errors    LayerError when axis is out of range, when offset is given a wrong number of times, when the reference
              has not as many axes as x, when the part reaches over the edge of x
    """

    message = "crop_param"
    param: CropParameter
    bottoms = 2
    backward_reads = ()
    recordable = True

    def setup(self, bottom, top):
        p, axes = self.param, bottom[0].num_axes
        self.axis = self.axis_of(bottom[0])
        self.check(len(p.offset) in (0, 1, axes - self.axis), "offset",
                   f"must be given once, or once for each of the {axes - self.axis} axes of bottom[0] "
                   f"{bottom[0].shape} from axis {self.axis}")

    def reshape(self, bottom, top):
        shape, wanted = bottom[0].shape, bottom[1].shape
        if len(wanted) != len(shape):
            self.fail(f"bottom[0] {shape} and the reference bottom[1] {wanted} must have as many axes")
        cropped = len(shape) - self.axis
        # the axes before `axis` are kept whole; a single offset counts for all axes that are cropped
        offsets = list(self.param.offset) or [0]
        offsets = [0] * self.axis + (offsets * cropped if len(offsets) == 1 else offsets)
        sizes = shape[:self.axis] + wanted[self.axis:]
        for i, (n, size, offset) in enumerate(zip(shape, sizes, offsets, strict=True)):
            if offset + size > n:
                self.fail(f"offset {offset} and size {size} of the reference bottom[1] {wanted} "
                          f"reach beyond the size {n} of bottom[0] {shape} at axis {i}")
        self.offsets = offsets
        top[0].reshape(sizes)

    def forward(self, bottom, top):
        kernels.crop(bottom[0].data, self.offsets, top[0].data)

    def backward(self, top, propagate_down, bottom):
        if propagate_down[0]:
            dy, dx = top[0].diff, bottom[0].diff
            kept = tuple(slice(o, o + size) for o, size in zip(self.offsets, dy.shape, strict=True))
            dx.fill(0)
            dx[kept] = dy
        if propagate_down[1]:
            bottom[1].diff.fill(0)
