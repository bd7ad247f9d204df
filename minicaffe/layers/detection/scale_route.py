"""ScaleRoute: the regions of one range of sizes."""

import numpy as np

from minicaffe.layer import register
from minicaffe.layers.detection._cascade import CascadeLayer, areas
from minicaffe.proto import ScaleRouteParameter

MIDDLE = 256  # pixels: what the sizes are compared with where no limit is given


@register("ScaleRoute")
class ScaleRouteLayer(CascadeLayer):
    """Let through the regions of a range of sizes, so that each goes to the feature map that suits its size.

    Forward   size[r] = √((x2 − x1 + 1) · (y2 − y1 + 1)), or 0 where x2 < x1 or y2 < y1
              y[k] = the rows r of x[k] with low_scale ≤ size[r] < high_scale, in order; where there is none, the one
              row with the smallest |log2(size[r] / middle)|, the first of equal ones; middle is √(low · high), or the
              one that is given, or 256
    Backward  none: the rows are chosen in jumps, and the fork lets no gradient through

    Bottom    x[0] (R, 5): image, x1, y1, x2, y2 of each region;  x[1], … (R, …), such as labels
    Top       y[0], y[1], …, one for each bottom: (M, …), so a new shape each pass; before the first one M is 1. The
              shapes have at least four axes: (R, 5) becomes (M, 5, 1, 1)
    Params    scale_route_param: low_scale=low (absent: 0) and high_scale=high (absent: no limit), in pixels
    In place  no: the tops have shapes of their own
    Errors    LayerError when tops are not as many as bottoms, x[0] has not five numbers a row, the bottoms have not the
              same R, low_scale is not positive, high_scale is not above 0 or lies below low_scale, a gradient is asked
              for
    See       Cai and Vasconcelos, Cascade R-CNN, CVPR 2018, whose fork alone has this layer: its nets with a feature
              pyramid have one for each map
    """

    message = "scale_route_param"
    param: ScaleRouteParameter
    bottoms = (1, None)
    tops = (1, None)

    def setup(self, bottom, top):
        if len(top) != len(bottom):
            self.fail(f"must have one top for each bottom: {len(bottom)}, got {len(top)}")
        p = self.param
        low, high = ((getattr(p, field) if p.HasField(field) else None) for field in ("low_scale", "high_scale"))
        self.check(low is None or low > 0, "low_scale", "must be positive")
        self.check(high is None or high > 0, "high_scale", "must be positive")
        self.check(low is None or high is None or low <= high, "high_scale", f"must not lie below low_scale, {low}")
        self.low, self.high = low or 0, high or np.inf
        self.middle = np.sqrt(low * high) if low and high else low or high or MIDDLE
        self.M = 1

    def reshape(self, bottom, top):
        R = bottom[0].shape[0] if bottom[0].num_axes else 0
        if bottom[0].num_axes < 2 or bottom[0].count != R * 5:
            self.fail(f"bottom[0] must be (R, 5), with image, x1, y1, x2, y2 of each region, got {bottom[0].shape}")
        for k, blob in enumerate(bottom):
            if blob.shape[:1] != (R,):
                self.fail(f"bottom[{k}] must have a row for each of {R} regions, got {blob.shape}")
        self._reshape_tops(bottom, top)

    def forward(self, bottom, top):
        roi = bottom[0].data.reshape(-1, 5)
        size = np.sqrt(areas(roi[:, 1:]))
        chosen = np.flatnonzero((size >= self.low) & (size < self.high))
        if not len(chosen):
            with np.errstate(divide="ignore"):
                far = np.abs(np.log2(size / self.middle))
            chosen = np.argsort(far, kind="stable")[:1]
        self.M = len(chosen)
        self._reshape_tops(bottom, top)
        for x, y in zip(bottom, top, strict=True):
            y.data[:] = x.data[chosen].reshape(y.shape)

    def _reshape_tops(self, bottom, top):
        """Give the tops a row for each region that is let through."""
        for x, y in zip(bottom, top, strict=True):
            y.reshape(self.M, *x.shape[1:], *[1] * (4 - x.num_axes))
