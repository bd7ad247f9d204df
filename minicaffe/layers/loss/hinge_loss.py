"""Hinge loss: the true class must score above 1 and every other below −1."""

import numpy as np

from minicaffe.layer import register
from minicaffe.layers.loss._normalize import NormalizedLoss


@register("HingeLoss")
class HingeLossLayer(NormalizedLoss):
    """One against all others, as a support vector machine learns it.

    Forward   m[c] = max(0, 1 + s[c] · x[c]),   s = −1 for the label's class, 1 for the others
              L = Σ w · Σ m[c] / Z   for norm L1,   Σ w · Σ m[c]² / Z   for norm L2
    Backward  dx[c] = s[c] · [m[c] > 0] · w · loss_weight / Z   or   2 · s[c] · m[c] · w · loss_weight / Z

    Bottom    x (N, …): C scores a sample;  label: N classes in 0 … C−1;  w, optional: N weights
    Top       L, a scalar
    Params    hinge_loss_param: norm (L1 or L2)
              loss_param: ignore_label, normalization (BATCH_SIZE), normalize (deprecated), class_weight (one a
              class), exact_ignore
    Errors    LayerError when the batch sizes differ, the number of labels, weights or class_weight does not fit,
              a label is none of the classes, a weight is negative or not finite
    Derived   docs/maths/loss.md#hinge-loss
    """

    message = "hinge_loss_param"
    unread = ("loss_param.pos_weight", "loss_param.focal_gamma")
    bottoms = (2, 3)

    def setup(self, bottom, top):
        super().setup(bottom, top)
        self.squared = self.param.norm == self.param.L2

    def reshape(self, bottom, top):
        self.check_batch(bottom)
        self.N, self.C = bottom[0].shape[0], bottom[0].count_between(1)
        self.check_labels(bottom, self.N, "one a sample")
        self.check_weights(bottom, self.N, self.C)
        top[0].reshape(())

    def forward(self, bottom, top):
        cells = self.cells = self.read_labels(bottom, self.C, (self.N,))
        m = self._margins(bottom[0].data)
        l = (m * m if self.squared else m).sum(axis=1)
        self.write_loss(top, self.total(l, cells), cells)

    def backward(self, top, propagate_down, bottom):
        if not propagate_down[0]:
            return
        dx = bottom[0].diff.reshape(self.N, self.C)
        m = self._margins(bottom[0].data)
        dx[...] = 2 * m if self.squared else np.sign(m)
        self._flip_label(dx)
        self.apply(dx, self.cells, self.scale(top, self.cells), axis=1)

    def _margins(self, x):
        m = x.reshape(self.N, self.C).copy()
        self._flip_label(m)
        m += 1
        return np.maximum(m, 0, out=m)

    def _flip_label(self, values):
        values[np.arange(self.N), self.cells.k] *= -1
