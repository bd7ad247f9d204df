"""FrcnnOutput: the boxes, classes and scores that the last stage of a detector has found."""

import numpy as np

from minicaffe.layer import register
from minicaffe.layers.detection._cascade import CascadeLayer, clipped
from minicaffe.proto import FrcnnOutputParameter

FIRST = (0, -1, -1, -1, -1, -1, -1)  # Caffe: the first row is no box, so that there is always a row


@register("FrcnnOutput")
class FrcnnOutputLayer(CascadeLayer):
    """Move and scale each region as the net says, for each class, and keep the best boxes that do not overlap.

    Forward   of each region r and class c from 1:  d = t[r, 4·c … 4·c + 3] · std + mean, or t[r, 4 … 7] · std + mean
              for all classes when cls_aware is false
              size = (x2 − x1 + 1, y2 − y1 + 1),   center = ((x1 + x2) / 2, (y1 + y2) / 2) + (d_x, d_y) · size
              size′ = size · (exp(d_w), exp(d_h)), and the box is from center − (size′ − 1) / 2 to
              center + (size′ − 1) / 2, with x1 and y1 not below 0, x2 not above the width of the image, and y2 not
              above its height
              of each class the boxes with p[r, c] ≥ conf_thr, the best first (of equal ones the first region), each
              that overlaps no better one that is kept by more than iou_thr;   of all classes the max_det_num best
              y = first a row 0, −1, −1, −1, −1, −1, −1, and then 0, x1, y1, x2, y2, c, score of each box, by c and then
              by score
              an overlap is the shared area, divided by the area of both together for IOU, by that of the smaller box
              for IOMU, and by that of the box that is kept for IOFU. Boxes that share but one row of pixels share
              nothing
    Backward  none: which boxes are kept changes in jumps

    Bottom    p (R, C): how surely a region is of each of C classes, the background first;
              t (R, 4·C), or (R, 8) when cls_aware is false;  roi (R, 5) or (R, 6): image, x1, y1, x2, y2 and maybe a
              score, which is not read;  size (1, 2): height and width of the image
    Top       y (1 + D, 7, 1, 1) with D boxes, so a new shape each pass; before the first one D is 0
    Params    frcnn_output_param: conf_thr (0), iou_thr (0.5), nms_type (or IOMU or IOFU, IOU), max_det_num (0 is all,
              0); accepted, without effect: save_output_param; bbox_reg_param: bbox_mean=mean (0) and bbox_std=std (1),
              four numbers each, which count only when both are given, cls_aware (true)
    In place  no: the top has a shape of its own
    Errors    LayerError when the shapes of the bottoms do not fit each other, a region is of another image than 0, a
              corner of one is NaN, iou_thr is negative, bbox_mean or bbox_std has not four numbers, bbox_std is not
              positive, a gradient is asked for
    See       Cai and Vasconcelos, Cascade R-CNN, CVPR 2018, whose fork alone has this layer. The fork ends with an
              error where a region's last pixel lies before its first one, which a former stage may well put out
    """

    message = "frcnn_output_param"
    also_reads = ("bbox_reg_param",)
    param: FrcnnOutputParameter
    bottoms = 4
    regions_at = 2

    def setup(self, bottom, top):
        self.setup_suppression()
        self.setup_spread()
        self.check_effect(not self.param.save_output_param.output_directory, "save_output_param",
                          "minicaffe writes no files of detections")
        self.by_class = self.layer_param.bbox_reg_param.cls_aware
        self.D = 0

    def reshape(self, bottom, top):
        p, t, roi, size = (blob.shape for blob in bottom)
        R, C = (p[0], bottom[0].count // p[0]) if p and p[0] else (0, 0)
        if C < 2:
            self.fail(f"bottom[0], the scores, must be (R, C) with at least two classes, got {p}")
        if t[:1] != (R,) or bottom[1].count != R * (4 * C if self.by_class else 8):
            self.fail(f"bottom[1], the boxes, must be ({R}, {4 * C if self.by_class else 8}) for scores {p}, got {t}",
                      hint="bbox_reg_param { cls_aware: false } is for one box of all classes" if self.by_class else
                      "bbox_reg_param { cls_aware: true } is for a box of each class")
        if roi[:1] != (R,) or bottom[2].count not in (5 * R, 6 * R):
            self.fail(f"bottom[2], the regions, must be ({R}, 5) or ({R}, 6) for scores {p}, got {roi}")
        if bottom[3].count != 2:
            self.fail(f"bottom[3], the size of the image, must be (1, 2): height and width, got {size}")
        self.C = C
        top[0].reshape(1 + self.D, 7, 1, 1)

    def forward(self, bottom, top):
        R = bottom[0].shape[0]
        p, t, roi = (bottom[i].data.reshape(R, -1) for i in range(3))
        height, width = bottom[3].data.reshape(2)
        self._check_regions(roi)
        boxes = self.decoded(t, roi[:, 1:5])
        rows = [self._of_class(c, p[:, c], clipped(boxes[:, c if self.by_class else 1], width, height))
                for c in range(1, self.C)]
        y = self._best(np.concatenate(rows))
        self.D = len(y)
        top[0].reshape(1 + self.D, 7, 1, 1)
        top[0].data[0, :, 0, 0] = FIRST
        top[0].data[1:, :, 0, 0] = y

    def _check_regions(self, roi):
        """Raise a LayerError for a region that is of another image than the first, or has no place."""
        bad = ~(np.abs(roi[:, 0]) < 1) | np.isnan(roi[:, 1:5]).any(axis=1)  # the number of the image is truncated
        if bad.any():
            r = int(bad.argmax())
            self.fail(f"region {r} of bottom[2] must be of image 0, with corners that are numbers, got "
                      f"{[float(v) for v in roi[r]]}", hint="this layer takes a batch of one image")

    def _of_class(self, c, score, boxes):
        """Return the rows (D, 7) of one class, the best first, out of all its boxes (R, 4) and their scores (R,)."""
        chosen = score >= self.param.conf_thr
        boxes, score = boxes[chosen], score[chosen]
        kept = self.kept(boxes, score)
        rows = np.zeros((len(kept), 7), boxes.dtype)
        rows[:, 1:5], rows[:, 5], rows[:, 6] = boxes[kept], c, score[kept]
        return rows

    def _best(self, rows):
        """Return the max_det_num rows with the best scores, in the order in which they are given."""
        if not self.param.max_det_num:
            return rows
        return rows[np.sort(np.argsort(-rows[:, 6], kind="stable")[:self.param.max_det_num])]
