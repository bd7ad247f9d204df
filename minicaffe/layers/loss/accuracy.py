"""Accuracy: the share of predictions that are right."""

import numpy as np

from minicaffe.layer import Layer, register
from minicaffe.layers.loss._labels import classes_of, ignored_among, split_axes
from minicaffe.proto import AccuracyParameter


@register("Accuracy")
class AccuracyLayer(Layer):
    """Count how often the true class is among the top_k scores; a measure, not a loss.

    Forward   better = #{c ≠ k : x[c] ≥ x[k]},   k the label of the cell
              A = #{cells with better < top_k} / #{cells}   over the cells that are not ignored, 0 when none is left
    Backward  none

    A tie counts against the prediction: where all C scores are equal, the cell is right only if top_k ≥ C.

    Bottom    x (N, …, C, …) scores;  label: a class in 0 … C−1 for each cell, that is each place of x without axis
    Top       A, a scalar;  optional: the accuracy of each class (C), 0 for a class without a cell
    Params    accuracy_param: top_k (1), axis (1), ignore_label (none): cells with this label do not count
    Errors    LayerError when x has no such axis, the number of labels does not fit, top_k is 0 or exceeds C,
              a label is none of the classes, or backward is asked for
    Derived   docs/maths/loss.md#accuracy
    """

    message = "accuracy_param"
    param: AccuracyParameter
    bottoms = 2
    tops = (1, 2)
    backward_reads = ()
    label_bottoms = (1,)
    decides = "one class"

    def reshape(self, bottom, top):
        x, label, p = bottom[0], bottom[1], self.param
        axis = self.axis_of(x)
        self.outer, self.C, self.inner = split_axes(x.shape, axis)
        if label.count != self.outer * self.inner:
            self.fail(f"bottom[0] {x.shape} needs {self.outer * self.inner} labels, one for each place beside "
                      f"axis {axis}, but bottom[1] {label.shape} has {label.count}")
        self.check(p.top_k > 0, "top_k", "must be at least 1")
        self.check(p.top_k <= self.C, "top_k", f"must not exceed the {self.C} classes")
        top[0].reshape(())
        for y in top[1:]:
            y.reshape(self.C)

    def forward(self, bottom, top):
        p, label = self.param, bottom[1]
        ignored = ignored_among(label.data.reshape(-1), p.ignore_label if p.HasField("ignore_label") else None)
        k = classes_of(self, label, self.C, ignored)
        x = bottom[0].data.reshape(self.outer, self.C, self.inner)
        x_k = np.take_along_axis(x, k.reshape(self.outer, 1, self.inner), axis=1)
        better = np.count_nonzero(x >= x_k, axis=1).reshape(-1) - 1  # without x[k] ≥ x[k] itself
        # nothing is ≥ NaN, so better is −1 where x[k] is NaN, and the cell is not right. Caffe: it is
        right = (better >= 0) & (better < p.top_k)
        if ignored is not None:
            k, right = k[~ignored], right[~ignored]
        top[0].data[...] = np.count_nonzero(right) / max(k.size, 1)
        for y in top[1:]:
            cells = np.bincount(k, minlength=self.C)  # how many of each class
            y.data[...] = np.bincount(k[right], minlength=self.C) / np.maximum(cells, 1)

    def backward(self, top, propagate_down, bottom):
        if any(propagate_down):
            self.fail("is a measure and has no gradient", hint="take SoftmaxWithLoss for training")

    def gradient_to(self, j):
        return False

    def gradient_from(self, t):
        return False

    def numbers_for(self, j, bottom, draw):
        return draw.integers(self.C, size=bottom[1].shape) if j == 1 else None
