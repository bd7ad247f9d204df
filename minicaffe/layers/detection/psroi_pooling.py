"""PSROIPooling: the mean of each bin of a region's grid, and each bin has channels of its own."""

import numpy as np

from minicaffe import kernels
from minicaffe.layer import register
from minicaffe.layers.detection._regions import RegionLayer, edges, rounded, whole_bins
from minicaffe.proto import PSROIPoolingParameter


@register("PSROIPooling")
class PSROIPoolingLayer(RegionLayer):
    """Let the channels vote for parts of an object: the one for "top left" is read in the top left bin of a region.

    Forward   begin = round(y1) · s,   end = (round(y2) + 1) · s,   with y1 and y2 of roi[r], and halves away from 0
              size = max(end − begin, 0.1) / g
              rows of bin i:  floor(begin + i · size) to ceil(begin + (i + 1) · size), without the last, cut to 0 … H
              columns alike;   y[r, d, i, j] = the mean over the bin of channel (d · g + i) · g + j of x,
              or 0 where the bin is empty
    Backward  dx = Σ dy / a over the bins that hold the pixel and read its channel;  a pixels are in the bin
    Computed  kernels.region_vote, kernels.region_vote_grad: minicaffe/kernels/definitions/regions.py

    Bottom    x (N, D · g · g, H, W) a feature map;  roi (R, 5): image, x1, y1, x2, y2 of each region, in pixels of the
              net's image. The number of the image is truncated
    Top       y (R, D, g, g)
    Params    psroi_pooling_param: spatial_scale=s, the size of x as a part of the image's, output_dim=D, group_size=g
              (all three must be given)
    In place  no: the top has a shape of its own
    Errors    LayerError when x has not four axes or not D · g · g channels, roi has not rows of five numbers, an image
              is not in the batch, a corner is NaN, s, D or g is not positive, s is above 1e9
    See       Dai, Li, He and Sun, R-FCN, NIPS 2016. The forks of R-FCN, Intel and cascade-rcnn have this layer and
              agree; that of R-FCN and cascade-rcnn runs on GPUs alone
    """

    message = "psroi_pooling_param"
    param: PSROIPoolingParameter

    def setup(self, bottom, top):
        p = self.param
        for field in ("spatial_scale", "output_dim", "group_size"):
            self.check(getattr(p, field) > 0, field, "must be positive")
        self.check_limits("spatial_scale")

    def reshape(self, bottom, top):
        p, R, channels = self.param, self.check_regions(bottom), bottom[0].shape[1]
        needed = p.output_dim * p.group_size ** 2
        if channels != needed:
            self.fail(f"bottom[0] {bottom[0].shape} must have output_dim · group_size² = {needed} channels, "
                      f"has {channels}")
        top[0].reshape(R, p.output_dim, p.group_size, p.group_size)

    def forward(self, bottom, top):
        self.image, corners = self.read_regions(bottom)
        self.rows, self.columns = self._bins(corners, bottom[0].shape[2:])
        kernels.region_vote(bottom[0].data, self.image, self.rows, self.columns, top[0].data)

    def backward(self, top, propagate_down, bottom):
        if propagate_down[1]:
            bottom[1].diff.fill(0)
        if propagate_down[0]:
            kernels.region_vote_grad(top[0].diff, self.image, self.rows, self.columns, bottom[0].diff)

    def _bins(self, corners, sizes):
        """Return the rows and the columns of the bins, given the corners of the regions and (H, W)."""
        kind, g = corners.dtype.type, self.param.group_size
        s = kind(self.param.spatial_scale)
        begin, end = rounded(corners[:, 0]) * s, (rounded(corners[:, 1]) + 1) * s
        size = np.maximum(end - begin, kind(0.1)) / kind(g)
        found = []
        for axis in (0, 1):
            edge = begin[:, axis, None] + edges(size[:, axis], g)
            found.append(whole_bins(np.floor(edge[:, :-1]), np.ceil(edge[:, 1:]), sizes[axis]))
        return found
