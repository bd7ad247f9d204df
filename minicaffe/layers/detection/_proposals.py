"""What Proposal and py-faster-rcnn's ProposalLayer share: regions that may hold an object, out of a net's answers."""

import math

import numpy as np

from minicaffe import kernels
from minicaffe.layer import Layer

BASE = 16  # pixels: the side of the square that anchors are made from


class RegionProposals(Layer):
    """Turns the scores and the shifts of a region proposal network into regions, the best first.

    A subclass sets in `setup`

        anchors    (A, 4), see `anchors_of`
        stride     pixels of the image from one cell of the map to the next
        before     how many of the best boxes are looked at
        after      how many of those that are kept are put out
        overlap    a box that overlaps a better one by more than this is left out
        least      pixels of the image as it was before it was scaled: the least width and height of a box
    """

    bottoms = 3
    tops = (1, 2)
    backward_reads = ()
    anchors: np.ndarray
    stride: float
    before: int
    after: int
    overlap: float
    least: float

    keeps_small = False  # a box that is too small stays, with the score 0
    R = 1  # regions of the last pass. Caffe: before the first one there are none, but a blob of one row

    def reshape(self, bottom, top):
        score, t, info = (blob.shape for blob in bottom)
        A = len(self.anchors)
        if len(score) != 4 or score[1] != 2 * A:
            self.fail(f"bottom[0], the scores, must be (N, {2 * A}, H, W) for {A} anchors, got {score}")
        if t != (score[0], 4 * A, *score[2:]):
            self.fail(f"bottom[1], the shifts, must be {(score[0], 4 * A, *score[2:])} for {A} anchors and scores "
                      f"{score}, got {t}")
        if not info or info[0] != score[0] or bottom[2].count < 3 * score[0]:
            self.fail(f"bottom[2], the image, must be ({score[0]}, 3): height, width and scale, got {info}")
        self._reshape_tops(top)

    def forward(self, bottom, top):
        score, t, info = (blob.data for blob in bottom)
        found = [self._propose(score[n, len(self.anchors):], t[n], row)
                 for n, row in enumerate(info.reshape(len(info), math.prod(info.shape[1:])))]
        self.R = sum(len(scores) for _, scores in found)
        self._reshape_tops(top)
        top[0].data[:, 0] = np.repeat(np.arange(len(found)), [len(scores) for _, scores in found])
        top[0].data[:, 1:] = np.concatenate([np.empty((0, 4)), *(boxes for boxes, _ in found)])
        for y in top[1:]:
            y.data[:, 0] = np.concatenate([np.empty(0), *(scores for _, scores in found)])

    def backward(self, top, propagate_down, bottom):
        for blob, wanted in zip(bottom, propagate_down, strict=True):
            if wanted:  # Caffe: the layer lets no gradient through; the net below learns from losses of its own
                blob.diff.fill(0)

    def allow_force_backward(self, bottom_index):
        return False

    def gradient_to(self, j):
        return False

    def gradient_from(self, t):
        return False

    def numbers_for(self, j, bottom, draw):
        if j != 2:
            return None
        _, _, H, W = bottom[0].shape
        return np.resize([H * self.stride, W * self.stride, 1], bottom[2].shape)

    def _reshape_tops(self, top):
        """Give the tops a row for each region."""
        top[0].reshape(self.R, 5)
        for y in top[1:]:
            y.reshape(self.R, 1)

    def _propose(self, score, t, info):
        """Return the regions (R, 4) of one image and their scores (R,), from (A, H, W), (4 · A, H, W) and the image."""
        height, width, scale = info[:3]
        across = info[3] if self.keeps_small and len(info) > 3 else scale  # the scale of the width, where there are two
        A, H, W = score.shape
        score = score.transpose(1, 2, 0).reshape(-1)
        a = placed(self.anchors.astype(t.dtype), self.stride, H, W)
        boxes = decoded(a, t.reshape(A, 4, H, W).transpose(2, 3, 0, 1).reshape(-1, 4))
        limits = np.array([width, height] * 2) - 1
        boxes = np.fmax(np.minimum(boxes, limits), 0)  # fmax: C++ takes 0 and not NaN
        large = (boxes[:, 2:] - boxes[:, :2] + 1 >= np.array([across, scale]) * self.least).all(axis=1)
        if self.keeps_small:
            score = np.where(large, score, 0).astype(score.dtype)
        else:
            boxes, score = boxes[large], score[large]
        best = np.argsort(-score, kind="stable")[:self.before]  # of equal scores the first place comes first
        boxes, score = np.ascontiguousarray(boxes[best]), score[best]
        keep = np.zeros(len(boxes), np.uint8)
        kernels.nms(boxes, self.overlap, 1.0, 1.0, keep)
        chosen = np.flatnonzero(keep)[:self.after]
        return boxes[chosen], score[chosen]


def anchors_of(base, ratios, scales, rounding=np.round):
    """Return the anchors (A, 4) of the cell at (0, 0) as x1, y1, x2, y2: for each ratio of height to width all scales.

    A square of `base` pixels becomes w by h of about the same area, both rounded, and then s times as large. All have
    the centre of the square, whose pixels are 0 to base − 1. `rounding` says what becomes of halves.
    """
    center, found = (base - 1) / 2, []
    for r in ratios:
        w = rounding(np.sqrt(base * base / r))
        h = rounding(w * r)
        for s in scales:
            half = (np.array([w, h]) * s - 1) / 2
            found.append([*(center - half), *(center + half)])
    return np.array(found)


def placed(anchors, stride, H, W):
    """Return the anchors of all cells, (H · W · A, 4): those of a cell stand together."""
    row, column = np.mgrid[:H, :W] * stride
    shift = np.stack([column, row, column, row], axis=-1).astype(anchors.dtype)
    return (shift[:, :, None] + anchors).reshape(-1, 4)


def decoded(a, t):
    """Return the boxes (M, 4) that t (M, 4), a shift of the centre and log growths, makes of the anchors a (M, 4)."""
    size = a[:, 2:] - a[:, :2] + 1
    center = t[:, :2] * size + (a[:, :2] + size / 2)
    half = np.exp(t[:, 2:]) * size / 2
    return np.concatenate([center - half, center + half], axis=1)
