"""DecodeBBox: the regions of the next stage of a cascade, out of those of this one."""

import numpy as np

from minicaffe.layer import register
from minicaffe.layers.detection._cascade import CascadeLayer
from minicaffe.proto import TRAIN, DecodeBBoxParameter


@register("DecodeBBox")
class DecodeBBoxLayer(CascadeLayer):
    """Move and scale each region as the net says, so that the next stage sees a region that fits better.

    Forward   d = t[r, 4 … 7] · std + mean, the numbers x, y, w, h of class 1
              size = (x2 − x1 + 1, y2 − y1 + 1),   center = ((x1 + x2) / 2, (y1 + y2) / 2) + (d_x, d_y) · size
              size′ = size · (exp(d_w), exp(d_h)),   y[r] = (image, center − (size′ − 1) / 2, center + (size′ − 1) / 2)
              in TRAIN without the boxes whose x2 < x1 or y2 < y1, and without those r whose last number in g is at
              least gt_iou_thr: they lie so well on an object that there is nothing to learn from them
    Backward  none: the next stage learns from these regions, and not about them

    Bottom    t (R, 8): four numbers for the background, which are not read, and four for all objects;
              roi (R, 5): image, x1, y1, x2, y2;  optional, in TRAIN alone: g (R, …), whose last number of each row is
              how much the region overlaps its object
    Top       y (R, 5, 1, 1); in TRAIN there may be fewer rows, so a new shape each pass
    Params    decode_bbox_param: gt_iou_thr (0.95); bbox_reg_param: bbox_mean=mean (0) and bbox_std=std (1), four
              numbers each, which count only when both are given
    In place  no: it reads roi while it writes y
    Phase     TEST keeps all regions
    Errors    LayerError when the bottoms have not the same R or not 8 and 5 numbers a row, there is a third bottom in
              TEST, bbox_mean or bbox_std has not four numbers, bbox_std is not positive, no region is left, a gradient
              is asked for
    See       Cai and Vasconcelos, Cascade R-CNN, CVPR 2018, whose fork alone has this layer
    """

    message = "decode_bbox_param"
    also_reads = ("bbox_reg_param",)
    param: DecodeBBoxParameter
    bottoms = (2, 3)
    regions_at = 1

    def setup(self, bottom, top):
        self.setup_spread()
        if len(bottom) == 3 and self.phase != TRAIN:
            self.fail("may have a third bottom, the overlaps with the objects, in TRAIN alone")
        self.check_effect(len(bottom) == 3, "gt_iou_thr", "there is no third bottom, the overlaps with the objects")
        self.R = self.M = 0

    def reshape(self, bottom, top):
        R = bottom[0].shape[0] if bottom[0].num_axes else 0
        for i, (blob, count) in enumerate(zip(bottom, (8, 5), strict=False)):
            if blob.num_axes == 0 or blob.shape[0] != R or blob.count != R * count:
                self.fail(f"bottom[{i}] must have the shape ({R}, {count}), got {blob.shape}")
        if len(bottom) == 3 and (bottom[2].num_axes < 2 or bottom[2].shape[0] != R or bottom[2].count == 0):
            self.fail(f"bottom[2], the overlaps, must have a row for each of {R} regions, got {bottom[2].shape}")
        if R != self.R:
            self.R = self.M = R
        top[0].reshape(self.M, 5, 1, 1)

    def forward(self, bottom, top):
        R = bottom[0].shape[0]
        roi = bottom[1].data.reshape(R, 5)
        y = np.column_stack([roi[:, 0], self.decoded(bottom[0].data.reshape(R, 8), roi[:, 1:])[:, 1]])
        if self.phase == TRAIN:
            y = y[self._useful(y, bottom[2:])]
        self.M = len(y)
        top[0].reshape(self.M, 5, 1, 1)
        top[0].data[:, :, 0, 0] = y

    def _useful(self, y, overlaps):
        """Return which of the regions y (R, 5) a training goes on with, as booleans (R,)."""
        useful = ~(y[:, 1:3] > y[:, 3:]).any(axis=1)
        for blob in overlaps:
            useful &= ~(blob.data.reshape(len(y), -1)[:, -1] >= self.param.gt_iou_thr)
        if not useful.any():
            self.fail(f"none of the {len(y)} regions is left to train with",
                      hint="all have no size, or overlap their object by gt_iou_thr or more")
        return useful
