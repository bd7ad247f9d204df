"""ROIAlign: values of a feature map on a grid of points over a region, also between its pixels."""

import numpy as np

from minicaffe import kernels
from minicaffe.layer import register
from minicaffe.layers.detection._regions import RegionLayer
from minicaffe.proto import ROIPoolingParameter

OUTSIDE = -1.0  # a point that lies in no map


@register("ROIAlign")
class ROIAlignLayer(RegionLayer):
    """Read a region without rounding its corners, so that y follows where the region moves by less than a pixel.

    Forward   begin = y1 · s − 0.5,   end = y2 · s − 0.5,   with y1 and y2 of roi[r]
              h = begin + i · (end − begin) / oh   for the rows i = 0 … oh of points;   w of the columns alike
              part = the distance of h from the row above it;   a is 1 − part for that row and part for the row below,
              and b of the two columns around w alike
              y[r, c, i, j] = Σ a · b · x   over the four pixels around (h, w)
              0 at a point outside −0.5 … H − 0.5 or −0.5 … W − 0.5, and in a region without height or width
    Backward  dx = Σ a · b · dy   over the points that have the pixel around them, of all regions
    Computed  kernels.region_samples, kernels.region_samples_grad: minicaffe/kernels/definitions/regions.py

    Bottom    x (N, C, H, W) a feature map;  roi (R, 5): image, x1, y1, x2, y2 of each region, in pixels of the net's
              image. The number of the image is truncated
    Top       y (R, C, oh + 1, ow + 1), the corners of oh × ow bins: a Pooling AVE of 2 × 2 with stride 1 behind it
              makes one number of each bin
    Params    roi_pooling_param: pooled_h=oh (must be given, 0), pooled_w=ow (must be given, 0), spatial_scale=s (1):
              the size of x, as a part of the image's;  pad_ratio (0): each side of a region is first moved outwards by
              this part of the region's size, x2 − x1 + 1
    In place  no: the top has a shape of its own
    Errors    LayerError when x has not four axes, roi has not rows of five numbers, an image is not in the batch, a
              corner is NaN, oh, ow or s is not positive, pad_ratio is negative, s or pad_ratio is above
              1e9
    See       Cai and Vasconcelos, Cascade R-CNN, CVPR 2018, whose fork has this layer, for GPUs alone. The layers of
              that name in ncnn, Caffe2 and Detectron compute something else
    """

    message = "roi_pooling_param"
    param: ROIPoolingParameter
    unread = ("pooled_size",)

    def setup(self, bottom, top):
        p = self.param
        for field in ("pooled_h", "pooled_w", "spatial_scale"):
            self.check(getattr(p, field) > 0, field, "must be positive")
        self.check(p.pad_ratio >= 0, "pad_ratio", "must not be negative")
        self.check_limits("spatial_scale", "pad_ratio")

    def reshape(self, bottom, top):
        R = self.check_regions(bottom)
        top[0].reshape(R, bottom[0].shape[1], self.param.pooled_h + 1, self.param.pooled_w + 1)

    def forward(self, bottom, top):
        self.image, corners = self.read_regions(bottom)
        self.h, self.w = self._points(corners)
        kernels.region_samples(bottom[0].data, self.image, self.h, self.w, top[0].data)

    def backward(self, top, propagate_down, bottom):
        if propagate_down[1]:
            bottom[1].diff.fill(0)
        if propagate_down[0]:
            kernels.region_samples_grad(top[0].diff, self.image, self.h, self.w, bottom[0].diff)

    def _points(self, corners):
        """Return the rows (R, oh + 1) and the columns (R, ow + 1) of the points, given the corners of the regions."""
        p, kind = self.param, corners.dtype.type
        pad = (corners[:, 1] - corners[:, 0] + 1) * kind(p.pad_ratio)
        s, half = kind(p.spatial_scale), kind(0.5)
        begin, end = (corners[:, 0] - pad) * s - half, (corners[:, 1] + pad) * s - half
        length = end - begin
        begin[(length <= 0).any(axis=1)], length[(length <= 0).any(axis=1)] = OUTSIDE, 0
        h, w = (begin[:, axis, None] + np.arange(count + 1).astype(kind) * (length[:, axis, None] / kind(count))
                for axis, count in enumerate((p.pooled_h, p.pooled_w)))
        return h, w
