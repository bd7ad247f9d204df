"""ROIPooling: the largest number of each bin of a grid that is laid over a region."""

from typing import Any

import numpy as np

from minicaffe import kernels
from minicaffe.layer import register
from minicaffe.layers.detection._regions import RegionLayer, edges, rounded, whole_bins
from minicaffe.proto import ROIPoolingParameter


@register("ROIPooling")
class ROIPoolingLayer(RegionLayer):
    """Make equally many numbers of each region, however large it is, so that InnerProduct can classify regions.

    Forward   begin = round(y1 · s),   end = round(y2 · s),   with y1 and y2 of roi[r], and halves away from 0
              size = max(end − begin + 1, 1) / oh
              rows of bin i:  begin + floor(i · size) to begin + ceil((i + 1) · size), without the last, cut to 0 … H
              columns alike;   y[r, c, i, j] = x[m], m the first of the largest in the bin, or 0 where it is empty
    Backward  dx[m] = Σ dy over the bins that chose m, of all regions
    Computed  kernels.region_max_pool, kernels.region_max_pool_grad: minicaffe/kernels/definitions/regions.py

    Bottom    x (N, C, H, W) a feature map;  roi (R, 5): image, x1, y1, x2, y2 of each region, in pixels of the net's
              image. The number of the image is truncated
    Top       y (R, C, oh, ow)
    Params    roi_pooling_param: pooled_h=oh (must be given, 0) and pooled_w=ow (must be given, 0), or pooled_size, oh
              and then ow;  spatial_scale=s (1): the size of x, as a part of the image's; with −1, regions are given as
              parts of the image, and s is W or H;  pad_ratio (0): each side of a region is first moved outwards by this
              part of the region's size, x2 − x1 + 1
    In place  no: the top has a shape of its own
    Errors    LayerError when x has not four axes, roi has not rows of five numbers, an image is not in the batch, a
              corner is NaN, oh or ow is 0 or given twice, s is 0 or negative but not −1, pad_ratio is
              negative, s or pad_ratio is above 1e9
    See       Girshick, Fast R-CNN, ICCV 2015. All forks with detectors have this layer and agree. pad_ratio is
              cascade-rcnn's, −1 jolibrain's and pooled_size Intel's, which also has forms for one and three axes
    """

    message = "roi_pooling_param"
    param: ROIPoolingParameter
    index: Any  # an array as y, or None where nothing runs backward

    def setup(self, bottom, top):
        p = self.param
        self.check(len(p.pooled_size) in (0, 2), "pooled_size", "must be given twice, for height and width")
        named = p.HasField("pooled_h") or p.HasField("pooled_w")
        self.check(not (named and p.pooled_size), "pooled_size", "and pooled_h, pooled_w exclude each other")
        self.size = tuple(p.pooled_size) or (p.pooled_h, p.pooled_w)
        if min(self.size) < 1:
            field = "pooled_size" if p.pooled_size else "pooled_h and pooled_w"
            self.fail(f"roi_pooling_param.{field} must be positive, got {self.size}")
        self.check(p.spatial_scale > 0 or p.spatial_scale == -1, "spatial_scale", "must be positive, or -1",
                   hint="-1 is for regions that are given as parts of the image")
        self.check(p.pad_ratio >= 0, "pad_ratio", "must not be negative")
        self.check_limits("spatial_scale", "pad_ratio")

    def reshape(self, bottom, top):
        R = self.check_regions(bottom)
        shape = (R, bottom[0].shape[1], *self.size)
        top[0].reshape(shape)
        self.index = self.scratch(shape, np.int32) if self.runs_backward else None

    def forward(self, bottom, top):
        self.image, corners = self.read_regions(bottom)
        rows, columns = self._bins(corners, bottom[0].shape[2:])
        kernels.region_max_pool(bottom[0].data, self.image, rows, columns, top[0].data, self.index)

    def backward(self, top, propagate_down, bottom):
        if propagate_down[1]:
            bottom[1].diff.fill(0)
        if propagate_down[0]:
            kernels.region_max_pool_grad(top[0].diff, self.image, self.index, bottom[0].diff)

    def _bins(self, corners, sizes):
        """Return the rows and the columns of the bins, given the corners of the regions and (H, W)."""
        p, kind = self.param, corners.dtype.type
        pad = (corners[:, 1] - corners[:, 0] + 1) * kind(p.pad_ratio)
        scale = np.array(sizes if p.spatial_scale == -1 else [p.spatial_scale], kind)
        begin, end = rounded((corners[:, 0] - pad) * scale), rounded((corners[:, 1] + pad) * scale)
        size = np.maximum(end - begin + 1, 1) / np.array(self.size, kind)
        found = []
        for axis, count in enumerate(self.size):
            at, edge = begin[:, axis, None], edges(size[:, axis], count)
            found.append(whole_bins(at + np.floor(edge[:, :-1]), at + np.ceil(edge[:, 1:]), sizes[axis]))
        return found
