"""Yolov3DetectionOutput: the boxes that YOLO v3 has found."""

import numpy as np

from minicaffe.layer import register
from minicaffe.layers.detection._yolo import YoloOutput, placed, sigmoid
from minicaffe.proto import Yolov3DetectionOutputParameter


@register("Yolov3DetectionOutput")
class Yolov3DetectionOutputLayer(YoloOutput):
    """Turn the numbers of YOLO v3's maps into boxes, and of boxes that overlap keep the one with the best score.

    MobileNet-YOLO's fork and its forks have it, BVLC's Caffe does not. Each map has boxes of its own sizes. ncnn has
    the layer, too, but computes a higher score, 1 / (1 + exp(−t[4]) · (1 + exp(−t[5 + c]))).

    Forward   for each image n, the cell (i, j) of each map, and each box a of the cell, with its numbers t, and with b
              the pair mask[m · G + a] of biases for map m, where G is the number of masks divided by mask_group_num:
              centre = ((j + σ(t[0])) / W, (i + σ(t[1])) / H)
              size = (exp(t[2]) · b_w / (W · anchors_scale), exp(t[3]) · b_h / (H · anchors_scale))
              score[c] = σ(t[5 + c]) · σ(t[4]) for each class c, and those > confidence_threshold are boxes
              with gaussian_box t is x, u_x, y, u_y, w, u_w, h, u_h, the objectness, the classes: each score is
              multiplied by 1 − (σ(u_x) + σ(u_y) + σ(u_w) + σ(u_h)) / 4, the certainty of the box
              in the order of their scores (of equal ones that of the first bottom, cell, box and class first), each box
              goes whose overlap with one that is kept is ≥ nms_threshold, whatever their classes and maps are
              y's rows: n, c + 1, score, xmin, ymin, xmax, ymax, as parts of the image, and not clipped
              where no image has a box: one row n, −1, −1, −1, −1, −1, −1 for each image
    Backward  none: which boxes are kept changes in jumps
    Computed  kernels.nms: minicaffe/kernels/definitions/boxes.py

    Bottom    mask_group_num maps t (N, num_box · (5 + num_classes), H, W), box by box, each of its own height and
              width; with gaussian_box (N, num_box · (9 + num_classes), H, W)
    Top       y (1, 1, D, 7) with D boxes of the whole batch, so a new shape each pass; before the first one D is 1
    Params    yolov3_detection_output_param: num_classes (it must be given, 20), num_box (3), biases=b (the widths and
              heights in pixels of all boxes), mask (which of them each map has, map by map), anchors_scale (pixels a
              cell, one number a map), mask_group_num (2), confidence_threshold (0.01), nms_threshold (0.45),
              gaussian_box (false)
    In place  no: the top has a shape of its own
    Errors    LayerError when num_classes is absent, when there are not mask_group_num bottoms or numbers of
              anchors_scale, when a map has no masks for its boxes, when a mask names no pair of biases, when
              nms_threshold is negative, when a bottom does not have the channels, when a gradient is asked for
    See       Redmon and Farhadi, YOLOv3, 2018; Choi et al., Gaussian YOLOv3, ICCV 2019
    """

    message = "yolov3_detection_output_param"
    param: Yolov3DetectionOutputParameter
    bottoms = (1, None)

    def setup(self, bottom, top):
        super().setup(bottom, top)
        p, maps = self.param, len(bottom)
        self.check(p.mask_group_num == maps, "mask_group_num", f"must be the number of bottoms, {maps}")
        self.check(len(p.anchors_scale) == maps and min(p.anchors_scale) > 0, "anchors_scale",
                   f"must be given once for each of the {maps} bottoms, and be positive")
        step = len(p.mask) // maps
        self.check(len(p.mask) >= (maps - 1) * step + p.num_box and len(p.mask) % maps == 0, "mask",
                   f"must be given for each of the {maps} bottoms num_box = {p.num_box} times")
        self.check(max(p.mask) < len(self.sizes), "mask",
                   f"must be below {len(self.sizes)}, the number of pairs of biases")
        # Caffe: maps begin `step` masks apart, and read num_box of them. Usually these are the same number
        self.of_map = [self.sizes[p.mask[i * step:i * step + p.num_box]] for i in range(maps)]
        self.places = 8 if p.gaussian_box else 4
        self.places_by = " with gaussian_box" if p.gaussian_box else " without gaussian_box"

    def found(self, t, i):
        shape, k, least = t.shape[2:], self.places, self.param.confidence_threshold
        objectness = sigmoid(t[:, k])
        if self.param.gaussian_box:
            objectness *= 1 - sigmoid(t[:, 1:8:2]).sum(axis=1) / 4
        objectness = objectness.transpose(1, 2, 0)
        row, column, box = np.nonzero(objectness > least)  # a score is not above its objectness
        t = t[box, :, row, column]
        score = sigmoid(t[:, k + 1:]) * objectness[row, column, box][:, None]
        likely = score > least
        if 0 < self.param.nms_threshold < 1:
            # The classes of a cell's box give the same box, so all but the best would be left out for their overlap
            likely &= np.arange(self.classes) == score.argmax(axis=1)[:, None]
        m, label = np.nonzero(likely)
        row, column, box = row[m], column[m], box[m]
        size = self.of_map[i][box] / (np.array(shape[::-1]) * self.param.anchors_scale[i])
        return label, score[m, label], placed(t[m, :k:k // 4], (row, column), size, shape)
