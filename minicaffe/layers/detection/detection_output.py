"""DetectionOutput: the boxes, classes and scores that a detector has found."""

import numpy as np

from minicaffe import kernels
from minicaffe.layer import Layer, register
from minicaffe.layers.detection._soft_nms import softly_kept
from minicaffe.proto import DetectionOutputParameter, PriorBoxParameter

LOWEST = float(np.finfo(np.float32).min)


@register("DetectionOutput")
class DetectionOutputLayer(Layer):
    """Turn a detector's numbers into boxes, and of boxes that overlap keep the one with the best score.

    BVLC's Caffe does not have it. SSD's fork and all forks made from it have it, and they agree on three bottoms.
    RefineDet's and jolibrain's also take arm_conf and arm_loc, the first of two stages, and jolibrain's logits. SSD's
    own fourth bottom, of four axes, is the picture that `visualize` shows; it is not read. OpenCV differs where nothing
    is found. Of boxes with equal scores, the forks' GPU code may order other ones first.

    Forward   for each image n: box[p, l] = decode(loc[n, p, l], prior[p]), with t = loc · variance, or t = loc with
              variance_encoded_in_target
                  CORNER       prior + t
                  CORNER_SIZE  prior + t · (w, h, w, h), the prior's width and height
                  CENTER_SIZE  centre: prior's + (t[0]·w, t[1]·h);  size: (w·exp t[2], h·exp t[3])
              for each class c but the background: the p with conf[n, p, c] > confidence_threshold, the best top_k of
              them, in the order of their scores (of equal ones the smaller p first), of which kernels.nms keeps some
              of all classes the keep_top_k best: y's rows n, c, score, xmin, ymin, xmax, ymax, by n, then c, then score
              where no image has a box: one row n, −1, −1, −1, −1, −1, −1 for each image
              with arm_conf, a prior with arm_conf[n, p, 1] < objectness_score has the score 1 for the background, and
              0 for each other class; with arm_loc, prior[p] is decode(arm_loc[n, p, l], prior[p])
              with soft_nms, `softly_kept` chooses in place of kernels.nms
              with output_logits, z's row for a row n, c of y is logits[n, 0 … num_classes − 1, c]; n, −1, … for none
    Backward  none: which boxes are kept changes in jumps
    Computed  kernels.nms: minicaffe/kernels/definitions/boxes.py

    Bottom    loc (N, 4·P·L) for P priors, with L = 1, or L = num_classes without share_location
              conf (N, P·num_classes)
              prior (1, 2, 4·P): corners and variances, as PriorBox makes them
              arm_conf (N, 2·P) and arm_loc (N, 4·P·L), which may be left out; a picture of four axes in the place of
              arm_conf is not read
              logits (N, P·num_classes), the last one, with output_logits; then arm_conf and arm_loc stand together
    Top       y (1, 1, D, 7) with D boxes of the whole batch, so a new shape each pass; before the first one D is 1
              z (1, 1, D, num_classes), with output_logits
    Params    detection_output_param: num_classes (with the background; no default), share_location (one box for all
              classes, true), background_label_id (negative: there is none, 0), code_type (CORNER),
              variance_encoded_in_target (false), confidence_threshold (absent: the lowest float32), keep_top_k
              (negative: all, -1), objectness_score (0.01), output_logits (false), nms_param with
              nms_threshold (0.3), top_k (absent or negative: all), eta (below 1, nms_threshold is multiplied by it
              after each box that is kept, while it is above 0.5, 1), soft_nms (false) and theta (of soft_nms: the
              larger, the less a score is lowered, 0.5); accepted, without effect: save_output_param, visualize
              (false), visualize_threshold, save_file
    In place  no: the top has a shape of its own
    Errors    LayerError when num_classes is absent, when nms_threshold is negative, eta not in (0, 1] or theta not
              positive, when there are other bottoms or tops than output_logits asks for, or fewer priors than classes
              for it, when a bottom does not fit the number of priors, when a gradient is asked for
    See       Liu et al., SSD, ECCV 2016; Zhang et al., RefineDet, CVPR 2018; Bodla et al., Soft-NMS, ICCV 2017
    """

    message = "detection_output_param"
    param: DetectionOutputParameter
    ignores = ("transform_param",)  # for the pictures that `visualize` shows
    bottoms = (3, 6)
    tops = (1, 2)
    backward_reads = ()

    def setup(self, bottom, top):
        p, nms = self.param, self.param.nms_param
        self.check(p.num_classes > 0, "num_classes", "must be given, with the background as one of the classes")
        self.check(nms.nms_threshold >= 0, "nms_param.nms_threshold", "must be at least 0")
        self.check(0 < nms.eta <= 1, "nms_param.eta", "must be above 0, and at most 1")
        self.check(nms.theta > 0 or not nms.soft_nms, "nms_param.theta", "must be positive")
        self.check_effect(nms.soft_nms, "nms_param.theta", "soft_nms is false")
        wanted = (4, 6) if p.output_logits else (3, 4, 5)
        if len(bottom) not in wanted or len(top) != 1 + p.output_logits:
            self.fail(f"takes {' or '.join(map(str, wanted))} bottoms and {1 + p.output_logits} tops where "
                      f"output_logits is {str(p.output_logits).lower()}, got {len(bottom)} and {len(top)}",
                      hint="output_logits: true adds a last bottom, the logits, and a second top")
        self.arms = len(bottom) - wanted[0]
        if self.arms == 1 and bottom[3].num_axes == 4 and 4 * bottom[3].count != bottom[0].shape[0] * bottom[2].count:
            self.arms = 0  # it does not hold N·2·P numbers: it is the picture that SSD's fork draws the boxes on
        self.check_effect(self.arms > 0, "objectness_score", "there is no bottom 3, the scores of a first stage")
        self.check_effect(not p.save_output_param.output_directory, "save_output_param",
                          "minicaffe writes no files of detections")
        self.caution(p.keep_top_k != 0, "keep_top_k", "is 0, so no box is kept")
        self.caution(nms.top_k != 0 or not nms.HasField("top_k"), "nms_param.top_k", "is 0, so no box is looked at")
        self.top_k = nms.top_k if nms.HasField("top_k") and nms.top_k >= 0 else None
        self.least = p.confidence_threshold if p.HasField("confidence_threshold") else LOWEST
        self.L = 1 if p.share_location else p.num_classes
        self.D = 1  # Caffe: before the first pass there are no boxes, but a blob of one row

    def reshape(self, bottom, top):
        priors, N = bottom[2], bottom[0].shape[0] if bottom[0].num_axes else 0
        if priors.num_axes < 3 or priors.shape[:2] != (1, 2) or priors.count % 8:
            self.fail(f"bottom[2], the priors, must have the shape (1, 2, 4·P), got {priors.shape}")
        self.P = priors.count // 8
        for i, (words, count) in self._counts(bottom).items():
            blob = bottom[i]
            if (blob.num_axes == 0 or blob.shape[0] != N or blob.count != N * count):
                self.fail(f"bottom[{i}] ({words}) must have the shape ({N}, {count}) for {self.P} priors, "
                          f"got {blob.shape}", hint=self._hint(blob, i))
        K = self.param.num_classes
        if len(top) > 1 and self.P < K:
            self.fail(f"output_logits needs {K} priors, as many as there are classes, got {self.P}")
        self._reshape_tops(top)

    def forward(self, bottom, top):
        loc, conf, priors, *arms = (blob.data for blob in bottom[:3 + self.arms])
        N, P = len(loc), self.P
        prior, variance = priors.reshape(2, P, 4)
        if self.param.variance_encoded_in_target:
            variance = np.ones_like(variance)
        loc, conf = loc.reshape(N, P, self.L, 4), conf.reshape(N, P, self.param.num_classes)
        arm_loc = arms[1].reshape(loc.shape) if len(arms) == 2 else [None] * N
        found = []
        for n in range(N):
            scores = np.ascontiguousarray(conf[n].T)
            if arms:
                self._drop(arms[0].reshape(N, P, 2)[n, :, 1], scores)
            found.append(self._rows(n, self._classes(scores, loc[n], prior, variance, arm_loc[n])))
        if not any(map(len, found)):  # Caffe: a row for each image says that there is nothing
            found = [np.array([[n, *[-1] * 6]]) for n in range(N)]
        y = np.concatenate([np.empty((0, 7)), *found])
        self.D = len(y)
        self._reshape_tops(top)
        top[0].data[0, 0] = y
        if len(top) > 1:
            self._write_logits(bottom[-1].data.reshape(N, P, -1), y, top[1].data[0, 0])

    def backward(self, top, propagate_down, bottom):
        if any(propagate_down):
            self.fail("has no gradient", hint="set propagate_down: false for all its bottoms")

    def allow_force_backward(self, bottom_index):
        return False

    def gradient_to(self, j):
        return False

    def gradient_from(self, t):
        return False

    def _write_logits(self, logits, y, z):
        """Write the logits (N, P, K) that belong to the rows of y into z (D, K)."""
        for row, (n, c) in zip(z, y[:, :2].astype(int), strict=True):
            if c < 0:
                row[:] = -1
                row[0] = n
            else:  # Caffe: not the logits of the box, but those of its class for the first priors
                row[:] = logits[n, :len(row), c]

    def _reshape_tops(self, top):
        """Give the tops a row for each box."""
        for blob, numbers in zip(top, (7, self.param.num_classes), strict=False):
            blob.reshape((1, 1, self.D, numbers))

    def _counts(self, bottom):
        """Return, for each bottom that holds numbers of the images, its name and how many of an image it must hold."""
        boxes, scores = 4 * self.P * self.L, self.P * self.param.num_classes
        counts = {0: ("loc", boxes), 1: ("conf", scores), 3: ("arm_conf", 2 * self.P), 4: ("arm_loc", boxes)}
        counts = {i: count for i, count in counts.items() if i < 3 + self.arms}
        return {**counts, len(bottom) - 1: ("logits", scores)} if self.param.output_logits else counts

    def _hint(self, blob, i):
        """Return the likely cause of a bottom that does not fit."""
        numbers = blob.count // max(1, blob.shape[0]) if blob.num_axes else 0
        if i == 1 and self.P and numbers % self.P == 0:
            return f"the scores are of {numbers // self.P} classes, but num_classes is {self.param.num_classes}"
        if i in (0, 4) and self.P and numbers in (4 * self.P, 4 * self.P * self.param.num_classes):
            return f"set share_location: {'true' if numbers == 4 * self.P else 'false'}"
        return ""

    def _drop(self, objectness, scores):
        """Make the priors that the first stage takes for background so: scores is (K, P)."""
        weak = objectness < self.param.objectness_score
        scores[:, weak] = 0
        if 0 <= self.param.background_label_id < len(scores):
            scores[self.param.background_label_id, weak] = 1

    def _classes(self, scores, loc, prior, variance, arm_loc):
        """Yield the class, the scores and the boxes that are kept of it, for one image."""
        for c, score in enumerate(scores):
            if c == self.param.background_label_id:
                continue
            chosen = np.flatnonzero(score > self.least)
            chosen = chosen[np.argsort(-score[chosen], kind="stable")][:self.top_k]
            l, start = c if self.L > 1 else 0, prior[chosen]
            if arm_loc is not None:
                start = self._decode(arm_loc[chosen, l], start, variance[chosen])
            boxes = self._decode(loc[chosen, l], start, variance[chosen])
            kept = self._kept(score[chosen], boxes)
            yield c, score[chosen[kept]], boxes[kept]

    def _kept(self, score, boxes):
        """Return the numbers of the boxes that stay, of those of a class in the order of their scores."""
        nms = self.param.nms_param
        if nms.soft_nms:
            return softly_kept(score, boxes, nms)
        keep = np.empty(len(boxes), np.uint8)
        kernels.nms(boxes, nms.nms_threshold, nms.eta, 0.0, keep)
        return np.flatnonzero(keep)

    def _rows(self, n, classes):
        """Return the rows of y for image n: those of the keep_top_k best boxes, in the order in which they come."""
        rows = [np.column_stack([np.broadcast_to([n, c], (len(score), 2)), score, boxes])
                for c, score, boxes in classes]
        y = np.concatenate([np.empty((0, 7)), *rows])
        most = self.param.keep_top_k
        if 0 <= most < len(y):
            best = np.argsort(-y[:, 2], kind="stable")[:most]
            y = y[np.sort(best)]
        return y

    def _decode(self, loc, prior, variance):
        """Return the boxes (M, 4) that the numbers loc stand for, beginning from the boxes prior."""
        t, size, code = loc * variance, prior[:, 2:] - prior[:, :2], self.param.code_type
        if code == PriorBoxParameter.CORNER:
            return prior + t
        if code == PriorBoxParameter.CORNER_SIZE:
            return prior + t * np.tile(size, 2)
        with np.errstate(over="ignore", invalid="ignore"):  # an untrained net may give boxes without end
            centre, half = (prior[:, :2] + prior[:, 2:]) / 2 + t[:, :2] * size, np.exp(t[:, 2:]) * size / 2
            return np.concatenate([centre - half, centre + half], axis=1)
