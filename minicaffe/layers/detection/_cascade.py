"""What the four layers of the fork cascade-rcnn share: how numbers become boxes, and which boxes are kept."""

import numpy as np

from minicaffe.layer import Layer

KINDS = ("IOU", "IOMU", "IOFU")


class CascadeLayer(Layer):
    """A layer that makes or chooses boxes, x1, y1, x2, y2 in pixels of the net's image, and has no gradient.

    A box holds its last pixels: it is x2 − x1 + 1 wide, and y2 − y1 + 1 high.
    """

    backward_reads = ()
    regions_at: int | None = 0  # which bottom has regions (R, 5), if any

    def setup_spread(self):
        """Read bbox_mean and bbox_std, by which a net's numbers are scaled. Raise a LayerError if they do not fit."""
        p = self.layer_param.bbox_reg_param
        self.mean, self.std = np.zeros(4, self.dtype), np.ones(4, self.dtype)
        if not (p.bbox_mean and p.bbox_std):  # Caffe: one without the other counts as neither
            for field in ("bbox_mean", "bbox_std"):
                self.check_effect(False, f".bbox_reg_param.{field}", "bbox_mean and bbox_std must both be given")
            return
        for field in ("bbox_mean", "bbox_std"):
            self.check(len(getattr(p, field)) == 4, f".bbox_reg_param.{field}", "must be given four times: x, y, w, h")
        self.check(min(p.bbox_std) > 0, ".bbox_reg_param.bbox_std", "must be positive")
        self.mean[:], self.std[:] = p.bbox_mean, p.bbox_std

    def setup_suppression(self):
        """Check iou_thr and nms_type."""
        self.check(self.param.iou_thr >= 0, "iou_thr", "must not be negative")
        self.caution(self.param.nms_type in KINDS, "nms_type", f"is none of {', '.join(KINDS)}, and counts as IOU")

    def decoded(self, t, boxes):
        """Return the boxes (R, K, 4) that the numbers t (R, 4 · K) make of the boxes (R, 4)."""
        d = t.reshape(len(boxes), t.shape[1] // 4, 4) * self.std + self.mean
        size = (boxes[:, 2:] - boxes[:, :2] + 1)[:, None]
        center = (boxes[:, 2:] + boxes[:, :2])[:, None] / 2 + d[..., :2] * size
        size = size * np.exp(d[..., 2:])
        low = center - (size - 1) / 2
        return np.concatenate([low, low + size - 1], axis=2)

    def kept(self, boxes, score, most=0):
        """Return which of the boxes (M, 4) are kept, as indices, the best score first.

        most    how many of the best are looked at; 0 is all
        """
        best = np.argsort(-score, kind="stable")[:most or None]  # of equal scores the first place comes first
        boxes, chosen = boxes[best], []
        while len(best):
            chosen.append(best[0])
            apart = ~(overlaps(boxes[0], boxes, self.param.nms_type) > self.param.iou_thr)
            apart[0] = False
            best, boxes = best[apart], boxes[apart]
        return np.array(chosen, int)

    def backward(self, top, propagate_down, bottom):
        if any(propagate_down):
            self.fail("has no gradient", hint="set propagate_down: false for all its bottoms")

    def allow_force_backward(self, bottom_index):
        return False

    def gradient_to(self, j):
        return False

    def gradient_from(self, t):
        return False

    def numbers_for(self, j, bottom, draw):
        if j != self.regions_at:
            return None
        R = bottom[j].shape[0]
        corners = np.sort(draw.uniform(0, 200, (R, 2, 2)), axis=1).reshape(R, 4)
        rest = np.zeros((R, bottom[j].count // R - 5)) if R else np.zeros((0, 0))
        return np.concatenate([np.zeros((R, 1)), corners, rest], axis=1).reshape(bottom[j].shape)


def clipped(boxes, width, height):
    """Return the boxes (M, 4), cut to 0 … width and 0 … height; Caffe: not to width − 1."""
    low = np.fmax(boxes[:, :2], 0)  # fmax and fmin: of NaN and a limit, C++ takes the limit here
    return np.concatenate([low, np.fmin(boxes[:, 2:], np.array([width, height], boxes.dtype))], axis=1)


def areas(boxes):
    """Return the areas of boxes (…, 4); 0 where the far corner lies before the near one."""
    size = boxes[..., 2:] - boxes[..., :2]
    return np.where((size < 0).any(axis=-1), 0, (size + 1).prod(axis=-1))


def overlaps(box, boxes, kind):
    """Return how much of a box (4,) and each of the boxes (M, 4) is shared, as a part of an area, (M,).

    The area is that of both together for IOU, the smaller one for IOMU, and that of `box` for IOFU.
    """
    size = np.minimum(box[2:], boxes[:, 2:]) - np.maximum(box[:2], boxes[:, :2])
    # Caffe: boxes that share one row of pixels share nothing, but one column counts
    shared = np.where((size[:, 0] >= 0) & (size[:, 1] > 0), (size + 1).prod(axis=1), 0)
    a, b = areas(box), areas(boxes)
    if kind == "IOMU":
        whole = np.minimum(a, b)
    elif kind == "IOFU":
        whole = np.full_like(b, a)
    else:
        whole = a + b - shared
    there = (a > 0) & (b > 0) & (whole > 0)
    return np.where(there, shared, 0) / np.where(there, whole, 1)
