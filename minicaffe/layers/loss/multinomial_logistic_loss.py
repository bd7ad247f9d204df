"""Multinomial logistic loss: the surprise at the true class, from probabilities."""

import numpy as np

from minicaffe.layer import register
from minicaffe.layers.loss._normalize import LOG_THRESHOLD, NormalizedLoss


@register("MultinomialLogisticLoss")
class MultinomialLogisticLossLayer(NormalizedLoss):
    """The cross entropy of given probabilities and one true class a sample.

    For scores take SoftmaxWithLoss: it is softmax and this loss in one, and its gradient stays exact where
    that of 1 / p here explodes.

    Forward   L = Σ −w · log max(p[k], ε) / Z,   k the label, ε = 1e-20
    Backward  dp[k] = −1 / max(p[k], ε) · w · loss_weight / Z,   0 elsewhere

    Bottom    p (N, …): C probabilities a sample;  label: N classes in 0 … C−1;  w, optional: N weights
    Top       L, a scalar
    Params    loss_param: ignore_label, normalization (BATCH_SIZE), normalize (deprecated), class_weight (one a
              class), exact_ignore
    Errors    LayerError when the batch sizes differ, the number of labels, weights or class_weight does not fit,
              a label is none of the classes, a weight is negative or not finite
    Derived   docs/maths/loss.md#multinomial-logistic-loss
    """

    message = "loss_param"
    also_reads = ()
    unread = ("pos_weight", "focal_gamma")
    bottoms = (2, 3)
    least_probability = LOG_THRESHOLD

    def reshape(self, bottom, top):
        self.check_batch(bottom)
        self.N, self.C = bottom[0].shape[0], bottom[0].count_between(1)
        self.classes = self.C
        self.check_labels(bottom, self.N, "one a sample")
        self.check_weights(bottom, self.N, self.C)
        top[0].reshape(())

    def forward(self, bottom, top):
        cells = self.cells = self.read_labels(bottom, self.C, (self.N,))
        l = -np.log(self._of_label(bottom[0].data))
        self.write_loss(top, self.total(l, cells), cells)

    def backward(self, top, propagate_down, bottom):
        if not propagate_down[0]:
            return
        dp = bottom[0].diff.reshape(self.N, self.C)
        dp.fill(0)
        dp[np.arange(self.N), self.cells.k] = -1 / self._of_label(bottom[0].data)
        self.apply(dp, self.cells, self.scale(top, self.cells), axis=1)

    def _of_label(self, p):
        return np.maximum(p.reshape(self.N, self.C)[np.arange(self.N), self.cells.k], LOG_THRESHOLD)
