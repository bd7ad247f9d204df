"""BoxGroupOutput: the regions that may hold an object, out of one or several maps of scores."""

import numpy as np

from minicaffe.layer import register
from minicaffe.layers.detection._cascade import CascadeLayer, clipped
from minicaffe.proto import BoxGroupOutputParameter

NOTHING = (0, 1, 1, 10, 10)  # the region that stands where none is found


@register("BoxGroupOutput")
class BoxGroupOutputLayer(CascadeLayer):
    """Move and scale the anchors of each cell as the net says, and keep the best boxes that do not overlap.

    Forward   of each map, each of its anchors k with field_w[k] by field_h[k] pixels, and each cell (row i, column j):
              d = t · std + mean;   d_x and d_y cut to ± 1 / field_xyr, d_w and d_h to ± log(field_whr)
              size = field · (exp(d_w), exp(d_h)),   low = (j + 0.5, i + 0.5) · stride + (d_x, d_y) · field − size / 2
              the box is from low to low + size − 1, with field for (field_w[k], field_h[k]);   the score is
              1 − p[n · G + k, 0, i, j], and counts if it is at least fg_thr
              x1 and y1 not below 0, x2 not above W · stride, y2 not above H · stride of the map; then only boxes with
              x2 − x1 + 1 ≥ min_size and y2 − y1 + 1 ≥ min_size
              of an image's boxes, the max_nms_num with the best scores (of equal ones the first map, anchor and cell
              come first); of these, each that overlaps no better one that is kept by more than iou_thr
              y = (n, x1, y1, x2, y2) of the first max_post_nms_num of each image, by n and then by score
              where the batch has no box: y is the one row 0, 1, 1, 10, 10, and the second top one row of 0
              an overlap is the shared area, divided by the area of both together for IOU, by that of the smaller box
              for IOMU, and by that of the box that is kept for IOFU. Boxes that share but one row of pixels share
              nothing
    Backward  none: which boxes are kept changes in jumps

    Bottom    for each map p (N·G, K, H, W), whose channel 0 is how surely there is nothing, with the G anchors of an
              image one after the other; and t (N·G, 4, H, W): x, y, w, h
    Top       y (R, 5, 1, 1);  optional: the same with the score (R, 6, 1, 1). R may change with each pass, and is 1
              before the first one
    Params    box_group_output_param: box_group_param for each map, with stride (pixels of the image between two cells),
              field_w and field_h (pixels, once for each anchor); fg_thr (0), iou_thr (0.5), nms_type (or IOMU or IOFU,
              IOU), field_whr (2), field_xyr (2), max_nms_num (0 is all, 0), max_post_nms_num (0 is all, 0), min_size
              (15); bbox_reg_param: bbox_mean=mean (0) and bbox_std=std (1), four numbers each, which count only when
              both are given
    In place  no: the tops have shapes of their own
    Errors    LayerError when there is not one box_group_param for two bottoms, a stride, a field, field_whr or
              field_xyr is not positive, field_w and field_h are not equally many, iou_thr is negative, the shapes of
              the bottoms do not fit each other or the anchors, a gradient is asked for
    See       Cai and Vasconcelos, Cascade R-CNN, CVPR 2018, whose fork alone has this layer
    """

    message = "box_group_output_param"
    also_reads = ("bbox_reg_param",)
    param: BoxGroupOutputParameter
    bottoms = (2, None)
    tops = (1, 2)
    regions_at = None

    def setup(self, bottom, top):
        p = self.param
        if len(bottom) != 2 * len(p.box_group_param):
            self.fail(f"must have two bottoms for each box_group_param, scores and boxes: {len(p.box_group_param)} are "
                      f"given, but {len(bottom)} bottoms")
        for k, group in enumerate(p.box_group_param):
            sizes = [*group.field_w, *group.field_h]
            if not sizes or min(sizes) < 1 or len(group.field_w) != len(group.field_h):
                self.fail(f"box_group_output_param.box_group_param[{k}] must have equally many field_w and field_h, "
                          f"all positive, got {list(group.field_w)} and {list(group.field_h)}")
            if group.stride < 1:
                self.fail(f"box_group_output_param.box_group_param[{k}].stride must be positive, got {group.stride}")
        for field in ("field_whr", "field_xyr"):
            self.check(getattr(p, field) > 0, field, "must be positive")
        self.setup_suppression()
        self.setup_spread()
        self.check_effect(False, ".bbox_reg_param.cls_aware", "the boxes of this layer are of no class")
        self.limits = np.array([1 / p.field_xyr] * 2 + [np.log(p.field_whr)] * 2, self.dtype).reshape(4, 1, 1)
        self.R = 1

    def reshape(self, bottom, top):
        pairs = list(zip(bottom[::2], bottom[1::2], strict=True))
        self.N = self._images(pairs[0][0], len(self.param.box_group_param[0].field_w))
        for k, ((p, t), group) in enumerate(zip(pairs, self.param.box_group_param, strict=True)):
            G = len(group.field_w)
            if p.num_axes != 4 or p.shape[0] != self.N * G or p.shape[1] == 0 or self.N == 0:
                self.fail(f"bottom[{2 * k}], the scores, must be (N·{G}, K, H, W) for {G} anchors, got {p.shape}",
                          hint="all maps must be of as many images" if k else "")
            if t.shape != (p.shape[0], 4, *p.shape[2:]):
                self.fail(f"bottom[{2 * k + 1}], the boxes, must be {(p.shape[0], 4, *p.shape[2:])} for scores "
                          f"{p.shape}, got {t.shape}")
        self._reshape_tops(top)

    def forward(self, bottom, top):
        found = [self._found(p.data, t.data, group) for p, t, group in
                 zip(bottom[::2], bottom[1::2], self.param.box_group_param, strict=True)]
        rows = [self._of_image(n, *(np.concatenate([part[n] for part in parts]) for parts in zip(*found, strict=True)))
                for n in range(self.N)]
        y = np.concatenate(rows)
        self.R = max(1, len(y))
        self._reshape_tops(top)
        if len(y):
            for blob in top:
                blob.data[:, :, 0, 0] = y[:, :blob.shape[1]]
        else:  # Caffe: a layer behind this one gets at least one region
            top[0].data[0, :, 0, 0] = NOTHING
            for blob in top[1:]:
                blob.data.fill(0)

    def _images(self, scores, G):
        """Return how many images the first bottom is of, with G anchors each."""
        return scores.shape[0] // G if scores.num_axes else 0

    def _reshape_tops(self, top):
        """Give the tops a row for each region."""
        for blob, count in zip(top, (5, 6), strict=False):
            blob.reshape(self.R, count, 1, 1)

    def _found(self, p, t, group):
        """Return the boxes (N, M, 4) and the scores (N, M) of one map."""
        G, (_, _, H, W) = len(group.field_w), t.shape
        d = t * self.std.reshape(4, 1, 1) + self.mean.reshape(4, 1, 1)
        d = np.fmin(np.fmax(d, -self.limits), self.limits).reshape(self.N, G, 4, H, W)
        field = np.array([group.field_w, group.field_h], t.dtype).T.reshape(G, 2, 1, 1)
        cell = (np.mgrid[:H, :W][::-1].astype(t.dtype) + t.dtype.type(0.5)) * group.stride
        size = field * np.exp(d[:, :, 2:])
        low = d[:, :, :2] * field + cell - size / 2
        boxes = np.concatenate([low, low + size - 1], axis=2).transpose(0, 1, 3, 4, 2).reshape(-1, 4)
        boxes = clipped(boxes, W * group.stride, H * group.stride)
        return boxes.reshape(self.N, -1, 4), (1 - p[:, 0]).reshape(self.N, -1)

    def _of_image(self, n, boxes, score):
        """Return the rows (R, 6) of image n, out of all its boxes (M, 4) and their scores (M,)."""
        p = self.param
        large = (boxes[:, 2:] - boxes[:, :2] + 1 >= p.min_size).all(axis=1)
        chosen = large & (score >= p.fg_thr)
        boxes, score = boxes[chosen], score[chosen]
        kept = self.kept(boxes, score, p.max_nms_num)[:p.max_post_nms_num or None]
        return np.column_stack([np.full(len(kept), n, boxes.dtype), boxes[kept], score[kept]])
