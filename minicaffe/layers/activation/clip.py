"""Clip: keep every number within two limits."""

from minicaffe import kernels
from minicaffe.layer import Elementwise, register
from minicaffe.proto import ClipParameter


@register("Clip")
class ClipLayer(Elementwise):
    """Move numbers that are outside an interval to its nearer end.

    Forward   y = max(a, min(x, b))
    Backward  dx = dy where a ≤ x ≤ b, else 0
    Computed  kernels.clip: minicaffe/kernels/definitions/maps.py;
              Elementwise: minicaffe/layer/bases.py

    Bottom    x (any shape)
    Top       y, the shape of x
    Params    clip_param: min=a (must be given), max=b (must be given)
    In place  yes: backward needs x, so a copy is kept
    Errors    LayerError when min or max is missing
    """

    message = "clip_param"
    param: ClipParameter
    slope_from = "x"
    recordable = True

    def setup(self, bottom, top):
        self.a, self.b = self.param.min, self.param.max
        for field in ("min", "max"):
            self.check(self.param.HasField(field), field, "must be set: Clip has no default limits")
        self.caution(self.a <= self.b, "min", f"is {self.a:g}, above max, {self.b:g}: every number becomes min")

    def value(self, x, y):
        # Caffe: the lower limit is applied last, so it wins where it is above the upper one
        kernels.clip(x, self.a, self.b, y)

    def slope(self, x):
        return (x >= self.a) & (x <= self.b)
