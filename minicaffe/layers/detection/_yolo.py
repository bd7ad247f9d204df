"""What the outputs of YOLO share: how the numbers of a cell become boxes, and which boxes are put out."""

from abc import abstractmethod

import numpy as np

from minicaffe import kernels
from minicaffe.layer import Layer


class YoloOutput(Layer):
    """Turns the numbers that a YOLO net gives for each cell of its maps into boxes, the best first.

    A subclass sets `classes`, `anchors` (how many boxes a cell has) and `places` (how many numbers a box has before its
    objectness) in `setup`, and tells with `found` which boxes an image has. It reads the fields num_classes,
    nms_threshold and biases.
    """

    tops = 1
    backward_reads = ()
    classes: int
    anchors: int
    places = 4
    places_by = ""  # what changes `places`, for errors
    D = 1  # rows of the last pass. Caffe: before the first one there are no boxes, but a blob of one row

    @abstractmethod
    def found(self, t, i):
        """Return the boxes of one image that bottom i may hold: classes (M,), scores (M,) and centres and sizes (M, 4).

        t    the numbers of the image, (anchors, places + 1 + classes, H, W)
        """

    def setup(self, bottom, top):
        p = self.param
        self.check(p.HasField("num_classes") and p.num_classes > 0, "num_classes", "must be given, and be positive")
        self.check(p.num_box > 0, "num_box", "must be positive")
        self.check(p.nms_threshold >= 0, "nms_threshold", "must be at least 0")
        self.check(len(p.biases) % 2 == 0 and min(p.biases, default=0) > 0, "biases",
                   "must be given, a width and a height for each box, and be positive")
        self.caution(p.nms_threshold > 0, "nms_threshold", "is 0, so of all boxes of an image the best alone is kept")
        self.classes, self.anchors = p.num_classes, p.num_box
        self.sizes = np.array(p.biases).reshape(-1, 2)

    def reshape(self, bottom, top):
        numbers = self.places + 1 + self.classes
        for i, blob in enumerate(bottom):
            x, N = blob.shape, bottom[0].shape[:1]
            if len(x) != 4 or x[:1] != N or x[1] != self.anchors * numbers:
                self.fail(f"bottom[{i}] must have the 4 axes (N, C, H, W) with C = {self.anchors} · {numbers} = "
                          f"{self.anchors * numbers} channels for {self.anchors} boxes of {self.classes} classes"
                          f"{self.places_by}, got {x}",
                          hint="all bottoms must hold the same images" if len(x) == 4 and x[:1] != N else "")
        top[0].reshape((1, 1, self.D, 7))

    def forward(self, bottom, top):
        rows = [self._rows(n, [blob.data[n] for blob in bottom]) for n in range(bottom[0].shape[0])]
        if not any(map(len, rows)):  # Caffe: a row for each image says that there is nothing
            rows = [np.array([[n, *[-1] * 6]]) for n in range(len(rows))]
        y = np.concatenate([np.empty((0, 7)), *rows])
        self.D = len(y)
        top[0].reshape((1, 1, self.D, 7))
        top[0].data[0, 0] = y

    def backward(self, top, propagate_down, bottom):
        if any(propagate_down):
            self.fail("has no gradient", hint="set propagate_down: false for all its bottoms")

    def allow_force_backward(self, bottom_index):
        return False

    def gradient_to(self, j):
        return False

    def gradient_from(self, t):
        return False

    def _rows(self, n, maps):
        """Return the rows of the top for image n, whose numbers in each bottom are the maps, (C, H, W)."""
        found = [self.found(t.reshape(self.anchors, self.places + 1 + self.classes, *t.shape[1:]), i) for i, t in enumerate(maps)]
        label, score, place = (np.concatenate(parts) for parts in zip(*found, strict=True))
        order = np.argsort(-score, kind="stable")  # of equal scores that of the first bottom, cell and box comes first
        label, score, place = label[order], score[order], place[order]
        with np.errstate(over="ignore", invalid="ignore"):  # an untrained net may give boxes without end
            half = place[:, 2:] / 2
            boxes = np.concatenate([place[:, :2] - half, place[:, :2] + half], axis=1)
        kept = self._kept(boxes)
        return np.column_stack([np.full(len(kept), n), label[kept] + 1, score[kept], boxes[kept]])

    def _kept(self, boxes):
        """Return the numbers of the boxes that stay, of (M, 4) in the order of their scores."""
        threshold = boxes.dtype.type(self.param.nms_threshold)
        if threshold == 0:
            return np.arange(min(len(boxes), 1))
        keep = np.empty(len(boxes), np.uint8)
        # Caffe: here a box goes as soon as its overlap is the threshold, and in the kernel when it is above
        kernels.nms(boxes, float(np.nextafter(threshold, boxes.dtype.type(0))), 1.0, 0.0, keep)
        return np.flatnonzero(keep)


def sigmoid(t):
    """Return 1 / (1 + exp(−t)), a new array."""
    with np.errstate(over="ignore"):  # far below 0, where it is 0
        return 1 / (1 + np.exp(-t))


def placed(t, cell, size, shape):
    """Return the centres and sizes (M, 4) of boxes, as parts of the image's width and height.

    t        (M, 4): the place of the centre in its cell before the sigmoid, and the logarithms of the growths
    cell     the rows and the columns of the boxes' cells, two arrays (M,)
    size     the sizes (M, 2) that grow, as parts of the image
    shape    the map's height and width
    """
    row, column = cell
    centre = (sigmoid(t[:, :2]) + np.stack([column, row], axis=1).astype(t.dtype)) / np.array(shape[::-1], t.dtype)
    with np.errstate(over="ignore"):
        return np.concatenate([centre, np.exp(t[:, 2:]) * size.astype(t.dtype)], axis=1)
