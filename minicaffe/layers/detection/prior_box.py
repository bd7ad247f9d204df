"""PriorBox: the boxes from which a detector starts, around every cell of a feature map."""

import math

import numpy as np

from minicaffe import kernels
from minicaffe.layer import Layer, register
from minicaffe.proto import PriorBoxParameter
from minicaffe.proto.prior_box import ratios_of

FACES = {32: 4, 64: 2}  # FaceBoxes: the squares of a side, in a row of a cell


@register("PriorBox")
class PriorBoxLayer(Layer):
    """Lay boxes of several sizes and shapes around the centre of every cell of a feature map.

    BVLC's Caffe does not have it. SSD's fork and all forks made from it have it, and they agree. OpenCV keeps the
    fraction of min_size and max_size, which the forks cut off, and clips where clip is absent.
    TextBoxes' fork lays each box twice, half a cell apart, and FaceBoxes' fork lays 16 boxes for the min_size 32 and 4
    for 64, without a field that says so. Where the convolutions of DetectionOutput have as many channels as that takes,
    and not as many as SSD's boxes take, the net sets offset_h and offset_w, or face_boxes.

    Forward   centre of cell (i, j): ((j + offset) · step_w, (i + offset) · step_h)
              sizes (w, h) in pixels, in this order, for each min_size m with its max_size M:
                  (m, m);  (√(m·M), √(m·M)) where there is an M;  (m·√a, m/√a) for each aspect ratio a ≠ 1
              with face_boxes the first is (m − 1, m − 1); for 32 there are 4 rows of 4 of it, 8 pixels apart, of which
              the third in the third row has the cell's centre, and for 64 2 rows of 2, 16 pixels apart, of which the
              last one has it
              y[0, 0] = the corners xmin, ymin, xmax, ymax of each box, as parts of the image's width and height,
              y[0, 1] = the variances, four for each box
              the boxes stand by rows of the map, then by columns, then as above; m and M without their fractions
    Backward  none: the boxes follow from the shapes alone
    Computed  kernels.copy: minicaffe/kernels/definitions/copying.py

    Bottom    map (N, C, H, W), image (N, C, H, W): their H and W alone are read
    Top       y (1, 2, 4·H·W·P) with P boxes a cell, S · the number of pairs of offset_h and offset_w for S sizes
    Params    prior_box_param: min_size (at least one), max_size (absent, or one for each min_size), aspect_ratio
              (repeated; 1 is always there), flip (the reciprocal of each aspect ratio as well, true), clip (limit
              corners to 0 and 1, false), variance (one number, or four; absent: 0.1), img_size or img_h and img_w
              (absent or 0: the size of the image), step or step_h and step_w (absent or 0: image size / map
              size), offset (0.5), offset_h and offset_w (in place of offset: each pair of them gives all boxes again,
              around another centre; the boxes of one size follow each other), face_boxes (false)
    In place  no: the top has a shape of its own
    Errors    LayerError when min_size is absent or below 1, when max_size is not one for each min_size, or not larger,
              when an aspect_ratio or a variance is not positive, when variance stands neither once nor four times,
              when img_size stands beside img_h or step beside step_h, or one of a pair stands alone, when a bottom has
              not 4 axes, when there is no img_size and the image no pixels, when offset_h is not given as often as
              offset_w, when a gradient is asked for
    See       Liu et al., SSD, ECCV 2016, §2.2
    """

    message = "prior_box_param"
    param: PriorBoxParameter
    bottoms = 2
    backward_reads = ()
    recordable = True

    def setup(self, bottom, top):
        p = self.param
        self.check(len(p.min_size) > 0, "min_size", "must be given at least once")
        # Caffe: both are cut to whole numbers, although the fields hold fractions
        mins, maxs = [int(m) for m in p.min_size], [int(m) for m in p.max_size]
        self.check(min(mins) >= 1, "min_size", "must be at least 1 pixel")
        self.check(len(maxs) in (0, len(mins)), "max_size", f"must be given once for each min_size ({len(mins)})")
        self.check(all(large > small for small, large in zip(mins, maxs, strict=False)), "max_size",
                   f"must be larger than its min_size {mins}")
        self.check(min(p.aspect_ratio, default=1) > 0, "aspect_ratio", "must be positive")
        self.check(len(p.variance) in (0, 1, 4), "variance", "must be given once, or once for each of the four numbers")
        self.check(min(p.variance, default=1) > 0, "variance", "must be positive")
        self.variances = [*(p.variance or [0.1])] * (1 if len(p.variance) == 4 else 4)
        self.check(len(p.offset_h) == len(p.offset_w), "offset_h", f"must be given as often as offset_w "
                   f"({len(p.offset_w)} times)")
        self.check_effect(not p.offset_h, "offset", "offset_h and offset_w stand in its place")
        self.offsets = np.array([*zip(p.offset_w, p.offset_h, strict=True)] or [(p.offset, p.offset)])
        self.image_size = self._pair("img_size", "img_h", "img_w")
        self.steps = self._pair("step", "step_h", "step_w")
        self.check_effect(bool(p.aspect_ratio), "flip", "there is no aspect_ratio")
        self.boxes = self._boxes(mins, maxs)
        self.made_for = None  # the sizes of map and image for which the boxes are made

    def reshape(self, bottom, top):
        for i, blob in enumerate(bottom):
            if blob.num_axes != 4:
                self.fail(f"bottom[{i}] must have 4 axes (N, C, H, W), got {blob.num_axes}: {blob.shape}")
        (H, W), image = bottom[0].shape[2:], bottom[1].shape[2:]
        if 0 in self.image_size and 0 in image:
            self.fail(f"bottom[1] {bottom[1].shape}, the image, has no pixels, so a box is no part of it")
        top[0].reshape((1, 2, 4 * H * W * len(self.boxes) * len(self.offsets)))
        if self.made_for != (H, W, image) and not self.shapes_only:
            self.priors = self._priors(H, W, *(image if 0 in self.image_size else self.image_size))
            self.made_for = H, W, image

    def forward(self, bottom, top):
        kernels.copy(self.priors, top[0].data)

    def backward(self, top, propagate_down, bottom):
        if any(propagate_down):
            self.fail("has no gradient", hint="set propagate_down: false for both bottoms")

    def allow_force_backward(self, bottom_index):
        return False

    def gradient_to(self, j):
        return False

    def gradient_from(self, t):
        return False

    def _pair(self, both, high, wide):
        """Return the height and the width that a field says, or two fields; zeros where none is set."""
        p = self.param
        sides = [p.HasField(high), p.HasField(wide)]
        self.check(not (p.HasField(both) and any(sides)), both, f"cannot stand beside {high} and {wide}")
        alone, missing = (high, wide) if sides[0] else (wide, high)
        self.check(any(sides) == all(sides), alone, f"needs {missing} beside it")
        found = [getattr(p, high), getattr(p, wide)] if all(sides) else [getattr(p, both)] * 2
        for name, value in zip([high, wide] if all(sides) else [both], found, strict=False):
            self.check(value >= 0, name, "must be at least 0, which means that it is not given")
        return found

    def _boxes(self, mins, maxs):
        """Return the boxes (S, 4) of a cell in pixels: width, height, and how far right and down they are moved."""
        ratios, boxes = ratios_of(self.param), []
        for i, m in enumerate(mins):
            k = FACES.get(m, 1) if self.param.face_boxes else 1
            side, moves = m - self.param.face_boxes, [32 / k * (u - k // 2) for u in range(k)]
            boxes += [(side, side, x, y) for y in moves for x in moves]
            boxes += [(math.sqrt(m * maxs[i]), math.sqrt(m * maxs[i]), 0, 0)] if maxs else []
            boxes += [(m * math.sqrt(a), m / math.sqrt(a), 0, 0) for a in ratios]
        return np.array(boxes)

    def _priors(self, H, W, image_h, image_w):
        """Return the top's data, computed in float64."""
        # max, because an empty map would divide by 0
        step_h, step_w = self.steps if all(self.steps) else (image_h / max(1, H), image_w / max(1, W))
        y, x = np.meshgrid(np.arange(H), np.arange(W), indexing="ij")
        cells = np.stack([x, y], axis=-1).reshape(H, W, 1, 1, 2)
        sizes, moves = self.boxes[:, np.newaxis, :2], self.boxes[:, np.newaxis, 2:]
        # (H, W, sizes, offsets, 2)
        centres, halves = (cells + self.offsets) * [step_w, step_h] + moves, sizes / 2
        boxes = np.concatenate([centres - halves, centres + halves], axis=-1) / [image_w, image_h, image_w, image_h]
        if self.param.clip:
            boxes = boxes.clip(0, 1)
        variances = np.broadcast_to(self.variances, boxes.shape)
        return np.stack([boxes.ravel(), variances.ravel()])[np.newaxis].astype(self.dtype)
