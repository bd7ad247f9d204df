"""Proposal: regions that may hold an object, out of the answers of a region proposal network."""

from minicaffe.layer import register
from minicaffe.layers.detection._proposals import RegionProposals, anchors_of
from minicaffe.layers.detection._regions import rounded
from minicaffe.proto import ProposalParameter


@register("Proposal")
class ProposalLayer(RegionProposals):
    """Move and scale the anchors of each cell as the net says, and keep the best boxes that do not overlap.

    The anchors of a cell are rectangles around the centre of a square of b pixels. There is one for each ratio r of
    height to width and each scale s. Its width is √(b² / r), its height is this width times r, both are rounded to
    whole numbers, and then both are multiplied by s. The cells lie `stride` pixels apart.

    Forward   a = the corners x1, y1, x2, y2 of each anchor of a cell, moved by stride · (column, row)
              size = (x2 − x1 + 1, y2 − y1 + 1),   x1, y1, x2, y2 of a
              center = t_xy · size + (x1, y1) + size / 2,   half = exp(t_wh) · size / 2
              boxes = center − half to center + half, cut to 0 … width − 1 and 0 … height − 1
              large = whether x2 − x1 + 1 ≥ min_size · scale, and y alike;   score = 0 for the boxes that are not
              best = the pre_nms_topn with the largest scores, in the order of their scores; of equal ones the first
              cell and anchor come first
              keep = each of these that overlaps no better one that is kept by more than nms_thresh
              y = (the number of the image, x1, y1, x2, y2) of the first post_nms_topn that are kept
    Backward  none: the gradient is 0. The layers below learn from losses of their own
    Computed  kernels.nms: minicaffe/kernels/definitions/boxes.py

    Bottom    score (N, 2·A, H, W), for each of A anchors that it holds nothing, and then that it holds something;
              t (N, 4·A, H, W): four numbers for each anchor (x, y, w, h);  info (N, 3): height and width of the image
              as the net sees it, and by how much it was scaled; a fourth number is the scale of the width alone
    Top       y (R, 5), in the order of the scores;  optional: their scores (R, 1). R may change with each pass
    Params    proposal_param: feat_stride=stride (pixels of the image between two cells, 16), base_size=b (16), min_size
              (16), ratio=r and scale=s (at least one of each must be given), pre_nms_topn (6000), post_nms_topn (300),
              nms_thresh (0.7)
    In place  no: the top has a shape of its own
    Errors    LayerError when there is no ratio or scale, a number is 0 or negative, nms_thresh is not in [0, 1], or the
              shapes of the bottoms do not fit the anchors or each other
    See       Ren, He, Girshick and Sun, Faster R-CNN, NIPS 2015. PVANET's fork has this layer in C++; py-faster-rcnn
              has it in Python, and there the numbers are not in the prototxt, boxes that are too small are left out,
              and halves of anchors are rounded to the even number, not away from 0
    """

    message = "proposal_param"
    param: ProposalParameter
    keeps_small = True

    def setup(self, bottom, top):
        p = self.param
        for field in ("feat_stride", "base_size", "pre_nms_topn", "post_nms_topn"):
            self.check(getattr(p, field) > 0, field, "must be positive")
        for field in ("ratio", "scale"):
            values = getattr(p, field)
            self.check(len(values) > 0 and min(values, default=0) > 0, field, "must be given, and be positive")
        self.check(0 <= p.nms_thresh <= 1, "nms_thresh", "must be between 0 and 1")
        self.anchors = anchors_of(p.base_size, p.ratio, p.scale, rounded)
        self.stride, self.least, self.overlap = p.feat_stride, p.min_size, p.nms_thresh
        self.before, self.after = p.pre_nms_topn, p.post_nms_topn
