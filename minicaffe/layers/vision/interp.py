"""Interp: make images larger or smaller, with means of neighbouring pixels between them."""

from minicaffe import kernels
from minicaffe.layer import Layer, register
from minicaffe.proto import InterpParameter


@register("Interp")
class InterpLayer(Layer):
    """Give every channel another height and width by bilinear interpolation that keeps the corners where they are.

    With negative padding, rows and columns are first cut off: pad_beg of them at the beginning, pad_end at the end. H
    and W are the sizes of what is left.

    Forward   y[i, j] = Σ max(0, 1 − |u − h|) · max(0, 1 − |v − w|) · x[h, w]   over h and w
              u = i · (H − 1) / (oh − 1) or 0 where oh is 1;  v alike from j, W and ow
    Backward  dx[h, w] = Σ max(0, 1 − |u − h|) · max(0, 1 − |v − w|) · dy[i, j]   over i and j;  0 where x was cut off
    Computed  kernels.interpolate, kernels.interpolate_grad: minicaffe/kernels/definitions/resizing.py

    Bottom    x (N, C, ·, ·)
              a reference (·, ·, oh, ow) of which only the shape is read, with use_blob_size
    Top       y (N, C, oh, ow); ow follows from W as oh from H:
              shrink_factor s alone    oh = (H − 1) / s + 1, rounded down
              zoom_factor z alone      oh = H + (H − 1) · (z − 1)
              both                     first the smaller size, and from that the larger one
              height and width         these; where one of the factors is given alone, it wins
    Params    interp_param: height=oh (0), width=ow (0), zoom_factor=z (1), shrink_factor=s (1), pad_beg (0 or less, 0),
              pad_end (0 or less, 0), use_blob_size (the sizes are the reference's, false), mode (LINEAR)
    In place  no: the top has a shape of its own
    Errors    LayerError when x has not four axes, when neither a factor nor both height and width are given, when a
              factor is less than 1, when height or width is negative, when pad_beg or pad_end is positive or leaves
              nothing, when there is a reference without use_blob_size or the other way round, when mode is NEAREST
    See       DeepLab's and PSPNet's forks, and all others that have it, agree. NEAREST is jolibrain's alone, and not
              part of minicaffe. use_blob_size is soeaver's
    """

    message = "interp_param"
    param: InterpParameter
    bottoms = (1, 2)
    backward_reads = ()
    recordable = True
    can_dry_run = True

    def setup(self, bottom, top):
        p = self.param
        self.check(p.mode == p.LINEAR, "mode", "must be LINEAR: minicaffe has no NEAREST")
        for field in ("zoom_factor", "shrink_factor"):
            self.check(getattr(p, field) >= 1, field, "must be at least 1")
        for field in ("height", "width"):
            self.check(getattr(p, field) >= 0, field, "must not be negative")
        for field in ("pad_beg", "pad_end"):
            self.check(getattr(p, field) <= 0, field, "must be 0 or less: rows can be cut off, but not added")
        self.check(p.use_blob_size == (len(bottom) == 2), "use_blob_size",
                   "must be true with a second bottom, and with that alone")
        factors = [field for field in ("zoom_factor", "shrink_factor") if p.HasField(field)]
        given = [field for field in ("height", "width") if getattr(p, field)]
        if p.use_blob_size:
            for field in (*factors, *given):
                self.check_effect(False, field, "use_blob_size is true")
            return
        if not factors and len(given) < 2:
            self.check(False, "width" if given == ["height"] else "height",
                       "must be given, or zoom_factor or shrink_factor instead of height and width")
        self.fixed = len(given) == 2 and len(factors) != 1
        for field in given:
            self.check_effect(self.fixed, field, f"{factors[0]} is given" if len(factors) == 1 else
                              "height and width are not both given")
        for field in factors:
            self.check_effect(not self.fixed, field, "height and width are given")

    def reshape(self, bottom, top):
        p, shape = self.param, bottom[0].shape
        if len(shape) != 4:
            self.fail(f"bottom[0] must have the 4 axes (N, C, H, W), got {shape}")
        self.start = (-p.pad_beg, -p.pad_beg)
        self.size = tuple(n + p.pad_beg + p.pad_end for n in shape[2:])
        self.check(min(self.size) > 0, "pad_beg" if p.pad_beg else "pad_end",
                   f"and pad_end must leave something of the height and the width of bottom[0] {shape}"
                   if p.pad_beg else f"must leave something of the height and the width of bottom[0] {shape}")
        top[0].reshape(*shape[:2], *self._sizes(bottom))

    def forward(self, bottom, top):
        kernels.interpolate(bottom[0].data, self.start, self.size, top[0].data)

    def backward(self, top, propagate_down, bottom):
        if propagate_down[0]:
            kernels.interpolate_grad(top[0].diff, self.start, self.size, bottom[0].diff)
        if len(bottom) == 2 and propagate_down[1]:
            bottom[1].diff.fill(0)

    def _sizes(self, bottom):
        """Return the height and the width of y."""
        if len(bottom) == 1:
            return (self.param.height, self.param.width) if self.fixed else map(self._scaled, self.size)
        if bottom[1].num_axes != 4:
            self.fail(f"bottom[1], the reference, must have the 4 axes (·, ·, oh, ow), got {bottom[1].shape}")
        return bottom[1].shape[2:]

    def _scaled(self, size):
        """Return a size after shrink_factor and then zoom_factor, of which one that is not given is 1."""
        size = (size - 1) // self.param.shrink_factor + 1
        return size + (size - 1) * (self.param.zoom_factor - 1)
