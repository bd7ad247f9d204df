"""YoloDetectionOutput: the boxes that YOLO v2 has found."""

import numpy as np

from minicaffe.layer import register
from minicaffe.layers.detection._yolo import YoloOutput, placed, sigmoid
from minicaffe.proto import YoloDetectionOutputParameter


@register("YoloDetectionOutput")
class YoloDetectionOutputLayer(YoloOutput):
    """Turn the numbers of YOLO v2 into boxes, and of boxes that overlap keep the one with the best score.

    MobileNet-YOLO's fork and its forks have it, BVLC's Caffe does not. A box has one class, the most probable.

    Forward   for each image n, the cell (i, j) of each map, and each box a of the cell, with its numbers t:
              centre = ((j + σ(t[0])) / W, (i + σ(t[1])) / H),   size = (exp(t[2]) · b_w / W, exp(t[3]) · b_h / H)
              p = softmax(t[5 …]),   c the class with the largest p (the first of equal ones),   score = σ(t[4]) · p[c]
              of the boxes with score ≥ confidence_threshold, in the order of their scores (of equal ones that of the
              first bottom, cell and box first), each goes whose overlap with one that is kept is ≥ nms_threshold,
              whatever their classes are
              y's rows: n, c + 1, score, xmin, ymin, xmax, ymax, as parts of the image, and not clipped
              where no image has a box: one row n, −1, −1, −1, −1, −1, −1 for each image
    Backward  none: which boxes are kept changes in jumps
    Computed  kernels.nms: minicaffe/kernels/definitions/boxes.py

    Bottom    t (N, num_box · (5 + num_classes), H, W), box by box: the place, the size, the objectness, the classes;
              a second map of the same net may follow
    Top       y (1, 1, D, 7) with D boxes of the whole batch, so a new shape each pass; before the first one D is 1
    Params    yolo_detection_output_param: num_classes (it must be given, 20), num_box (5), biases=b (the width and the
              height of each box in cells), confidence_threshold (0.01), nms_threshold (0.45), coords (only 4 is
              supported, 4); accepted, without effect: side (13), label_map_file
    In place  no: the top has a shape of its own
    Errors    LayerError when num_classes is absent, when there are not num_box pairs of biases, when coords is not 4,
              when nms_threshold is negative, when a bottom does not have the channels, when a gradient is asked for
    See       Redmon and Farhadi, YOLO9000, CVPR 2017
    """

    message = "yolo_detection_output_param"
    param: YoloDetectionOutputParameter
    bottoms = (1, 2)

    def setup(self, bottom, top):
        super().setup(bottom, top)
        p = self.param
        self.check(p.coords == 4, "coords", "must be 4: the place and the size of a box")
        self.check(len(self.sizes) == p.num_box, "biases",
                   f"must be {2 * p.num_box} numbers: a width and a height for each of num_box = {p.num_box} boxes")

    def found(self, t, i):
        shape, least = t.shape[2:], self.param.confidence_threshold
        objectness = sigmoid(t[:, 4]).transpose(1, 2, 0)
        row, column, box = np.nonzero(objectness >= least)  # p is at most 1, so the others cannot have a score so high
        t = t[box, :, row, column]
        e = np.exp(t[:, 5:] - t[:, 5:].max(axis=1, keepdims=True))
        score = objectness[row, column, box] / e.sum(axis=1)  # the largest e is 1
        chosen = score >= least
        t, box, row, column = t[chosen], box[chosen], row[chosen], column[chosen]
        size = self.sizes[box] / shape[::-1]
        return t[:, 5:].argmax(axis=1), score[chosen], placed(t[:, :4], (row, column), size, shape)
