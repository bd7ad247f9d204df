"""Softmax with loss: how surprised the predicted probabilities are by the true class."""

import numpy as np

from minicaffe import kernels
from minicaffe.layer import register
from minicaffe.layers.loss._normalize import NormalizedLoss, split_axes

FLT_MIN = float(np.finfo(np.float32).tiny)  # Caffe: the least probability that the logarithm sees


@register("SoftmaxWithLoss")
class SoftmaxWithLossLayer(NormalizedLoss):
    """The cross entropy of softmax(x) and one true class a cell; the usual loss of a classifier.

    Forward   p = softmax(x) along axis
              L = Σ −w · (1 − p[k])^γ · log p[k] / Z   over the cells, k the label of the cell
    Backward  dx[c] = (p[c] − [c = k]) · f · w · loss_weight / Z
              f = (1 − p[k])^γ · (1 − γ · p[k] · log p[k] / (1 − p[k])),   1 for γ = 0

    Bottom    x (N, …, C, …) scores;  label (N, …): a class in 0 … C−1 for each cell, that is each place of x
              without axis;  w, optional: a weight for each sample (N) or each cell
    Top       L, a scalar;  p, optional, the shape of x: to be read, no gradient flows back from it
    Params    loss_param: ignore_label, normalization (VALID), normalize (deprecated), class_weight (one a
              class), focal_gamma=γ, exact_ignore
              softmax_param: axis, engine (accepted, without effect)
    Errors    LayerError when x has no such axis, the batch sizes differ, the number of labels, weights or
              class_weight does not fit, a label is none of the classes, a weight is negative or not finite
    Derived   docs/maths/loss.md#softmax-with-loss
    """

    message = "loss_param"
    also_reads = ("softmax_param",)
    unread = ("pos_weight",)
    bottoms = (2, 3)
    tops = (1, 2)
    backward_reads = ()
    default_normalization = "VALID"

    def reshape(self, bottom, top):
        x = bottom[0]
        self.axis = self.axis_of(x, ".softmax_param.axis")
        self.check_batch(bottom)
        self.outer, self.classes, self.inner = split_axes(x.shape, self.axis)
        cells = self.outer * self.inner
        self.check_labels(bottom, cells, f"one a place beside axis {self.axis}")
        self.check_weights(bottom, cells, self.classes)
        self.p = self.scratch(x.shape)
        top[0].reshape(())
        for y in top[1:]:
            y.reshape_like(x)

    def forward(self, bottom, top):
        x, p = bottom[0].data, self.p
        kernels.softmax(x, self.axis, out=p)
        cells = self.cells = self.read_labels(bottom, self.classes, (self.outer, self.inner))
        pk = self._of_label(p)[0]
        l = -np.log(np.maximum(pk, FLT_MIN))
        gamma = self.param.focal_gamma
        if gamma:
            l *= (1 - pk) ** gamma
        self.write_loss(top, self.total(l, cells), cells)
        for y in top[1:]:
            y.data[...] = p

    def backward(self, top, propagate_down, bottom):
        if not propagate_down[0]:
            return
        p, dx = self.p, bottom[0].diff
        dx[...] = p
        dk, at = self._of_label(dx)
        dx.reshape(self.outer, self.classes, self.inner)[at] = dk - 1
        f = self._focal_slope(self._of_label(p)[0]) if self.param.focal_gamma else 1.0
        dx = dx.reshape(self.outer, self.classes, self.inner)
        self.apply(dx, self.cells, f * self.scale(top, self.cells), axis=1)

    def _of_label(self, values):
        """values[k] of each cell (outer, inner), and the index that finds them."""
        at = np.arange(self.outer)[:, None], self.cells.k, np.arange(self.inner)
        return values.reshape(self.outer, self.classes, self.inner)[at], at

    def _focal_slope(self, pk):
        gamma, q = self.param.focal_gamma, 1 - pk
        slope = np.full_like(q, -1)  # log p / (1 − p) where p is 1
        np.divide(np.log(np.maximum(pk, FLT_MIN)), q, out=slope, where=q > 0)
        return q ** gamma * (1 - gamma * pk * slope)
